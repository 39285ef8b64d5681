//! Starting other programs: with a time limit, with their output kept for when it is needed.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How a program ended, and all it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) text: String,
}

/// coreutils' `timeout`: this code when the time was up.
const TIMED_OUT: i32 = 124;

impl Ended {
    pub(crate) fn succeeded(&self) -> bool {
        self.code == 0
    }

    pub(crate) fn timed_out(&self) -> bool {
        self.code == TIMED_OUT || self.code == 128 + 9
    }

    /// Returns the last `count` lines.
    pub(crate) fn tail(&self, count: usize) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

/// Wraps a program in a time limit: `timeout -k 10 SECONDS PROGRAM`. The program's group is told to end, then killed.
pub(crate) fn limited(limit: Duration, program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["-k", "10"])
        .arg(limit.as_secs().max(1).to_string())
        .arg(program);
    command
}

/// Runs to the end and keeps both outputs, in one text.
pub(crate) fn ended(command: &mut Command) -> Result<Ended> {
    let output = output(command)?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(Ended {
        code: code(&output),
        text,
    })
}

/// Runs to the end; failing is an error with the program's own words.
pub(crate) fn checked(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().lines().rev().take(20).collect::<Vec<_>>();
        let said = said.into_iter().rev().collect::<Vec<_>>().join("\n    ");
        bail!("{command:?} ended with {}: {said}", code(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Tells whether a program of this name is in the search path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&path)
        .chain(usual)
        .any(|dir| dir.join(program).is_file())
}

fn output(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))
}

fn code(output: &Output) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    output
        .status
        .code()
        .unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0))
}
