//! New processes: `clone3(2)` with namespaces, and plain `fork(2)`.
//!
//! ```text
//!            spawn()                      one thread or EDEADLK
//!   caller ───────────┬──▶ Parent{pid, pidfd}
//!                     └──▶ Child         a copy: own memory, own descriptor table
//! ```
//! Memory and descriptors are never shared with the child (no `CLONE_VM`, `CLONE_VFORK` or `CLONE_FILES`), so the child is
//! an ordinary single-threaded program that may allocate, lock and panic as it likes.
//!
//! One thing differs from `fork`: [`Clone3::spawn`] goes round glibc, which therefore runs no `pthread_atfork` handlers
//! and keeps the *parent's* thread id in the child's thread descriptor. Error-checking and recursive pthread mutexes and
//! `pthread_kill(pthread_self())` go wrong there; rustix and Rust's standard library use none of them, and `exec` ends it.

use crate::{Errno, Result, call, process};
use bitflags::bitflags;
use rustix::process::Pid;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

bitflags! {
    /// What a new process does not share with its maker. Also names namespaces for [`crate::namespaces`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct CloneFlags: u64 {
        /// A new time namespace (clocks' offsets).
        const NEWTIME = 0x80;
        /// The child's parent is the caller's parent: it becomes the caller's sibling.
        const PARENT = 0x8000;
        /// A new mount namespace, a copy of the caller's.
        const NEWNS = 0x0002_0000;
        /// A new cgroup namespace, rooted where the process is *now*: before any later join.
        const NEWCGROUP = 0x0200_0000;
        /// A new UTS namespace (host name).
        const NEWUTS = 0x0400_0000;
        /// A new IPC namespace.
        const NEWIPC = 0x0800_0000;
        /// A new user namespace, which owns the other new ones.
        const NEWUSER = 0x1000_0000;
        /// A new process id namespace; the child is its pid 1.
        const NEWPID = 0x2000_0000;
        /// A new network namespace.
        const NEWNET = 0x4000_0000;
        /// Every signal with a handler starts at its default action (ignored ones stay ignored). Linux 5.5.
        const CLEAR_SIGHAND = 0x1_0000_0000;
    }
}

impl CloneFlags {
    /// The flags that stand for a namespace.
    pub const NAMESPACES: Self = Self::NEWTIME
        .union(Self::NEWNS)
        .union(Self::NEWCGROUP)
        .union(Self::NEWUTS)
        .union(Self::NEWIPC)
        .union(Self::NEWUSER)
        .union(Self::NEWPID)
        .union(Self::NEWNET);
}

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Forked {
    /// The new process.
    Child,
    /// The process that called, and what it holds of the new one.
    Parent {
        /// The child's process id, as seen by the caller. After [`CloneFlags::PARENT`] only the caller's parent reaps it.
        pid: Pid,
        /// The child itself: signals and `waitid` through it cannot hit another process.
        pidfd: OwnedFd,
    },
}

/// A process about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Clone3<'a> {
    /// What the child does not share.
    pub flags: CloneFlags,
    /// The cgroup v2 directory the child is born in (Linux 5.7): joining costs nothing and cannot be raced.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// `CLONE_PIDFD`: hand back a pidfd.
const PIDFD: u64 = 0x1000;
/// `CLONE_INTO_CGROUP`: the child starts in the given cgroup.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` of <linux/sched.h>, third version.
#[repr(C)]
#[derive(Debug, Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const _: () = assert!(size_of::<CloneArgs>() == 88);

impl Clone3<'_> {
    /// Makes the process. `EDEADLK`: the caller has more than one thread.
    ///
    /// Where `clone3` is absent or hidden (container seccomp profiles answer `ENOSYS`), the older `clone` does the same
    /// as long as neither a cgroup nor a flag it lacks is asked for; otherwise the answer is `ENOSYS`.
    ///
    /// <https://man7.org/linux/man-pages/man2/clone.2.html>
    pub fn spawn(self) -> Result<Forked> {
        require_single_thread()?;
        match self.clone3() {
            Err(Errno::NOSYS) => self.legacy_clone(),
            result => result,
        }
    }

    fn clone3(self) -> Result<Forked> {
        let mut pidfd: RawFd = -1;
        let mut args = CloneArgs {
            flags: self.flags.bits() | PIDFD,
            pidfd: (&raw mut pidfd) as u64,
            exit_signal: self.exit_signal(),
            ..CloneArgs::default()
        };
        if let Some(cgroup) = self.cgroup {
            args.flags |= INTO_CGROUP;
            args.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
        }
        // SAFETY: without CLONE_VM and a stack the child continues here on a copy of this stack, as after fork; the
        // caller has one thread (checked by `spawn`), so the copy holds no lock of a thread that is not there. `args`
        // has the size given and `pidfd` outlives the call.
        let pid = call::long(unsafe {
            libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>())
        })?;
        Ok(forked(pid, pidfd))
    }

    fn legacy_clone(self) -> Result<Forked> {
        // NEWTIME lies in the byte where clone(2) keeps the exit signal; CLEAR_SIGHAND lies above its 32 bits.
        let lost = CloneFlags::NEWTIME | CloneFlags::CLEAR_SIGHAND;
        if self.cgroup.is_some() || self.flags.intersects(lost) {
            return Err(Errno::NOSYS);
        }
        let mut pidfd: RawFd = -1;
        let flags = self.flags.bits() | PIDFD | self.exit_signal();
        // SAFETY: as for clone3; CLONE_PIDFD stores through the third argument on every architecture, and the two last
        // ones, whose order differs, are zero.
        let pid = call::long(unsafe {
            libc::syscall(
                libc::SYS_clone,
                flags,
                0_usize,
                &raw mut pidfd,
                0_usize,
                0_usize,
            )
        })?;
        Ok(forked(pid, pidfd))
    }

    /// A sibling inherits the exit signal of the caller; the kernel refuses another.
    fn exit_signal(self) -> u64 {
        if self.flags.contains(CloneFlags::PARENT) {
            0
        } else {
            u64::from(libc::SIGCHLD.unsigned_abs())
        }
    }
}

fn forked(pid: libc::c_long, pidfd: RawFd) -> Forked {
    match i32::try_from(pid).ok().and_then(Pid::from_raw) {
        None => Forked::Child,
        Some(pid) => {
            // SAFETY: the kernel stored a new descriptor because of CLONE_PIDFD; nothing else owns it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Forked::Parent { pid, pidfd }
        }
    }
}

/// Forks, and opens a pidfd of the child. `EDEADLK`: the caller has more than one thread.
///
/// Unlike [`Clone3::spawn`] this goes through libc, whose state is right in the child.
///
/// <https://man7.org/linux/man-pages/man2/fork.2.html>
pub fn fork() -> Result<Forked> {
    require_single_thread()?;
    // SAFETY: the caller has one thread, so the child is a copy of the whole program and may do whatever it may.
    let pid = call::int(unsafe { libc::fork() })?;
    let Some(pid) = Pid::from_raw(pid) else {
        return Ok(Forked::Child);
    };
    // The child is ours and not yet reaped: the pid is still its own.
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    Ok(Forked::Parent { pid, pidfd })
}

/// The copy of one thread of several would hold locks nobody gives back.
fn require_single_thread() -> Result<()> {
    if process::is_single_threaded()? {
        Ok(())
    } else {
        Err(Errno::DEADLK)
    }
}

#[cfg(test)]
mod tests {
    //! What really forks is in `tests/processes.rs`: here there are other threads.
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn clone_args_are_laid_out_as_in_the_headers() {
        crate::layout::assert_matches(
            "linux/sched.h",
            "struct clone_args",
            size_of::<CloneArgs>(),
            &[
                ("flags", offset_of!(CloneArgs, flags)),
                ("pidfd", offset_of!(CloneArgs, pidfd)),
                ("exit_signal", offset_of!(CloneArgs, exit_signal)),
                ("stack", offset_of!(CloneArgs, stack)),
                ("tls", offset_of!(CloneArgs, tls)),
                ("set_tid", offset_of!(CloneArgs, set_tid)),
                ("cgroup", offset_of!(CloneArgs, cgroup)),
            ],
        );
    }

    #[test]
    fn a_process_with_threads_may_not_fork() {
        // The test harness has its main thread beside this one.
        assert_eq!(fork().unwrap_err(), Errno::DEADLK);
        let clone = Clone3 {
            flags: CloneFlags::empty(),
            cgroup: None,
        };
        assert_eq!(clone.spawn().unwrap_err(), Errno::DEADLK);
    }

    #[test]
    fn flags_are_those_of_libc() {
        let rows = [
            (CloneFlags::NEWTIME, libc::CLONE_NEWTIME),
            (CloneFlags::PARENT, libc::CLONE_PARENT),
            (CloneFlags::NEWNS, libc::CLONE_NEWNS),
            (CloneFlags::NEWCGROUP, libc::CLONE_NEWCGROUP),
            (CloneFlags::NEWUTS, libc::CLONE_NEWUTS),
            (CloneFlags::NEWIPC, libc::CLONE_NEWIPC),
            (CloneFlags::NEWUSER, libc::CLONE_NEWUSER),
            (CloneFlags::NEWPID, libc::CLONE_NEWPID),
            (CloneFlags::NEWNET, libc::CLONE_NEWNET),
        ];
        for (ours, theirs) in rows {
            assert_eq!(Ok(ours.bits()), u64::try_from(theirs));
        }
    }
}
