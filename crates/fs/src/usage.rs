//! How much of a disk a tree takes.

use crate::FsError;
use crate::error::place;
use hull_sys::{Errno, Result as SysResult};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, statat,
};
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a tree takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes allocated: holes are free, a file with several names counts once.
    pub bytes: u64,
    /// Files of every kind, with the directory itself.
    pub inodes: u64,
    /// Directories that could not be read and are missing from the sums.
    pub unreadable: u64,
}

/// Returns what `dir` and everything below it takes, on its own mount: what is mounted below is not counted.
///
/// Files may come and go meanwhile; the answer is then between before and after. Depth costs no descriptors: the walk
/// goes back up by `..` and checks that it arrives where it came from (`ESTALE` if a directory was moved away).
pub fn disk_usage(dir: impl AsFd) -> Result<Usage, FsError> {
    let dir = dir.as_fd();
    let failed = |source| FsError::Read {
        path: place(dir, ""),
        source,
    };
    let mut walk = Walk::start(dir).map_err(failed)?;
    while walk.step().map_err(failed)? {}
    Ok(walk.usage)
}

/// A directory the walk is in or will come back to.
struct Level {
    identity: (u64, u64),
    /// Directories in it that are still to be visited.
    ahead: Vec<CString>,
}

struct Walk {
    current: OwnedFd,
    levels: Vec<Level>,
    /// Files with several names that were counted.
    linked: HashSet<(u64, u64)>,
    usage: Usage,
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Walk {
    fn start(dir: BorrowedFd<'_>) -> SysResult<Self> {
        let current = openat(dir, c".", DIRECTORY, Mode::empty())?;
        let mut walk = Self {
            current,
            levels: Vec::new(),
            linked: HashSet::new(),
            usage: Usage::default(),
        };
        let stat = fstat(&walk.current)?;
        walk.count(&stat);
        walk.arrive(&stat)?;
        Ok(walk)
    }

    /// Goes one directory down, or one up when there is none left; `false` when the walk is over.
    fn step(&mut self) -> SysResult<bool> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(false);
        };
        if let Some(name) = level.ahead.pop() {
            return self.descend(&name).map(|()| true);
        }
        self.levels.pop();
        match self.levels.last() {
            None => Ok(false),
            Some(parent) => {
                let up = openat(&self.current, c"..", DIRECTORY, Mode::empty())?;
                if identity(&fstat(&up)?) != parent.identity {
                    return Err(Errno::STALE);
                }
                self.current = up;
                Ok(true)
            }
        }
    }

    fn descend(&mut self, name: &CStr) -> SysResult<()> {
        let rules = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        match openat2(&self.current, name, DIRECTORY, Mode::empty(), rules) {
            Ok(dir) => {
                self.current = dir;
                let stat = fstat(&self.current)?;
                self.arrive(&stat)
            }
            Err(Errno::ACCESS | Errno::PERM) => {
                self.usage.unreadable += 1;
                Ok(())
            }
            // Gone or replaced meanwhile; or a mount point.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Counts the entries of the directory just entered.
    fn arrive(&mut self, stat: &Stat) -> SysResult<()> {
        let mut ahead = Vec::new();
        for entry in Dir::read_from(&self.current)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let stat = match statat(&self.current, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                // Its names can be read, but nothing behind them.
                Err(Errno::ACCESS) => {
                    self.usage.unreadable += 1;
                    break;
                }
                Err(errno) => return Err(errno),
            };
            self.count(&stat);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                ahead.push(name.to_owned());
            }
        }
        self.levels.push(Level {
            identity: identity(stat),
            ahead,
        });
        Ok(())
    }

    fn count(&mut self, stat: &Stat) {
        /// What `st_blocks` counts in, whatever the block size of the file system.
        const BLOCK: u64 = 512;
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !is_directory && stat.st_nlink > 1 && !self.linked.insert(identity(stat)) {
            return;
        }
        self.usage.inodes += 1;
        self.usage.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK;
    }
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Write;
    use std::process::Command;

    fn usage(path: &std::path::Path) -> Usage {
        disk_usage(File::open(path).unwrap()).unwrap()
    }

    #[test]
    fn tree_is_counted_as_du_counts_it() {
        let home = tempfile::tempdir().unwrap();
        for name in ["a/b/c", "a/d", "e"] {
            fs::create_dir_all(home.path().join(name)).unwrap();
        }
        let mut file = File::create(home.path().join("a/b/file")).unwrap();
        file.write_all(&[1; 100_000]).unwrap();
        fs::hard_link(home.path().join("a/b/file"), home.path().join("e/again")).unwrap();
        let holes = File::create(home.path().join("holes")).unwrap();
        holes.set_len(1 << 30).unwrap();
        std::os::unix::fs::symlink("/usr", home.path().join("link")).unwrap();
        // Delayed allocation: blocks are counted once they are there.
        rustix::fs::syncfs(&file).unwrap();
        let du = Command::new("du")
            .args(["-s", "--block-size=1"])
            .arg(home.path())
            .output();
        let du = String::from_utf8(du.unwrap().stdout).unwrap();
        let bytes: u64 = du.split_whitespace().next().unwrap().parse().unwrap();
        assert_eq!(
            usage(home.path()),
            Usage {
                bytes,
                inodes: 9,
                unreadable: 0
            }
        );
    }

    #[test]
    fn depth_costs_no_descriptors() {
        let home = tempfile::tempdir().unwrap();
        let mut current = OwnedFd::from(File::open(home.path()).unwrap());
        for _ in 0..1500 {
            rustix::fs::mkdirat(&current, c"down", Mode::RWXU).unwrap();
            current = openat(&current, c"down", DIRECTORY, Mode::empty()).unwrap();
        }
        assert_eq!(usage(home.path()).inodes, 1501);
        crate::remove_tree(File::open(home.path()).unwrap(), "down").unwrap();
    }

    #[test]
    fn root_mount_below_is_not_counted() {
        let home = tempfile::tempdir().unwrap();
        let point = home.path().join("mount");
        fs::create_dir(&point).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        if rustix::mount::mount("tmpfs", &point, "tmpfs", flags, c"").is_err() {
            return eprintln!("needs root");
        }
        File::create(point.join("file")).unwrap();
        let counted = usage(home.path());
        rustix::mount::unmount(&point, rustix::mount::UnmountFlags::DETACH).unwrap();
        assert_eq!(counted.inodes, 2);
    }
}
