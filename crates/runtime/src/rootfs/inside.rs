//! Names inside the container's root, resolved by the kernel so that they cannot lead out of it.
//!
//! The same rules as [`hull_fs::Root`]; the differences are what the child needs: descriptors are `O_PATH` (a directory
//! that may not be read can still be mounted on), and failures stay an errno, because that is what crosses the channel.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
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
        match shape {
            Shape::Directory => self.directory(path, ResolveFlags::empty()),
            Shape::File => self.file(path),
        }
    }

    /// Finds the directory `path` on which procfs or sysfs goes: it must be one, not a link to somewhere else.
    pub(crate) fn plain_dir(self, path: &Path) -> Result<OwnedFd, Errno> {
        self.directory(path, ResolveFlags::NO_SYMLINKS)
    }

    /// Finds the directory `path`, making it and those above it that do not exist: owned by the caller, 0755.
    ///
    /// The path has no `..`: its last component is an entry of what the rest leads to.
    fn directory(self, path: &Path, rules: ResolveFlags) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.open(path, flags, Mode::empty(), rules) {
            Err(Errno::NOENT) => {}
            found => return found,
        }
        let (parent, name) = split(path)?;
        let parent = self.directory(parent, rules)?;
        match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        // NOFOLLOW: what is there now is what was made, or no directory.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(&parent, name, flags, Mode::empty());
        until_exec(parent);
        made
    }

    fn file(self, path: &Path) -> Result<OwnedFd, Errno> {
        match self.find(path, OFlags::empty()) {
            Err(Errno::NOENT) => {}
            found => return found,
        }
        let (parent, name) = split(path)?;
        let parent = self.directory(parent, ResolveFlags::empty())?;
        // EXCL: a link planted as the last component is an error, never followed. Not for writing: it stays open until exec,
        // and a mount with a writer cannot be made read-only (`--read-only`).
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        match openat(&parent, name, flags, Mode::from_raw_mode(0o644)) {
            Ok(file) => {
                until_exec(parent);
                Ok(file)
            }
            Err(Errno::EXIST) => self.find(path, OFlags::NOFOLLOW),
            Err(errno) => Err(errno),
        }
    }
}

/// Makes a path absolute and resolves `.` and `..` as text, as docker does: what the rules about paths judge is then what is
/// used, and every component is a name.
pub(crate) fn lexical(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// Takes the last component off a path; a path without a directory in front lies in the root.
fn split(path: &Path) -> Result<(&Path, &OsStr), Errno> {
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    Ok((parent.unwrap_or(Path::new("/")), name))
}

/// Leaves a descriptor of the child's to the exec, which closes it with all the others: closing each by hand is a system call
/// more for every mount. The numbers stay low, so that a container with many mounts does not run out of them.
pub(crate) fn until_exec(fd: OwnedFd) {
    const MOST: i32 = 256;
    match fd.as_raw_fd() {
        ..MOST => std::mem::forget(fd),
        _ => drop(fd),
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
            Err(Errno::NOTDIR),
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
