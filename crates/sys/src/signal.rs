//! Signals as a program that polls wants them: blocked, and read from a descriptor.
//!
//! Masks and dispositions are inherited across `exec`: whoever starts a program gives it an empty mask
//! ([`set_mask`]) and default actions ([`reset_all`]). The Rust runtime itself ignores `SIGPIPE`.

use crate::{Errno, Result, call};
use libc::c_int;
use rustix::process::{Pid, Signal};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

/// The numbers glibc keeps to itself.
const RESERVED: [c_int; 2] = [32, 33];
/// The highest number.
const LAST: c_int = 64;

/// Returns the signal with this number: 1 to 31, and the real-time ones from 34 to 64 (32 and 33 are libc's own).
pub fn from_raw(number: c_int) -> Option<Signal> {
    if !(1..=LAST).contains(&number) || RESERVED.contains(&number) {
        return None;
    }
    // SAFETY: a valid number that libc does not reserve.
    Some(unsafe { Signal::from_raw_unchecked(number) })
}

/// A set of signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalSet(u64);

impl SignalSet {
    /// Returns the set without any.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Returns the set of every signal but those libc keeps to itself.
    pub const fn all() -> Self {
        Self(!(0b11 << (RESERVED[0] - 1)))
    }

    /// Returns this set and `signal`.
    #[must_use]
    pub const fn with(self, signal: Signal) -> Self {
        Self(self.0 | Self::bit(signal))
    }

    /// Returns this set without `signal`.
    #[must_use]
    pub const fn without(self, signal: Signal) -> Self {
        Self(self.0 & !Self::bit(signal))
    }

    /// Says whether `signal` is in the set.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & Self::bit(signal) != 0
    }

    const fn bit(signal: Signal) -> u64 {
        1 << (signal.as_raw() - 1)
    }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Self {
        signals.into_iter().fold(Self::empty(), Self::with)
    }
}

/// Adds `set` to the calling thread's mask and returns the former mask.
///
/// <https://man7.org/linux/man-pages/man2/sigprocmask.2.html>
pub fn block(set: SignalSet) -> Result<SignalSet> {
    change_mask(libc::SIG_BLOCK, set)
}

/// Makes `set` the calling thread's mask and returns the former one.
pub fn set_mask(set: SignalSet) -> Result<SignalSet> {
    change_mask(libc::SIG_SETMASK, set)
}

fn change_mask(how: c_int, set: SignalSet) -> Result<SignalSet> {
    let mut former = 0_u64;
    // SAFETY: both pointers lead to kernel signal sets of the 8 bytes the last argument promises.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            how,
            &raw const set.0,
            &raw mut former,
            size_of::<u64>(),
        )
    };
    call::long(result).map(|_| SignalSet(former))
}

/// Ignores `signal` from now on, across `exec` too.
pub fn ignore(signal: Signal) -> Result<()> {
    set_action(signal.as_raw(), libc::SIG_IGN)
}

/// Gives every signal its default action. Rust's own handler, which explains stack overflows, goes as well.
///
/// This includes the two numbers libc keeps to itself where an ancestor ignored them: programs are started that way, and
/// the next libc cannot tell. Its own handlers on them stay; `exec` ends those.
pub fn reset_all() -> Result<()> {
    for number in 1..=LAST {
        let skip = match number {
            libc::SIGKILL | libc::SIGSTOP => true,
            number => RESERVED.contains(&number) && action(number)? != libc::SIG_IGN,
        };
        if !skip {
            set_action(number, libc::SIG_DFL)?;
        }
    }
    Ok(())
}

/// The kernel's `struct sigaction`, not libc's, which refuses the numbers it keeps to itself.
#[repr(C)]
#[derive(Debug, Default)]
struct KernelAction {
    handler: libc::sighandler_t,
    flags: libc::c_ulong,
    restorer: usize,
    mask: u64,
}

const _: () = assert!(size_of::<KernelAction>() == 3 * size_of::<usize>() + size_of::<u64>());

fn set_action(number: c_int, handler: libc::sighandler_t) -> Result<()> {
    let action = KernelAction {
        handler,
        ..KernelAction::default()
    };
    // SAFETY: the kernel reads one action, which says "default" or "ignore": no code of ours will run in a handler.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            number,
            &raw const action,
            ptr::null_mut::<KernelAction>(),
            size_of::<u64>(),
        )
    };
    call::long(result).map(drop)
}

/// Returns the handler of a signal, or `SIG_DFL` or `SIG_IGN`.
fn action(number: c_int) -> Result<libc::sighandler_t> {
    let mut action = KernelAction::default();
    // SAFETY: the kernel writes one action to where there is room for one, and changes nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            number,
            ptr::null::<KernelAction>(),
            &raw mut action,
            size_of::<u64>(),
        )
    };
    call::long(result).map(|_| action.handler)
}

/// Opens a descriptor that is readable while one of `set` is pending. Block the set first.
///
/// It is close-on-exec and does not wait. It reports the signals of *whoever reads it*, not of whoever opened it.
///
/// <https://man7.org/linux/man-pages/man2/signalfd.2.html>
pub fn signalfd(set: SignalSet) -> Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the set is the 8 bytes the third argument promises and outlives the call; -1 asks for a new descriptor.
    let result = unsafe {
        libc::syscall(
            libc::SYS_signalfd4,
            -1,
            &raw const set.0,
            size_of::<u64>(),
            flags,
        )
    };
    let fd = call::fd(result)?;
    // SAFETY: the call above returned `fd` just now; nothing else owns or closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number; the same as `Signal::as_raw`.
    pub signal: Signal,
    /// Who sent it, or which child it is about; none if the sender lives outside this process id namespace.
    pub pid: Option<Pid>,
    /// The sender's user id.
    pub uid: u32,
    /// Why: `SI_USER`, `SI_KERNEL`, `CLD_EXITED`, …
    pub code: i32,
    /// With `SIGCHLD`: the exit code or the signal that ended the child.
    pub status: i32,
}

const _: () = assert!(size_of::<libc::signalfd_siginfo>() == 128);

/// Takes the next pending signal from a [`signalfd`]; none when there is none.
pub fn read(signalfd: impl AsFd) -> Result<Option<Received>> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
    let wanted = size_of::<libc::signalfd_siginfo>();
    // SAFETY: at most `wanted` bytes are written, and that is how much room `info` has.
    let result = unsafe {
        libc::read(
            signalfd.as_fd().as_raw_fd(),
            ptr::from_mut(&mut info).cast(),
            wanted,
        )
    };
    match call::long(result as libc::c_long) {
        Err(Errno::AGAIN) => return Ok(None),
        Err(errno) => return Err(errno),
        Ok(got) if usize::try_from(got) != Ok(wanted) => return Err(Errno::INVAL),
        Ok(_) => {}
    }
    // SAFETY: a whole record was read, and every bit pattern is a value of its integers.
    let info = unsafe { info.assume_init() };
    let number = c_int::try_from(info.ssi_signo).map_err(|_| Errno::INVAL)?;
    Ok(Some(Received {
        signal: from_raw(number).ok_or(Errno::INVAL)?,
        pid: Pid::from_raw(info.ssi_pid.cast_signed()),
        uid: info.ssi_uid,
        code: info.ssi_code,
        status: info.ssi_status,
    }))
}

#[cfg(test)]
mod tests {
    //! Signals that arrive are in `tests/processes.rs`: here another thread would get them.
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn siginfo_is_laid_out_as_in_the_headers() {
        crate::layout::assert_matches(
            "linux/signalfd.h",
            "struct signalfd_siginfo",
            size_of::<libc::signalfd_siginfo>(),
            &[
                ("ssi_signo", offset_of!(libc::signalfd_siginfo, ssi_signo)),
                ("ssi_code", offset_of!(libc::signalfd_siginfo, ssi_code)),
                ("ssi_pid", offset_of!(libc::signalfd_siginfo, ssi_pid)),
                ("ssi_uid", offset_of!(libc::signalfd_siginfo, ssi_uid)),
                ("ssi_status", offset_of!(libc::signalfd_siginfo, ssi_status)),
            ],
        );
    }

    #[test]
    fn numbers_outside_the_kernels_or_kept_by_libc_are_no_signals() {
        for number in [-1, 0, 32, 33, 65, 128] {
            assert!(from_raw(number).is_none(), "{number}");
        }
        for number in [1, 9, 31, 34, 37, 64] {
            assert_eq!(from_raw(number).unwrap().as_raw(), number);
        }
    }

    #[test]
    fn sets_have_one_bit_a_signal() {
        let set = SignalSet::empty().with(Signal::HUP).with(Signal::CHILD);
        assert!(set.contains(Signal::HUP) && set.contains(Signal::CHILD));
        assert!(!set.contains(Signal::TERM));
        assert_eq!(
            set.without(Signal::HUP),
            SignalSet::from_iter([Signal::CHILD])
        );
        assert_eq!(set.0, 1 | 1 << 16);
        assert!(SignalSet::all().contains(from_raw(64).unwrap()));
        assert_eq!(SignalSet::all().0.count_ones(), 62);
    }

    #[test]
    fn mask_is_changed_and_the_former_one_returned() {
        let usr1 = SignalSet::empty().with(Signal::USR1);
        let before = block(usr1).unwrap();
        assert!(!before.contains(Signal::USR1));
        assert!(set_mask(before).unwrap().contains(Signal::USR1));
        assert_eq!(set_mask(before).unwrap(), before);
    }

    #[test]
    fn nothing_pending_reads_as_none() {
        let fd = signalfd(SignalSet::empty().with(Signal::USR2)).unwrap();
        assert_eq!(read(&fd).unwrap(), None);
    }

    #[test]
    fn kill_cannot_be_ignored() {
        assert_eq!(ignore(Signal::KILL).unwrap_err(), Errno::INVAL);
    }
}
