use std::process::ExitCode;

use hull_engine::Force;
use hull_types::ErrorKind;

use super::{
    Perform,
    each::{Each, each},
};
use crate::{
    Failure,
    args::{Globals, Rm},
};

impl Perform for Rm {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let force = if self.force { Force::Yes } else { Force::No };
        each(&self.containers, |container| {
            match engine.remove(container.as_str(), force, self.volumes) {
                Ok(()) => Ok(Each::Named),
                // What was to go is gone.
                Err(error) if self.force && error.kind() == ErrorKind::NotFound => Ok(Each::Silent),
                Err(error) => Err(error),
            }
        })
    }
}
