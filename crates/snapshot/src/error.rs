//! What can go wrong with layers.

use std::path::PathBuf;

use hull_fs::FsError;
use hull_fs::tar::{EntryPath, TarError};
use hull_types::{DiffId, ErrorKind};
use rustix::io::Errno;

/// Why something about layers failed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// No such layer is unpacked.
    #[error("layer {0} is not unpacked")]
    NotFound(DiffId),
    /// The layer is in use and cannot be removed.
    #[error("layer {0} is in use")]
    Held(DiffId),
    /// The archive is malformed, cut off, or over a limit.
    #[error(transparent)]
    Archive(#[from] TarError),
    /// The archive asks for something no layer may have.
    #[error("layer entry `{path}` {refusal}")]
    Refused {
        /// The entry.
        path: EntryPath,
        /// What about it.
        refusal: Refusal,
    },
    /// Something in a layer or a container's tree could not be made, read or changed.
    #[error("cannot {action} `{path}`")]
    Entry {
        /// What was tried: `create file`, `set owner of`.
        action: &'static str,
        /// Where in the tree.
        path: EntryPath,
        /// What the kernel said.
        source: Errno,
    },
    /// Something in the store could not be made, read, changed or removed.
    #[error(transparent)]
    Files(#[from] FsError),
    /// A finished layer could not take its place.
    #[error("cannot {action} {path}", path = path.display())]
    Store {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// A layer's record does not parse.
    #[error("{path} is damaged", path = path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The record was written by a newer Hull.
    #[error("{path} has version {version}, this Hull knows {known}", path = path.display())]
    TooNew {
        /// The record.
        path: PathBuf,
        /// What it says.
        version: u32,
        /// What this program writes.
        known: u32,
    },
    /// Layers could not be stacked.
    #[error("cannot {action}")]
    Mount {
        /// The step that failed.
        action: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// Overlayfs came up read-only where a writable tree was asked for, which it does without an error.
    #[error("overlayfs mounted the container's tree read-only")]
    ReadOnly,
    /// A tree is deeper than Hull walks.
    #[error("`{path}` is more than {limit} directories deep")]
    TooDeep {
        /// The directory at the limit.
        path: EntryPath,
        /// The limit.
        limit: usize,
    },
}

impl SnapshotError {
    /// Returns what front doors need to know about this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Held(_) => ErrorKind::WrongState,
            Self::Archive(error) => error.kind(),
            Self::Files(error) => error.kind(),
            Self::Refused { .. } => ErrorKind::InvalidInput,
            Self::TooNew { .. } | Self::TooDeep { .. } => ErrorKind::Unsupported,
            Self::Mount { source, .. } => match *source {
                Errno::PERM | Errno::ACCESS => ErrorKind::Denied,
                Errno::INVAL | Errno::NOSYS | Errno::NODEV => ErrorKind::Unsupported,
                _ => ErrorKind::Unavailable,
            },
            Self::ReadOnly => ErrorKind::Bug,
            Self::Entry { .. } | Self::Store { .. } | Self::Damaged { .. } => {
                ErrorKind::Unavailable
            }
        }
    }

    /// Returns what might help.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Refused {
                refusal: Refusal::Device,
                ..
            } => "layers hold no device nodes outside /dev; give a container devices with --device",
            Self::Refused {
                refusal: Refusal::Id { .. },
                ..
            } => "a container has 65,536 user and group ids, 0 to 65535",
            Self::Entry {
                source: Errno::NOSPC | Errno::DQUOT,
                ..
            } => "`hull prune` and `hull gc` make room",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// What about an entry no layer may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The root of the image must be a directory.
    #[error("is the root and must be a directory, not a {0}")]
    Root(&'static str),
    /// A path through a symbolic link.
    #[error("lies below `{0}`, which is a symbolic link in the same layer")]
    ThroughSymlink(EntryPath),
    /// A path through something that has no inside.
    #[error("lies below `{0}`, which is not a directory")]
    ThroughFile(EntryPath),
    /// A hard link whose target is not there (yet).
    #[error("is a hard link to `{0}`, which does not come before it in the layer")]
    LinkTarget(EntryPath),
    /// A hard link whose target is reached through a symbolic link.
    #[error("is a hard link to `{0}`, on the way to which is a symbolic link")]
    LinkThroughSymlink(EntryPath),
    /// A hard link to itself.
    #[error("is a hard link to itself")]
    LinkToItself,
    /// A hard link to something that is no file.
    #[error("is a hard link to `{0}`, which is not a file")]
    LinkToOther(EntryPath),
    /// A device node that is not below /dev.
    #[error("is a device node")]
    Device,
    /// Overlayfs's own whiteout.
    #[error("is a character device 0:0, which would delete a file of a layer below in secret")]
    NativeWhiteout,
    /// An attribute that means something to overlayfs.
    #[error("has the attribute `{0}`, which belongs to overlayfs")]
    OverlayAttribute(String),
    /// An owner that no container has.
    #[error("belongs to {what} {id}; the highest one possible is 65535")]
    Id {
        /// User or group.
        what: &'static str,
        /// The number.
        id: u32,
    },
    /// A name with `.wh.` in front that is no whiteout.
    #[error("has a name reserved for whiteouts that means nothing")]
    WhiteoutName,
    /// A whiteout that is not an empty file.
    #[error("is a whiteout but a {0}, not a file")]
    WhiteoutKind(&'static str),
    /// An opaque mark on the root.
    #[error("hides everything in the layers below")]
    OpaqueRoot,
}
