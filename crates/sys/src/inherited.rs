//! Descriptors that a program was started with.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::{Errno, FdFlags, fcntl_setfd};

use crate::Result;

/// Numbers already taken, one bit each.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Takes over a descriptor that the caller of this program left open under an agreed number, 3 to 63, and makes it
/// close-on-exec. To be called first thing in `main`, before the program opens anything.
///
/// `EBADF`: nothing is open there. `EBUSY`: this number was taken before. `EINVAL`: the number is out of range.
pub fn take(number: RawFd) -> Result<OwnedFd> {
    if !(3..64).contains(&number) {
        return Err(Errno::INVAL);
    }
    // F_GETFD on a number: rustix wants a descriptor, and there is none before this is known.
    // SAFETY: F_GETFD reads a flag and touches no memory, whatever the number stands for.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(Errno::BADF);
    }
    let bit = 1 << number;
    if TAKEN.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return Err(Errno::BUSY);
    }
    // SAFETY: the number is open (asked above), the program was started with it by agreement, so nothing here has opened or
    // owns it, and TAKEN gives each number away once.
    let file = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&file, FdFlags::CLOEXEC)?;
    Ok(file)
}
