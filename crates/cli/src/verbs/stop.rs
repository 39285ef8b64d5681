use std::process::ExitCode;

use super::{
    Perform,
    each::{Each, each},
};
use crate::{
    Failure,
    args::{Globals, Stop},
};

impl Perform for Stop {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        each(&self.containers, |container| {
            engine.stop(container.as_str(), self.signal, self.timeout)?;
            Ok(Each::Named)
        })
    }
}
