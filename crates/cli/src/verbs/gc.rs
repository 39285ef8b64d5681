use std::process::ExitCode;

use super::Perform;
use crate::{
    Failure,
    args::{Gc, Globals},
    format::{self, human},
    output,
};

impl Perform for Gc {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let swept = globals.engine()?.gc()?;
        let text = match &self.format {
            Some(format) => {
                let value = serde_json::json!({"Removed": swept.removed, "Bytes": swept.bytes});
                format::one(format, &value)?
            }
            None => {
                let mut lines = swept.removed;
                lines.push(format!("{} freed", human::size(swept.bytes)));
                lines.join("\n") + "\n"
            }
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
