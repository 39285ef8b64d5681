use std::process::ExitCode;

use super::{
    Perform,
    each::{Each, each},
};
use crate::{
    Failure,
    args::{Globals, Pause},
};

impl Perform for Pause {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        each(&self.containers, |container| {
            engine.pause(container.as_str())?;
            Ok(Each::Named)
        })
    }
}
