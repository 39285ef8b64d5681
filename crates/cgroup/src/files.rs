//! Reading and writing the kernel's small files.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use crate::CgroupError;

const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);
const WRITE: OFlags = OFlags::WRONLY.union(OFlags::CLOEXEC);
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);

/// Opens a group's directory.
pub(crate) fn open_dir(path: &Path) -> Result<OwnedFd, Errno> {
    openat(CWD, path, DIRECTORY, Mode::empty())
}

/// Reads a whole file by its path.
pub(crate) fn read_path(path: &Path) -> Result<String, CgroupError> {
    let failed = |source| CgroupError::Read {
        path: path.to_owned(),
        source,
    };
    let file = openat(CWD, path, READ, Mode::empty()).map_err(failed)?;
    read_all(&file).map_err(failed)
}

/// Reads a whole file of a group.
pub(crate) fn read(dir: impl AsFd, name: &str) -> Result<String, Errno> {
    read_all(openat(dir, name, READ, Mode::empty())?)
}

/// The kernel's texts come in one piece as long as they fit; the longest (`cgroup.procs`) may not.
pub(crate) fn read_all(file: impl AsFd) -> Result<String, Errno> {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        bytes.reserve(4096);
        match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    String::from_utf8(bytes).map_err(|_| Errno::ILSEQ)
}

/// Opens a file of a group for writing.
pub(crate) fn open_write(dir: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    openat(dir, name, WRITE, Mode::empty())
}

/// Opens a file of a group for reading; events on it are polled for.
pub(crate) fn open_read(dir: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    openat(dir, name, READ, Mode::empty())
}

/// Writes a value, whole: the kernel takes each write as one command.
pub(crate) fn write(dir: impl AsFd, name: &str, value: &str) -> Result<(), Errno> {
    let file = open_write(dir, name)?;
    match rustix::io::write(&file, value.as_bytes())? {
        written if written == value.len() => Ok(()),
        _ => Err(Errno::MSGSIZE),
    }
}

/// Returns the groups directly below.
pub(crate) fn children(dir: impl AsFd) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if entry.file_type() == FileType::Directory && name != "." && name != ".." {
            names.push(name.into_owned());
        }
    }
    Ok(names)
}

/// Opens a group below.
pub(crate) fn open_child(dir: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    openat(dir, name, DIRECTORY, Mode::empty())
}

/// Removes a group's directory by its path.
pub(crate) fn remove_dir(path: &Path) -> Result<(), Errno> {
    unlinkat(CWD, path, AtFlags::REMOVEDIR)
}

/// Reads one number, or `max` as none.
pub(crate) fn number(path: &Path, text: &str) -> Result<Option<u64>, CgroupError> {
    match text.trim() {
        "max" => Ok(None),
        text => text.parse().map(Some).map_err(|_| unreadable(path, text)),
    }
}

/// Returns the number after `key` in lines of `key value`.
pub(crate) fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        line.strip_prefix(key)?
            .strip_prefix(' ')?
            .trim()
            .parse()
            .ok()
    })
}

pub(crate) fn unreadable(path: &Path, text: &str) -> CgroupError {
    CgroupError::Unreadable {
        path: PathBuf::from(path),
        text: text.to_owned(),
    }
}
