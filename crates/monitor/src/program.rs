//! The program `hull-monitor`: its order on standard input, its report on standard output, its descriptors under the numbers
//! that the order says.

use std::{os::fd::AsRawFd, process::ExitCode};

use rustix::fs::{Mode, OFlags};

use crate::{
    Descriptors, Failure, Handover, MonitorError, Report,
    supervise::{supervise, tell},
};

/// Runs the monitor: reads its order from standard input, reports the start on standard output, and stays until the container
/// has ended.
pub fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        // Whoever started us has the error from the report.
        Err(_) => ExitCode::from(125),
    }
}

/// Keeps every descriptor but the streams from programs that this process will start: a monitor lives long, and what its caller
/// was started with (a lock, a pipe that somebody reads to its end) is not its to hold.
pub fn keep_from_programs() -> Result<(), rustix::io::Errno> {
    hull_sys::close_range::set_cloexec_from(3)
}

fn run() -> Result<u8, MonitorError> {
    // A session of our own: what the caller's terminal sends to its processes is not for us.
    rustix::process::setsid().ok();
    let (order, descriptors) = take_over().inspect_err(|error| {
        let failure = Failure::new(error, error.kind(), error.hint());
        tell(rustix::stdio::stdout(), &Report::Failed(failure));
    })?;
    // Warnings go to whoever started us.
    supervise(&order, descriptors, |_| {})
}

/// Reads the order, and takes what was inherited with it; the caller's streams are left.
fn take_over() -> Result<(Handover, Descriptors), MonitorError> {
    let order = read_order()?;
    let inherited = |number| {
        hull_sys::inherited::take(number).map_err(|source| MonitorError::System {
            what: "take over a descriptor",
            source,
        })
    };
    let journal = inherited(order.numbers.journal)?;
    let client = order.numbers.client.map(inherited).transpose()?;
    let report = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3).map_err(|source| {
        MonitorError::System {
            what: "copy a descriptor",
            source,
        }
    })?;
    leave_streams()?;
    let descriptors = Descriptors {
        journal,
        stdin: None,
        client,
        report: Some(report),
    };
    Ok((order, descriptors))
}

fn read_order() -> Result<Handover, MonitorError> {
    let mut text = Vec::with_capacity(16 << 10);
    loop {
        text.reserve(4096);
        match rustix::io::read(
            rustix::stdio::stdin(),
            rustix::buffer::spare_capacity(&mut text),
        ) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(source) => {
                return Err(MonitorError::System {
                    what: "read the order",
                    source,
                });
            }
        }
    }
    serde_json::from_slice(&text).map_err(|source| MonitorError::Order { source })
}

/// Points the three standard streams nowhere: nothing of the caller's is kept open.
fn leave_streams() -> Result<(), MonitorError> {
    let failed = |source| MonitorError::System {
        what: "leave the caller's streams",
        source,
    };
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed)?;
    debug_assert!(null.as_raw_fd() > 2, "the standard streams are open");
    rustix::stdio::dup2_stdin(&null).map_err(failed)?;
    rustix::stdio::dup2_stdout(&null).map_err(failed)?;
    rustix::stdio::dup2_stderr(&null).map_err(failed)
}
