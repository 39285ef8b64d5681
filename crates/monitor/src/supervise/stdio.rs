//! The app's standard streams, and our ends of them.
//!
//! ```text
//!   app                          this process
//!   0 ◀────────── pipe ───────── input            with -i; the caller's own, or nothing, without
//!   1 ─────────── pipe ────────▶ sources          log, attached clients, our own standard output
//!   2 ─────────── pipe ────────▶ sources
//!   0 1 2 ◀──── terminal ──────▶ both             with -t
//! ```

use std::os::fd::OwnedFd;

use hull_runtime::{Stdio, TerminalSize};
use rustix::{
    fs::{Mode, OFlags},
    pipe::{PipeFlags, pipe_with},
};

use crate::{
    Handover, LogWriter, MonitorError, Stream,
    streams::{Source, Streams},
};

/// Our ends.
#[derive(Debug)]
pub(super) struct Ends {
    sources: Vec<Source>,
    input: Option<OwnedFd>,
}

impl Ends {
    /// Makes what the app gets, and keeps our ends of it.
    pub(super) fn make(
        order: &Handover,
        stdin: Option<OwnedFd>,
    ) -> Result<(Stdio, Self), MonitorError> {
        if let Some((rows, columns)) = order.terminal {
            let stdio = Stdio::Terminal(TerminalSize { rows, columns });
            return Ok((
                stdio,
                Self {
                    sources: Vec::new(),
                    input: None,
                },
            ));
        }
        let pipe = || {
            pipe_with(PipeFlags::CLOEXEC).map_err(|source| MonitorError::System {
                what: "make a pipe",
                source,
            })
        };
        let (stdin, input) = match stdin {
            Some(stdin) => (stdin, None),
            None if order.interactive => pipe().map(|(read, write)| (read, Some(write)))?,
            None => (open_null()?, None),
        };
        let (out, stdout) = pipe()?;
        let (err, stderr) = pipe()?;
        let sources = vec![
            Source {
                stream: Stream::Stdout,
                file: out,
            },
            Source {
                stream: Stream::Stderr,
                file: err,
            },
        ];
        Ok((
            Stdio::Streams {
                stdin,
                stdout,
                stderr,
            },
            Self { sources, input },
        ))
    }

    pub(super) fn streams(mut self, log: LogWriter, terminal: Option<OwnedFd>) -> Streams {
        let Some(terminal) = terminal else {
            return Streams::new(log, self.sources, self.input, false);
        };
        let copy = rustix::io::fcntl_dupfd_cloexec(&terminal, 3).ok();
        self.sources.push(Source {
            stream: Stream::Stdout,
            file: terminal,
        });
        Streams::new(log, self.sources, copy, true)
    }
}

fn open_null() -> Result<OwnedFd, MonitorError> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(|source| {
        MonitorError::File {
            what: "open",
            path: "/dev/null".into(),
            source,
        }
    })
}
