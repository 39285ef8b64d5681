use std::process::ExitCode;

use super::{Perform, complete::BASH};
use crate::{
    Failure,
    args::{Completion, Globals, Shell},
    completion::tree,
    output,
};

impl Perform for Completion {
    fn perform(self, _: &Globals) -> Result<ExitCode, Failure> {
        output::print(&script(self.shell))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns the script for a shell.
fn script(shell: Shell) -> String {
    let shell = match shell {
        Shell::Bash => return BASH.to_owned(),
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut tree(), "hull", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_read_by_their_shells() {
        for (shell, program) in [
            (Shell::Bash, "bash"),
            (Shell::Zsh, "zsh"),
            (Shell::Fish, "fish"),
        ] {
            let script = script(shell);
            assert!(script.contains("hull"), "{program}");
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("script");
            std::io::Write::write_all(
                &mut std::fs::File::create(&path).unwrap(),
                script.as_bytes(),
            )
            .unwrap();
            match std::process::Command::new(program)
                .arg("-n")
                .arg(&path)
                .output()
            {
                Ok(output) => assert!(output.status.success(), "{program}: {output:?}"),
                Err(error) => eprintln!("{program} is not checked: {error}"),
            }
        }
    }
}
