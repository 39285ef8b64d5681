//! Who is in a group; stopping, freezing and killing all of them at once.

use std::os::fd::{AsFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::Timespec;

use crate::group::GroupDir;
use crate::place::Place;
use crate::{CgroupError, Controller, Group, files};

/// A process that waits for a disk or a dead file server cannot be frozen before it comes back.
const FREEZE_SECONDS: u64 = 10;

impl Group {
    /// Returns the processes in the group and in the groups it made below, as this process numbers them.
    pub fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        let dir = self.primary();
        let mut found = Vec::new();
        collect(&dir.fd, &mut found).map_err(|source| CgroupError::Read {
            path: dir.path.join("cgroup.procs"),
            source,
        })?;
        Ok(found)
    }

    /// Tells whether no process is left. A zombie nobody has waited for yet does not count.
    pub fn is_empty(&self) -> Result<bool, CgroupError> {
        match self.unified() {
            Some(dir) => Ok(files::value_of(&dir.read("cgroup.events")?, "populated") == Some(0)),
            None => Ok(self.processes()?.is_empty()),
        }
    }

    /// Kills every process, in groups below as well, frozen or not, whatever it ignores and however fast it forks. Returns when all
    /// have been sent the signal.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        match self.unified().map(|dir| dir.write("cgroup.kill", "1")) {
            // Linux 5.14.
            None
            | Some(Err(CgroupError::Write {
                source: Errno::NOENT | Errno::OPNOTSUPP,
                ..
            })) => self.kill_one_by_one(),
            Some(result) => result,
        }
    }

    /// Frozen processes cannot fork away, and their numbers cannot be given to others.
    fn kill_one_by_one(&self) -> Result<(), CgroupError> {
        let frozen = self.freeze();
        let killed = self
            .processes()
            .and_then(|all| all.into_iter().try_for_each(|pid| self.kill(pid)));
        self.thaw()?;
        killed?;
        match frozen {
            Ok(()) => Ok(()),
            // Some could not be stopped: whatever they made meanwhile is killed as it appears.
            Err(_) => {
                let end = Instant::now() + Duration::from_secs(FREEZE_SECONDS);
                while !self.is_empty()? && Instant::now() < end {
                    self.processes()?
                        .into_iter()
                        .try_for_each(|pid| self.kill(pid))?;
                    sleep(Duration::from_millis(2));
                }
                Ok(())
            }
        }
    }

    fn kill(&self, pid: Pid) -> Result<(), CgroupError> {
        match kill_process(pid, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(source) => Err(CgroupError::Signal {
                pid: pid.as_raw_nonzero().get(),
                path: self.primary().path.clone(),
                source,
            }),
        }
    }

    /// Stops every process until [`Group::thaw`], and returns when all stand still. If one cannot be stopped in time, all go on.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        let (dir, file, on) = self.freezer()?;
        dir.write(file, on)?;
        if self.wait(Duration::from_secs(FREEZE_SECONDS), Self::is_frozen)? {
            return Ok(());
        }
        self.thaw()?;
        Err(CgroupError::FreezeTimeout {
            path: dir.path.clone(),
            seconds: FREEZE_SECONDS,
        })
    }

    /// Lets the processes go on.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        let (dir, file, _) = self.freezer()?;
        dir.write(
            file,
            if dir.place == Place::Unified {
                "0"
            } else {
                "THAWED"
            },
        )
    }

    /// Tells whether every process stands still.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        let (dir, file, on) = self.freezer()?;
        match dir.place {
            // `cgroup.freeze` says what was asked for, `cgroup.events` what is.
            Place::Unified => Ok(files::value_of(&dir.read("cgroup.events")?, "frozen") == Some(1)),
            Place::V1(_) => Ok(dir.read(file)?.trim() == on),
        }
    }

    /// The unified hierarchy freezes by itself; v1 has a controller for it.
    fn freezer(&self) -> Result<(&GroupDir, &'static str, &'static str), CgroupError> {
        if let Some(dir) = self.unified() {
            return Ok((dir, "cgroup.freeze", "1"));
        }
        let file = "freezer.state";
        match self.dir_of(Controller::Freezer) {
            Some(dir) => Ok((dir, file, "FROZEN")),
            None => Err(CgroupError::NoController {
                controller: Controller::Freezer,
                file: file.to_owned(),
            }),
        }
    }

    fn wait(
        &self,
        at_most: Duration,
        done: impl Fn(&Self) -> Result<bool, CgroupError>,
    ) -> Result<bool, CgroupError> {
        let end = Instant::now() + at_most;
        // Opened before the first look, so that no change between look and wait is missed.
        let mut events = self.unified().map(Events::open).transpose()?;
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(events) = &mut events {
                events.arm()?;
            }
            if done(self)? {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            match &events {
                Some(events) => events.wait(left)?,
                None => {
                    sleep(pause.min(left));
                    pause = (pause * 2).min(Duration::from_millis(10));
                }
            }
        }
    }

    pub(crate) fn unified(&self) -> Option<&GroupDir> {
        self.dirs.iter().find(|dir| dir.place == Place::Unified)
    }

    /// The directory that is asked who is in the group.
    fn primary(&self) -> &GroupDir {
        self.unified()
            .or_else(|| self.dir_of(Controller::Freezer))
            .or_else(|| self.dirs.first())
            .expect("a group has at least one directory")
    }
}

/// `cgroup.events`, which wakes a poll with `POLLPRI` when it changes after having been read.
struct Events {
    file: OwnedFd,
    path: std::path::PathBuf,
}

impl Events {
    fn open(dir: &GroupDir) -> Result<Self, CgroupError> {
        let path = dir.path.join("cgroup.events");
        match files::open_read(&dir.fd, "cgroup.events") {
            Ok(file) => Ok(Self { file, path }),
            Err(source) => Err(CgroupError::Open { path, source }),
        }
    }

    fn arm(&mut self) -> Result<(), CgroupError> {
        let mut text = [0; 256];
        rustix::io::pread(&self.file, &mut text[..], 0)
            .map(drop)
            .map_err(|source| CgroupError::Read {
                path: self.path.clone(),
                source,
            })
    }

    fn wait(&self, at_most: Duration) -> Result<(), CgroupError> {
        let timeout = Timespec::try_from(at_most).ok();
        match poll(
            &mut [PollFd::new(&self.file, PollFlags::PRI)],
            timeout.as_ref(),
        ) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(source) => Err(CgroupError::Read {
                path: self.path.clone(),
                source,
            }),
        }
    }
}

fn collect(dir: impl AsFd, found: &mut Vec<Pid>) -> Result<(), Errno> {
    let text = match files::read(&dir, "cgroup.procs") {
        // A group below was removed while we looked, or is one of threads, whose processes its parent lists.
        Err(Errno::NODEV | Errno::OPNOTSUPP) => String::new(),
        text => text?,
    };
    // Processes of pid namespaces that cannot be seen from here are listed as 0.
    found.extend(
        text.lines()
            .filter_map(|line| Pid::from_raw(line.parse().ok()?)),
    );
    for child in files::children(&dir)? {
        match files::open_child(&dir, &child) {
            Ok(child) => collect(child, found)?,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
