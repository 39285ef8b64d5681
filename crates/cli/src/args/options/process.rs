use std::path::PathBuf;

use hull_engine::request::{Entrypoint, Environment, InvalidRequest, RunRequest, Variable};

use super::{Caller, variables};
use crate::usage::{self, UsageError};

/// Variables for a process: `run` and `exec` have them alike.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct EnvironmentOptions {
    /// Set an environment variable; NAME alone passes yours on
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Set the environment variables in a file, one a line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
}

impl EnvironmentOptions {
    /// Says which variables are meant.
    pub fn meant(&self, caller: Caller<'_>) -> Result<Vec<Variable>, UsageError> {
        variables(&self.env_file, &self.env, caller)
    }
}

/// What a process reads from and writes to: `run` and `exec` have them alike.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct StandardStreams {
    /// Keep standard input open
    #[arg(short, long)]
    pub interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub tty: bool,
}

/// The first process of the container.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Process")]
pub struct ProcessOptions {
    #[command(flatten)]
    streams: StandardStreams,
    #[command(flatten)]
    environment: EnvironmentOptions,
    /// Run PROGRAM instead of the image's entrypoint; "" runs the command alone
    #[arg(long, value_name = "PROGRAM", allow_hyphen_values = true)]
    entrypoint: Option<String>,
    /// Start in this directory, made if it is not there
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Run as this user and group, by name in the image or by number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Add the user to a group
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
    /// Put a small init in front, which passes signals on and reaps orphans
    #[arg(long)]
    init: bool,
    /// Stop the container with this signal
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// Wait this long after it before killing; -1 for ever
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    stop_timeout: Option<String>,
    /// Limit one resource of each process, such as nofile=1024:4096
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<String>,
    /// Make the kernel kill it sooner (up to 1000) or later (down to -1000) when memory is short
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    oom_score_adj: Option<String>,
}

impl ProcessOptions {
    pub(super) fn put(
        self,
        request: &mut RunRequest,
        caller: Caller<'_>,
    ) -> Result<(), UsageError> {
        let process = &mut request.process;
        process.terminal = self.streams.tty;
        process.interactive = self.streams.interactive;
        process.environment = Environment(self.environment.meant(caller)?);
        process.entrypoint = match self.entrypoint {
            None => Entrypoint::Image,
            Some(program) if program.is_empty() => Entrypoint::Cleared,
            Some(program) => Entrypoint::Program(program),
        };
        process.directory = self.workdir.map(directory).transpose()?;
        process.user = usage::filled("--user", self.user.as_deref())?;
        process.groups = usage::all("--group-add", &self.group_add)?;
        process.init = self.init;
        process.stop_signal = usage::filled("--stop-signal", self.stop_signal.as_deref())?;
        process.stop_grace = usage::optional("--stop-timeout", self.stop_timeout.as_deref())?;
        process.ulimits = usage::all("--ulimit", &self.ulimit)?;
        process.oom_score_adj = self.oom_score_adj.as_deref().map(score).transpose()?;
        Ok(())
    }
}

fn directory(word: String) -> Result<PathBuf, UsageError> {
    let path = PathBuf::from(&word);
    if path.is_absolute() {
        return Ok(path);
    }
    Err(usage::wrong(
        "--workdir",
        &word,
        InvalidRequest::RelativePath(path),
    ))
}

fn score(word: &str) -> Result<i16, UsageError> {
    let score = word
        .parse()
        .ok()
        .filter(|score| (-1000..=1000).contains(score));
    score.ok_or_else(|| {
        let error = InvalidRequest::Malformed {
            what: "a score",
            word: word.to_owned(),
            example: "a whole number from -1000 to 1000",
        };
        usage::wrong("--oom-score-adj", word, error)
    })
}
