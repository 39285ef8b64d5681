//! What is not finished yet, and what never will be.
//!
//! Whatever has no name of its own yet bears a [`temp_name`](crate::temp_name) in its directory, and whoever makes it holds a
//! shared lock on that directory for as long as it does. So a collector that first reads the names and then finds the directory
//! unlocked knows that none of them will be finished: each was made under a lock, and that lock has ended.

use crate::FsError;
use crate::error::place;
use crate::names::UNFINISHED;
use crate::{list, remove_tree};
use hull_sys::ofd::{self, Kind};
use rustix::fs::{Mode, OFlags, openat};
use std::os::fd::{AsFd, OwnedFd};

/// Something is being made in a directory, for as long as this lives.
#[derive(Debug)]
pub struct Making(#[expect(dead_code, reason = "held, not used")] OwnedFd);

impl Making {
    /// Tells collectors that something in `dir` is not finished. To be had before the name for it is.
    pub fn begin(dir: impl AsFd) -> Result<Self, FsError> {
        let dir = dir.as_fd();
        // Opened anew: locks belong to the open file, and `dir` may be open for others who make something, too.
        let own = open(dir)?;
        // Nobody ever has the exclusive lock: that would need the directory open for writing.
        match ofd::try_lock(&own, Kind::Shared) {
            Ok(_) => Ok(Self(own)),
            Err(source) => Err(FsError::Lock {
                path: place(dir, ""),
                source,
            }),
        }
    }

    /// Returns whether somebody is making something in `dir`.
    pub fn is_under_way(dir: impl AsFd) -> Result<bool, FsError> {
        let dir = dir.as_fd();
        let holder = open(dir).and_then(|own| {
            ofd::holder(own).map_err(|source| FsError::Lock {
                path: place(dir, ""),
                source,
            })
        })?;
        Ok(holder.is_some())
    }
}

/// Removes from `dir` what those left unfinished who were killed; returns how many things that were. While somebody is making
/// something there, nothing is removed.
pub fn remove_unfinished(dir: impl AsFd) -> Result<usize, FsError> {
    let dir = dir.as_fd();
    let mut names = list(open(dir)?)?;
    names.retain(|name| name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes()));
    // Asked after the names were read: see above.
    if names.is_empty() || Making::is_under_way(dir)? {
        return Ok(0);
    }
    for name in &names {
        remove_tree(dir, name)?;
    }
    Ok(names.len())
}

fn open(dir: impl AsFd) -> Result<OwnedFd, FsError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(dir.as_fd(), ".", flags, Mode::empty()).map_err(|source| FsError::Open {
        path: place(dir.as_fd(), ""),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, create_dir, exists};

    #[test]
    fn what_nobody_finishes_is_removed_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let dir = File::open(home.path()).unwrap();
        for name in [".tmp-1", ".tmp-2", "record", "tmp-3"] {
            create_dir(home.path().join(name)).unwrap();
        }
        let (one, other) = (Making::begin(&dir).unwrap(), Making::begin(&dir).unwrap());
        assert_eq!(remove_unfinished(&dir).unwrap(), 0);
        drop(one);
        assert!(Making::is_under_way(&dir).unwrap());
        assert_eq!(remove_unfinished(&dir).unwrap(), 0);
        drop(other);
        assert_eq!(remove_unfinished(&dir).unwrap(), 2);
        assert!(exists(home.path().join("record")).unwrap());
        assert!(exists(home.path().join("tmp-3")).unwrap());
    }

    #[test]
    fn a_collector_never_takes_what_a_writer_is_finishing() {
        let home = tempfile::tempdir().unwrap();
        let dir = File::open(home.path()).unwrap();
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let dir = &dir;
                    scope.spawn(move || {
                        for _ in 0..200 {
                            let mode = Mode::RUSR | Mode::WUSR;
                            let name = format!("record-{writer}");
                            let durability = crate::Durability::Cached;
                            crate::replace_at(dir, name, b"text", mode, durability).unwrap();
                        }
                    })
                })
                .collect();
            while writers.iter().any(|writer| !writer.is_finished()) {
                remove_unfinished(&dir).unwrap();
            }
        });
    }
}
