use std::process::ExitCode;

use hull_engine::{Engine, EngineError};
use hull_types::ErrorKind;
use serde::Serialize;
use serde_json::Value;

use super::{Perform, image_inspect::described, volume::volume};
use crate::{
    Failure,
    args::{Globals, Inspect, Kind},
    format, output,
};

impl Perform for Inspect {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let looked = self.names.iter();
        let looked = looked.map(|name| self.look(&engine, name).map_err(Failure::from));
        print_objects(looked, self.format.as_deref())
    }
}

/// Prints what was found as docker does: all in one array, or each by the template. What was not found is told after it.
pub(super) fn print_objects(
    looked: impl Iterator<Item = Result<Value, Failure>>,
    format: Option<&str>,
) -> Result<ExitCode, Failure> {
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for looked in looked {
        match looked {
            Ok(value) => found.push(value),
            Err(failure) => failures.push(failure),
        }
    }
    let text = match format {
        Some(format) => {
            let texts = found.iter().map(|value| format::one(format, value));
            texts.collect::<Result<Vec<String>, Failure>>()?.concat()
        }
        None => pretty(&Value::Array(found)),
    };
    output::print(&text)?;
    for failure in &failures {
        output::complain(&failure.report());
    }
    Ok(match failures.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

impl Inspect {
    fn look(&self, engine: &Engine, name: &str) -> Result<Value, EngineError> {
        match self.kind {
            Some(Kind::Container) => self.container(engine, name),
            Some(Kind::Image) => described(engine, name),
            Some(Kind::Volume) => volume(engine, name),
            None => {
                let container = self.container(engine, name);
                let found = container.or_else(|error| instead(error, described(engine, name)));
                found.or_else(|error| instead(error, volume(engine, name)))
            }
        }
    }

    fn container(&self, engine: &Engine, name: &str) -> Result<Value, EngineError> {
        let listed = engine.find(name.strip_prefix('/').unwrap_or(name))?;
        let mut value = engine.inspect(&listed);
        if self.size {
            let (own, all) = engine.sizes(&listed);
            value["SizeRw"] = own.into();
            value["SizeRootFs"] = all.into();
        }
        Ok(value)
    }
}

/// Takes what else has the name. When nothing has, that is said as of the first.
fn instead(error: EngineError, other: Result<Value, EngineError>) -> Result<Value, EngineError> {
    if error.kind() != ErrorKind::NotFound {
        return Err(error);
    }
    other.map_err(|other| match other.kind() {
        ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::InvalidInput => error,
        _ => other,
    })
}

/// Writes JSON with docker's four blanks.
fn pretty(value: &Value) -> String {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    let mut text = match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => value.to_string(),
    };
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_indented_as_dockers() {
        let value = serde_json::json!([{"Id": "1", "State": {"Pid": 1, "Error": ""}, "Args": []}]);
        insta::assert_snapshot!(pretty(&value));
    }
}
