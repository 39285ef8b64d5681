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

use std::{
    io,
    path::{Path, PathBuf},
};

use hull_engine::request::{RunRequest, Variable};

pub use files::FileOptions;
pub use image::ImageOptions;
pub use limits::LimitOptions;
pub use log::LogOptions;
pub use namespaces::NamespaceOptions;
pub use naming::NamingOptions;
pub use network::NetworkOptions;
pub use process::{EnvironmentOptions, ProcessOptions, StandardStreams};
pub use security::SecurityOptions;

use crate::usage::{self, UsageError};

/// Everything that `run` and `create` have in common.
#[derive(Clone, Debug, clap::Args)]
pub struct ContainerOptions {
    #[command(flatten)]
    pub naming: NamingOptions,
    #[command(flatten)]
    pub image: ImageOptions,
    #[command(flatten)]
    pub process: ProcessOptions,
    #[command(flatten)]
    pub files: FileOptions,
    #[command(flatten)]
    pub network: NetworkOptions,
    #[command(flatten)]
    pub limits: LimitOptions,
    #[command(flatten)]
    pub security: SecurityOptions,
    #[command(flatten)]
    pub namespaces: NamespaceOptions,
    #[command(flatten)]
    pub log: LogOptions,
    /// Image, then the command to run in it and its arguments
    #[arg(
        value_name = "IMAGE [COMMAND] [ARG...]",
        required = true,
        num_args = 1..,
        trailing_var_arg = true,
        hide = true
    )]
    pub words: Vec<String>,
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
    pub notes: Vec<String>,
}

impl ContainerOptions {
    /// Says what the words mean.
    pub fn meant(self, caller: Caller<'_>) -> Result<Meant, UsageError> {
        let mut words = self.words.into_iter();
        let image = words.next().unwrap_or_default();
        let mut command: Vec<String> = words.collect();
        // `hull run @host -- cat` says where options end, though they ended with the image.
        if command.first().is_some_and(|word| word == "--") {
            command.remove(0);
        }
        let mut notes = Vec::new();
        let mut request = RunRequest::new(usage::value("IMAGE", &image)?);
        self.naming.put(&mut request, caller)?;
        self.image.put(&mut request)?;
        self.process.put(&mut request, caller)?;
        request.process.command = command;
        self.files.put(&mut request, caller)?;
        self.network.put(&mut request)?;
        self.limits.put(&mut request)?;
        self.security.put(&mut request, caller, &mut notes)?;
        self.namespaces.put(&mut request)?;
        self.log.put(&mut request)?;
        Ok(Meant { request, notes })
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
fn variables(
    files: &[PathBuf],
    words: &[String],
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
