//! The options of a new container, grouped as help shows them, and what they mean.

mod files;
mod image;
mod limits;
mod log;
mod namespaces;
mod naming;
mod network;
mod process;
mod security;
mod typed;

use std::{
    io,
    path::{Path, PathBuf},
};

use hull_engine::request::{RunRequest, Variable};

pub(crate) use process::directory;
pub use process::{EnvironmentOptions, StandardStreams};
pub(super) use typed::{Group, Opt, Typed, command};

use super::Globals;
use crate::usage::{self, UsageError};

const ROOT: Opt = Opt::value(
    "root",
    "DIR",
    "Keep images, containers and everything else below this directory [env: HULL_ROOT]",
);
const GLOBAL: Group = Group {
    heading: "Global options",
    options: &[&ROOT],
};

/// Returns a verb's own options, and those that `run` and `create` have in common.
pub(super) fn groups(own: Group) -> [Group; 11] {
    [
        own,
        naming::GROUP,
        image::GROUP,
        process::GROUP,
        files::GROUP,
        network::GROUP,
        limits::GROUP,
        security::GROUP,
        namespaces::GROUP,
        log::GROUP,
        GLOBAL,
    ]
}

/// What words can refer to on the caller's side. Nothing is looked at unless a word asks for it.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The caller's environment variable of this name.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The directory the caller is in.
    pub directory: &'a dyn Fn() -> io::Result<PathBuf>,
    /// The contents of a file.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl Caller<'static> {
    /// Returns this process as the caller.
    pub fn this_process() -> Self {
        Self {
            variable: &|name| std::env::var(name).ok(),
            directory: &std::env::current_dir,
            read: &|path| std::fs::read_to_string(path),
        }
    }
}

impl std::fmt::Debug for Caller<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

/// What was meant, and what the reader should know about how it was understood.
#[derive(Clone, Debug)]
pub struct Meant {
    pub request: RunRequest,
    pub globals: Globals,
    /// Whether pulling the image is to be silent.
    pub quiet: bool,
    /// Registries that may be spoken to without encryption.
    pub insecure: Vec<String>,
    pub notes: Vec<String>,
}

impl Meant {
    /// Says what the options in common and the words after them mean.
    pub(super) fn new(typed: &Typed<'_>, caller: Caller<'_>) -> Result<Self, UsageError> {
        let (image, command) = match &typed.words[..] {
            [] => return Err(typed.needs("IMAGE")),
            // `hull run @host -- cat` says where options end, though they ended with the image.
            [image, "--", command @ ..] => (image, command),
            [image, command @ ..] => (image, command),
        };
        let mut meant = Self {
            request: RunRequest::new(usage::value("IMAGE", image)?),
            globals: Globals {
                root: typed.text(&ROOT).map(PathBuf::from),
            },
            quiet: typed.on(&image::QUIET),
            insecure: typed.texts(&image::INSECURE).map(str::to_owned).collect(),
            notes: Vec::new(),
        };
        let request = &mut meant.request;
        naming::put(typed, request, caller)?;
        image::put(typed, request)?;
        process::put(typed, request, caller)?;
        request.process.command = command.iter().map(|word| (*word).to_owned()).collect();
        files::put(typed, request, caller)?;
        network::put(typed, request)?;
        limits::put(typed, request)?;
        security::put(typed, request, caller, &mut meant.notes)?;
        namespaces::put(typed, request)?;
        log::put(typed, request)?;
        Ok(meant)
    }
}

/// A line of a file that an option named.
struct Line {
    number: usize,
    text: String,
}

/// Reads the lines of a file of variables or labels: blank ones and those that start with `#` say nothing.
fn lines(flag: &'static str, path: &Path, caller: Caller<'_>) -> Result<Vec<Line>, UsageError> {
    let text = (caller.read)(path).map_err(|source| UsageError::File {
        flag,
        path: path.to_owned(),
        source,
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text
        .lines()
        .enumerate()
        .map(|(at, text)| Line {
            number: at + 1,
            text: text.trim_start().to_owned(),
        })
        .filter(|line| !line.text.is_empty() && !line.text.starts_with('#'))
        .collect())
}

/// Reads variables from files first and from `--env` after them, so that the latter win.
fn variables<'a>(
    files: impl Iterator<Item = &'a Path>,
    words: impl Iterator<Item = &'a str>,
    caller: Caller<'_>,
) -> Result<Vec<Variable>, UsageError> {
    let mut variables = Vec::new();
    for path in files {
        for line in lines("--env-file", path, caller)? {
            let variable = Variable::parse(&line.text, caller.variable)
                .map_err(|error| usage::line("--env-file", path, line.number, error))?;
            // Unlike `--env NAME`, a name alone that the caller does not have says nothing (docker's rule for files).
            if variable.value.is_some() {
                variables.push(variable);
            }
        }
    }
    for word in words {
        let variable = Variable::parse(word, caller.variable);
        variables.push(variable.map_err(|error| usage::wrong("--env", word, error))?);
    }
    Ok(variables)
}
