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

/// Sets the execution domain (`PER_LINUX`, `PER_LINUX32`, …) and returns the former one.
///
/// <https://man7.org/linux/man-pages/man2/personality.2.html>
pub fn set_personality(persona: u32) -> Result<u32> {
    // SAFETY: the domains change what later calls answer (uname, address layout at the next exec), no memory of ours.
    let former = call::int(unsafe { libc::personality(persona.into()) })?;
    Ok(former.cast_unsigned())
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
