//! A directory as a tar: everything about its files that a layer can hold, sorted, so that the same tree gives the same bytes.

use std::{
    cell::RefCell,
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    rc::Rc,
};

use hull_fs::tar::{Device, Entry, EntryPath, Kind, Mtime, Writer, Xattr};
use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use super::sparse;
use crate::ImageError;

/// Attributes that describe this host and not the file: labels that its own policy sets.
const DROPPED: [&[u8]; 2] = [b"security.selinux", b"security.ima"];

/// Writes the tree at `path` as a tar. What lies on other file systems (a mounted /proc, say) is left out, their mount points
/// are not; nothing is followed out of the tree.
pub(super) fn write_tree(path: &Path, out: &mut dyn Write) -> Result<(), ImageError> {
    let sink = Sink(Rc::new(RefCell::new(out)));
    let root = open(CWD, path.as_os_str(), OFlags::DIRECTORY)
        .map_err(|errno| failed("open", path, errno))?;
    let stat = rustix::fs::fstat(&root).map_err(|errno| failed("look at", path, errno))?;
    let mut walk = Walk {
        top: path,
        device: stat.st_dev,
        links: HashMap::new(),
        archive: Writer::new(sink.clone()),
        sink,
    };
    let mut entry = walk.entry(EntryPath::root(), Kind::Directory, &stat);
    entry.xattrs = walk.xattrs(&root, OsStr::new("."), &entry.path)?;
    walk.append(&entry)?;
    walk.directory(&root, &EntryPath::root())?;
    walk.archive
        .finish()
        .map_err(|source| ImageError::Archive { source })?;
    Ok(())
}

/// The stream, shared by the writer of entries and that of sparse files.
#[derive(Clone)]
struct Sink<'o>(Rc<RefCell<&'o mut dyn Write>>);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

struct Walk<'w> {
    /// For messages.
    top: &'w Path,
    device: u64,
    /// Where a file that has several names was seen first.
    links: HashMap<u64, EntryPath>,
    archive: Writer<Sink<'w>>,
    sink: Sink<'w>,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &OwnedFd, path: &EntryPath) -> Result<(), ImageError> {
        let mut names = hull_fs::list(dir)?;
        names.sort();
        for name in names {
            self.child(dir, &name, path.join(name.as_bytes()))?;
        }
        Ok(())
    }

    fn child(&mut self, dir: &OwnedFd, name: &OsString, path: EntryPath) -> Result<(), ImageError> {
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Removed since the directory was read.
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(self.failed("look at", &path, errno)),
        };
        let Some(kind) = self.kind(dir, name, &path, &stat)? else {
            return Ok(());
        };
        let mut entry = self.entry(path, kind, &stat);
        match entry.kind {
            Kind::HardLink(_) => self.append(&entry),
            Kind::Directory => {
                let inner = open(dir, name, OFlags::DIRECTORY)
                    .map_err(|errno| self.failed("open", &entry.path, errno))?;
                entry.xattrs = self.xattrs(dir, name, &entry.path)?;
                self.append(&entry)?;
                if stat.st_dev == self.device {
                    self.directory(&inner, &entry.path)?;
                }
                Ok(())
            }
            Kind::File => {
                entry.xattrs = self.xattrs(dir, name, &entry.path)?;
                self.file(dir, name, entry, &stat)
            }
            _ => {
                entry.xattrs = self.xattrs(dir, name, &entry.path)?;
                self.append(&entry)
            }
        }
    }

    /// Tells what an entry is; nothing for what a tar cannot hold.
    fn kind(
        &mut self,
        dir: &OwnedFd,
        name: &OsString,
        path: &EntryPath,
        stat: &Stat,
    ) -> Result<Option<Kind>, ImageError> {
        let file_type = FileType::from_raw_mode(stat.st_mode);
        // Inode numbers are compared, so they must be of one file system.
        if stat.st_nlink > 1 && file_type != FileType::Directory && stat.st_dev == self.device {
            if let Some(first) = self.links.get(&stat.st_ino) {
                return Ok(Some(Kind::HardLink(first.clone())));
            }
            if file_type != FileType::Socket {
                self.links.insert(stat.st_ino, path.clone());
            }
        }
        let device = || Device {
            major: rustix::fs::major(stat.st_rdev),
            minor: rustix::fs::minor(stat.st_rdev),
        };
        Ok(Some(match file_type {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new())
                    .map_err(|errno| self.failed("read link", path, errno))?;
                Kind::Symlink(target.into_bytes())
            }
            FileType::CharacterDevice => Kind::CharDevice(device()),
            FileType::BlockDevice => Kind::BlockDevice(device()),
            FileType::Fifo => Kind::Fifo,
            FileType::Socket | FileType::Unknown => return Ok(None),
        }))
    }

    fn entry(&self, path: EntryPath, kind: Kind, stat: &Stat) -> Entry {
        let mut entry = Entry::new(path, kind);
        entry.mode = stat.st_mode & 0o7777;
        entry.uid = stat.st_uid;
        entry.gid = stat.st_gid;
        entry.mtime = Mtime {
            seconds: stat.st_mtime,
            nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        };
        entry
    }

    fn file(
        &mut self,
        dir: &OwnedFd,
        name: &OsString,
        mut entry: Entry,
        stat: &Stat,
    ) -> Result<(), ImageError> {
        // NONBLOCK: a named pipe that took the file's place since it was looked at must not stop us.
        let file = open(dir, name, OFlags::NONBLOCK)
            .map_err(|errno| self.failed("open", &entry.path, errno))?;
        let mut file = File::from(file);
        entry.size = u64::try_from(stat.st_size).unwrap_or(0);
        let allocated = u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        if allocated < entry.size {
            let read = |source| ImageError::Access {
                action: "read",
                path: self.top.join(entry.path.as_path()),
                source,
            };
            let segments = sparse::segments(&file, entry.size).map_err(read)?;
            return sparse::append(&mut self.sink, &entry, &mut file, &segments).map_err(read);
        }
        self.archive
            .append_file(&entry, file)
            .map_err(|source| ImageError::Archive { source })
    }

    fn append(&mut self, entry: &Entry) -> Result<(), ImageError> {
        self.archive
            .append(entry)
            .map_err(|source| ImageError::Archive { source })
    }

    /// Reads the extended attributes of an entry, which may be a symbolic link, by its place in a directory that is held.
    fn xattrs(
        &self,
        dir: &OwnedFd,
        name: &OsStr,
        path: &EntryPath,
    ) -> Result<Vec<Xattr>, ImageError> {
        let place = Path::new("/proc/self/fd")
            .join(dir.as_raw_fd().to_string())
            .join(name);
        let names = match read_growing(|buffer| rustix::fs::llistxattr(&place, buffer)) {
            Ok(names) => names,
            Err(Errno::OPNOTSUPP | Errno::NOENT) => return Ok(Vec::new()),
            Err(errno) => return Err(self.failed("list attributes of", path, errno)),
        };
        let mut xattrs = Vec::new();
        for name in names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
        {
            if DROPPED.contains(&name) {
                continue;
            }
            let value = read_growing(|buffer| rustix::fs::lgetxattr(&place, name, buffer));
            xattrs.push(Xattr {
                name: name.to_vec(),
                value: value.map_err(|errno| self.failed("read attributes of", path, errno))?,
            });
        }
        Ok(xattrs)
    }

    fn failed(&self, action: &'static str, path: &EntryPath, errno: Errno) -> ImageError {
        failed(action, &self.top.join(path.as_path()), errno)
    }
}

/// Calls until the buffer is large enough: an empty one asks for the size, which may have changed by the next call.
fn read_growing(mut call: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 256];
    loop {
        match call(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            // The kernel has no attribute, and no list of them, above 64 KiB.
            Err(Errno::RANGE) if buffer.len() < 64 << 10 => buffer.resize(64 << 10, 0),
            Err(errno) => return Err(errno),
        }
    }
}

fn open(dir: impl AsFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    // The top may be reached through a link; what is in the tree may not.
    let follow = if dir.as_fd().as_raw_fd() == CWD.as_raw_fd() {
        OFlags::empty()
    } else {
        OFlags::NOFOLLOW
    };
    rustix::fs::openat(dir, name, flags | follow, Mode::empty())
}

fn failed(action: &'static str, path: &Path, errno: Errno) -> ImageError {
    ImageError::Access {
        action,
        path: path.to_owned(),
        source: errno.into(),
    }
}
