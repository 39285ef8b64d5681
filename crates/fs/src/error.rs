//! What can go wrong with a file, and which file it was.

use hull_sys::Errno;
use hull_types::ErrorKind;
use rustix::fs::{CWD, readlinkat};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// The file or directory cannot be opened.
    #[error("cannot open {path}", path = path.display())]
    Open { path: PathBuf, source: Errno },
    /// It cannot be made.
    #[error("cannot create {path}", path = path.display())]
    Create { path: PathBuf, source: Errno },
    /// Its contents, entries or link text cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read { path: PathBuf, source: Errno },
    /// Its contents cannot be written.
    #[error("cannot write {path}", path = path.display())]
    Write { path: PathBuf, source: Errno },
    /// It cannot be brought to disk.
    #[error("cannot sync {path}", path = path.display())]
    Sync { path: PathBuf, source: Errno },
    /// The finished file cannot take its place.
    #[error("cannot rename a new file to {path}", path = path.display())]
    Rename { path: PathBuf, source: Errno },
    /// Its attributes cannot be read.
    #[error("cannot inspect {path}", path = path.display())]
    Inspect { path: PathBuf, source: Errno },
    /// It cannot be removed.
    #[error("cannot remove {path}", path = path.display())]
    Remove { path: PathBuf, source: Errno },
    /// Something is mounted on it, and what lies there is not ours to remove.
    #[error("cannot remove {path}: something is mounted there", path = path.display())]
    MountPoint { path: PathBuf },
    /// Its lock cannot be taken or asked about.
    #[error("cannot lock {path}", path = path.display())]
    Lock { path: PathBuf, source: Errno },
    /// It is larger than its reader accepts.
    #[error("{path} is larger than {limit} bytes", path = path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    /// It should be text.
    #[error("{path} is not UTF-8 text", path = path.display())]
    NotText { path: PathBuf },
    /// It should be a regular file.
    #[error("{path} is not a regular file", path = path.display())]
    NotRegular { path: PathBuf },
    /// One plain file name was expected.
    #[error("`{name}` is not a file name", name = name.display())]
    BadName { name: OsString },
    /// The kernel gives no random bytes.
    #[error("cannot get random bytes for a temporary name")]
    Random(#[source] Errno),
}

impl FsError {
    /// Says what sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. }
            | Self::NotText { .. }
            | Self::NotRegular { .. }
            | Self::BadName { .. } => ErrorKind::InvalidInput,
            Self::MountPoint { .. } => ErrorKind::WrongState,
            other => other.errno().map_or(ErrorKind::Bug, kind_of),
        }
    }

    /// Returns what the kernel answered, if it was the kernel that refused.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Open { source, .. }
            | Self::Create { source, .. }
            | Self::Read { source, .. }
            | Self::Write { source, .. }
            | Self::Sync { source, .. }
            | Self::Rename { source, .. }
            | Self::Inspect { source, .. }
            | Self::Remove { source, .. }
            | Self::Lock { source, .. }
            | Self::Random(source) => Some(*source),
            Self::MountPoint { .. }
            | Self::TooLarge { .. }
            | Self::NotText { .. }
            | Self::NotRegular { .. }
            | Self::BadName { .. } => None,
        }
    }

    /// Says whether the file, or a directory on the way to it, does not exist.
    pub fn is_not_found(&self) -> bool {
        self.errno() == Some(Errno::NOENT)
    }
}

fn kind_of(errno: Errno) -> ErrorKind {
    match errno {
        Errno::NOENT | Errno::NOTDIR => ErrorKind::NotFound,
        Errno::EXIST => ErrorKind::AlreadyExists,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::Denied,
        Errno::NOSYS | Errno::OPNOTSUPP => ErrorKind::Unsupported,
        Errno::INTR => ErrorKind::Interrupted,
        Errno::INVAL | Errno::NAMETOOLONG | Errno::LOOP | Errno::ISDIR => ErrorKind::InvalidInput,
        Errno::BUSY | Errno::NOTEMPTY => ErrorKind::WrongState,
        _ => ErrorKind::Unavailable,
    }
}

/// Returns where `name` below `dir` is, for an error message: descriptors have no names, /proc remembers.
pub(crate) fn place(dir: impl AsFd, name: impl AsRef<Path>) -> PathBuf {
    let link = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
    let dir = match readlinkat(CWD, link, Vec::new()) {
        Ok(text) => PathBuf::from(OsString::from_vec(text.into_bytes())),
        Err(_) => PathBuf::new(),
    };
    // What an image calls `/etc` lies below the directory, in the message too.
    let name = name.as_ref();
    let name = name.strip_prefix("/").unwrap_or(name);
    if name.as_os_str().is_empty() {
        dir
    } else {
        dir.join(name)
    }
}

/// Returns `name` if it is one component that names an entry: not empty, `.`, `..` or a path.
pub(crate) fn plain(name: &OsStr) -> Result<&OsStr, FsError> {
    let bytes = name.as_encoded_bytes();
    let plain = !matches!(bytes, b"" | b"." | b"..") && !bytes.contains(&b'/');
    if plain {
        Ok(name)
    } else {
        Err(FsError::BadName {
            name: name.to_owned(),
        })
    }
}

/// Returns the errno inside `error`; the few errors the standard library makes up itself become `EIO`.
pub(crate) fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
