use std::path::PathBuf;

use hull_types::{ErrorKind, InvalidReference, InvalidSize};

use crate::near::did_you_mean;

/// Why a part of a request cannot be understood, or cannot be done by this Hull.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRequest {
    #[error("`{one}` and `{other}` cannot go together")]
    Conflict {
        one: &'static str,
        other: &'static str,
    },
    #[error("`{one}` needs `{other}`")]
    Needs {
        one: &'static str,
        other: &'static str,
    },
    #[error("`{one}` must be at least `{other}`")]
    TooSmall {
        one: &'static str,
        other: &'static str,
    },
    #[error("two mounts have the target {}", .0.display())]
    RepeatedTarget(PathBuf),
    #[error("sysctl `{0}` would change the host's network")]
    HostSysctl(String),

    #[error("an empty text is no {0}")]
    Empty(&'static str),
    #[error("`{word}` is no {what}")]
    NoSuch {
        what: &'static str,
        word: String,
        known: &'static str,
        near: Vec<String>,
    },
    #[error("`{word}` is not {what}")]
    Malformed {
        what: &'static str,
        word: String,
        example: &'static str,
    },
    #[error("{what} are not supported: `{word}`")]
    NotSupported {
        what: &'static str,
        word: String,
        instead: &'static str,
    },
    #[error("path `{}` must be absolute", .0.display())]
    RelativePath(PathBuf),
    #[error("a mount cannot cover the root of the container")]
    TargetIsRoot,
    #[error("option `{option}` does not go with {with}")]
    OptionMismatch { option: String, with: &'static str },
    #[error("the current directory cannot be read")]
    NoDirectory(#[source] std::io::Error),
    #[error("option `{option}` has a bad size")]
    BadSize {
        option: &'static str,
        source: InvalidSize,
    },
    #[error("limit `{name}` has a soft value above the hard one: {soft} > {hard}")]
    SoftAboveHard { name: String, soft: u64, hard: u64 },
    #[error(transparent)]
    Port(hull_net::InvalidPort),
    #[error(transparent)]
    Image(InvalidReference),
}

impl InvalidRequest {
    /// Returns the kind, for front doors.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotSupported { .. } => ErrorKind::Unsupported,
            _ => ErrorKind::InvalidInput,
        }
    }

    /// Returns what to write instead.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuch { near, known, .. } => {
                Some(did_you_mean(near).unwrap_or_else(|| format!("it is one of {known}")))
            }
            Self::Malformed { example, .. } => Some(format!("write {example}")),
            Self::NotSupported { instead, .. } => Some((*instead).to_owned()),
            Self::Port(error) => Some(error.hint()),
            Self::RelativePath(path) => Some(format!("did you mean `/{}`?", path.display())),
            Self::Conflict { other, .. } if other.starts_with("--network container") => {
                Some("say it where that network was made, or leave it out".to_owned())
            }
            Self::Conflict { .. } => Some("leave one of the two out".to_owned()),
            Self::HostSysctl(_) => {
                Some("leave `--network host` out, or set it on the host".to_owned())
            }
            _ => None,
        }
    }
}
