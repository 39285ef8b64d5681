use std::process::ExitCode;

use super::Perform;
use crate::{
    Failure,
    args::{Completion, Globals, Shell},
    output,
};

impl Perform for Completion {
    fn perform(self, _: &Globals) -> Result<ExitCode, Failure> {
        output::print(script(self.shell))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns the script for a shell. Each asks [`super::complete`].
fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("completion/hull.bash"),
        Shell::Zsh => include_str!("completion/hull.zsh"),
        Shell::Fish => include_str!("completion/hull.fish"),
    }
}
