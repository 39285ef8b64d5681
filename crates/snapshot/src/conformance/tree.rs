//! Everything about a tree that a layer can say, as a value to compare.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RawMode, Stat};

/// One thing in a tree. Two are equal if nobody could tell them apart from inside.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Type and permissions.
    pub(crate) mode: RawMode,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: (i64, i64),
    /// Of files and links; directories are as large as their file system likes.
    pub(crate) size: u64,
    pub(crate) device: u64,
    /// The first path of the same file.
    pub(crate) same_as: Vec<u8>,
    /// Contents of a file, text of a link.
    pub(crate) contents: Vec<u8>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Allocated blocks of a file; not all are before the file system is synced.
    pub(crate) blocks: u64,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (uid, gid) = self.owner;
        let contents = &self.contents[..self.contents.len().min(32)];
        write!(
            f,
            "{:o} {uid}:{gid} {} {:?} {}+{} as {}",
            self.mode,
            self.size,
            contents.escape_ascii().to_string(),
            self.mtime.0,
            self.mtime.1,
            self.same_as.escape_ascii(),
        )?;
        for (name, value) in &self.xattrs {
            write!(f, " {}={}", name.escape_ascii(), value.escape_ascii())?;
        }
        write!(f, " dev {} blocks {}", self.device, self.blocks)
    }
}

pub(crate) type Tree = BTreeMap<Vec<u8>, Node>;

/// Reads a tree; the root is the empty path.
pub(crate) fn read(root: impl AsFd) -> Tree {
    let mut tree = Tree::new();
    let root = open(root.as_fd(), b".");
    walk(
        root.as_fd(),
        b".",
        &mut Vec::new(),
        &mut tree,
        &mut HashMap::new(),
    );
    tree
}

fn open(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::fd::OwnedFd {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty()).expect("everything can be opened by root")
}

fn walk(
    dir: BorrowedFd<'_>,
    name: &[u8],
    path: &mut Vec<u8>,
    tree: &mut Tree,
    seen: &mut HashMap<(u64, u64), Vec<u8>>,
) {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).expect("stat");
    tree.insert(path.clone(), node(dir, name, path, &stat, seen));
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return;
    }
    let here = open(dir, name);
    let mut names: Vec<Vec<u8>> = Dir::read_from(&here)
        .expect("read directory")
        .map(|entry| {
            entry
                .expect("read directory")
                .file_name()
                .to_bytes()
                .to_vec()
        })
        .filter(|name| name != b"." && name != b"..")
        .collect();
    names.sort();
    for name in names {
        let length = path.len();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        walk(here.as_fd(), &name, path, tree, seen);
        path.truncate(length);
    }
}

fn node(
    dir: BorrowedFd<'_>,
    name: &[u8],
    path: &[u8],
    stat: &Stat,
    seen: &mut HashMap<(u64, u64), Vec<u8>>,
) -> Node {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let is_file = kind == FileType::RegularFile;
    let contents = match kind {
        FileType::RegularFile => {
            let mut contents = Vec::new();
            let mut file = std::fs::File::from(open(dir, name));
            std::io::Read::read_to_end(&mut file, &mut contents).expect("read file");
            contents
        }
        FileType::Symlink => rustix::fs::readlinkat(dir, name, Vec::new())
            .expect("read link")
            .into_bytes(),
        _ => Vec::new(),
    };
    let unsigned = |number: i64| u64::try_from(number).expect("sizes are not negative");
    Node {
        mode: stat.st_mode,
        owner: (stat.st_uid, stat.st_gid),
        mtime: (
            stat.st_mtime,
            i64::try_from(stat.st_mtime_nsec).expect("under a second"),
        ),
        size: contents.len() as u64,
        device: stat.st_rdev,
        same_as: seen
            .entry((stat.st_dev, stat.st_ino))
            .or_insert_with(|| path.to_vec())
            .clone(),
        contents,
        xattrs: xattrs(dir, name),
        blocks: if is_file { unsigned(stat.st_blocks) } else { 0 },
    }
}

fn xattrs(dir: BorrowedFd<'_>, name: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    let mut list = vec![0; 65_536];
    let length = rustix::fs::llistxattr(path.as_slice(), &mut list[..]).unwrap_or(0);
    list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0; 65_536];
            let length = rustix::fs::lgetxattr(path.as_slice(), name, &mut value[..])
                .expect("an attribute that is listed is there");
            value.truncate(length);
            (name.to_vec(), value)
        })
        .collect()
}
