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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::thread;

    #[test]
    fn what_is_no_namespace_is_refused() {
        assert_eq!(unshare(CloneFlags::PARENT).unwrap_err(), Errno::INVAL);
        assert_eq!(
            unshare(CloneFlags::CLEAR_SIGHAND).unwrap_err(),
            Errno::INVAL
        );
        let file = File::open("/").unwrap();
        assert_eq!(setns(&file, CloneFlags::PARENT).unwrap_err(), Errno::INVAL);
        assert_eq!(setns(&file, CloneFlags::NEWNET).unwrap_err(), Errno::INVAL);
    }

    #[test]
    fn root_thread_leaves_a_namespace_and_comes_back() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("needs root");
        }
        let name = || rustix::system::uname().nodename().to_owned();
        thread::spawn(move || {
            let (home, before) = (File::open("/proc/thread-self/ns/uts").unwrap(), name());
            unshare(CloneFlags::NEWUTS).unwrap();
            rustix::system::sethostname(b"elsewhere").unwrap();
            assert_eq!(name().as_c_str(), c"elsewhere");
            assert_eq!(setns(&home, CloneFlags::NEWNET).unwrap_err(), Errno::INVAL);
            setns(&home, CloneFlags::NEWUTS).unwrap();
            assert_eq!(name(), before);
        })
        .join()
        .unwrap();
    }
}
