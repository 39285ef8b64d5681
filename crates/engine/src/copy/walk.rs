//! A tree read: everything in it as entries, directories before what is in them.

use std::{
    collections::HashMap,
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use hull_fs::tar::{Device, Entry, EntryPath, Kind, Mtime, Xattr};
use rustix::{
    fs::{FileType, FsWord, Mode, OFlags, Stat, fstat, fstatfs, openat, readlinkat},
    io::Errno,
};

use super::{CopyError, IdMaps, Side};

/// How many directories deep a tree may be; each level is held open.
const DEEPEST: usize = 256;

/// File systems that hold no files but what the kernel makes up. Where one is mounted, only the place is copied.
const MADE_UP: [FsWord; 12] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x1cd1,      // devpts
    0x1980_0202, // mqueue
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0x6265_6570, // configfs
];

/// Takes what is found: an entry, and its contents if it is a file.
pub(crate) type Visit<'a> = dyn FnMut(Entry, Option<&File>) -> Result<(), CopyError> + 'a;

/// Reads one tree.
pub(crate) struct Walk<'a> {
    ids: &'a IdMaps,
    /// For messages: where the top is.
    side: &'a Side<'a>,
    visit: &'a mut Visit<'a>,
    /// Files with several names: the first that was seen, by device and inode.
    links: HashMap<(u64, u64), EntryPath>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(ids: &'a IdMaps, side: &'a Side<'a>, visit: &'a mut Visit<'a>) -> Self {
        Self {
            ids,
            side,
            visit,
            links: HashMap::new(),
        }
    }

    /// Reads what `node` (`O_PATH`) is and everything in it, as `path` and below.
    pub(crate) fn tree(&mut self, node: &OwnedFd, path: EntryPath) -> Result<(), CopyError> {
        let stat = fstat(node).map_err(|source| self.failed("look at", &path, source))?;
        self.node(node, &stat, path, 0)
    }

    fn node(
        &mut self,
        node: &OwnedFd,
        stat: &Stat,
        path: EntryPath,
        depth: usize,
    ) -> Result<(), CopyError> {
        let Some(kind) = self.kind(node, stat, &path)? else {
            return Ok(());
        };
        let mut entry = self.entry(path, kind, stat);
        match entry.kind {
            Kind::Directory => {
                entry.xattrs = self.xattrs(node, &entry.path)?;
                let path = entry.path.clone();
                (self.visit)(entry, None)?;
                self.directory(node.as_fd(), stat.st_dev, &path, depth)
            }
            Kind::File => {
                entry.xattrs = self.xattrs(node, &entry.path)?;
                entry.size = u64::try_from(stat.st_size).unwrap_or(0);
                // Opened only now that it is known to be a file: a pipe would wait, a device might do something.
                let file = File::open(format!("/proc/self/fd/{}", node.as_raw_fd()))
                    .map_err(|error| self.failed("open", &entry.path, errno(&error)))?;
                (self.visit)(entry, Some(&file))
            }
            _ => (self.visit)(entry, None),
        }
    }

    fn directory(
        &mut self,
        node: BorrowedFd<'_>,
        device: u64,
        path: &EntryPath,
        depth: usize,
    ) -> Result<(), CopyError> {
        if depth == DEEPEST {
            return Err(CopyError::TooDeep {
                path: self.side.at(path),
                limit: DEEPEST,
            });
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(node, ".", flags, Mode::empty())
            .map_err(|source| self.failed("open", path, source))?;
        let mut names = hull_fs::list(&directory)?;
        names.sort();
        for name in names {
            let path = path.join(name.as_encoded_bytes());
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let below = match openat(&directory, &name, flags, Mode::empty()) {
                Ok(below) => below,
                // Removed since the directory was read.
                Err(Errno::NOENT) => continue,
                Err(source) => return Err(self.failed("open", &path, source)),
            };
            let stat = fstat(&below).map_err(|source| self.failed("look at", &path, source))?;
            if stat.st_dev != device && is_made_up(&below) {
                let kind = FileType::from_raw_mode(stat.st_mode);
                if kind == FileType::Directory {
                    let entry = self.entry(path, Kind::Directory, &stat);
                    (self.visit)(entry, None)?;
                }
                continue;
            }
            self.node(&below, &stat, path, depth + 1)?;
        }
        Ok(())
    }

    /// Tells what an entry is; nothing for a socket, which is nothing without its process.
    fn kind(
        &mut self,
        node: &OwnedFd,
        stat: &Stat,
        path: &EntryPath,
    ) -> Result<Option<Kind>, CopyError> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if stat.st_nlink > 1 && kind == FileType::RegularFile {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                return Ok(Some(Kind::HardLink(first.clone())));
            }
            self.links.insert(key, path.clone());
        }
        let device = || Device {
            major: rustix::fs::major(stat.st_rdev),
            minor: rustix::fs::minor(stat.st_rdev),
        };
        Ok(Some(match kind {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => {
                let text = readlinkat(node, "", Vec::new())
                    .map_err(|source| self.failed("read the link", path, source))?;
                Kind::Symlink(text.into_bytes())
            }
            FileType::CharacterDevice => Kind::CharDevice(device()),
            FileType::BlockDevice => Kind::BlockDevice(device()),
            FileType::Fifo => Kind::Fifo,
            FileType::Socket | FileType::Unknown => return Ok(None),
        }))
    }

    fn entry(&self, path: EntryPath, kind: Kind, stat: &Stat) -> Entry {
        Entry {
            mode: stat.st_mode & 0o7777,
            uid: self.ids.user_inside(stat.st_uid),
            gid: self.ids.group_inside(stat.st_gid),
            mtime: Mtime {
                seconds: stat.st_mtime,
                nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            },
            ..Entry::new(path, kind)
        }
    }

    /// Reads the attributes that can be taken along. An `O_PATH` descriptor gives none itself; its entry in /proc leads to
    /// the node and nowhere else.
    fn xattrs(&self, node: &OwnedFd, path: &EntryPath) -> Result<Vec<Xattr>, CopyError> {
        let place = format!("/proc/self/fd/{}", node.as_raw_fd());
        let mut list = vec![0; 65_536];
        let length = match rustix::fs::listxattr(&place, &mut list[..]) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP | Errno::ACCESS) => return Ok(Vec::new()),
            Err(source) => return Err(self.failed("list the attributes of", path, source)),
        };
        let names = list[..length].split(|byte| *byte == 0);
        let mut xattrs = Vec::new();
        for name in names.filter(|name| is_kept(name)) {
            let mut value = vec![0; 65_536];
            match rustix::fs::getxattr(&place, name, &mut value[..]) {
                Ok(length) => value.truncate(length),
                // Gone meanwhile, or of a user the caller has no number for.
                Err(Errno::NODATA | Errno::OVERFLOW | Errno::ACCESS) => continue,
                Err(source) => return Err(self.failed("read the attributes of", path, source)),
            }
            let xattr = Xattr {
                name: name.to_vec(),
                value,
            };
            xattrs.extend(self.ids.attribute_inside(xattr));
        }
        xattrs.sort();
        Ok(xattrs)
    }

    fn failed(&self, action: &'static str, path: &EntryPath, source: Errno) -> CopyError {
        CopyError::Access {
            action,
            path: self.side.at(path),
            source,
        }
    }
}

/// Says whether an attribute belongs to the file, and not to the host's policy or to overlayfs.
fn is_kept(name: &[u8]) -> bool {
    let kept: [&[u8]; 3] = [
        b"security.capability",
        b"system.posix_acl_access",
        b"system.posix_acl_default",
    ];
    kept.contains(&name) || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")
}

fn is_made_up(node: &OwnedFd) -> bool {
    fstatfs(node).is_ok_and(|found| MADE_UP.contains(&found.f_type))
}

pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
