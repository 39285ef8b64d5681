use std::process::ExitCode;

use super::Perform;
use crate::{
    Failure,
    args::{Globals, Rename},
};

impl Perform for Rename {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        globals
            .engine()?
            .rename(self.container.as_str(), &self.name)?;
        Ok(ExitCode::SUCCESS)
    }
}
