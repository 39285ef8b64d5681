//! Files replaced as a whole: readers see the old contents or the new, never half.
//!
//! ```text
//! create .tmp-… (exclusive) ─▶ write ─▶ [fsync] ─▶ rename over the name ─▶ [fsync directory]
//! ```
//! A crash before the rename leaves a `.tmp-…` file, which [`remove_unfinished`](crate::remove_unfinished) removes.

use crate::error::{errno_of, place, plain};
use crate::names::temp_name;
use crate::{FsError, Making};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, fsync, openat, renameat, unlinkat};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// How much of a crash a file shall survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The program's: the contents are in the page cache. After a power failure the file may be empty or old.
    Cached,
    /// The machine's: contents and name are on disk before the call returns.
    Synced,
}

/// Replaces, or makes, the file at `path`. Its directory must exist.
pub fn replace(
    path: &Path,
    bytes: &[u8],
    mode: Mode,
    durability: Durability,
) -> Result<(), FsError> {
    let name = path
        .file_name()
        .ok_or_else(|| FsError::BadName { name: path.into() })?;
    let parent = match path.parent() {
        None => Path::new("."),
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    let dir = openat(
        CWD,
        parent,
        OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|source| FsError::Open {
        path: parent.to_owned(),
        source,
    })?;
    replace_at(dir, name, bytes, mode, durability)
}

/// Replaces, or makes, the file `name` in `dir`, with exactly the permissions of `mode` whatever the umask.
///
/// A symbolic link of that name is replaced, not followed.
pub fn replace_at(
    dir: impl AsFd,
    name: impl AsRef<OsStr>,
    bytes: &[u8],
    mode: Mode,
    durability: Durability,
) -> Result<(), FsError> {
    let (dir, name) = (dir.as_fd(), plain(name.as_ref())?);
    let temp = temp_name()?;
    let _making = Making::begin(dir)?;
    write_new(dir, &temp, bytes, mode, durability)
        .and_then(|()| {
            renameat(dir, &temp, dir, name).map_err(|source| FsError::Rename {
                path: place(dir, name),
                source,
            })
        })
        .inspect_err(|_| {
            // Already failing: what cannot be removed now is collected later.
            unlinkat(dir, &temp, AtFlags::empty()).ok();
        })?;
    if durability == Durability::Synced {
        fsync(dir).map_err(|source| FsError::Sync {
            path: place(dir, ""),
            source,
        })?;
    }
    Ok(())
}

fn write_new(
    dir: BorrowedFd<'_>,
    name: &str,
    bytes: &[u8],
    mode: Mode,
    durability: Durability,
) -> Result<(), FsError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, mode).map_err(|source| FsError::Create {
        path: place(dir, name),
        source,
    })?;
    let failed = |source| FsError::Write {
        path: place(dir, name),
        source,
    };
    fchmod(&file, mode).map_err(failed)?;
    let mut file = File::from(file);
    file.write_all(bytes)
        .map_err(|error| failed(errno_of(&error)))?;
    if durability == Durability::Synced {
        file.sync_all().map_err(|error| FsError::Sync {
            path: place(dir, name),
            source: errno_of(&error),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{metadata, read, read_dir};
    use std::os::unix::fs::{PermissionsExt, symlink};

    const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

    #[test]
    fn file_is_made_and_replaced_with_exactly_its_mode() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("record");
        replace(&file, b"one", PRIVATE, Durability::Synced).unwrap();
        assert_eq!(read(&file).unwrap(), b"one");
        assert_eq!(
            metadata(&file).unwrap().permissions().mode() & 0o7777,
            0o600
        );
        let open_to_all = Mode::from_raw_mode(0o666);
        replace(&file, b"two", open_to_all, Durability::Cached).unwrap();
        assert_eq!(read(&file).unwrap(), b"two");
        assert_eq!(
            metadata(&file).unwrap().permissions().mode() & 0o7777,
            0o666
        );
        assert_eq!(read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn readers_see_the_old_or_the_new_and_nothing_between() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("record");
        let contents = [[b'a'; 70_000], [b'b'; 70_000]];
        replace(&file, &contents[0], PRIVATE, Durability::Cached).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..200 {
                    replace(&file, &contents[round % 2], PRIVATE, Durability::Cached).unwrap();
                }
            });
            for _ in 0..200 {
                let seen = read(&file).unwrap();
                assert!(
                    contents.iter().any(|whole| whole[..] == seen),
                    "{} bytes",
                    seen.len()
                );
            }
        });
    }

    #[test]
    fn symbolic_link_is_replaced_and_its_target_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let (target, link) = (home.path().join("target"), home.path().join("link"));
        replace(&target, b"precious", PRIVATE, Durability::Cached).unwrap();
        symlink(&target, &link).unwrap();
        replace(&link, b"new", PRIVATE, Durability::Cached).unwrap();
        assert_eq!(read(&target).unwrap(), b"precious");
        assert!(metadata(&link).unwrap().is_file());
    }

    #[test]
    fn failure_names_the_file_and_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("directory");
        std::fs::create_dir(&directory).unwrap();
        let error = replace(&directory, b"x", PRIVATE, Durability::Cached).unwrap_err();
        let path = directory.display();
        assert_eq!(
            error.to_string(),
            format!("cannot rename a new file to {path}")
        );
        assert_eq!(read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn paths_and_dots_are_not_names() {
        let home = tempfile::tempdir().unwrap();
        let dir = std::fs::File::open(home.path()).unwrap();
        for name in ["", ".", "..", "a/b", "/etc/passwd"] {
            let error = replace_at(&dir, name, b"x", PRIVATE, Durability::Cached).unwrap_err();
            assert!(matches!(error, FsError::BadName { .. }), "{name}: {error}");
        }
    }
}
