//! The small init of `--init`: pid 1 stays behind as a copy of its maker's memory, with nothing open, passes signals on to
//! the app, reaps whatever ends up without a parent, and ends as the app ends.
//!
//! ```text
//!   pid 1 ── fork ──▶ app: own process group, foreground of the terminal, exec
//!     └─ wait: SIGCHLD → reap (the app's end is ours)   any other → the app
//! ```
//! It shows itself as `hull-init -- CMD…`; whose copy it is, and how that was called, is nobody's business inside.
//!
//! Its pages are shared with the monitor until somebody writes to them, and it writes to a few only: there is no exec, no
//! second program in the image, and nothing to find under `/proc/1/fd`.

use std::convert::Infallible;
use std::ffi::CString;

use hull_sys::Errno;
use hull_sys::clone::{Forked, fork};
use hull_sys::process::show_command_line;
use hull_sys::signal::{self, SignalSet};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, setpgid, wait};
use rustix::termios::{isatty, tcsetpgrp};
use rustix::thread::set_name;

use crate::channel::Channel;
use crate::error::{At as _, Failure, Step};
use crate::init::end;

/// What `ps` shows.
const NAME: &str = "hull-init";

/// Splits pid 1 from the app. Returns in the app's process only, which alone keeps the channel: its end says that the app
/// began. `forget` closes every other descriptor of pid 1.
pub(crate) fn split(channel: Channel, forget: fn(), command: &[String]) -> Channel {
    disguise(command);
    match divide() {
        Ok(None) => channel,
        Ok(Some(app)) => {
            drop(channel);
            forget();
            let Err(_) = watch(app);
            end(1)
        }
        Err(failure) => {
            channel.report(failure.into());
            end(1)
        }
    }
}

/// Shows nothing of the caller's command line. Before there are two processes, so that neither is seen without; and what cannot
/// be shown is no reason not to run.
fn disguise(command: &[String]) {
    let words = [NAME, "--"].into_iter();
    show_command_line(words.chain(command.iter().map(String::as_str))).ok();
    set_name(&CString::new(NAME).unwrap_or_default()).ok();
}

/// Returns the app's process id in pid 1, and none in the app's process.
fn divide() -> Result<Option<Pid>, Failure> {
    // From here on signals wait for somebody to read them; the app's mask is emptied before its exec.
    signal::set_mask(SignalSet::all()).at(Step::Signals, "")?;
    match fork().at(Step::Fork, "")? {
        Forked::Parent { pid, .. } => Ok(Some(pid)),
        Forked::Child => take_foreground().at(Step::Terminal, "").map(|()| None),
    }
}

/// A shell started by the app wants to be in the foreground; pid 1, the session's leader, does not.
fn take_foreground() -> Result<(), Errno> {
    setpgid(None, None)?;
    let stdin = rustix::stdio::stdin();
    match isatty(stdin) {
        // SIGTTOU, which a background group gets for this, is blocked.
        true => tcsetpgrp(stdin, getpid()),
        false => Ok(()),
    }
}

fn watch(app: Pid) -> Result<Infallible, Errno> {
    let signals = signal::signalfd(SignalSet::all())?;
    // The app may have ended before the descriptor was there: its signal is pending all the same, as it is blocked.
    loop {
        match poll(&mut [PollFd::new(&signals, PollFlags::IN)], None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        while let Some(received) = signal::read(&signals)? {
            match received.signal {
                Signal::CHILD => reap(app),
                // It may be gone; then its end comes next.
                other => drop(kill_process(app, other)),
            }
        }
    }
}

/// Reaps everybody who has ended. When the app has, so does pid 1, and the kernel ends whoever is left.
fn reap(app: Pid) {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == app {
            let signalled = status.terminating_signal().map(|number| 128 + number);
            end(status.exit_status().or(signalled).unwrap_or(1));
        }
    }
}
