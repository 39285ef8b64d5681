use std::process::ExitCode;

use hull_engine::{Engine, EngineError};
use serde_json::Value;

use super::Perform;
use crate::{
    Failure,
    args::{Globals, ImageInspect},
    format, output,
};

impl Perform for ImageInspect {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let (mut found, mut code) = (Vec::new(), ExitCode::SUCCESS);
        for image in &self.images {
            match described(&engine, image) {
                Ok(value) => found.push(value),
                Err(error) => {
                    output::complain(&Failure::from(error).report());
                    code = ExitCode::FAILURE;
                }
            }
        }
        let text = match &self.format {
            Some(format) => found
                .iter()
                .map(|value| format::one(format, value))
                .collect::<Result<String, _>>()?,
            None => format!("{:#}\n", Value::Array(found)),
        };
        output::print(&text)?;
        Ok(code)
    }
}

/// Describes an image under docker's field names; `inspect` shows this too.
pub(super) fn described(engine: &Engine, asked: &str) -> Result<Value, EngineError> {
    let described = engine.inspect_image(asked)?;
    Ok(serde_json::to_value(described).expect("names and numbers only"))
}
