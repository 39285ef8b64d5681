//! Removing a tree: all of it, and nothing else.
//!
//! * By descriptor: no symbolic link is followed, and what is renamed meanwhile is not mistaken for something else.
//! * Mount points are never entered: what is mounted below a pod is somebody's volume. They are reported.
//! * Directories without permissions get some first (a user removing his own tree; root needs none).
//! * Depth costs neither stack nor descriptors: a directory [`DEEPEST`] levels down is moved to the top of the tree and
//!   removed from there.
//!
//! What cannot be removed does not keep the rest from being removed; the first failure is returned at the end.

use crate::FsError;
use crate::error::{place, plain};
use crate::names::temp_name;
use hull_sys::{Errno, Result as SysResult};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, chmodat, fchmod, openat,
    openat2, renameat, seek, unlinkat,
};
use std::ffi::{CStr, CString, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// How many directories are open at a time.
const DEEPEST: usize = 64;
/// How often a directory that should be empty is read again: entries may be skipped while others vanish.
const PASSES: usize = 8;
/// So many entries fit into the buffer however long their names are.
const FEW: usize = 64;
/// Room for the entries one `getdents` call returns.
const BUFFER: usize = 32 * 1024;

/// Removes `name` in `dir`, whatever it is, with everything below it. What does not exist is removed already.
pub fn remove_tree(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<(), FsError> {
    let (dir, name) = (dir.as_fd(), plain(name.as_ref())?);
    let name = CString::new(name.as_bytes()).map_err(|_| FsError::BadName {
        name: name.to_owned(),
    })?;
    match unlinkat(dir, &name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(source) => return Err(failure(dir, &name, source)),
    }
    let top = match enter(dir, &name) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(source) => return Err(failure(dir, &name, source)),
    };
    let mut sweep = Sweep {
        top: top.as_fd(),
        removed: 0,
        moved: 0,
        failure: None,
    };
    sweep.finish(dir, &name, top.as_fd(), 1);
    sweep.failure.map_or(Ok(()), Err)
}

/// One removal under way.
struct Sweep<'fd> {
    /// The directory at the top of the tree, to which deep ones are moved.
    top: BorrowedFd<'fd>,
    /// How many entries were removed: as long as it grows, another pass is worth it.
    removed: u64,
    /// How many directories were moved to the top.
    moved: u64,
    /// The first thing that could not be removed.
    failure: Option<FsError>,
}

impl Sweep<'_> {
    /// Removes the directory `name` in `parent`, open as `dir` and `depth` levels down.
    fn finish(&mut self, parent: BorrowedFd<'_>, name: &CStr, dir: BorrowedFd<'_>, depth: usize) {
        for pass in 1.. {
            let (removed, moved) = (self.removed, self.moved);
            self.empty(dir, depth, pass);
            match self.detach(parent, name, AtFlags::REMOVEDIR) {
                Ok(()) => return,
                // Deep directories were moved to the top, which this may be; or entries were skipped or appeared.
                Err(Errno::NOTEMPTY | Errno::EXIST)
                    if self.moved > moved || (self.removed > removed && pass < PASSES) => {}
                Err(source) => return self.note(parent, name, source),
            }
        }
    }

    /// Removes what is in `dir`.
    fn empty(&mut self, dir: BorrowedFd<'_>, depth: usize, pass: usize) {
        match self.unlink_files(dir, pass) {
            Err(source) => self.note(dir, c"", source),
            Ok(directories) => {
                for name in &directories {
                    self.remove_directory(dir, name, depth);
                }
            }
        }
    }

    /// Unlinks what is no directory in `dir`; returns the names of the directories.
    ///
    /// The first pass does not ask whether there is more after a few entries: that the directory goes away says so, too.
    fn unlink_files(&mut self, dir: BorrowedFd<'_>, pass: usize) -> SysResult<Vec<CString>> {
        let mut directories = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        if pass > 1 {
            seek(dir, SeekFrom::Start(0))?;
        }
        let mut entries = RawDir::new(dir, &mut buffer);
        let mut seen = 0;
        loop {
            if pass == 1 && (1..FEW).contains(&seen) && entries.is_buffer_empty() {
                break;
            }
            let Some(entry) = entries.next() else { break };
            let entry = match entry {
                // Somebody else removes the same tree, and was faster here.
                Err(Errno::NOENT) => break,
                entry => entry?,
            };
            seen += 1;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if entry.file_type() == FileType::Directory {
                directories.push(name.to_owned());
                continue;
            }
            match self.detach(dir, name, AtFlags::empty()) {
                Ok(()) => {}
                // File systems that do not say what an entry is.
                Err(Errno::ISDIR) => directories.push(name.to_owned()),
                Err(source) => self.note(dir, name, source),
            }
        }
        Ok(directories)
    }

    fn remove_directory(&mut self, parent: BorrowedFd<'_>, name: &CStr, depth: usize) {
        if depth >= DEEPEST {
            return self.move_up(parent, name);
        }
        match enter(parent, name) {
            Ok(dir) => self.finish(parent, name, dir.as_fd(), depth + 1),
            Err(Errno::NOENT) => {}
            Err(source) => self.note(parent, name, source),
        }
    }

    /// Moves a directory to the top of the tree, where it is found in the next pass.
    fn move_up(&mut self, parent: BorrowedFd<'_>, name: &CStr) {
        let temp = match temp_name() {
            Ok(temp) => temp,
            Err(failure) => {
                self.failure.get_or_insert(failure);
                return;
            }
        };
        let moved = renameat(parent, name, self.top, &temp).or_else(|errno| match errno {
            // A directory that changes its parent is written to.
            Errno::ACCESS => {
                permit(parent, name).and_then(|()| renameat(parent, name, self.top, &temp))
            }
            errno => Err(errno),
        });
        match moved {
            Ok(()) | Err(Errno::NOENT) => self.moved += 1,
            Err(source) => self.note(parent, name, source),
        }
    }

    /// Takes the entry `name` out of `dir`, which gets the permissions for that if it lacks them.
    fn detach(&mut self, dir: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> SysResult<()> {
        let removed = unlinkat(dir, name, flags).or_else(|errno| match errno {
            Errno::ACCESS => fchmod(dir, Mode::RWXU).and_then(|()| unlinkat(dir, name, flags)),
            errno => Err(errno),
        });
        match removed {
            Ok(()) | Err(Errno::NOENT) => {
                self.removed += 1;
                Ok(())
            }
            Err(errno) => Err(errno),
        }
    }

    fn note(&mut self, dir: BorrowedFd<'_>, name: &CStr, source: Errno) {
        self.failure
            .get_or_insert_with(|| failure(dir, name, source));
    }
}

/// Opens the directory `name` in `parent` to read it, unless it is a symbolic link or a mount point (`EXDEV`).
fn enter(parent: BorrowedFd<'_>, name: &CStr) -> SysResult<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let rules = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    let open = || openat2(parent, name, flags, Mode::empty(), rules);
    match open() {
        Err(Errno::ACCESS) => permit(parent, name).and_then(|()| open()),
        result => result,
    }
}

/// Gives the owner every permission on the directory `name` in `parent`.
fn permit(parent: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
    // chmod follows links: so not by name, but through a descriptor that is surely the directory. One that may not be
    // read can be opened only as O_PATH, on which fchmod does not work; its link in /proc does.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = openat(parent, name, flags, Mode::empty())?;
    let link = format!("/proc/self/fd/{}", dir.as_raw_fd());
    chmodat(CWD, link, Mode::RWXU, AtFlags::empty())
}

fn failure(dir: BorrowedFd<'_>, name: &CStr, source: Errno) -> FsError {
    let path: PathBuf = place(dir, OsStr::from_bytes(name.to_bytes()));
    match source {
        // EXDEV from entering, EBUSY from unlinking or moving it.
        Errno::XDEV | Errno::BUSY => FsError::MountPoint { path },
        source => FsError::Remove { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkdirat;
    use std::fs::{self, File};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    fn home() -> (tempfile::TempDir, File) {
        let home = tempfile::tempdir().unwrap();
        let dir = File::open(home.path()).unwrap();
        (home, dir)
    }

    /// Makes `depth` directories inside each other, with a file in each; too deep for any path.
    fn deep_tree(dir: &File, depth: usize) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut current = openat(dir, c".", flags, Mode::empty()).unwrap();
        for level in 0..depth {
            let name = if level == 0 { c"tree" } else { c"down" };
            mkdirat(&current, name, Mode::RWXU).unwrap();
            current = openat(&current, name, flags, Mode::empty()).unwrap();
            let create = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(&current, c"file", create, Mode::RUSR).unwrap();
        }
    }

    #[test]
    fn file_link_directory_and_nothing_are_removed() {
        let (home, dir) = home();
        let path = |name: &str| home.path().join(name);
        File::create(path("file")).unwrap();
        symlink("/", path("link")).unwrap();
        fs::create_dir_all(path("directory/a/b")).unwrap();
        File::create(path("directory/a/b/c")).unwrap();
        for name in ["file", "link", "directory", "nothing"] {
            remove_tree(&dir, name).unwrap();
        }
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let (home, dir) = home();
        let (keep, tree) = (home.path().join("keep"), home.path().join("tree"));
        fs::create_dir(&keep).unwrap();
        File::create(keep.join("precious")).unwrap();
        fs::create_dir(&tree).unwrap();
        symlink(&keep, tree.join("absolute")).unwrap();
        symlink("../keep", tree.join("relative")).unwrap();
        symlink("..", tree.join("up")).unwrap();
        remove_tree(&dir, "tree").unwrap();
        assert!(!tree.exists() && keep.join("precious").exists());
    }

    #[test]
    fn five_thousand_levels_are_removed() {
        let (home, dir) = home();
        deep_tree(&dir, 5000);
        remove_tree(&dir, "tree").unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn many_entries_are_removed() {
        let (home, dir) = home();
        for number in 0..3000 {
            File::create(home.path().join(format!("{number}"))).unwrap();
        }
        for number in 0..300 {
            fs::create_dir_all(home.path().join(format!("tree/{number}/{number}"))).unwrap();
        }
        let parent = File::open(home.path().parent().unwrap()).unwrap();
        remove_tree(parent, home.path().file_name().unwrap()).unwrap();
        assert!(rustix::fs::statat(&dir, c"tree", AtFlags::empty()).is_err());
        assert!(!home.path().exists());
    }

    #[test]
    fn several_may_remove_one_tree_at_once() {
        let (home, dir) = home();
        for _ in 0..6 {
            for number in 0..40 {
                fs::create_dir_all(home.path().join(format!("tree/{number}/work/work"))).unwrap();
            }
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| remove_tree(&dir, "tree").unwrap());
                }
            });
            assert!(!home.path().join("tree").exists());
        }
    }

    #[test]
    fn only_an_entry_can_be_removed() {
        let (_home, dir) = home();
        for name in ["", ".", "..", "a/b", "/tmp"] {
            let error = remove_tree(&dir, name).unwrap_err();
            assert!(matches!(error, FsError::BadName { .. }), "{name}: {error}");
        }
    }

    /// Runs `act` without the capabilities that let root ignore permissions.
    fn without_override(act: impl FnOnce() + Send) {
        use hull_sys::caps::{CapSet, CapSets, current, set};
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let sets = current().unwrap();
                let none = CapSet::DAC_OVERRIDE | CapSet::DAC_READ_SEARCH;
                set(CapSets {
                    effective: sets.effective - none,
                    ..sets
                })
                .unwrap();
                act();
            });
        });
    }

    #[test]
    fn directories_without_permissions_get_some() {
        let (home, dir) = home();
        let path = |name: &str| home.path().join(name);
        fs::create_dir_all(path("tree/closed/below")).unwrap();
        File::create(path("tree/closed/below/file")).unwrap();
        fs::create_dir_all(path("tree/unwritable/below")).unwrap();
        let chmod = |name: &str, mode| {
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        chmod("tree/closed/below", 0o500);
        chmod("tree/closed", 0);
        chmod("tree/unwritable/below", 0o111);
        chmod("tree/unwritable", 0o555);
        chmod("tree", 0o300);
        without_override(|| remove_tree(&dir, "tree").unwrap());
        assert!(!path("tree").exists());
    }

    #[test]
    fn deep_directories_without_permissions_are_removed() {
        let (home, dir) = home();
        let mut path = home.path().join("tree");
        (0..100).for_each(|_| path.push("d"));
        fs::create_dir_all(&path).unwrap();
        while path != home.path() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o100)).unwrap();
            path.pop();
        }
        without_override(|| remove_tree(&dir, "tree").unwrap());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_fails_is_named_and_the_rest_is_removed() {
        let (home, dir) = home();
        let path = |name: &str| home.path().join(name);
        for name in ["tree/a/x", "tree/kept/inside", "tree/z/x"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        let Some(mount) = mount_on(&path("tree/kept")) else {
            return eprintln!("needs root");
        };
        File::create(path("tree/kept/precious")).unwrap();
        let error = remove_tree(&dir, "tree").unwrap_err();
        assert!(path("tree/kept/precious").exists());
        assert!(!path("tree/a").exists() && !path("tree/z").exists());
        let kept = path("tree/kept");
        assert!(
            matches!(&error, FsError::MountPoint { path } if *path == kept),
            "{error}"
        );
        assert!(matches!(
            remove_tree(mount.parent(), "kept"),
            Err(FsError::MountPoint { .. })
        ));
        assert!(path("tree/kept/precious").exists());
        drop(mount);
        remove_tree(&dir, "tree").unwrap();
    }

    /// A tmpfs, mounted as long as this lives.
    struct Mount(PathBuf);

    impl Mount {
        fn parent(&self) -> File {
            File::open(self.0.parent().unwrap()).unwrap()
        }
    }

    impl Drop for Mount {
        fn drop(&mut self) {
            rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).unwrap();
        }
    }

    fn mount_on(path: &Path) -> Option<Mount> {
        let flags = rustix::mount::MountFlags::empty();
        match rustix::mount::mount("tmpfs", path, "tmpfs", flags, c"") {
            Ok(()) => Some(Mount(path.to_owned())),
            Err(Errno::PERM) => None,
            Err(errno) => panic!("{errno}"),
        }
    }
}
