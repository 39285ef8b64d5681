use std::process::ExitCode;

use super::{
    Perform,
    each::{Each, each},
};
use crate::{
    Failure,
    args::{Globals, Wait},
};

impl Perform for Wait {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        each(&self.containers, |container| {
            let code = engine.wait(container.as_str())?;
            Ok(Each::Says(code.to_string()))
        })
    }
}
