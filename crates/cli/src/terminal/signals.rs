//! Signals to the caller, as something to poll.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::signal::{self, SignalSet};
use hull_types::Signal;
use rustix::io::Errno;

/// What becomes of signals that reach the caller while it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    /// All that a process may take go on to the container.
    All,
    /// Only those that keys send: with a terminal, everything else is about the caller alone.
    Keys,
    /// They end the caller, which puts its terminal right before.
    None,
}

/// Those that can be passed on, and end the caller otherwise.
const ENDING: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];
/// Those that are passed on besides.
const MORE: [Signal; 3] = [Signal::USR1, Signal::USR2, Signal::CONT];

/// The signals that are taken, and what to do with each.
#[derive(Debug)]
pub(crate) struct Signals {
    descriptor: OwnedFd,
    passing: Passing,
    blocked: SignalSet,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Resize,
    PassOn(Signal),
    /// The caller is to end, by this signal.
    End(Signal),
}

impl Signals {
    /// Takes signals over from now on, until this is dropped. The caller must have one thread.
    pub(crate) fn take(passing: Passing) -> Result<Self, Errno> {
        let more = match passing {
            Passing::All => &MORE[..],
            Passing::Keys | Passing::None => &[],
        };
        let taken = ENDING.iter().chain(more).chain([&Signal::WINCH]);
        let set: SignalSet = taken
            .filter_map(|signal| signal::from_raw(signal.number()))
            .collect();
        let before = signal::block(set)?;
        let descriptor = signal::signalfd(set)?;
        Ok(Self {
            descriptor,
            passing,
            blocked: before,
        })
    }

    /// Returns what to poll.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Returns the next wish, if there is one now.
    pub(crate) fn next(&self) -> Option<Wish> {
        loop {
            let received = signal::read(&self.descriptor).ok().flatten()?;
            let signal = Signal::from_number(received.signal.as_raw());
            if let Some(signal) = signal {
                return Some(self.passing.wish(signal));
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // What still waits for this process is taken by its usual action.
        let _ = signal::set_mask(self.blocked);
    }
}

impl Passing {
    fn wish(self, signal: Signal) -> Wish {
        let from_keys = [Signal::INT, Signal::QUIT].contains(&signal);
        match self {
            _ if signal == Signal::WINCH => Wish::Resize,
            Self::All => Wish::PassOn(signal),
            Self::Keys if from_keys => Wish::PassOn(signal),
            Self::Keys | Self::None => Wish::End(signal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_go_where_they_should() {
        use Passing::{All, Keys, None};
        for (passing, signal, wish) in [
            (All, Signal::TERM, Wish::PassOn(Signal::TERM)),
            (All, Signal::WINCH, Wish::Resize),
            (Keys, Signal::INT, Wish::PassOn(Signal::INT)),
            (Keys, Signal::HUP, Wish::End(Signal::HUP)),
            (None, Signal::INT, Wish::End(Signal::INT)),
        ] {
            assert_eq!(passing.wish(signal), wish);
        }
    }
}
