//! The loop of an attached caller: one thread, one `poll`.

use std::os::fd::BorrowedFd;

use hull_engine::request::{DetachKeys, Streams};
use hull_types::Signal;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{
    Detach, RawMode, Signals,
    far::{Event, Far},
    signals::Wish,
    size,
};
use crate::Failure;

/// The caller's end.
#[derive(Debug)]
pub(crate) struct Near<'a> {
    /// Which of the caller's streams take part.
    pub(crate) streams: Streams,
    /// Whether there is a terminal at the far end, and the keys that leave it.
    pub(crate) terminal: Option<&'a DetachKeys>,
    /// Whether the end of the caller's input ends the input of the container.
    pub(crate) ends_input: bool,
    pub(crate) signals: Signals,
}

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Exited(u8),
    /// The far end went away without a word about how it ended.
    Gone,
    /// The keys were typed.
    Left,
    /// The caller is to end by a signal.
    Signalled(Signal),
    /// All input was given, and no output was wanted.
    Fed,
}

/// What happened, by the descriptor that said it.
#[derive(Clone, Copy, Debug)]
struct Ready {
    far: PollFlags,
    stdin: bool,
    signals: bool,
    ended: bool,
}

/// Relays until one end has had enough. Signals to be passed on are given to `pass_on`.
pub(crate) fn relay(
    far: &mut impl Far,
    near: Near<'_>,
    pass_on: impl FnMut(Signal) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let mut raw = match near.terminal {
        // Without a terminal of the caller's there is no mode to change.
        Some(_) if near.streams.stdin => RawMode::enter(rustix::stdio::stdin()).ok(),
        _ => None,
    };
    let mut relay = Relay {
        detach: match (&raw, near.terminal) {
            (Some(_), Some(keys)) => Some(Detach::new(keys)),
            _ => None,
        },
        reads: near.streams.stdin,
        says_end: false,
        typed: raw.as_mut().map(RawMode::take_ahead).unwrap_or_default(),
        near,
        far,
        pass_on,
    };
    relay.run()
}

#[derive(Debug)]
struct Relay<'a, 'b, F, P> {
    near: Near<'a>,
    far: &'b mut F,
    pass_on: P,
    detach: Option<Detach>,
    /// Whether the caller's input is still read.
    reads: bool,
    /// Whether the far end is still to be told that it ended.
    says_end: bool,
    typed: Vec<u8>,
}

impl<F: Far, P: FnMut(Signal) -> Result<(), Failure>> Relay<'_, '_, F, P> {
    fn run(&mut self) -> Result<Outcome, Failure> {
        loop {
            let ready = self.wait().map_err(failed("wait for streams"))?;
            if ready.signals
                && let Some(outcome) = self.serve_signals()?
            {
                return Ok(outcome);
            }
            if ready.stdin && self.read_input()? {
                // What was typed before the keys is still the far end's.
                self.give()?;
                return Ok(Outcome::Left);
            }
            let readable = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
            if ready.far.intersects(readable)
                && let Some(outcome) = self.take()?
            {
                return Ok(outcome);
            }
            self.give()?;
            if ready.ended {
                // What it wrote before it ended is there already.
                while self.near_output()? {}
                return Ok(Outcome::Gone);
            }
            let wants_output = self.near.streams.stdout || self.near.streams.stderr;
            if !wants_output && !self.reads && self.typed.is_empty() && !self.says_end {
                return Ok(Outcome::Fed);
            }
        }
    }

    fn wait(&self) -> Result<Ready, Errno> {
        let mut flags = PollFlags::IN;
        if !self.typed.is_empty() || self.says_end {
            flags |= PollFlags::OUT;
        }
        let stdin = match self.reads && self.typed.is_empty() {
            true => PollFlags::IN,
            false => PollFlags::empty(),
        };
        let on = PollFd::from_borrowed_fd;
        let mut polled = vec![
            on(self.far.descriptor(), flags),
            on(self.near.signals.as_fd(), PollFlags::IN),
        ];
        if !stdin.is_empty() {
            polled.push(on(rustix::stdio::stdin(), stdin));
        }
        polled.extend(self.far.ended().map(|ended| on(ended, PollFlags::IN)));
        match poll(&mut polled, None::<&Timespec>) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let events: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
        let reads = usize::from(!stdin.is_empty());
        let happened = |at: usize| events.get(at).is_some_and(|events| !events.is_empty());
        Ok(Ready {
            far: events[0],
            signals: happened(1),
            stdin: reads == 1 && happened(2),
            ended: happened(2 + reads),
        })
    }

    fn serve_signals(&mut self) -> Result<Option<Outcome>, Failure> {
        while let Some(wish) = self.near.signals.next() {
            match wish {
                Wish::Resize if self.near.terminal.is_some() => {
                    if let Some(size) = callers_size() {
                        self.far.resize(size);
                    }
                }
                Wish::Resize => {}
                Wish::PassOn(signal) => (self.pass_on)(signal)?,
                Wish::End(signal) => return Ok(Some(Outcome::Signalled(signal))),
            }
        }
        Ok(None)
    }

    /// Reads what was typed. `true`: the keys that leave were among it.
    fn read_input(&mut self) -> Result<bool, Failure> {
        let mut bytes = [0; 8 << 10];
        match rustix::io::read(rustix::stdio::stdin(), &mut bytes[..]) {
            // EIO: the caller's terminal is gone.
            Ok(0) | Err(Errno::IO) => {
                self.reads = false;
                self.says_end = self.near.ends_input;
                if let Some(detach) = &mut self.detach {
                    self.typed.extend(detach.rest());
                }
            }
            Ok(count) => match &mut self.detach {
                None => self.typed.extend_from_slice(&bytes[..count]),
                Some(detach) => {
                    let fed = detach.feed(&bytes[..count]);
                    self.typed.extend(fed.forward);
                    return Ok(fed.left);
                }
            },
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(source) => return Err(failed("read standard input")(source)),
        }
        Ok(false)
    }

    /// Gives the far end what it takes now. One that is gone says so when it is read.
    fn give(&mut self) -> Result<(), Failure> {
        while !self.typed.is_empty() {
            match self.far.give(&self.typed) {
                Ok(0) => return Ok(()),
                Ok(count) => drop(self.typed.drain(..count)),
                Err(_) => self.typed.clear(),
            }
        }
        if self.says_end && self.far.end_input().unwrap_or(true) {
            self.says_end = false;
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Option<Outcome>, Failure> {
        let event = self
            .far
            .take()
            .map_err(failed("read the container's output"))?;
        Ok(match event {
            Event::Nothing => None,
            Event::Stdout(bytes) => {
                self.show(rustix::stdio::stdout(), self.near.streams.stdout, &bytes)?;
                None
            }
            Event::Stderr(bytes) => {
                self.show(rustix::stdio::stderr(), self.near.streams.stderr, &bytes)?;
                None
            }
            Event::Exited(code) => Some(Outcome::Exited(code)),
            Event::Gone => Some(Outcome::Gone),
        })
    }

    /// Shows what the far end still has. `false`: nothing.
    fn near_output(&mut self) -> Result<bool, Failure> {
        match self.far.take() {
            Ok(Event::Stdout(bytes)) => {
                self.show(rustix::stdio::stdout(), self.near.streams.stdout, &bytes)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn show(&self, out: BorrowedFd<'_>, wanted: bool, bytes: &[u8]) -> Result<(), Failure> {
        match wanted {
            true => write_all(out, bytes),
            false => Ok(()),
        }
    }
}

/// Writes all bytes to one of the caller's streams, which may have been made non-blocking by somebody else.
fn write_all(out: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Failure> {
    while !bytes.is_empty() {
        match rustix::io::write(out, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut polled = [PollFd::from_borrowed_fd(out, PollFlags::OUT)];
                poll(&mut polled, None::<&Timespec>).ok();
            }
            Err(Errno::PIPE) => return Err(Failure::NobodyReads),
            Err(source) => {
                return Err(Failure::Write {
                    what: "the container's output".to_owned(),
                    source: source.into(),
                });
            }
        }
    }
    Ok(())
}

/// Returns the size of the caller's terminal, by whichever stream is one.
pub(crate) fn callers_size() -> Option<(u16, u16)> {
    use rustix::stdio::{stderr, stdin, stdout};
    [stdin(), stdout(), stderr()]
        .into_iter()
        .find_map(|stream| size(stream).ok())
        .filter(|(rows, columns)| *rows > 0 && *columns > 0)
}

fn failed(what: &'static str) -> impl Fn(Errno) -> Failure {
    move |source| Failure::Streams { what, source }
}
