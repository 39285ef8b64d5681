use std::process::ExitCode;

use super::Perform;
use crate::{
    Failure,
    args::{Globals, Tag},
};

impl Perform for Tag {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        globals.engine()?.tag_image(&self.image, &self.name)?;
        Ok(ExitCode::SUCCESS)
    }
}
