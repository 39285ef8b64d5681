//! Binds, volumes and tmpfs.

mod spelling;

use std::{
    fmt,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{InvalidRequest, serde_through_text};

/// Something mounted into the container besides its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum Mount {
    /// A file or directory of the host.
    Bind {
        source: PathBuf,
        target: PathBuf,
        access: Access,
        propagation: Propagation,
        recursion: Recursion,
        mapping: IdMapping,
        missing: MissingSource,
    },
    /// A volume that Hull keeps; without a name it belongs to this container.
    Volume {
        name: Option<VolumeName>,
        target: PathBuf,
        access: Access,
        copy: CopyUp,
        mapping: IdMapping,
    },
    /// Memory that ends with the container.
    Tmpfs(Tmpfs),
}

/// A tmpfs and its limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    pub target: PathBuf,
    pub access: Access,
    /// Whether programs can be started from it.
    pub execution: Execution,
    /// Whether those may change who they run as.
    #[serde(default)]
    pub set_user_id: Execution,
    /// Whether device nodes on it work.
    #[serde(default)]
    pub devices: Execution,
    /// Bytes.
    pub size: Option<u64>,
    pub mode: Option<u32>,
    pub inodes: Option<u64>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// Whether something can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    #[default]
    #[serde(rename = "rw")]
    ReadWrite,
    #[serde(rename = "ro")]
    ReadOnly,
}

/// Whether something on a tmpfs can be used: programs and the like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Execution {
    #[default]
    Refused,
    Allowed,
}

/// Whether ids inside are mapped, so that files keep their owners (the default), or left as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdMapping {
    #[default]
    Mapped,
    Unmapped,
}

/// Whether the mounts below a bind's source come with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recursion {
    #[default]
    Recursive,
    Single,
}

/// What to do about a bind whose source is not there: docker makes a directory for `-v` and refuses for `--mount`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingSource {
    Create,
    Refuse,
}

/// Whether a new volume is filled with what the image has at its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CopyUp {
    #[default]
    Copy,
    Leave,
}

/// How mounts made later on one side show on the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    Private,
    #[default]
    RPrivate,
    Slave,
    RSlave,
    Shared,
    RShared,
}

impl FromStr for Propagation {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        Ok(match text {
            "private" => Self::Private,
            "rprivate" => Self::RPrivate,
            "slave" => Self::Slave,
            "rslave" => Self::RSlave,
            "shared" => Self::Shared,
            "rshared" => Self::RShared,
            _ => {
                return Err(InvalidRequest::NoSuch {
                    what: "mount propagation",
                    word: text.to_owned(),
                    known: "private, rprivate, slave, rslave, shared, rshared",
                    near: Vec::new(),
                });
            }
        })
    }
}

/// A volume's name: starts with a letter or digit, then `[a-zA-Z0-9_.-]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VolumeName(String);

impl VolumeName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VolumeName {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts && text.len() <= 128 && text.bytes().all(good) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidRequest::Malformed {
            what: "a volume name",
            word: text.to_owned(),
            example: "letters, digits, `_`, `.` and `-`; a path on the host starts with `/`, `./` or `../`",
        })
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_through_text!(VolumeName);

impl Mount {
    /// Returns where in the container this is.
    pub fn target(&self) -> &Path {
        match self {
            Self::Bind { target, .. } | Self::Volume { target, .. } => target,
            Self::Tmpfs(tmpfs) => &tmpfs.target,
        }
    }
}

/// Tidies an absolute path by its text alone, as docker does: no `.`, no `..`, no double or trailing slash.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}
