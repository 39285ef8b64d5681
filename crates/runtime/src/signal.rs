//! Signalling a container's process.

use std::os::fd::AsFd;

use hull_sys::Errno;
use hull_types::Signal;
use rustix::process::pidfd_send_signal;

/// Sends a signal to the process that a pidfd stands for. `ESRCH`: it has ended. `EINVAL`: 32 and 33 belong to the C library.
pub fn signal(process: impl AsFd, signal: Signal) -> Result<(), Errno> {
    let signal = hull_sys::signal::from_raw(signal.number()).ok_or(Errno::INVAL)?;
    pidfd_send_signal(process, signal)
}
