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
        Ok((self.open_dir(parent(path))?, name.to_owned()))
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
        match mkdirat(self.open_dir(parent(path))?, name, mode) {
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

/// Returns the directory part of `path`; of a single name it is the root, as the kernel knows no empty path.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("/"),
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::FileType;
    use std::fs::{self, File};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    const DIRS: Mode = Mode::RWXU;

    /// `outside/secret` and `root/etc/passwd`, the latter directory as a root.
    fn home() -> (tempfile::TempDir, Root) {
        let home = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::io::Write::write_all(&mut File::create(path).unwrap(), text.as_bytes()).unwrap();
        };
        write("outside/secret", "host's");
        write("root/etc/passwd", "container's");
        let root = Root::open_path(&home.path().join("root")).unwrap();
        (home, root)
    }

    fn read(root: &Root, path: &str) -> Result<String, FsError> {
        root.read_to_string_capped(Path::new(path), 1000)
    }

    #[test]
    fn root_and_dots_are_those_inside() {
        let (_home, root) = home();
        for path in [
            "etc/passwd",
            "/etc/passwd",
            "/../../etc/passwd",
            "etc/../../etc/./passwd",
        ] {
            assert_eq!(read(&root, path).unwrap(), "container's", "{path}");
        }
        assert!(read(&root, "../outside/secret").unwrap_err().is_not_found());
    }

    #[test]
    fn symbolic_links_stay_inside() {
        let (home, root) = home();
        let link = |text: &Path, name: &str| symlink(text, home.path().join("root").join(name));
        link(Path::new("/etc/passwd"), "absolute").unwrap();
        link(Path::new("../../../../../../etc/passwd"), "dots").unwrap();
        link(&home.path().join("outside/secret"), "out").unwrap();
        link(Path::new("/../outside/secret"), "out-by-dots").unwrap();
        link(Path::new("second"), "first").unwrap();
        link(Path::new("/third"), "second").unwrap();
        link(Path::new("etc/../../../outside/../etc"), "third").unwrap();
        link(Path::new("loop"), "loop").unwrap();
        assert_eq!(read(&root, "absolute").unwrap(), "container's");
        assert_eq!(read(&root, "dots").unwrap(), "container's");
        for path in ["out", "out-by-dots", "first/passwd", "out/x"] {
            assert!(read(&root, path).unwrap_err().is_not_found(), "{path}");
        }
        assert_eq!(read(&root, "loop").unwrap_err().errno(), Some(Errno::LOOP));
        assert_eq!(
            root.read_link(Path::new("first")).unwrap(),
            Path::new("second")
        );
    }

    #[test]
    fn magic_links_are_refused() {
        let root = Root::open_path(Path::new("/proc")).unwrap();
        let home = tempfile::tempdir().unwrap();
        let open = File::open(home.path()).unwrap();
        let process = rustix::process::getpid();
        for path in [
            format!("{process}/root"),
            format!("{process}/cwd/x"),
            format!("{process}/exe"),
            format!("{process}/fd/{}", open.as_raw_fd()),
        ] {
            let error = root
                .open(Path::new(&path), OFlags::PATH, Mode::empty())
                .unwrap_err();
            assert_eq!(error.errno(), Some(Errno::LOOP), "{path}");
        }
    }

    #[test]
    fn directories_are_made_inside_through_links() {
        let (home, root) = home();
        let inside = home.path().join("root");
        symlink("/real", inside.join("link")).unwrap();
        fs::create_dir(inside.join("real")).unwrap();
        root.create_dir_all(Path::new("/link/../link/a//b/./c"), DIRS)
            .unwrap();
        assert!(inside.join("real/a/b/c").is_dir());
        // Again, and with dots that go above the root.
        root.create_dir_all(Path::new("../../link/a/b/c"), DIRS)
            .unwrap();
        root.create_dir_all(Path::new("new/../../made"), DIRS)
            .unwrap();
        assert!(inside.join("made").is_dir() && inside.join("new").is_dir());
        assert!(!home.path().join("made").exists());
        root.create_dir_all(Path::new("/"), DIRS).unwrap();
        let mode = fs::metadata(inside.join("real/a"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn directories_are_not_made_where_a_link_points_to() {
        let (home, root) = home();
        let inside = home.path().join("root");
        symlink(home.path().join("outside/made"), inside.join("dangling")).unwrap();
        assert!(
            root.create_dir_all(Path::new("dangling/x"), DIRS)
                .unwrap_err()
                .is_not_found()
        );
        assert!(!home.path().join("outside/made").exists());
        let error = root
            .create_dir_all(Path::new("etc/passwd/x"), DIRS)
            .unwrap_err();
        assert_eq!(error.errno(), Some(Errno::NOTDIR));
    }

    #[test]
    fn parent_and_name_of_an_entry_are_told_without_following_it() {
        let (home, root) = home();
        symlink("/etc", home.path().join("root/link")).unwrap();
        let (dir, name) = root.parent_of(Path::new("/link/new")).unwrap();
        assert_eq!(name, "new");
        mkdirat(&dir, &name, DIRS).unwrap();
        assert!(home.path().join("root/etc/new").is_dir());
        let (dir, name) = root.parent_of(Path::new("link")).unwrap();
        assert_eq!(name, "link");
        rustix::fs::unlinkat(dir, name, rustix::fs::AtFlags::empty()).unwrap();
        assert!(home.path().join("root/etc").exists());
        for path in ["/", "", "..", "etc/.."] {
            let error = root.parent_of(Path::new(path)).unwrap_err();
            assert!(matches!(error, FsError::BadName { .. }), "{path}: {error}");
        }
    }

    #[test]
    fn what_is_too_large_or_no_file_is_not_read() {
        let (home, root) = home();
        let passwd = Path::new("etc/passwd");
        assert_eq!(root.read_capped(passwd, 11).unwrap(), b"container's");
        let error = root.read_capped(passwd, 10).unwrap_err();
        assert!(
            matches!(error, FsError::TooLarge { limit: 10, .. }),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .ends_with("root/etc/passwd is larger than 10 bytes")
        );
        assert!(matches!(
            read(&root, "etc").unwrap_err(),
            FsError::NotRegular { .. }
        ));
        let fifo = home.path().join("root/fifo");
        assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
        assert!(matches!(
            read(&root, "fifo").unwrap_err(),
            FsError::NotRegular { .. }
        ));
    }

    #[test]
    fn attributes_are_those_of_the_target() {
        let (home, root) = home();
        symlink("/etc", home.path().join("root/link")).unwrap();
        symlink("/nowhere", home.path().join("root/dangling")).unwrap();
        let kind = |stat: Option<Stat>| stat.map(|stat| FileType::from_raw_mode(stat.st_mode));
        let link = Path::new("link");
        assert_eq!(kind(root.stat(link).unwrap()), Some(FileType::Directory));
        assert!(root.exists(link).unwrap());
        assert!(!root.exists(Path::new("dangling")).unwrap());
        assert!(!root.exists(Path::new("etc/passwd/below")).unwrap());
    }

    #[test]
    fn nothing_leaks_while_directories_are_swapped_for_links() {
        let (home, root) = home();
        let inside = home.path().join("root");
        fs::create_dir(inside.join("a")).unwrap();
        File::create(inside.join("a/secret")).unwrap();
        symlink(home.path().join("outside"), inside.join("b")).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let exchange = rustix::fs::RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(&root, "a", &root, "b", exchange).unwrap();
                }
            });
            for _ in 0..3000 {
                if let Ok(text) = read(&root, "a/../a/secret") {
                    assert_eq!(text, "");
                }
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
