use std::process::ExitCode;

use hull_engine::{Engine, EngineError, Force, Removed};
use hull_types::ErrorKind;

use super::{
    Perform,
    each::{Each, each},
};
use crate::{
    Failure,
    args::{Globals, Rmi},
};

impl Perform for Rmi {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let force = if self.force { Force::Yes } else { Force::No };
        each(&self.images, |image| {
            match engine.remove_image(image, force) {
                Ok(removed) => Ok(Each::Says(lines(&engine, &removed)?.join("\n"))),
                // What was to go is gone.
                Err(error) if self.force && error.kind() == ErrorKind::NotFound => Ok(Each::Silent),
                Err(error) => Err(error),
            }
        })
    }
}

/// Says in docker's words what was taken away.
pub(super) fn lines(engine: &Engine, removed: &Removed) -> Result<Vec<String>, EngineError> {
    let short = engine.images()?.short_names();
    let names = removed.untagged.iter();
    let names = names.map(|name| format!("Untagged: {}", name.familiar(short)));
    let images = removed.images.iter().map(|id| format!("Deleted: {id}"));
    Ok(names.chain(images).collect())
}
