use hull_fs::{FsError, tar::TarError};
use hull_types::ErrorKind;
use rustix::io::Errno;

/// Why files could not be copied. Paths are as people write them: `web:/etc/passwd`.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("{0} does not exist")]
    NotThere(String),
    #[error("{0} is not a directory")]
    NotADirectory(String),
    #[error("a directory cannot take the place of {0}, which is none")]
    DirectoryOntoFile(String),
    #[error("{0} is a directory, and a file cannot take its place")]
    FileOntoDirectory(String),
    #[error("there is no directory {0}, and a file cannot become one")]
    NoSuchDirectory(String),
    #[error("cannot {action} {path}")]
    Access {
        action: &'static str,
        path: String,
        source: Errno,
    },
    #[error("{path} belongs to {what} {id}, whom the container does not have")]
    Owner {
        path: String,
        what: &'static str,
        id: u32,
    },
    #[error("{path} is more than {limit} directories deep")]
    TooDeep { path: String, limit: usize },
    #[error("{path} is a hard link to {target}, which was not copied")]
    LinkTarget { path: String, target: String },
    #[error("cannot read the archive")]
    Archive(#[source] TarError),
    #[error("cannot decompress the archive")]
    Decompress(#[source] std::io::Error),
    #[error("cannot write the archive")]
    Write(#[source] TarError),
    #[error("the archive ends without an end mark: it was cut off")]
    CutOff,
    #[error(transparent)]
    Files(#[from] FsError),
}

impl CopyError {
    /// Returns what sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotThere(_) | Self::NoSuchDirectory(_) => ErrorKind::NotFound,
            Self::NotADirectory(_)
            | Self::DirectoryOntoFile(_)
            | Self::FileOntoDirectory(_)
            | Self::Owner { .. }
            | Self::LinkTarget { .. }
            | Self::Decompress(_)
            | Self::CutOff => ErrorKind::InvalidInput,
            Self::TooDeep { .. } => ErrorKind::Unsupported,
            Self::Access { source, .. } => match *source {
                Errno::NOENT => ErrorKind::NotFound,
                Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::Denied,
                Errno::LOOP | Errno::NOTDIR => ErrorKind::InvalidInput,
                _ => ErrorKind::Unavailable,
            },
            Self::Archive(error) | Self::Write(error) => error.kind(),
            Self::Files(error) => error.kind(),
        }
    }

    /// Returns what the reader could do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoSuchDirectory(_) => {
                "make the directory first, or leave the slash at the end out to name the file"
            }
            Self::DirectoryOntoFile(_) | Self::FileOntoDirectory(_) => {
                "remove it first, or choose another target"
            }
            Self::Owner { .. } => {
                "leave -a out, which gives the files to root, or make the archive with `tar --owner=0 --group=0`"
            }
            Self::CutOff => "was the program that wrote it interrupted?",
            Self::Access {
                source: Errno::ROFS,
                ..
            } => "it is mounted read-only in the container",
            Self::Access {
                source: Errno::NOSPC | Errno::DQUOT,
                ..
            } => "the disk is full: `hull prune` removes what is stopped or unused",
            Self::Access {
                source: Errno::BUSY,
                ..
            } => "something is mounted there",
            Self::Access {
                source: Errno::LOOP | Errno::NOTDIR,
                ..
            } => "there is a symbolic link or a file where a directory is wanted",
            _ => return None,
        };
        Some(text.to_owned())
    }
}
