//! Descriptors that a program was started with.

use crate::{Errno, Result, call};
use rustix::io::{FdFlags, fcntl_setfd};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// One at a time: between the question whether a number was inherited and its mark that it is taken nobody else may ask.
static TURN: Mutex<()> = Mutex::new(());

/// Takes over a descriptor that the caller of this program left open under an agreed number, 3 or more, and makes it
/// close-on-exec. To be called first thing in `main`, before the program opens anything.
///
/// `EBADF`: nothing is open there. `EBUSY`: this number was taken before, or is close-on-exec and so was opened by this
/// very program. `EINVAL`: the number is out of range.
pub fn take(number: RawFd) -> Result<OwnedFd> {
    if number < 3 {
        return Err(Errno::INVAL);
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // rustix asks for a descriptor, and there is none before this is known.
    // SAFETY: F_GETFD reads a flag and touches no memory, whatever the number stands for.
    let flags = call::int(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    // What came through an exec is not close-on-exec; what the standard library and Hull open themselves is. So a number
    // that some owner in this program closes one day is not given to a second one.
    if flags & libc::FD_CLOEXEC != 0 {
        return Err(Errno::BUSY);
    }
    // SAFETY: the number is open and came with the program (asked above), so nothing here has opened or owns it; once
    // taken it is close-on-exec, and not given away again.
    let file = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&file, FdFlags::CLOEXEC)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    //! What was really inherited is taken in `tests/processes.rs`.
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_this_program_opened_is_not_taken() {
        let file = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), 40).unwrap();
        assert_eq!(take(file.as_raw_fd()).unwrap_err(), Errno::BUSY);
        assert_eq!(take(63).unwrap_err(), Errno::BADF);
        for number in [-1, 0, 2] {
            assert_eq!(take(number).unwrap_err(), Errno::INVAL);
        }
    }
}
