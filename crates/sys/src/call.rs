//! From what libc returns to a [`Result`].

use crate::{Errno, Result};
use libc::{c_int, c_long};
use std::io;

/// Returns the errno the last failed libc call left behind.
pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// Returns `value`, or the errno when it is negative: the convention of `syscall(2)`.
pub(crate) fn long(value: c_long) -> Result<c_long> {
    if value < 0 {
        Err(last_errno())
    } else {
        Ok(value)
    }
}

/// Returns `value`, or the errno when it is negative: the convention of most libc functions.
pub(crate) fn int(value: c_int) -> Result<c_int> {
    if value < 0 {
        Err(last_errno())
    } else {
        Ok(value)
    }
}

/// Returns a descriptor number the kernel handed out as a `syscall(2)` result.
pub(crate) fn fd(value: c_long) -> Result<c_int> {
    long(value).map(|value| c_int::try_from(value).expect("descriptors are ints"))
}
