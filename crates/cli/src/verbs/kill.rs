use std::process::ExitCode;

use super::{
    Perform,
    each::{Each, each},
};
use crate::{
    Failure,
    args::{Globals, Kill},
};

impl Perform for Kill {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        each(&self.containers, |container| {
            engine.kill(container.as_str(), self.signal)?;
            Ok(Each::Named)
        })
    }
}
