//! Entering and leaving namespaces. All of it concerns the calling thread only.

use crate::clone::CloneFlags;
use crate::{Errno, Result, call};
use std::os::fd::{AsFd, AsRawFd};

/// Enters the namespace `fd` stands for, or those of the process whose pidfd it is (Linux 5.8).
///
/// A namespace descriptor accepts one kind, or none to take it as it is; a pidfd needs the kinds named. Entering a user
/// or mount namespace is refused to a process with several threads. A process id namespace counts for children only.
///
/// <https://man7.org/linux/man-pages/man2/setns.2.html>
pub fn setns(fd: impl AsFd, kinds: CloneFlags) -> Result<()> {
    let kinds = namespace_bits(kinds)?;
    // SAFETY: changes which namespaces this thread is in; no memory is involved.
    call::int(unsafe { libc::setns(fd.as_fd().as_raw_fd(), kinds) }).map(drop)
}

/// Moves the calling thread into new namespaces.
///
/// <https://man7.org/linux/man-pages/man2/unshare.2.html>
pub fn unshare(kinds: CloneFlags) -> Result<()> {
    let kinds = namespace_bits(kinds)?;
    // SAFETY: with namespace bits alone, descriptors and memory stay as they are.
    call::int(unsafe { libc::unshare(kinds) }).map(drop)
}

/// `EINVAL` for a flag that is no namespace.
fn namespace_bits(kinds: CloneFlags) -> Result<libc::c_int> {
    if !CloneFlags::NAMESPACES.contains(kinds) {
        return Err(Errno::INVAL);
    }
    libc::c_int::try_from(kinds.bits()).map_err(|_| Errno::INVAL)
}
