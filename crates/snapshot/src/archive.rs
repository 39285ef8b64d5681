//! Trees made into archives: entries read from directories, written in the order of their names.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use hull_fs::tar::{Device, Entry, EntryPath, Kind, Mtime, Writer, Xattr};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::extract::attributes::is_kept;
use crate::stack::open_root;
use crate::{SnapshotError, listing};

/// How many directories deep a tree may be: the same as for archives that are read.
pub(crate) const DEEPEST: usize = 256;

/// Writes a whole tree as an archive. It is meant for the tree of a container as its processes see it: what is mounted
/// in it is left out, but not where.
///
/// Attributes that a layer may not have are left out, sockets are, and so is what vanishes meanwhile; a file that becomes
/// shorter while it is read is filled up with zeros.
pub fn export<W: Write>(root: BorrowedFd<'_>, out: W) -> Result<W, SnapshotError> {
    let path = EntryPath::root();
    let dir = open_root(root).map_err(|source| fail("open", &path, source))?;
    let stat = rustix::fs::fstat(&dir).map_err(|source| fail("inspect", &path, source))?;
    let mut archiver = Archiver::new(out);
    archiver.put(dir.as_fd(), b".", &path)?;
    let mut export = Export {
        archiver,
        device: stat.st_dev,
    };
    export.directory(&dir, &path, 0)?;
    export.archiver.finish()
}

struct Export<W> {
    archiver: Archiver<W>,
    /// The file system that is exported.
    device: u64,
}

impl<W: Write> Export<W> {
    fn directory(
        &mut self,
        dir: &OwnedFd,
        path: &EntryPath,
        depth: usize,
    ) -> Result<(), SnapshotError> {
        if depth == DEEPEST {
            return Err(SnapshotError::TooDeep {
                path: path.clone(),
                limit: DEEPEST,
            });
        }
        for name in listing::names(dir.as_fd(), path)? {
            let path = path.join(&name);
            let is_directory = self.archiver.put(dir.as_fd(), &name, &path)?;
            if !is_directory {
                continue;
            }
            let Some(below) = listing::open_directory(dir.as_fd(), &name, &path)? else {
                continue;
            };
            let stat =
                rustix::fs::fstat(&below).map_err(|source| fail("inspect", &path, source))?;
            if stat.st_dev == self.device {
                self.directory(&below, &path, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Reads things from directories and writes them as entries.
pub(crate) struct Archiver<W> {
    writer: Writer<W>,
    /// Files with several names, by device and inode: the name that was written.
    names: HashMap<(u64, u64), EntryPath>,
}

impl<W: Write> Archiver<W> {
    pub(crate) fn new(out: W) -> Self {
        Self {
            writer: Writer::new(out),
            names: HashMap::new(),
        }
    }

    /// Writes the entry `name` of `dir` as `path`. Returns whether it is a directory; what is in it is the caller's.
    pub(crate) fn put(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &EntryPath,
    ) -> Result<bool, SnapshotError> {
        // Opened without being used first: a container may put a pipe or a device in the place of a file any moment.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let node = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
            Ok(node) => node,
            Err(Errno::NOENT) => return Ok(false),
            Err(source) => return Err(fail("open", path, source)),
        };
        let stat = rustix::fs::fstat(&node).map_err(|source| fail("inspect", path, source))?;
        let Some(kind) = self.kind(&node, path, &stat)? else {
            return Ok(false);
        };
        let mut entry = entry(path, kind, &stat);
        if matches!(entry.kind, Kind::File | Kind::Directory) {
            entry.xattrs = xattrs(&node, path)?;
        }
        if entry.kind != Kind::File {
            self.writer.append(&entry)?;
            return Ok(entry.kind == Kind::Directory);
        }
        entry.size = u64::try_from(stat.st_size).unwrap_or(0);
        let contents = File::open(format!("/proc/self/fd/{}", node.as_raw_fd()))
            .map_err(|error| fail("open", path, errno(&error)))?;
        self.writer
            .append_file(&entry, contents.chain(io::repeat(0)))?;
        Ok(false)
    }

    /// Writes an empty file owned by root.
    pub(crate) fn put_empty(&mut self, path: EntryPath) -> Result<(), SnapshotError> {
        Ok(self.writer.append(&Entry::new(path, Kind::File))?)
    }

    pub(crate) fn finish(self) -> Result<W, SnapshotError> {
        Ok(self.writer.finish()?)
    }

    fn kind(
        &mut self,
        node: &OwnedFd,
        path: &EntryPath,
        stat: &Stat,
    ) -> Result<Option<Kind>, SnapshotError> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if stat.st_nlink > 1 && kind == FileType::RegularFile {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.names.get(&key) {
                return Ok(Some(Kind::HardLink(first.clone())));
            }
            self.names.insert(key, path.clone());
        }
        Ok(Some(match kind {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(node, "", Vec::new())
                    .map_err(|source| fail("read the link", path, source))?;
                Kind::Symlink(target.into_bytes())
            }
            FileType::CharacterDevice => Kind::CharDevice(device(stat.st_rdev)),
            FileType::BlockDevice => Kind::BlockDevice(device(stat.st_rdev)),
            FileType::Fifo => Kind::Fifo,
            // A socket is nothing without its process.
            FileType::Socket | FileType::Unknown => return Ok(None),
        }))
    }
}

fn entry(path: &EntryPath, kind: Kind, stat: &Stat) -> Entry {
    Entry {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: Mtime {
            seconds: stat.st_mtime,
            nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        },
        ..Entry::new(path.clone(), kind)
    }
}

fn device(number: u64) -> Device {
    Device {
        major: rustix::fs::major(number),
        minor: rustix::fs::minor(number),
    }
}

/// Reads the attributes a layer may have.
pub(crate) fn xattrs(node: &OwnedFd, path: &EntryPath) -> Result<Vec<Xattr>, SnapshotError> {
    // An O_PATH descriptor gives none itself; its entry in /proc leads to the node and nowhere else.
    let node = format!("/proc/self/fd/{}", node.as_raw_fd());
    let failed = |source| fail("read the attributes of", path, source);
    let mut list = vec![0; 65_536];
    let length = match rustix::fs::listxattr(&node, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(source) => return Err(failed(source)),
    };
    let names = list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| is_kept(name));
    let mut xattrs = Vec::new();
    for name in names {
        let mut value = vec![0; 65_536];
        match rustix::fs::getxattr(&node, name, &mut value[..]) {
            Ok(length) => value.truncate(length),
            Err(Errno::NODATA) => continue,
            Err(source) => return Err(failed(source)),
        }
        xattrs.push(Xattr {
            name: name.to_vec(),
            value,
        });
    }
    xattrs.sort();
    Ok(xattrs)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn fail(action: &'static str, path: &EntryPath, source: Errno) -> SnapshotError {
    SnapshotError::Entry {
        action,
        path: path.clone(),
        source,
    }
}
