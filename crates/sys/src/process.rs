//! Attributes of the calling process that rustix does not set.

use crate::{Errno, Result, call};
use std::ffi::CStr;

/// Says whether the calling process has exactly one thread: what `fork` and entering user namespaces ask for.
pub fn is_single_threaded() -> Result<bool> {
    // Unsharing the thread group changes nothing for a process with one thread and is refused to one with several: one
    // system call instead of a walk through /proc.
    // SAFETY: with CLONE_THREAD alone the call only checks.
    match call::int(unsafe { libc::unshare(libc::CLONE_THREAD) }) {
        Ok(_) => Ok(true),
        Err(Errno::INVAL) => Ok(false),
        // A seccomp profile that hides unshare.
        Err(_) => count_threads().map(|count| count == 1),
    }
}

fn count_threads() -> Result<usize> {
    let tasks = std::fs::read_dir("/proc/self/task")
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(tasks.count())
}

/// Replaces the session keyring by a new empty one, so that the caller's keys are not inherited by what it starts.
///
/// <https://man7.org/linux/man-pages/man2/keyctl.2.html>
pub fn join_session_keyring(name: Option<&CStr>) -> Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    let name = name.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: the name is null or a string that outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) };
    call::long(result).map(drop)
}

/// Shows other words as the command line of the calling process (`/proc/PID/cmdline`), as far as there is room in the place of
/// those it was started with, which are gone then.
///
/// More room (`PR_SET_MM`) would take `CAP_SYS_RESOURCE`.
pub fn show_command_line<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let read = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(read)?;
    let (start, end) = place_of_words(&stat).ok_or(Errno::INVAL)?;
    let mut text: Vec<u8> = words
        .into_iter()
        .flat_map(|word| word.bytes().chain([0]))
        .collect();
    text.resize(end.saturating_sub(start), 0);
    // A last byte that is not zero would tell the kernel that the text goes on behind.
    if let Some(last) = text.last_mut() {
        *last = 0;
    }
    let place = std::ptr::with_exposed_provenance_mut::<u8>(start);
    // SAFETY: the kernel laid the words there when this program began, `end - start` bytes of its writable stack. They are no
    // object of Rust's: `std::env::args` copies them, and copies zeros or other words from now on.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), place, text.len()) };
    Ok(())
}

/// Reads the 48th and 49th field of a `/proc/PID/stat`; the second, the name, may have blanks and brackets.
fn place_of_words(stat: &str) -> Option<(usize, usize)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(45);
    let mut next = || fields.next()?.parse().ok();
    Some((next()?, next()?))
}

/// A scheduling class for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoClass {
    /// Served first.
    RealTime,
    /// Served by priority; what everybody has.
    BestEffort,
    /// Served when nobody else asks.
    Idle,
}

/// Sets the calling thread's disk priority; `level` is 0 (first) to 7.
///
/// <https://man7.org/linux/man-pages/man2/ioprio_set.2.html>
pub fn set_io_priority(class: IoClass, level: u8) -> Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    const CLASS_SHIFT: u32 = 13;
    // Newer kernels take higher bits for hints, older ones refuse them.
    if level > 7 {
        return Err(Errno::INVAL);
    }
    let class: libc::c_int = match class {
        IoClass::RealTime => 1,
        IoClass::BestEffort => 2,
        IoClass::Idle => 3,
    };
    let priority = class << CLASS_SHIFT | libc::c_int::from(level);
    // SAFETY: changes an attribute of this thread; no memory is involved. Who 0 is the caller.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority) };
    call::long(result).map(drop)
}

/// How the calling thread is scheduled, as `sched_setattr(2)` takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// `SCHED_OTHER` 0, `FIFO` 1, `RR` 2, `BATCH` 3, `ISO` 4, `IDLE` 5, `DEADLINE` 6.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For the ordinary classes.
    pub nice: i32,
    /// For the real-time classes.
    pub priority: u32,
    /// For the deadline class, in nanoseconds.
    pub runtime: u64,
    /// For the deadline class, in nanoseconds.
    pub deadline: u64,
    /// For the deadline class, in nanoseconds.
    pub period: u64,
}

/// `struct sched_attr` of <linux/sched/types.h>, first version.
#[repr(C)]
#[derive(Debug)]
struct RawScheduling {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

const _: () = assert!(size_of::<RawScheduling>() == 48);

/// Sets how the calling thread is scheduled.
///
/// <https://man7.org/linux/man-pages/man2/sched_setattr.2.html>
pub fn set_scheduling(wanted: &Scheduling) -> Result<()> {
    let raw = RawScheduling {
        size: 48,
        policy: wanted.policy,
        flags: wanted.flags,
        nice: wanted.nice,
        priority: wanted.priority,
        runtime: wanted.runtime,
        deadline: wanted.deadline,
        period: wanted.period,
    };
    // SAFETY: `raw` has the size it says and outlives the call. Task 0 is the caller.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const raw, 0) };
    call::long(result).map(drop)
}

#[cfg(test)]
mod tests {
    //! A process with one thread is in `tests/processes.rs`.
    use super::*;
    use std::mem::offset_of;
    use std::thread;

    #[test]
    fn sched_attr_is_laid_out_as_in_the_headers() {
        crate::layout::assert_matches(
            "linux/sched/types.h",
            "struct sched_attr",
            size_of::<RawScheduling>(),
            &[
                ("sched_policy", offset_of!(RawScheduling, policy)),
                ("sched_flags", offset_of!(RawScheduling, flags)),
                ("sched_nice", offset_of!(RawScheduling, nice)),
                ("sched_priority", offset_of!(RawScheduling, priority)),
                ("sched_runtime", offset_of!(RawScheduling, runtime)),
                ("sched_period", offset_of!(RawScheduling, period)),
            ],
        );
    }

    #[test]
    fn threads_are_noticed_both_ways() {
        assert!(!is_single_threaded().unwrap());
        assert!(count_threads().unwrap() > 1);
    }

    #[test]
    fn scheduling_belongs_to_the_thread() {
        let policy = || {
            let text = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // Field 41 of stat(5); 39 after the name in parentheses, which counts as one and may have spaces.
            let mut fields = text.rsplit(')').next().unwrap().split_whitespace();
            fields.nth(38).unwrap().parse::<u32>().unwrap()
        };
        thread::spawn(move || {
            let batch = Scheduling {
                policy: 3,
                nice: 5,
                ..Scheduling::default()
            };
            set_scheduling(&batch).unwrap();
            assert_eq!(policy(), 3);
            assert_eq!(rustix::process::getpriority_process(None).unwrap(), 5);
            let nonsense = Scheduling {
                policy: 99,
                ..Scheduling::default()
            };
            assert_eq!(set_scheduling(&nonsense).unwrap_err(), Errno::INVAL);
        })
        .join()
        .unwrap();
        assert_eq!(policy(), 0);
    }

    #[test]
    fn disk_priority_is_set_and_nonsense_refused() {
        thread::spawn(|| {
            set_io_priority(IoClass::Idle, 0).unwrap();
            set_io_priority(IoClass::BestEffort, 7).unwrap();
            assert_eq!(
                set_io_priority(IoClass::BestEffort, 8).unwrap_err(),
                Errno::INVAL
            );
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_session_keyring_is_joined() {
        thread::spawn(|| match join_session_keyring(Some(c"hull-test")) {
            Ok(()) => join_session_keyring(None).unwrap(),
            Err(Errno::NOSYS | Errno::PERM) => eprintln!("no keyrings here"),
            Err(errno) => panic!("{errno}"),
        })
        .join()
        .unwrap();
    }
}
