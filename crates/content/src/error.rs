use std::{io, path::PathBuf};

use hull_fs::FsError;
use hull_types::{Digest, ErrorKind};

/// What can go wrong in the content store.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    #[error("blob {0} is not in the store")]
    NotFound(Digest),
    #[error("content has digest {actual} where {expected} was promised")]
    WrongDigest { expected: Digest, actual: Digest },
    #[error("content ends after {actual} bytes where {expected} were promised")]
    TooShort { expected: u64, actual: u64 },
    #[error("content goes on after the {limit} bytes that were promised or are allowed")]
    TooLong { limit: u64 },
    #[error("{path} says image layout version `{version}`, and only 1.0.0 is known")]
    UnknownLayout { path: PathBuf, version: String },
    #[error("{path} is not a valid OCI index")]
    BadIndex {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("cannot {action} {path}")]
    Access {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    File(#[from] FsError),
}

impl ContentError {
    /// Returns what sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::WrongDigest { .. } | Self::TooShort { .. } | Self::TooLong { .. } => {
                ErrorKind::InvalidInput
            }
            Self::UnknownLayout { .. } => ErrorKind::Unsupported,
            Self::BadIndex { .. } => ErrorKind::Unavailable,
            Self::File(error) => error.kind(),
            Self::Access { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Unavailable,
            },
        }
    }

    /// Returns what the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::WrongDigest { .. } | Self::TooShort { .. } => {
                Some("the copy is damaged or was altered: fetch it again".to_owned())
            }
            Self::UnknownLayout { .. } => {
                Some("the store was made by a newer version: use that one".to_owned())
            }
            Self::BadIndex { path, .. } => Some(format!(
                "`index.json` lists the images; repair or restore {}",
                path.display()
            )),
            Self::Access { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("the disk is full: `hull prune` and `hull gc` free space".to_owned())
            }
            _ => None,
        }
    }
}
