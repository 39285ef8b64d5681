//! Reading what a container wrote.

use hull_state::{LOG, part_of};
use std::{os::fd::OwnedFd, time::Duration};

use hull_monitor::{Line, LogParser, open_all};
use hull_types::Timestamp;
use rustix::{fs::fstat, io::Errno};

use crate::{Engine, EngineError};

/// Which lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only the last so many.
    pub tail: Option<usize>,
    /// Only those written at or after this moment.
    pub since: Option<Timestamp>,
    /// Only those written before this moment.
    pub until: Option<Timestamp>,
    /// Go on as the container writes, until it ends.
    pub follow: bool,
}

/// How often a followed log is looked at.
const LOOK: Duration = Duration::from_millis(50);

impl Engine {
    /// Gives each line of a container's log, in the order in which they were written, to `each`, which says whether to go on.
    pub fn logs(
        &self,
        asked: &str,
        query: LogQuery,
        mut each: impl FnMut(&Line) -> bool,
    ) -> Result<(), EngineError> {
        let listed = self.find(asked)?;
        let pod = self.store().directory(listed.pod.id())?;
        let failed = |source| EngineError::System {
            what: "read the container's log",
            source,
        };
        let mut log = Following::open(pod, part_of(listed.place, LOG)).map_err(failed)?;
        let wanted = |line: &Line| {
            query.since.is_none_or(|since| line.time >= since)
                && query.until.is_none_or(|until| line.time < until)
        };
        let mut lines = std::collections::VecDeque::new();
        let mut go_on = true;
        log.read(|line| {
            if !wanted(&line) {
                return;
            }
            match query.tail {
                Some(most) => {
                    lines.push_back(line);
                    if lines.len() > most {
                        lines.pop_front();
                    }
                }
                None => go_on = go_on && each(&line),
            }
        })
        .map_err(failed)?;
        for line in &lines {
            go_on = go_on && each(line);
        }
        let id = listed.pod.id();
        while query.follow && go_on {
            // Asked before reading: what was written before the end is read after it.
            let held = self.store().pod(id)?.is_some_and(|pod| pod.held);
            log.read(|line| go_on = go_on && (!wanted(&line) || each(&line)))
                .map_err(failed)?;
            if !held {
                break;
            }
            std::thread::sleep(LOOK);
        }
        if go_on {
            log.finish(|line| {
                if wanted(&line) && query.tail != Some(0) {
                    each(&line);
                }
            });
        }
        Ok(())
    }
}

/// A log that is read while it grows and rotates.
#[derive(Debug)]
struct Following {
    directory: OwnedFd,
    name: String,
    parser: LogParser,
    /// Files not yet read to their end, oldest first; the last one is current, or was.
    files: Vec<(OwnedFd, u64)>,
}

impl Following {
    fn open(directory: OwnedFd, name: String) -> Result<Self, Errno> {
        let files = open_all(&directory, &name)?
            .into_iter()
            .map(|(_, file)| (file, 0))
            .collect();
        Ok(Self {
            directory,
            name,
            parser: LogParser::default(),
            files,
        })
    }

    /// Reads what has come since the last time. The file that was current may have become `log.1`: it is read to its end
    /// first, so nothing between is lost unless two rotations passed between two looks.
    fn read(&mut self, mut each: impl FnMut(Line)) -> Result<(), Errno> {
        loop {
            for (file, at) in &mut self.files {
                read_on(file, at, &mut self.parser, &mut each)?;
            }
            if !self.take_newer()? {
                return Ok(());
            }
        }
    }

    /// Opens the files that are newer than the newest one open; `false`: there is none.
    fn take_newer(&mut self) -> Result<bool, Errno> {
        let newest = self
            .files
            .last()
            .map(|(file, _)| fstat(file).map(|stat| (stat.st_dev, stat.st_ino)))
            .transpose()?;
        let mut newer: Vec<(OwnedFd, u64)> = Vec::new();
        for (_, file) in open_all(&self.directory, &self.name)?.into_iter().rev() {
            let stat = fstat(&file)?;
            if newest == Some((stat.st_dev, stat.st_ino)) {
                break;
            }
            newer.push((file, 0));
        }
        if newer.is_empty() {
            return Ok(false);
        }
        newer.reverse();
        // The one that was current stays until the next look: its last lines may have come after it was read.
        let last = self.files.pop();
        self.files = last.into_iter().chain(newer).collect();
        Ok(true)
    }

    fn finish(&mut self, each: impl FnMut(Line)) {
        self.parser.finish(each);
    }
}

fn read_on(
    file: &OwnedFd,
    at: &mut u64,
    parser: &mut LogParser,
    each: &mut impl FnMut(Line),
) -> Result<(), Errno> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match rustix::io::pread(file, &mut buffer[..], *at) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                *at += count as u64;
                parser.push(&buffer[..count], &mut *each);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}
