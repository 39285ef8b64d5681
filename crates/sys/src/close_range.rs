//! Closing, or marking close-on-exec, many descriptors at once: `close_range(2)`, Linux 5.9 (the flag: 5.11).

use crate::{Result, call};
use std::os::fd::RawFd;

/// Marks every open descriptor from `first` on close-on-exec.
///
/// This is safe where closing them would not be: their owners in this process stay right until the `exec`.
///
/// <https://man7.org/linux/man-pages/man2/close_range.2.html>
pub fn set_cloexec_from(first: RawFd) -> Result<()> {
    set_cloexec(first, RawFd::MAX)
}

/// Marks every open descriptor from `first` to `last` (both included) close-on-exec.
pub fn set_cloexec(first: RawFd, last: RawFd) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    let (first, last) = (first.max(0).unsigned_abs(), last.max(0).unsigned_abs());
    // SAFETY: with CLOSE_RANGE_CLOEXEC nothing is closed, so no owner of a descriptor in the range is invalidated.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, CLOSE_RANGE_CLOEXEC) };
    call::long(result).map(drop)
}

/// Closes every descriptor from `first` on, whoever owns it.
///
/// For the copy of a process that shall hold nothing of what it was copied from and never goes back into the code that owns
/// the descriptors (a container's small init): whatever there still holds a number would close or use a stranger's file.
pub fn close_from(first: RawFd) -> Result<()> {
    // SAFETY: the call touches no memory. What it does to owners of descriptors is the caller's promise above: none of their
    // code runs again in this process.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    call::long(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
    use std::fs::File;
    use std::os::fd::AsRawFd;

    #[test]
    fn only_the_range_is_marked() {
        // Far from where the other tests of this process open theirs.
        let file = File::open("/").unwrap();
        let far = |number| rustix::io::fcntl_dupfd_cloexec(&file, number).unwrap();
        let files = [far(700), far(701), far(702)];
        for file in &files {
            fcntl_setfd(file, FdFlags::empty()).unwrap();
        }
        set_cloexec(files[0].as_raw_fd(), files[1].as_raw_fd()).unwrap();
        let marked = files
            .each_ref()
            .map(|file| fcntl_getfd(file).unwrap().contains(FdFlags::CLOEXEC));
        assert_eq!(marked, [true, true, false]);
        set_cloexec_from(files[2].as_raw_fd()).unwrap();
        assert_eq!(fcntl_getfd(&files[2]).unwrap(), FdFlags::CLOEXEC);
    }
}
