//! Locks that say "somebody is at it" for as long as a descriptor lives.
//!
//! A lock belongs to an open file description: every copy of the descriptor, in any process, is the same holder, and the
//! kernel gives it back when the last copy is closed, by `kill -9` too. That is how a pod's lock passes from the command
//! that makes the pod to its monitor. Readers ask without taking ([`Lock::held_by_someone`]), so they disturb nobody.
//!
//! Dropping a [`Lock`] closes one copy and does *not* unlock: a forked child that drops its copy must not take the lock
//! away from its parent. [`Lock::release`] gives it back for all copies.

use crate::FsError;
use crate::error::{place, plain};
use hull_sys::ofd::{self, Kind};
use hull_sys::{Errno, Result as SysResult};
use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, statat};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A lock that is held.
#[derive(Debug)]
pub struct Lock {
    file: OwnedFd,
}

impl Lock {
    /// Waits for the exclusive lock on `file`, which must be open for writing.
    pub fn acquire(file: impl Into<OwnedFd>) -> Result<Self, FsError> {
        Self::wait(file.into(), Kind::Exclusive)
    }

    /// Waits for a shared lock on `file`, which must be open for reading.
    pub fn acquire_shared(file: impl Into<OwnedFd>) -> Result<Self, FsError> {
        Self::wait(file.into(), Kind::Shared)
    }

    /// Takes the exclusive lock if nobody is in the way.
    pub fn try_acquire(file: impl Into<OwnedFd>) -> Result<Option<Self>, FsError> {
        Self::attempt(file.into(), Kind::Exclusive)
    }

    /// Waits for the exclusive lock on the file `name` in `dir`, which is made if it does not exist.
    ///
    /// If the file is removed or replaced while we wait, the lock on it means nothing any more and we begin again: when
    /// this returns, the file that bears the name is the one that is locked.
    pub fn acquire_at(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<Self, FsError> {
        let (dir, name) = (dir.as_fd(), plain(name.as_ref())?);
        loop {
            let lock = Self::acquire(open_to_lock(dir, name)?)?;
            if lock.is_named(dir, name)? {
                return Ok(lock);
            }
        }
    }

    /// Says whether another open file description holds the lock on the file `name` in `dir`, without taking it.
    ///
    /// A file that does not exist is held by nobody. A lock this process holds counts, as `dir/name` is opened anew.
    pub fn held_by_someone(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<bool, FsError> {
        let (dir, name) = (dir.as_fd(), plain(name.as_ref())?);
        // NONBLOCK: it might be a FIFO; nobody shall wait here.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match openat(dir, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(false),
            Err(source) => {
                return Err(FsError::Open {
                    path: place(dir, name),
                    source,
                });
            }
        };
        match ofd::holder(&file) {
            Ok(holder) => Ok(holder.is_some()),
            Err(source) => Err(FsError::Lock {
                path: place(dir, name),
                source,
            }),
        }
    }

    /// Gives out the descriptor; the lock lives as long as it and its copies do.
    pub fn into_fd(self) -> OwnedFd {
        self.file
    }

    /// Gives the lock back now, even if other processes have copies of the descriptor.
    pub fn release(self) -> Result<(), FsError> {
        ofd::unlock(&self.file).map_err(|source| self.failed(source))
    }

    fn wait(file: OwnedFd, kind: Kind) -> Result<Self, FsError> {
        let lock = Self { file };
        match retry_interrupted(|| ofd::lock(&lock.file, kind)) {
            Ok(()) => Ok(lock),
            Err(source) => Err(lock.failed(source)),
        }
    }

    fn attempt(file: OwnedFd, kind: Kind) -> Result<Option<Self>, FsError> {
        let lock = Self { file };
        match ofd::try_lock(&lock.file, kind) {
            Ok(true) => Ok(Some(lock)),
            Ok(false) => Ok(None),
            Err(source) => Err(lock.failed(source)),
        }
    }

    /// Says whether `name` in `dir` is the file that is locked here.
    fn is_named(&self, dir: BorrowedFd<'_>, name: &OsStr) -> Result<bool, FsError> {
        let failed = |source| FsError::Inspect {
            path: place(dir, name),
            source,
        };
        let ours = fstat(&self.file).map_err(failed)?;
        match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) => Ok((named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(source) => Err(failed(source)),
        }
    }

    fn failed(&self, source: Errno) -> FsError {
        FsError::Lock {
            path: place(&self.file, ""),
            source,
        }
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn open_to_lock(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, FsError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::RUSR | Mode::WUSR).map_err(|source| FsError::Create {
        path: place(dir, name),
        source,
    })
}

fn retry_interrupted(mut call: impl FnMut() -> SysResult<()>) -> SysResult<()> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::process::{Child, Command, Stdio};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A directory with a file called `lock`, and a function that opens it anew.
    fn home() -> (tempfile::TempDir, File) {
        let home = tempfile::tempdir().unwrap();
        File::create(home.path().join("lock")).unwrap();
        let dir = File::open(home.path()).unwrap();
        (home, dir)
    }

    fn held(dir: &File) -> bool {
        Lock::held_by_someone(dir, "lock").unwrap()
    }

    #[test]
    fn asking_disturbs_nobody() {
        let (_home, dir) = home();
        assert!(!held(&dir));
        let lock = Lock::acquire_at(&dir, "lock").unwrap();
        assert!(held(&dir));
        drop(lock);
        assert!(!held(&dir));
        let _lock = Lock::acquire_at(&dir, "lock").unwrap();
    }

    #[test]
    fn absent_file_is_held_by_nobody_and_stays_absent() {
        let (home, dir) = home();
        assert!(!Lock::held_by_someone(&dir, "other").unwrap());
        assert!(!home.path().join("other").exists());
    }

    #[test]
    fn shared_holders_keep_the_exclusive_one_out() {
        let (home, dir) = home();
        let open = || File::open(home.path().join("lock")).unwrap();
        let first = Lock::acquire_shared(open()).unwrap();
        let second = Lock::acquire_shared(open()).unwrap();
        let exclusive = || Lock::try_acquire(open_to_lock(dir.as_fd(), "lock".as_ref()).unwrap());
        assert!(exclusive().unwrap().is_none());
        drop((first, second));
        assert!(exclusive().unwrap().is_some());
    }

    /// Another process that has a copy of the lock's descriptor, as its standard input.
    fn process_with(lock: OwnedFd) -> Child {
        Command::new("sleep")
            .arg("60")
            .stdin(Stdio::from(lock))
            .spawn()
            .unwrap()
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn lock_lives_in_another_program_and_dies_with_it() {
        let (_home, dir) = home();
        let lock = Lock::acquire_at(&dir, "lock").unwrap();
        let child = process_with(lock.into_fd());
        assert!(held(&dir));
        end(child); // kill -9
        assert!(!held(&dir));
    }

    #[test]
    fn lock_survives_the_death_of_one_of_two_holders() {
        let (_home, dir) = home();
        let lock = Lock::acquire_at(&dir, "lock").unwrap();
        end(process_with(lock.as_fd().try_clone_to_owned().unwrap()));
        assert!(held(&dir));
    }

    #[test]
    fn release_takes_it_from_every_copy() {
        let (_home, dir) = home();
        let lock = Lock::acquire_at(&dir, "lock").unwrap();
        let child = process_with(lock.as_fd().try_clone_to_owned().unwrap());
        lock.release().unwrap();
        assert!(!held(&dir));
        end(child);
    }

    #[test]
    fn waiter_does_not_end_up_with_the_lock_of_a_removed_file() {
        let (home, dir) = home();
        let first = Lock::acquire_at(&dir, "lock").unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| Lock::acquire_at(&dir, "lock").unwrap());
            std::thread::sleep(std::time::Duration::from_millis(50));
            std::fs::remove_file(home.path().join("lock")).unwrap();
            drop(first);
            let second = waiter.join().unwrap();
            // The file that bears the name now is the one that is locked.
            assert!(held(&dir));
            drop(second);
        });
    }

    #[test]
    fn one_at_a_time_among_many_threads() {
        let (_home, dir) = home();
        let (inside, entered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let _lock = Lock::acquire_at(&dir, "lock").unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        entered.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(entered.into_inner(), 200);
    }
}
