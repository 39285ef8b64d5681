//! Words that cannot be understood: which flag, which word, why, and what to write instead.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::error::{ContextKind, ContextValue, ErrorKind as ClapKind};
use hull_engine::{near::did_you_mean, request::InvalidRequest};
use hull_types::{InvalidName, InvalidPlatform, InvalidSignal, InvalidSize};

/// Why the words of a command cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error("`{flag}` does not understand `{word}`")]
    Value {
        flag: String,
        word: String,
        hint: Option<String>,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("cannot read {} for `{flag}`", path.display())]
    File {
        flag: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("line {line} of {} is not for `{flag}`", path.display())]
    Line {
        flag: &'static str,
        path: PathBuf,
        line: usize,
        hint: Option<String>,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error(transparent)]
    Conflict(InvalidRequest),
    #[error("the current directory cannot be read")]
    NoDirectory(#[source] io::Error),
    #[error("hull has no command `{word}`")]
    NoVerb { word: String, hint: String },
    #[error("`hull {verb}` has no option `{option}`")]
    NoOption {
        verb: String,
        option: String,
        hint: String,
    },
    #[error("`hull {verb}` {problem}")]
    Words {
        verb: String,
        problem: String,
        hint: String,
    },
}

impl UsageError {
    /// Returns what to write instead.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Value { hint, .. } | Self::Line { hint, .. } => hint.clone(),
            Self::Conflict(error) => error.hint(),
            Self::NoVerb { hint, .. } | Self::NoOption { hint, .. } | Self::Words { hint, .. } => {
                Some(hint.clone())
            }
            Self::File { .. } | Self::NoDirectory(_) => None,
        }
    }
}

/// An error that may know what to write instead.
pub(crate) trait Explained: Error + Send + Sync + 'static {
    /// Returns what to write instead, if the error itself does not say it.
    fn hint(&self) -> Option<String> {
        None
    }
}

impl Explained for InvalidRequest {
    fn hint(&self) -> Option<String> {
        self.hint()
    }
}
impl Explained for InvalidSize {}
impl Explained for InvalidName {}
impl Explained for InvalidPlatform {}
impl Explained for InvalidSignal {}

/// Says that a flag's word is wrong.
pub(crate) fn wrong<E: Explained>(flag: &str, word: &str, error: E) -> UsageError {
    UsageError::Value {
        flag: flag.to_owned(),
        word: word.to_owned(),
        hint: error.hint(),
        source: Box::new(error),
    }
}

/// Says that a line of a flag's file is wrong.
pub(crate) fn line(
    flag: &'static str,
    path: &Path,
    line: usize,
    error: impl Explained,
) -> UsageError {
    UsageError::Line {
        flag,
        path: path.to_owned(),
        line,
        hint: error.hint(),
        source: Box::new(error),
    }
}

/// Reads the word of a flag.
pub(crate) fn value<T: FromStr<Err: Explained>>(flag: &str, word: &str) -> Result<T, UsageError> {
    word.parse().map_err(|error| wrong(flag, word, error))
}

/// Says that a flag's word is wrong, in plain words.
pub(crate) fn wrong_words(flag: &str, word: &str, problem: &'static str) -> UsageError {
    UsageError::Value {
        flag: flag.to_owned(),
        word: word.to_owned(),
        hint: None,
        source: problem.into(),
    }
}

/// Says that a verb has no such option: where docker has it, what to do instead.
pub(crate) fn no_option(verb: &str, option: &str, near: Option<String>) -> UsageError {
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == option);
    UsageError::NoOption {
        verb: verb.to_owned(),
        option: option.to_owned(),
        hint: elsewhere
            .map(|(_, hint)| (*hint).to_owned())
            .or(near)
            .unwrap_or_else(|| see_help(verb)),
    }
}

/// Returns where to read how a verb is used.
pub(crate) fn see_help(verb: &str) -> String {
    format!("`hull {verb} --help` shows how it is used")
}

/// Docker's options that Hull does not have, and what to do instead.
const ELSEWHERE: [(&str, &str); 28] = [
    (
        "--restart",
        "Hull has no restart policies yet: let a service manager start `hull run`",
    ),
    ("--gpus", "name the devices with --device"),
    (
        "--link",
        "put both containers on one network, or use --network container:NAME",
    ),
    (
        "--network-alias",
        "Hull has no names on networks yet: use --add-host",
    ),
    (
        "--ip",
        "Hull chooses addresses itself; `hull inspect` shows them",
    ),
    ("--ip6", "Hull has no IPv6 on its own networks yet"),
    (
        "--mac-address",
        "Hull chooses addresses itself; `hull inspect` shows them",
    ),
    ("--volumes-from", "name the volumes with -v"),
    (
        "--volume-driver",
        "mount it on the host and bind it with -v",
    ),
    ("--runtime", "Hull has its own runtime"),
    (
        "--storage-opt",
        "Hull has no size limit on what a container writes yet",
    ),
    ("--isolation", "that is for Windows"),
    ("--cpu-period", "use --cpus"),
    ("--cpu-quota", "use --cpus"),
    ("--cpu-rt-period", "Hull has no real-time limits"),
    ("--cpu-rt-runtime", "Hull has no real-time limits"),
    (
        "--kernel-memory",
        "the kernel dropped it: --memory counts the kernel's part too",
    ),
    ("--memory-swappiness", "use --memory-swap"),
    (
        "--oom-kill-disable",
        "a container without memory would hang: use --oom-score-adj",
    ),
    ("--blkio-weight", "Hull has no limits on disks yet"),
    ("--device-cgroup-rule", "name the devices with --device"),
    ("--device-read-bps", "Hull has no limits on disks yet"),
    ("--device-write-bps", "Hull has no limits on disks yet"),
    ("--health-cmd", "Hull has no health checks yet"),
    (
        "--no-healthcheck",
        "Hull has no health checks yet: there is nothing to turn off",
    ),
    ("--use-api-socket", "Hull has no API socket yet"),
    (
        "--disable-content-trust",
        "the trust policy decides which images may run",
    ),
    ("--all-tags", "name the tags one by one"),
];

/// Turns clap's error about the words after `verb` into one of ours.
pub(crate) fn from_clap(verb: &str, error: &clap::Error) -> UsageError {
    let help = see_help(verb);
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(" ")),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let words = |problem: String| UsageError::Words {
        verb: verb.to_owned(),
        problem,
        hint: help.clone(),
    };
    match error.kind() {
        ClapKind::UnknownArgument if argument.starts_with('-') => {
            let near = context(ContextKind::SuggestedArg);
            no_option(verb, &argument, near.and_then(|near| did_you_mean(&[near])))
        }
        ClapKind::UnknownArgument => words(format!("does not expect `{argument}`")),
        ClapKind::MissingRequiredArgument => words(format!("needs {}", plain(&argument))),
        ClapKind::ArgumentConflict => {
            let other = context(ContextKind::PriorArg).unwrap_or_default();
            words(format!("cannot take `{argument}` and `{other}` together"))
        }
        ClapKind::ValueValidation | ClapKind::InvalidValue => invalid_value(
            error,
            argument,
            context(ContextKind::InvalidValue),
            verb,
            help,
        ),
        ClapKind::InvalidUtf8 => words("got a word that is not UTF-8".to_owned()),
        _ => words(format!(
            "cannot be understood: {}",
            error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("error: ")
        )),
    }
}

/// Returns an argument's name as the usage line writes it: clap puts it in angle brackets, with dots where it repeats.
fn plain(argument: &str) -> String {
    let words = argument.split(" [").next().unwrap_or_default();
    words.replace(['<', '>'], "").replace("...", "")
}

fn invalid_value(
    error: &clap::Error,
    argument: String,
    word: Option<String>,
    verb: &str,
    help: String,
) -> UsageError {
    // clap writes `--signal <SIGNAL>` and `--rm[=<RM>]`; the flag alone says enough.
    let flag = match argument.starts_with('-') {
        true => argument
            .split([' ', '[', '='])
            .next()
            .unwrap_or_default()
            .to_owned(),
        false => plain(&argument),
    };
    let known = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            Some(format!("it is one of {}", values.join(", ")))
        }
        _ => None,
    };
    let word = word.unwrap_or_default();
    let number = |source: &(dyn Error + 'static)| source.is::<std::num::ParseIntError>();
    let (source, hint): (Box<dyn Error + Send + Sync>, _) = match error.source() {
        Some(source) if number(source) => (format!("`{word}` is not a whole number").into(), None),
        Some(source) => (
            source.to_string().into(),
            source
                .downcast_ref::<InvalidRequest>()
                .and_then(InvalidRequest::hint),
        ),
        None if word.is_empty() => {
            return UsageError::Words {
                verb: verb.to_owned(),
                problem: format!("needs a value for `{flag}`"),
                hint: known.unwrap_or(help),
            };
        }
        None => (format!("`{word}` is not one of its values").into(), None),
    };
    UsageError::Value {
        flag,
        word,
        hint: hint.or(known),
        source,
    }
}
