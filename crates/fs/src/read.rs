//! Small files and directories, read whole.

use crate::FsError;
use crate::error::place;
use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, openat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Returns the contents of the file `name` in `dir`, if it is a regular file of at most `limit` bytes.
///
/// A symbolic link is not followed.
pub fn read_at(dir: impl AsFd, name: impl AsRef<OsStr>, limit: u64) -> Result<Vec<u8>, FsError> {
    let (dir, name) = (dir.as_fd(), crate::error::plain(name.as_ref())?);
    // NONBLOCK: opening a FIFO somebody put there must not wait for its other end.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(dir, name, flags, Mode::empty()).map_err(|source| FsError::Open {
        path: place(dir, name),
        source,
    })?;
    read_capped(file, limit, || place(dir, name))
}

/// Reads an open file that must be regular and not larger than `limit`.
pub(crate) fn read_capped(
    file: OwnedFd,
    limit: u64,
    path: impl Fn() -> PathBuf,
) -> Result<Vec<u8>, FsError> {
    let stat = fstat(&file).map_err(|source| FsError::Inspect {
        path: path(),
        source,
    })?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(FsError::NotRegular { path: path() });
    }
    let expected = u64::try_from(stat.st_size).unwrap_or(0).min(limit) + 1;
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    // One byte more than allowed tells "too large" from "just fits"; the size in `stat` may be outdated, or 0 in /proc.
    File::from(file)
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| FsError::Read {
            path: path(),
            source: crate::error::errno_of(&error),
        })?;
    if bytes.len() as u64 > limit {
        return Err(FsError::TooLarge {
            path: path(),
            limit,
        });
    }
    Ok(bytes)
}

/// Returns the names of the entries of `dir`, in no particular order, without `.` and `..`.
pub fn list(dir: impl AsFd) -> Result<Vec<OsString>, FsError> {
    let dir = dir.as_fd();
    let failed = |source| FsError::Read {
        path: place(dir, Path::new("")),
        source,
    };
    let mut names = Vec::new();
    // A fresh open file description: the position of the caller's stays where it is.
    for entry in Dir::read_from(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn record_is_read_whole_and_only_if_it_is_one() {
        let home = tempfile::tempdir().unwrap();
        File::create(home.path().join("record"))
            .unwrap()
            .write_all(b"12345")
            .unwrap();
        std::os::unix::fs::symlink("record", home.path().join("link")).unwrap();
        let dir = File::open(home.path()).unwrap();
        assert_eq!(read_at(&dir, "record", 5).unwrap(), b"12345");
        assert!(matches!(
            read_at(&dir, "record", 4),
            Err(FsError::TooLarge { .. })
        ));
        assert!(matches!(
            read_at(&dir, "link", 5),
            Err(FsError::Open { .. })
        ));
        assert!(matches!(
            read_at(&dir, "../x", 5),
            Err(FsError::BadName { .. })
        ));
        let absent = read_at(&dir, "absent", 5).unwrap_err();
        let path = home.path().join("absent");
        assert_eq!(
            absent.to_string(),
            format!("cannot open {}", path.display())
        );
        assert!(absent.is_not_found());
        assert_eq!(absent.kind(), hull_types::ErrorKind::NotFound);
    }

    #[test]
    fn entries_are_listed_again_and_again() {
        let home = tempfile::tempdir().unwrap();
        let dir = File::open(home.path()).unwrap();
        assert!(list(&dir).unwrap().is_empty());
        for name in ["a", "b"] {
            File::create(home.path().join(name)).unwrap();
        }
        for _ in 0..2 {
            let mut names = list(&dir).unwrap();
            names.sort();
            assert_eq!(names, ["a", "b"]);
        }
    }
}
