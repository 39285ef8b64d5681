//! Locks that belong to an open file description (`F_OFD_SETLK`): inherited with the descriptor across `fork` and `exec`,
//! gone when its last copy is closed, and asked about without being taken.
//!
//! They cover the whole file. An exclusive lock needs the file open for writing, a shared one for reading.

use crate::{Errno, Result, call};
use libc::{c_int, c_short};
use std::os::fd::{AsFd, AsRawFd};

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Together with other shared holders.
    Shared,
    /// Alone.
    Exclusive,
}

/// Takes the lock without waiting; `false` when somebody else is in the way.
///
/// <https://man7.org/linux/man-pages/man2/F_OFD_SETLK.2const.html>
pub fn try_lock(file: impl AsFd, kind: Kind) -> Result<bool> {
    match fcntl(file, libc::F_OFD_SETLK, &mut whole_file(kind.raw())) {
        Ok(()) => Ok(true),
        // POSIX lets the kernel choose between the two.
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Takes the lock, waiting for whoever is in the way. `EINTR`: a signal handler ran meanwhile.
pub fn lock(file: impl AsFd, kind: Kind) -> Result<()> {
    fcntl(file, libc::F_OFD_SETLKW, &mut whole_file(kind.raw()))
}

/// Gives the lock back, for every copy of the descriptor.
pub fn unlock(file: impl AsFd) -> Result<()> {
    fcntl(file, libc::F_OFD_SETLK, &mut whole_file(libc::F_UNLCK))
}

/// Says how somebody *else* (another open file description) holds the lock, without touching it.
///
/// Any access mode will do, even of a file system mounted read-only. One's own lock is not seen.
pub fn holder(file: impl AsFd) -> Result<Option<Kind>> {
    let mut answer = whole_file(libc::F_WRLCK);
    fcntl(file, libc::F_OFD_GETLK, &mut answer)?;
    Ok(match c_int::from(answer.l_type) {
        libc::F_UNLCK => None,
        libc::F_RDLCK => Some(Kind::Shared),
        _ => Some(Kind::Exclusive),
    })
}

impl Kind {
    fn raw(self) -> c_int {
        match self {
            Self::Shared => libc::F_RDLCK,
            Self::Exclusive => libc::F_WRLCK,
        }
    }
}

/// The lock from the first byte to the end, however far that moves.
fn whole_file(kind: c_int) -> libc::flock {
    let short = |value: c_int| c_short::try_from(value).expect("lock kinds are single digits");
    // `l_pid` has to be 0 for these locks.
    libc::flock {
        l_type: short(kind),
        l_whence: short(libc::SEEK_SET),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn fcntl(file: impl AsFd, command: c_int, lock: &mut libc::flock) -> Result<()> {
    // SAFETY: the three commands used here read and write one `struct flock`, which `lock` is.
    let result = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, &raw mut *lock) };
    call::int(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};

    fn twice() -> (File, File) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(file.path())
                .unwrap()
        };
        (open(), open())
    }

    #[test]
    fn an_exclusive_lock_keeps_the_other_out_until_it_is_given_back() {
        let (one, other) = twice();
        assert!(try_lock(&one, Kind::Exclusive).unwrap());
        assert!(!try_lock(&other, Kind::Exclusive).unwrap());
        assert!(!try_lock(&other, Kind::Shared).unwrap());
        unlock(&one).unwrap();
        assert!(try_lock(&other, Kind::Exclusive).unwrap());
    }

    #[test]
    fn shared_locks_live_together() {
        let (one, other) = twice();
        assert!(try_lock(&one, Kind::Shared).unwrap());
        lock(&other, Kind::Shared).unwrap();
        assert!(!try_lock(&other, Kind::Exclusive).unwrap());
        assert_eq!(holder(&other).unwrap(), Some(Kind::Shared));
    }

    #[test]
    fn asking_sees_others_but_not_oneself_and_takes_nothing() {
        let (one, other) = twice();
        assert_eq!(holder(&other).unwrap(), None);
        assert!(try_lock(&one, Kind::Exclusive).unwrap());
        assert_eq!(holder(&other).unwrap(), Some(Kind::Exclusive));
        assert_eq!(holder(&one).unwrap(), None);
        assert_eq!(holder(one.try_clone().unwrap()).unwrap(), None);
        drop(one);
        assert_eq!(holder(&other).unwrap(), None);
    }

    #[test]
    fn the_lock_lives_until_the_last_copy_of_the_descriptor_is_closed() {
        let (one, other) = twice();
        assert!(try_lock(&one, Kind::Exclusive).unwrap());
        let copy = one.try_clone().unwrap();
        drop(one);
        assert!(!try_lock(&other, Kind::Exclusive).unwrap());
        drop(copy);
        assert!(try_lock(&other, Kind::Exclusive).unwrap());
    }

    #[test]
    fn an_exclusive_lock_needs_a_file_open_for_writing() {
        let file = File::open("/etc/passwd").unwrap();
        assert_eq!(try_lock(&file, Kind::Exclusive).unwrap_err(), Errno::BADF);
        assert_eq!(holder(&file).unwrap(), None);
    }
}
