use std::{
    io::{self, Write},
    process::ExitCode,
};

use hull_engine::LogQuery;
use hull_monitor::{Line, Stream};
use hull_types::Timestamp;

use super::Perform;
use crate::{
    Failure,
    args::{Globals, Logs, Tail},
};

impl Perform for Logs {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let now = Timestamp::now();
        let query = LogQuery {
            tail: match self.tail {
                Tail::All => None,
                Tail::Lines(lines) => Some(usize::try_from(lines).unwrap_or(usize::MAX)),
            },
            since: self.since.map(|moment| moment.from(now)),
            until: self.until.map(|moment| moment.from(now)),
            follow: self.follow,
        };
        let mut outputs = Outputs::default();
        let engine = globals.engine()?;
        engine.logs(self.container.as_str(), query, |line| {
            outputs.put(line, self.timestamps);
            // Who follows wants each line when it comes.
            if self.follow {
                outputs.flush();
            }
            outputs.broken.is_none()
        })?;
        outputs.flush();
        outputs.broken.map_or(Ok(ExitCode::SUCCESS), Err)
    }
}

/// Lines on their way to the stream they came from.
#[derive(Default)]
struct Outputs {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    broken: Option<Failure>,
}

impl Outputs {
    fn put(&mut self, line: &Line, timestamps: bool) {
        // A change of stream flushes, so that the order stays where both are one terminal.
        let changes = match line.stream {
            Stream::Stdout => !self.stderr.is_empty(),
            Stream::Stderr => !self.stdout.is_empty(),
        };
        if changes || self.stdout.len() + self.stderr.len() > 64 << 10 {
            self.flush();
        }
        let out = match line.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        if timestamps {
            let mut time = [0; Timestamp::PRINTED];
            line.time.print_into(&mut time);
            out.extend_from_slice(&time);
            out.push(b' ');
        }
        out.extend_from_slice(&line.text);
    }

    fn flush(&mut self) {
        let written = io::stdout()
            .lock()
            .write_all(&self.stdout)
            .and_then(|()| io::stdout().lock().flush())
            .and_then(|()| io::stderr().lock().write_all(&self.stderr));
        self.stdout.clear();
        self.stderr.clear();
        if let Err(source) = written {
            self.broken = Some(match source.kind() {
                io::ErrorKind::BrokenPipe => Failure::NobodyReads,
                _ => Failure::Write {
                    what: "the log".to_owned(),
                    source,
                },
            });
        }
    }
}
