use std::path::PathBuf;

use hull_types::{ContainerName, ErrorKind, PodId};
use rustix::io::Errno;

/// Why a record could not be made, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("no container is called `{asked}`")]
    NotFound { asked: String, near: Vec<String> },
    #[error("`{asked}` is the beginning of {} container ids", .ids.len())]
    Ambiguous { asked: String, ids: Vec<String> },
    #[error("the name `{name}` is taken by container {owner}")]
    NameTaken { name: ContainerName, owner: String },
    #[error("pod {pod} is held by another process: it is running, or being started or removed")]
    Held { pod: PodId },
    #[error("the journal of pod {pod} has no readable first line")]
    NoRecord {
        pod: PodId,
        source: Option<serde_json::Error>,
    },
    #[error("{} was written by a newer Hull: it has version {found}, this one knows {known}", path.display())]
    NewerVersion {
        path: PathBuf,
        found: String,
        known: u32,
    },
    #[error("cannot {what} {}", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        source: Errno,
    },
    #[error("cannot write an event")]
    Encode { source: serde_json::Error },
    #[error("cannot sweep {}", path.display())]
    Sweep {
        path: PathBuf,
        source: hull_fs::FsError,
    },
}

impl StateError {
    /// Returns what sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Ambiguous { .. } => ErrorKind::InvalidInput,
            Self::NameTaken { .. } => ErrorKind::AlreadyExists,
            Self::Held { .. } => ErrorKind::WrongState,
            Self::NewerVersion { .. } => ErrorKind::Unsupported,
            Self::File {
                source: Errno::ACCESS | Errno::PERM,
                ..
            } => ErrorKind::Denied,
            Self::NoRecord { .. } | Self::File { .. } | Self::Sweep { .. } => {
                ErrorKind::Unavailable
            }
            Self::Encode { .. } => ErrorKind::Bug,
        }
    }

    /// Tells whether it is that a file or directory is not there.
    pub(crate) fn is_missing(&self) -> bool {
        let errno = match self {
            Self::File { source, .. } => Some(*source),
            Self::Sweep { source, .. } => source.errno(),
            _ => None,
        };
        errno == Some(Errno::NOENT)
    }

    /// Returns what the reader could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { near, .. } if !near.is_empty() => {
                Some(format!("did you mean {}?", near.join(" or ")))
            }
            Self::NotFound { .. } => Some("`hull ps -a` lists all containers".to_owned()),
            Self::Ambiguous { ids, .. } => Some(format!("give more digits: {}", ids.join(", "))),
            Self::NameTaken { name, .. } => Some(format!(
                "remove it with `hull rm -f {name}`, rename it, or choose another --name"
            )),
            Self::Held { .. } => Some("`hull stop` ends a running container".to_owned()),
            Self::NewerVersion { .. } => Some("use the newer hull, or another --root".to_owned()),
            Self::File {
                source: Errno::NOSPC | Errno::DQUOT,
                ..
            } => {
                Some("the disk is full: `hull prune` removes what is stopped or unused".to_owned())
            }
            Self::File {
                source: Errno::ACCESS | Errno::PERM,
                ..
            } => Some(
                "run hull as the user who owns this directory, or give another --root".to_owned(),
            ),
            _ => None,
        }
    }
}
