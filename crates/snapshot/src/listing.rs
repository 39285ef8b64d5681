//! Directories read while others may change them.

use std::os::fd::{BorrowedFd, OwnedFd};

use hull_fs::tar::EntryPath;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::SnapshotError;

fn fail(action: &'static str, path: &EntryPath, source: Errno) -> SnapshotError {
    SnapshotError::Entry {
        action,
        path: path.clone(),
        source,
    }
}

/// Returns the names in a directory, sorted.
pub(crate) fn names(dir: BorrowedFd<'_>, path: &EntryPath) -> Result<Vec<Vec<u8>>, SnapshotError> {
    let failed = |source| fail("read directory", path, source);
    let mut names = Vec::new();
    for entry in Dir::read_from(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort();
    Ok(names)
}

/// Opens a directory in another, if there is one (any more).
pub(crate) fn open_directory(
    dir: BorrowedFd<'_>,
    name: &[u8],
    path: &EntryPath,
) -> Result<Option<OwnedFd>, SnapshotError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(below) => Ok(Some(below)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(source) => Err(fail("open directory", path, source)),
    }
}

/// Returns what stands under a name, without following it.
pub(crate) fn look(
    dir: BorrowedFd<'_>,
    name: &[u8],
    path: &EntryPath,
) -> Result<Option<Stat>, SnapshotError> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(source) => Err(fail("inspect", path, source)),
    }
}
