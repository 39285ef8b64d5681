use std::process::ExitCode;

use hull_engine::Commit as What;

use super::Perform;
use crate::{
    Failure,
    args::{Commit, Globals},
    output,
};

impl Perform for Commit {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let what = What {
            name: self.name,
            author: self.author,
            message: self.message,
            changes: self.change,
            pause: self.pause,
        };
        let image = globals.engine()?.commit(self.container.as_str(), &what)?;
        output::print(&format!("{}\n", image.id))?;
        Ok(ExitCode::SUCCESS)
    }
}
