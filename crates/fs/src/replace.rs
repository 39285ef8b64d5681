//! Files replaced as a whole: readers see the old contents or the new, never half.
//!
//! ```text
//! create .tmp-… (exclusive) ─▶ write ─▶ [fsync] ─▶ rename over the name ─▶ [fsync directory]
//! ```
//! A crash before the rename leaves a `.tmp-…` file, which a sweeper knows by its name.

use crate::FsError;
use crate::error::{errno_of, place, plain};
use crate::names::temp_name;
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
    write_new(dir, &temp, bytes, mode, durability)
        .and_then(|()| {
            renameat(dir, &temp, dir, name).map_err(|source| FsError::Rename {
                path: place(dir, name),
                source,
            })
        })
        .inspect_err(|_| {
            // Already failing: what cannot be removed now is swept by its name later.
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
