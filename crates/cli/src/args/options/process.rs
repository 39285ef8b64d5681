//! The first process of the container.

use std::path::{Path, PathBuf};

use hull_engine::request::{Entrypoint, Environment, InvalidRequest, RunRequest, Variable};

use super::{Caller, Group, Opt, Typed, variables};
use crate::usage::{self, UsageError};

const INTERACTIVE: Opt = Opt::switch("interactive", "Keep standard input open").short('i');
const TTY: Opt = Opt::switch("tty", "Give it a terminal").short('t');
const ENV: Opt = Opt::values(
    "env",
    "NAME=VALUE",
    "Set an environment variable; NAME alone passes yours on",
)
.short('e');
const ENV_FILE: Opt = Opt::values(
    "env-file",
    "FILE",
    "Set the environment variables in a file, one a line",
);
const ENTRYPOINT: Opt = Opt::value(
    "entrypoint",
    "PROGRAM",
    "Run PROGRAM instead of the image's entrypoint; \"\" runs the command alone",
);
const WORKDIR: Opt = Opt::value(
    "workdir",
    "DIR",
    "Start in this directory, made if it is not there",
)
.short('w');
const USER: Opt = Opt::value(
    "user",
    "USER[:GROUP]",
    "Run as this user and group, by name in the image or by number",
)
.short('u');
const GROUP_ADD: Opt = Opt::values("group-add", "GROUP", "Add the user to a group");
const INIT: Opt = Opt::switch(
    "init",
    "Put a small init in front, which passes signals on and reaps orphans",
);
const STOP_SIGNAL: Opt = Opt::value(
    "stop-signal",
    "SIGNAL",
    "Stop the container with this signal",
);
const STOP_TIMEOUT: Opt = Opt::value(
    "stop-timeout",
    "SECONDS",
    "Wait this long after it before killing; -1 for ever",
);
const ULIMIT: Opt = Opt::values(
    "ulimit",
    "NAME=SOFT[:HARD]",
    "Limit one resource of each process, such as nofile=1024:4096",
);
const OOM_SCORE_ADJ: Opt = Opt::value(
    "oom-score-adj",
    "NUMBER",
    "Make the kernel kill it sooner (up to 1000) or later (down to -1000) when memory is short",
);

pub(super) const GROUP: Group = Group {
    heading: "Process",
    options: &[
        &INTERACTIVE,
        &TTY,
        &ENV,
        &ENV_FILE,
        &ENTRYPOINT,
        &WORKDIR,
        &USER,
        &GROUP_ADD,
        &INIT,
        &STOP_SIGNAL,
        &STOP_TIMEOUT,
        &ULIMIT,
        &OOM_SCORE_ADJ,
    ],
};

pub(super) fn put(
    typed: &Typed<'_>,
    request: &mut RunRequest,
    caller: Caller<'_>,
) -> Result<(), UsageError> {
    let process = &mut request.process;
    process.terminal = typed.on(&TTY);
    process.interactive = typed.on(&INTERACTIVE);
    let files = typed.texts(&ENV_FILE).map(Path::new);
    process.environment = Environment(variables(files, typed.texts(&ENV), caller)?);
    process.entrypoint = match typed.text(&ENTRYPOINT) {
        None => Entrypoint::Image,
        Some("") => Entrypoint::Cleared,
        Some(program) => Entrypoint::Program(program.to_owned()),
    };
    process.directory = typed.text(&WORKDIR).map(directory).transpose()?;
    process.user = typed.filled(&USER)?;
    process.groups = typed.all(&GROUP_ADD)?;
    process.init = typed.on(&INIT);
    process.stop_signal = typed.filled(&STOP_SIGNAL)?;
    process.stop_grace = typed.one(&STOP_TIMEOUT)?;
    process.ulimits = typed.all(&ULIMIT)?;
    process.oom_score_adj = typed.text(&OOM_SCORE_ADJ).map(score).transpose()?;
    Ok(())
}

/// Reads a directory inside the container.
pub(crate) fn directory(word: &str) -> Result<PathBuf, UsageError> {
    let path = PathBuf::from(word);
    if path.is_absolute() {
        return Ok(path);
    }
    let error = InvalidRequest::RelativePath(path);
    Err(usage::wrong("--workdir", word, error))
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

/// Variables for a process of `exec`.
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
        let files = self.env_file.iter().map(PathBuf::as_path);
        variables(files, self.env.iter().map(String::as_str), caller)
    }
}

/// What a process of `exec` reads from and writes to.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct StandardStreams {
    /// Keep standard input open
    #[arg(short, long)]
    pub interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub tty: bool,
}
