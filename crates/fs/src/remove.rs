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
        failure: None,
    };
    sweep.finish(dir, &name, top.as_fd(), 1);
    sweep.failure.map_or(Ok(()), Err)
}

/// One removal under way.
struct Sweep<'fd> {
    /// The directory at the top of the tree, to which deep ones are moved.
    top: BorrowedFd<'fd>,
    /// How many entries were removed from where they were: as long as it grows, another pass is worth it.
    removed: u64,
    /// The first thing that could not be removed.
    failure: Option<FsError>,
}

impl Sweep<'_> {
    /// Removes the directory `name` in `parent`, open as `dir` and `depth` levels down.
    fn finish(&mut self, parent: BorrowedFd<'_>, name: &CStr, dir: BorrowedFd<'_>, depth: usize) {
        for _ in 0..PASSES {
            self.empty(dir, depth);
            match self.detach(parent, name, AtFlags::REMOVEDIR) {
                Ok(()) => return,
                Err(Errno::NOTEMPTY | Errno::EXIST) if self.failure.is_none() => {}
                Err(source) => return self.note(parent, name, source),
            }
        }
        self.note(parent, name, Errno::NOTEMPTY);
    }

    /// Removes what is in `dir`.
    fn empty(&mut self, dir: BorrowedFd<'_>, depth: usize) {
        loop {
            let before = self.removed;
            let directories = match self.unlink_files(dir) {
                Ok(directories) => directories,
                Err(source) => return self.note(dir, c"", source),
            };
            if directories.is_empty() {
                return;
            }
            for name in &directories {
                self.remove_directory(dir, name, depth);
            }
            // Once more: those too deep have arrived at the top by now.
            if self.removed == before {
                return;
            }
        }
    }

    /// Unlinks what is no directory in `dir`; returns the names of the directories.
    fn unlink_files(&mut self, dir: BorrowedFd<'_>) -> SysResult<Vec<CString>> {
        let mut directories = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        seek(dir, SeekFrom::Start(0))?;
        let mut entries = RawDir::new(dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
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
            Ok(()) | Err(Errno::NOENT) => self.removed += 1,
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
