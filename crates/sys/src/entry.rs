//! The first code of a program, in place of the standard library's.
//!
//! Rust's start reads `/proc/self/maps` and sets up a handler that would explain a stack overflow: 0.1 ms of a start, spent by
//! every command. What programs rely on is kept: the standard descriptors are open, SIGPIPE is ignored, and what was printed is
//! written at the end. (`std::env::args` works as ever: the C library hands the words to it.)

use std::io::Write as _;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::Signal;

/// Makes `$main`, a `fn() -> ExitCode`, what the program does. The crate says `#![no_main]`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[expect(unsafe_code, reason = "the C library calls `main` by this name")]
        // SAFETY: nothing else in the program is called `main`.
        #[unsafe(no_mangle)]
        extern "C" fn main(
            _count: core::ffi::c_int,
            _words: *const *const core::ffi::c_char,
        ) -> core::ffi::c_int {
            $crate::entry::run($main)
        }
    };
}

/// Runs `main` as a program's whole life; returns its exit code. Only [`entry!`] calls this.
pub fn run(main: fn() -> ExitCode) -> i32 {
    open_standard_descriptors();
    crate::signal::ignore(Signal::PIPE).ok();
    let code = main();
    std::io::stdout().flush().ok();
    number(code)
}

/// An `ExitCode` does not say what it is, but whether it is the same.
fn number(code: ExitCode) -> i32 {
    let same = (0..=u8::MAX).find(|number| ExitCode::from(*number) == code);
    same.map_or(255, i32::from)
}

/// Where one of the first three descriptors is closed, the next file we open would be taken for it.
fn open_standard_descriptors() {
    let streams = (
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    );
    let mut fds = [
        PollFd::from_borrowed_fd(streams.0, PollFlags::empty()),
        PollFd::from_borrowed_fd(streams.1, PollFlags::empty()),
        PollFd::from_borrowed_fd(streams.2, PollFlags::empty()),
    ];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if poll(&mut fds, Some(&at_once)).is_err() {
        return;
    }
    for fd in fds {
        if fd.revents().contains(PollFlags::NVAL)
            && let Ok(null) = open("/dev/null", OFlags::RDWR, Mode::empty())
        {
            // The lowest number that is free, which is this one's; it stays open as long as the program runs.
            core::mem::forget(null);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_numbers() {
        for code in [0, 1, 3, 125, 255] {
            assert_eq!(number(ExitCode::from(code)), i32::from(code));
        }
        assert_eq!(number(ExitCode::FAILURE), 1);
    }
}
