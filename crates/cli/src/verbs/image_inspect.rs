use std::process::ExitCode;

use hull_engine::{Engine, EngineError};
use serde_json::Value;

use super::{Perform, inspect::print_objects};
use crate::{
    Failure,
    args::{Globals, ImageInspect},
};

impl Perform for ImageInspect {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let looked = self.images.iter();
        let looked = looked.map(|image| described(&engine, image).map_err(Failure::from));
        print_objects(looked, self.format.as_deref())
    }
}

/// Describes an image under docker's field names; `inspect` shows this too.
pub(super) fn described(engine: &Engine, asked: &str) -> Result<Value, EngineError> {
    let described = engine.inspect_image(asked)?;
    Ok(serde_json::to_value(described).expect("names and numbers only"))
}
