//! The directories from the root to the one being filled, held open.
//!
//! Entries of one directory mostly come together, so the next entry's directory is mostly open already.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A regular file.
    File,
    Directory,
    Symlink,
    /// The character device 0:0, with which overlayfs hides a name of the layers below.
    Whiteout,
    Other,
}

impl Found {
    fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::CharacterDevice if stat.st_rdev == 0 => Self::Whiteout,
            _ => Self::Other,
        }
    }
}

pub(crate) struct Descent<'a> {
    root: BorrowedFd<'a>,
    /// The current directory's path from the root.
    path: Vec<u8>,
    levels: Vec<Level>,
}

struct Level {
    /// Where its name ends in `path`.
    end: usize,
    dir: OwnedFd,
}

const DIRECTORY: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl<'a> Descent<'a> {
    pub(crate) fn new(root: BorrowedFd<'a>) -> Self {
        Self {
            root,
            path: Vec::new(),
            levels: Vec::new(),
        }
    }

    pub(crate) fn root(&self) -> BorrowedFd<'a> {
        self.root
    }

    /// Returns the current directory.
    pub(crate) fn current(&self) -> BorrowedFd<'_> {
        self.levels
            .last()
            .map_or(self.root, |level| level.dir.as_fd())
    }

    /// Goes up until the current directory lies on the way to `path`. Returns where in `path` the names end that are
    /// yet to be entered.
    pub(crate) fn leave_for(&mut self, path: &[u8]) -> Vec<usize> {
        while let Some(level) = self.levels.last() {
            let above = &self.path[..level.end];
            if path
                .strip_prefix(above)
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            {
                break;
            }
            self.levels.pop();
        }
        let done = self.levels.last().map_or(0, |level| level.end);
        self.path.truncate(done);
        if done == path.len() {
            return Vec::new();
        }
        let slashes = (done + 1..path.len()).filter(|index| path[*index] == b'/');
        slashes.chain([path.len()]).collect()
    }

    /// Returns where in a longer path the name of the next directory begins.
    pub(crate) fn next_name(&self) -> usize {
        if self.path.is_empty() {
            0
        } else {
            self.path.len() + 1
        }
    }

    /// Enters a directory of the current one, whose path is then `end` bytes long.
    pub(crate) fn enter(&mut self, name: &[u8], end: usize) -> Result<(), Errno> {
        let dir = rustix::fs::openat(self.current(), name, DIRECTORY, Mode::empty())?;
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        debug_assert_eq!(self.path.len(), end);
        self.levels.push(Level { end, dir });
        Ok(())
    }

    /// Makes an existing directory the current one.
    pub(crate) fn go_to(&mut self, path: &[u8]) -> Result<(), Errno> {
        for end in self.leave_for(path) {
            self.enter(&path[self.next_name()..end], end)?;
        }
        Ok(())
    }

    /// Returns what stands under a name in the current directory.
    pub(crate) fn look(&self, name: &[u8]) -> Result<Option<Found>, Errno> {
        match rustix::fs::statat(self.current(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Found::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Returns what stands under a name in any directory, and that directory. The current one stays.
    pub(crate) fn look_at(&self, parent: &[u8], name: &[u8]) -> Result<(OwnedFd, Found), Errno> {
        let dir = if parent.is_empty() {
            rustix::io::fcntl_dupfd_cloexec(self.root, 0)?
        } else if parent == self.path {
            rustix::io::fcntl_dupfd_cloexec(self.current(), 0)?
        } else {
            let beneath = ResolveFlags::BENEATH
                | ResolveFlags::NO_SYMLINKS
                | ResolveFlags::NO_MAGICLINKS
                | ResolveFlags::NO_XDEV;
            // Not O_NOFOLLOW: with O_PATH that would open a link at the end instead of refusing it.
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::openat2(self.root, parent, flags, Mode::empty(), beneath)?
        };
        let stat = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok((dir, Found::of(&stat)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkdirat;

    #[test]
    fn the_stack_follows_paths() {
        let home = tempfile::tempdir().unwrap();
        let root = std::fs::File::open(home.path()).unwrap();
        for path in ["a", "a/b", "a/b/c", "a-b", "ab"] {
            mkdirat(&root, path, Mode::from_raw_mode(0o755)).unwrap();
        }
        let mut tree = Descent::new(root.as_fd());
        for (path, entered) in [
            ("a/b/c", 3),
            ("a/b", 0),
            ("a/b/c", 1),
            ("a-b", 1),
            ("", 0),
            ("ab", 1),
            ("a", 1),
        ] {
            assert_eq!(tree.leave_for(path.as_bytes()).len(), entered, "{path}");
            tree.go_to(path.as_bytes()).unwrap();
            let here = rustix::fs::fstat(tree.current()).unwrap();
            let there = std::fs::metadata(home.path().join(path)).unwrap();
            assert_eq!(
                here.st_ino,
                std::os::unix::fs::MetadataExt::ino(&there),
                "{path}"
            );
        }
        assert_eq!(tree.go_to(b"a/x"), Err(Errno::NOENT));
    }
}
