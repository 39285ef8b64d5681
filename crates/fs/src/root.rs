//! A directory that names cannot lead out of.
//!
//! Whatever an image, a manifest or a person calls a file inside a container goes through [`Root`]: `openat2` with
//! `RESOLVE_IN_ROOT` takes `/` and `..` and absolute symbolic links to mean this directory, as they would inside, and
//! `RESOLVE_NO_MAGICLINKS` refuses the links of /proc that lead anywhere. The kernel holds to it even while somebody
//! renames things under way. Linux 5.6; older kernels answer `ENOSYS`, and there is no weaker way.

use crate::FsError;
use crate::error::place;
use crate::read::read_capped;
use hull_sys::{Errno, Result as SysResult};
use rustix::fs::{
    CWD, Mode, OFlags, ResolveFlags, Stat, fstat, mkdirat, openat, openat2, readlinkat,
};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// An open directory inside which names are resolved.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
}

/// How often to begin again when a concurrent rename makes the kernel unsure (`EAGAIN`).
const ATTEMPTS: usize = 128;

impl Root {
    /// Takes `dir` as the root; an `O_PATH` descriptor will do.
    pub fn new(dir: impl Into<OwnedFd>) -> Self {
        Self { dir: dir.into() }
    }

    /// Opens the directory at `path`, which is trusted, as the root.
    pub fn open_path(path: &Path) -> Result<Self, FsError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, path, flags, Mode::empty()) {
            Ok(dir) => Ok(Self { dir }),
            Err(source) => Err(FsError::Open {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Opens `path` with `flags` (close-on-exec is added); `mode` is for a file that is made.
    ///
    /// A last component that is a symbolic link is followed, inside the root, unless `flags` has `NOFOLLOW`.
    pub fn open(&self, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, FsError> {
        self.resolve(path, flags, mode).map_err(|source| {
            let path = self.place(path);
            match source {
                _ if flags.contains(OFlags::CREATE) => FsError::Create { path, source },
                _ => FsError::Open { path, source },
            }
        })
    }

    /// Opens the directory `path`; it can be read and used as the base of other calls.
    pub fn open_dir(&self, path: &Path) -> Result<OwnedFd, FsError> {
        self.open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    /// Opens the directory `path` as a root of its own.
    pub fn subroot(&self, path: &Path) -> Result<Self, FsError> {
        self.open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
            .map(Self::new)
    }

    /// Makes the directory `path` and those above it that do not exist, and opens it. Existing ones stay as they are.
    pub fn create_dir_all(&self, path: &Path, mode: Mode) -> Result<OwnedFd, FsError> {
        match self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => {}
            Err(source) => {
                return Err(FsError::Open {
                    path: self.place(path),
                    source,
                });
            }
            Ok(dir) => return Ok(dir),
        }
        let mut made = PathBuf::from("/");
        for component in path.components() {
            made.push(match component {
                Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
                // Through the kernel, as `..` after a symbolic link is not the directory the text says.
                Component::ParentDir => OsStr::new(".."),
                Component::Normal(name) => name,
            });
            self.create_dir(&made, mode)?;
        }
        self.open_dir(path)
    }

    /// Returns the directory in which the last component of `path` lies, and that component, whatever it is.
    ///
    /// This is for making, replacing, removing or inspecting the entry itself: `openat(dir, name, …O_NOFOLLOW)`,
    /// `mkdirat`, `unlinkat`. A path that ends with `..` or names the root has no such component.
    pub fn parent_of(&self, path: &Path) -> Result<(OwnedFd, OsString), FsError> {
        let name = path
            .file_name()
            .ok_or_else(|| FsError::BadName { name: path.into() })?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        Ok((self.open_dir(parent)?, name.to_owned()))
    }

    /// Returns the contents of `path`, if it is a regular file of at most `limit` bytes.
    pub fn read_capped(&self, path: &Path, limit: u64) -> Result<Vec<u8>, FsError> {
        // NONBLOCK: opening a FIFO must not wait for its other end. NOCTTY: a terminal must not become ours.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        read_capped(self.open(path, flags, Mode::empty())?, limit, || {
            self.place(path)
        })
    }

    /// Returns the contents of `path`, if it is a regular file of at most `limit` bytes of UTF-8.
    pub fn read_to_string_capped(&self, path: &Path, limit: u64) -> Result<String, FsError> {
        let bytes = self.read_capped(path, limit)?;
        String::from_utf8(bytes).map_err(|_| FsError::NotText {
            path: self.place(path),
        })
    }

    /// Returns the attributes of what `path` leads to; none if it leads nowhere.
    pub fn stat(&self, path: &Path) -> Result<Option<Stat>, FsError> {
        let found = self
            .resolve(path, OFlags::PATH, Mode::empty())
            .and_then(fstat);
        self.inspected(path, found)
    }

    /// Returns the attributes of the entry `path`, which may be a symbolic link; none if there is none.
    pub fn stat_entry(&self, path: &Path) -> Result<Option<Stat>, FsError> {
        let found = self
            .resolve(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
            .and_then(fstat);
        self.inspected(path, found)
    }

    /// Says whether `path` leads to something.
    pub fn exists(&self, path: &Path) -> Result<bool, FsError> {
        self.stat(path).map(|found| found.is_some())
    }

    /// Returns the text of the symbolic link `path`.
    pub fn read_link(&self, path: &Path) -> Result<PathBuf, FsError> {
        self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
            .and_then(|link| readlinkat(link, "", Vec::new()))
            .map(|text| PathBuf::from(OsString::from_vec(text.into_bytes())))
            .map_err(|source| FsError::Read {
                path: self.place(path),
                source,
            })
    }

    fn create_dir(&self, path: &Path, mode: Mode) -> Result<(), FsError> {
        let Some(name) = path.file_name() else {
            return Ok(());
        };
        let parent = self.open_dir(path.parent().unwrap_or(Path::new("/")))?;
        match mkdirat(parent, name, mode) {
            // Somebody else's directory, or a symbolic link: whether it leads to one shows when it is opened.
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(source) => Err(FsError::Create {
                path: self.place(path),
                source,
            }),
        }
    }

    fn inspected(&self, path: &Path, found: SysResult<Stat>) -> Result<Option<Stat>, FsError> {
        match found {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(source) => Err(FsError::Inspect {
                path: self.place(path),
                source,
            }),
        }
    }

    fn resolve(&self, path: &Path, flags: OFlags, mode: Mode) -> SysResult<OwnedFd> {
        let rules = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut result = Err(Errno::AGAIN);
        for _ in 0..ATTEMPTS {
            result = openat2(&self.dir, path, flags | OFlags::CLOEXEC, mode, rules);
            if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        result
    }

    fn place(&self, path: &Path) -> PathBuf {
        place(&self.dir, path)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}
