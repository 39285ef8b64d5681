use std::{io, path::PathBuf};

use hull_types::{Digest, ErrorKind};

use crate::InvalidPolicy;

/// Why something is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("policy pins `{name}` to {pinned}, and this is {actual}")]
    NotPinned {
        name: String,
        pinned: Digest,
        actual: Digest,
        policy: PathBuf,
    },
    #[error("manifest has digest {actual} where {expected} was promised")]
    WrongDigest { expected: Digest, actual: Digest },
    #[error("index {index} does not list manifest {manifest}")]
    NotListed { index: Digest, manifest: Digest },
    #[error("document {digest} is not usable")]
    Document {
        digest: Digest,
        source: hull_spec::image::DocumentError,
    },
    #[error("policy {path} cannot be used, so no image is trusted")]
    Policy {
        path: PathBuf,
        #[source]
        reason: InvalidPolicy,
    },
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot record the use of an image in {path}")]
    Ledger { path: PathBuf, source: io::Error },
}

impl TrustError {
    /// Returns what sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotPinned { .. } | Self::Policy { .. } => ErrorKind::Untrusted,
            Self::WrongDigest { .. } | Self::NotListed { .. } | Self::Document { .. } => {
                ErrorKind::InvalidInput
            }
            Self::Read { source, .. } | Self::Ledger { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Unavailable,
            },
        }
    }

    /// Returns what the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotPinned {
                name,
                actual,
                policy,
                ..
            } => Some(format!(
                "if the change is meant, set the pin of `{name}` in {} to {actual}",
                policy.display()
            )),
            Self::Policy { path, .. } => Some(format!(
                "repair {} or move it away to accept and record every image",
                path.display()
            )),
            _ => None,
        }
    }
}
