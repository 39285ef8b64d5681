//! Names inside the container's root, resolved by the kernel so that they cannot lead out of it.
//!
//! The same rules as [`hull_fs::Root`]; the differences are what the child needs: descriptors are `O_PATH` (a directory
//! that may not be read can still be mounted on), and failures stay an errno, because that is what crosses the channel.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use hull_sys::Errno;
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};

/// How often to begin again when a concurrent rename makes the kernel unsure (`EAGAIN`).
const ATTEMPTS: usize = 128;

/// What a mount point has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Directory,
    File,
}

/// A directory that names cannot lead out of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inside<'a>(pub(crate) BorrowedFd<'a>);

impl Inside<'_> {
    /// Finds `path`. A last symbolic link is followed, inside the root, unless `flags` has `NOFOLLOW`.
    pub(crate) fn find(self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.open(
            path,
            flags | OFlags::PATH,
            Mode::empty(),
            ResolveFlags::empty(),
        )
    }

    /// Opens `path` for reading or writing, with further rules.
    pub(crate) fn open(
        self,
        path: &Path,
        flags: OFlags,
        mode: Mode,
        rules: ResolveFlags,
    ) -> Result<OwnedFd, Errno> {
        let rules = rules | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut result = Err(Errno::AGAIN);
        for _ in 0..ATTEMPTS {
            result = openat2(self.0, path, flags | OFlags::CLOEXEC, mode, rules);
            if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        result
    }

    /// Finds `path`, making it (and the directories above) when it is not there.
    pub(crate) fn mount_point(self, path: &Path, shape: Shape) -> Result<OwnedFd, Errno> {
        let flags = match shape {
            Shape::Directory => OFlags::DIRECTORY,
            Shape::File => OFlags::empty(),
        };
        match self.find(path, flags) {
            Err(Errno::NOENT) => {}
            found => return found,
        }
        match shape {
            Shape::Directory => self.make_dirs(path)?,
            Shape::File => self.make_file(path)?,
        }
        self.find(path, flags)
    }

    /// Finds the directory `path` on which procfs or sysfs goes: it must be one, not a link to somewhere else.
    pub(crate) fn plain_dir(self, path: &Path) -> Result<OwnedFd, Errno> {
        let rules = ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.open(path, flags, Mode::empty(), rules) {
            Err(Errno::NOENT) => {}
            found => return found,
        }
        self.make_dirs(path)?;
        self.open(path, flags, Mode::empty(), rules)
    }

    /// Makes the directory `path` and those above it that do not exist, owned by the caller, 0755.
    pub(crate) fn make_dirs(self, path: &Path) -> Result<(), Errno> {
        let mut made = PathBuf::from("/");
        for component in path.components() {
            made.push(match component {
                Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
                // Through the kernel, as `..` after a symbolic link is not the directory the text says.
                Component::ParentDir => OsStr::new(".."),
                Component::Normal(name) => name,
            });
            let (Some(parent), Some(name)) = (made.parent(), made.file_name()) else {
                continue;
            };
            match self.find(&made, OFlags::DIRECTORY) {
                Ok(_) => continue,
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
            let parent = self.find(parent, OFlags::DIRECTORY)?;
            match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn make_file(self, path: &Path) -> Result<(), Errno> {
        let above = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = above.unwrap_or(Path::new("/"));
        let name = path.file_name().ok_or(Errno::INVAL)?;
        self.make_dirs(parent)?;
        let parent = self.find(parent, OFlags::DIRECTORY)?;
        // EXCL: a link planted as the last component is an error, never followed.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        match openat(parent, name, flags, Mode::from_raw_mode(0o644)) {
            Ok(_) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

impl AsFd for Inside<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn mount_points_are_made_inside_the_root() {
        let home = tempfile::tempdir().unwrap();
        symlink("/../../outside", home.path().join("link")).unwrap();
        let dir = std::fs::File::open(home.path()).unwrap();
        let inside = Inside(dir.as_fd());
        inside
            .mount_point(Path::new("/a/b/c"), Shape::Directory)
            .unwrap();
        inside
            .mount_point(Path::new("/a/x/file"), Shape::File)
            .unwrap();
        assert!(home.path().join("a/b/c").is_dir());
        assert!(home.path().join("a/x/file").is_file());
        assert_eq!(
            inside
                .mount_point(Path::new("/link/d"), Shape::Directory)
                .map(drop),
            Err(Errno::NOENT),
            "a dangling link is not made into a directory behind anybody's back"
        );
        std::fs::create_dir(home.path().join("outside")).unwrap();
        inside
            .mount_point(Path::new("/link/d"), Shape::Directory)
            .unwrap();
        assert!(home.path().join("outside/d").is_dir());
        assert_eq!(
            inside.plain_dir(Path::new("/link")).map(drop),
            Err(Errno::LOOP)
        );
        assert_eq!(
            inside
                .mount_point(Path::new("/a/x/file"), Shape::Directory)
                .map(drop),
            Err(Errno::NOTDIR)
        );
    }
}
