//! Volumes on disk: directories that outlive containers.
//!
//! ```text
//! <root>/volumes/<name>/volume.json    when it was made, for whom
//! <root>/volumes/<name>/data/          what containers see; owners as the container gave them, 0-based
//! ```
//!
//! A volume appears by one rename and disappears by one rename into `<root>/garbage`. A volume that nobody named has 64
//! hexadecimal digits for a name and knows its pod: it goes with it.
#![forbid(unsafe_code)]

mod mount;

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use hull_fs::{Durability, FsError, Lock, Making};
use hull_types::{ErrorKind, PodId, Timestamp};
use rustix::{
    fs::{
        AtFlags, CWD, Mode, OFlags, RenameFlags, mkdirat, openat, renameat, renameat_with, unlinkat,
    },
    io::Errno,
};
use serde::{Deserialize, Serialize};

pub use mount::clone_of;

/// All volumes of one installation.
#[derive(Clone, Debug)]
pub struct Volumes {
    root: PathBuf,
}

/// What is known about a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    pub created: Timestamp,
    /// The pod it was made for, if nobody named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodId>,
    /// No container has had it yet: it still takes what the first one's image has at its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unused: bool,
}

/// Why a volume could not be made, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error("volume `{0}` does not exist")]
    NotFound(String),
    #[error(
        "`{0}` is not a volume name: letters, digits, `_`, `.` and `-`, starting with a letter or digit"
    )]
    BadName(String),
    #[error("the record of volume `{name}` cannot be read")]
    Record {
        name: String,
        source: serde_json::Error,
    },
    #[error("cannot {what} {}", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        source: Errno,
    },
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl VolumeError {
    /// Returns what sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::BadName(_) => ErrorKind::InvalidInput,
            Self::Record { .. } => ErrorKind::Bug,
            Self::File { .. } => ErrorKind::Unavailable,
            Self::Fs(error) => error.kind(),
        }
    }
}

/// Whether a volume was in use before or begins now; one that begins takes what the image has at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    New,
    Old,
}

/// What is being put into a volume that was made without a container.
const FILLING: &str = "data.new";
/// Held by whoever fills it.
const LOCK: &str = "lock";

impl Volumes {
    /// Knows where volumes are; makes nothing.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Makes a volume for a container unless it exists. `fill` puts the first contents into one that nobody has used, before
    /// anyone can see them; it is given the data directory.
    pub fn ensure<E: From<VolumeError>>(
        &self,
        name: &str,
        pod: Option<PodId>,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Made, E> {
        check(name)?;
        if self.directory(name).exists() {
            return self.begin(name, fill);
        }
        let new = Volume {
            name: name.to_owned(),
            created: Timestamp::now(),
            pod,
            unused: false,
        };
        self.make(new, fill)
    }

    /// Makes an empty volume for whoever will use it, unless there is one of that name.
    pub fn create(&self, name: &str) -> Result<Made, VolumeError> {
        check(name)?;
        if self.directory(name).exists() {
            return Ok(Made::Old);
        }
        let new = Volume {
            name: name.to_owned(),
            created: Timestamp::now(),
            pod: None,
            unused: true,
        };
        self.make(new, |_| Ok(()))
    }

    /// Lets a volume that was made without a container begin. One of several containers fills it; the others wait.
    fn begin<E: From<VolumeError>>(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Made, E> {
        if !self.record(name)?.is_some_and(|record| record.unused) {
            return Ok(Made::Old);
        }
        let path = self.directory(name);
        let directory = open(&path)?;
        let _lock = Lock::acquire_at(&directory, LOCK).map_err(VolumeError::from)?;
        let made = self.fill_first(name, &path, &directory, fill);
        // While it is held: who waits for it begins again with another. One that a crash leaves does no harm.
        unlinkat(&directory, LOCK, AtFlags::empty()).ok();
        made
    }

    fn fill_first<E: From<VolumeError>>(
        &self,
        name: &str,
        path: &Path,
        directory: &OwnedFd,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Made, E> {
        let Some(record) = self.record(name)?.filter(|record| record.unused) else {
            return Ok(Made::Old);
        };
        hull_fs::remove_tree(directory, FILLING).map_err(VolumeError::from)?;
        let filling = path.join(FILLING);
        make_data(&filling)?;
        fill(&filling)?;
        match renameat(CWD, &filling, CWD, path.join("data")) {
            // Not empty: somebody who looked into the directory put something there.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                hull_fs::remove_tree(directory, FILLING).map_err(VolumeError::from)?;
            }
            renamed => renamed.map_err(|source| VolumeError::File {
                what: "fill",
                path: path.join("data"),
                source,
            })?,
        }
        let begun = Volume {
            unused: false,
            ..record
        };
        self.write_record(path, &begun)?;
        Ok(Made::New)
    }

    /// Returns what is known about a volume; nothing of one that is being removed.
    fn record(&self, name: &str) -> Result<Option<Volume>, VolumeError> {
        let Ok(text) = std::fs::read(self.directory(name).join("volume.json")) else {
            return Ok(None);
        };
        let record = serde_json::from_slice(&text);
        record.map(Some).map_err(|source| VolumeError::Record {
            name: name.to_owned(),
            source,
        })
    }

    fn make<E: From<VolumeError>>(
        &self,
        new: Volume,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Made, E> {
        let name = new.name.clone();
        let parent = self.root.join("volumes");
        make(&parent)?;
        let directory = open(&parent)?;
        let _making = Making::begin(&directory).map_err(VolumeError::from)?;
        let temp = hull_fs::temp_name().map_err(VolumeError::from)?;
        let path = parent.join(&temp);
        let made = self.fill_new(&path, &new, fill).and_then(|()| {
            match renameat_with(
                CWD,
                &path,
                CWD,
                self.directory(&name),
                RenameFlags::NOREPLACE,
            ) {
                Ok(()) => Ok(Made::New),
                // Somebody was faster; theirs stays.
                Err(Errno::EXIST) => Ok(Made::Old),
                Err(source) => Err(VolumeError::File {
                    what: "make",
                    path: self.directory(&name),
                    source,
                }
                .into()),
            }
        });
        if !matches!(made, Ok(Made::New)) {
            hull_fs::remove_tree(&directory, &temp).ok();
        }
        made
    }

    /// Removes what those left who were killed while they made a volume; returns how many.
    pub fn remove_unfinished(&self) -> Result<usize, VolumeError> {
        match open(&self.root.join("volumes")) {
            Ok(directory) => Ok(hull_fs::remove_unfinished(directory)?),
            Err(VolumeError::File {
                source: Errno::NOENT,
                ..
            }) => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn fill_new<E: From<VolumeError>>(
        &self,
        path: &Path,
        volume: &Volume,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        make(path)?;
        let data = path.join("data");
        make_data(&data)?;
        fill(&data)?;
        Ok(self.write_record(path, volume)?)
    }

    fn write_record(&self, path: &Path, volume: &Volume) -> Result<(), VolumeError> {
        let text = serde_json::to_vec(volume).map_err(|source| VolumeError::Record {
            name: volume.name.clone(),
            source,
        })?;
        let mode = Mode::RUSR | Mode::WUSR;
        hull_fs::replace(&path.join("volume.json"), &text, mode, Durability::Cached)?;
        Ok(())
    }

    /// Returns the directory that containers see.
    pub fn data(&self, name: &str) -> Result<PathBuf, VolumeError> {
        check(name)?;
        let data = self.directory(name).join("data");
        if data.is_dir() {
            Ok(data)
        } else {
            Err(VolumeError::NotFound(name.to_owned()))
        }
    }

    /// Returns all volumes in order of their names.
    pub fn list(&self) -> Result<Vec<Volume>, VolumeError> {
        let directory = match open(&self.root.join("volumes")) {
            Ok(directory) => directory,
            Err(VolumeError::File {
                source: Errno::NOENT,
                ..
            }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut volumes = Vec::new();
        for name in hull_fs::list(&directory)? {
            let Some(name) = name.to_str().filter(|name| check(name).is_ok()) else {
                continue;
            };
            volumes.extend(self.record(name)?);
        }
        volumes.sort_by(|one: &Volume, other: &Volume| one.name.cmp(&other.name));
        Ok(volumes)
    }

    /// Removes a volume that nobody uses.
    pub fn remove(&self, name: &str) -> Result<(), VolumeError> {
        check(name)?;
        let garbage = self.root.join("garbage");
        make(&garbage)?;
        let temp = format!("volume-{}", hull_fs::random_hex(8)?);
        match renameat_with(
            CWD,
            self.directory(name),
            CWD,
            garbage.join(&temp),
            RenameFlags::NOREPLACE,
        ) {
            Ok(()) => Ok(hull_fs::remove_tree(open(&garbage)?, &temp)?),
            Err(Errno::NOENT) => Err(VolumeError::NotFound(name.to_owned())),
            Err(source) => Err(VolumeError::File {
                what: "remove",
                path: self.directory(name),
                source,
            }),
        }
    }

    fn directory(&self, name: &str) -> PathBuf {
        self.root.join("volumes").join(name)
    }
}

fn check(name: &str) -> Result<(), VolumeError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    match name.as_bytes() {
        [first, ..]
            if first.is_ascii_alphanumeric() && name.len() <= 255 && name.bytes().all(good) =>
        {
            Ok(())
        }
        _ => Err(VolumeError::BadName(name.to_owned())),
    }
}

fn make(path: &Path) -> Result<(), VolumeError> {
    match mkdirat(CWD, path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(source) => Err(VolumeError::File {
            what: "make",
            path: path.to_owned(),
            source,
        }),
    }
}

fn make_data(path: &Path) -> Result<(), VolumeError> {
    mkdirat(CWD, path, Mode::from_raw_mode(0o755)).map_err(|source| VolumeError::File {
        what: "make",
        path: path.to_owned(),
        source,
    })
}

fn open(path: &Path) -> Result<OwnedFd, VolumeError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).map_err(|source| VolumeError::File {
        what: "open",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &Path) -> Result<(), VolumeError> {
        Ok(())
    }

    #[test]
    fn a_volume_is_made_once_found_and_removed() {
        let temp = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(temp.path());
        assert!(volumes.list().unwrap().is_empty());
        assert_eq!(volumes.ensure("db", None, nothing).unwrap(), Made::New);
        assert_eq!(volumes.ensure("db", None, nothing).unwrap(), Made::Old);
        assert!(volumes.data("db").unwrap().is_dir());
        assert_eq!(volumes.list().unwrap()[0].name, "db");
        volumes.remove("db").unwrap();
        assert!(matches!(
            volumes.remove("db"),
            Err(VolumeError::NotFound(_))
        ));
        assert!(matches!(volumes.data("db"), Err(VolumeError::NotFound(_))));
    }

    #[test]
    fn a_volume_made_for_nobody_is_filled_by_its_first_user() {
        let temp = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(temp.path());
        assert_eq!(volumes.create("db").unwrap(), Made::New);
        assert_eq!(volumes.create("db").unwrap(), Made::Old);
        // Who is killed while filling it leaves it unused, with a part of the contents aside.
        std::fs::create_dir_all(temp.path().join("volumes/db/data.new/half")).unwrap();
        let refuse = |_: &Path| Err(VolumeError::NotFound("image".into()));
        assert!(volumes.ensure("db", None, refuse).is_err());
        let fill = |data: &Path| {
            std::fs::create_dir(data.join("made")).unwrap();
            Ok::<(), VolumeError>(())
        };
        assert_eq!(volumes.ensure("db", None, fill).unwrap(), Made::New);
        assert_eq!(volumes.ensure("db", None, fill).unwrap(), Made::Old);
        let data = volumes.data("db").unwrap();
        assert!(data.join("made").exists() && !data.join("half").exists());
        assert!(!temp.path().join("volumes/db/data.new").exists());
        // What somebody put there by hand stays.
        volumes.create("mine").unwrap();
        std::fs::create_dir(volumes.data("mine").unwrap().join("kept")).unwrap();
        volumes.ensure("mine", None, fill).unwrap();
        let data = volumes.data("mine").unwrap();
        assert!(data.join("kept").exists() && !data.join("made").exists());
    }

    #[test]
    fn a_volume_that_cannot_be_filled_leaves_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(temp.path());
        let refuse = |_: &Path| Err(VolumeError::NotFound("image".into()));
        assert!(volumes.ensure("db", None, refuse).is_err());
        assert_eq!(
            std::fs::read_dir(temp.path().join("volumes"))
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn names_that_are_paths_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(temp.path());
        for bad in ["", ".", "..", "a/b", "../x", "a\0", ".hidden", "é"] {
            assert!(
                matches!(
                    volumes.ensure(bad, None, nothing),
                    Err(VolumeError::BadName(_))
                ),
                "{bad:?}"
            );
        }
    }
}
