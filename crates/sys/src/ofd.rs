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
