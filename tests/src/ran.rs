//! A command that has ended.

use std::process::ExitStatus;
use std::time::Duration;

/// How a command ended, and what it wrote.
#[derive(Clone, Debug)]
pub struct Ran {
    /// As a shell shows it: 128 + signal for one that a signal ended.
    pub code: i32,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl Ran {
    pub(crate) fn code_of(status: ExitStatus) -> i32 {
        use std::os::unix::process::ExitStatusExt as _;
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }

    /// Returns both outputs, for messages.
    pub fn text(&self) -> String {
        format!("exit code {}\n{}{}", self.code, self.out, self.err)
    }
}
