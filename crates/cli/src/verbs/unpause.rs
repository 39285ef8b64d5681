use std::process::ExitCode;

use super::{
    Perform,
    each::{Each, each},
};
use crate::{
    Failure,
    args::{Globals, Unpause},
};

impl Perform for Unpause {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        each(&self.containers, |container| {
            engine.unpause(container.as_str())?;
            Ok(Each::Named)
        })
    }
}
