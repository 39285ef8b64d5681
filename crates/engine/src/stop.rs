//! Ending and signalling: stop, kill, wait, pause, unpause, restart's first half.

use std::time::{Duration, Instant};

use hull_fs::Making;
use hull_state::{Run, Status};
use hull_types::{PodId, Signal};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::{Engine, EngineError, Listed, request::Grace};

/// How long docker's users wait for an app to end by itself.
const GRACE: u32 = 10;
/// How long a killed container may take to be gone before that is an error.
const KILLED: Duration = Duration::from_secs(30);

/// Whether a verb changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Now,
    /// It was so already.
    Already,
}

impl Engine {
    /// Asks a container to end, and kills it when its grace is over.
    pub fn stop(
        &self,
        asked: &str,
        signal: Option<Signal>,
        grace: Option<Grace>,
    ) -> Result<Done, EngineError> {
        let listed = self.find(asked)?;
        match &listed.status {
            Status::Running { run } | Status::Paused { run } => {
                let run = run.clone();
                // A frozen process takes no signal.
                self.thaw(&run)?;
                let signal = signal.unwrap_or_else(|| listed.config.stop_signal());
                let configured = listed.config.request.process.stop_grace;
                let grace = grace.or(configured).unwrap_or(Grace::Seconds(GRACE));
                let patience = match grace {
                    Grace::Seconds(seconds) => Some(Duration::from_secs(u64::from(seconds))),
                    Grace::Forever => None,
                };
                send(&run, signal)?;
                if !self.wait_until_let_go(listed.pod.id(), patience)? {
                    self.kill_and_wait(&listed, &run)?;
                }
                Ok(Done::Now)
            }
            Status::Lost { .. } => {
                self.end_lost(&listed)?;
                Ok(Done::Now)
            }
            Status::Starting
            | Status::Created
            | Status::Stopped { .. }
            | Status::Vanished { .. } => Ok(Done::Already),
        }
    }

    /// Sends a signal to a container's first process.
    pub fn kill(&self, asked: &str, signal: Signal) -> Result<(), EngineError> {
        let listed = self.find(asked)?;
        match &listed.status {
            // Everything at once: frozen processes and those that left init's reach, too. Whoever comes next (`hull rm`) finds
            // it ended, as with docker.
            Status::Running { run } | Status::Paused { run } if signal == Signal::KILL => {
                let run = run.clone();
                self.kill_and_wait(&listed, &run)
            }
            Status::Running { run } | Status::Paused { run } => send(run, signal),
            Status::Lost { .. } => self.end_lost(&listed),
            _ => Err(not_running(&listed)),
        }
    }

    /// Says that a container is ended only to be started again, so that `--rm` does not remove it: to be called before, and what
    /// is returned to be held until it is started.
    pub fn restarting(&self, listed: &Listed) -> Result<Option<Making>, EngineError> {
        if !listed.config.request.remove {
            return Ok(None);
        }
        let found = self.store().find(&listed.container().id.to_string())?;
        Ok(Some(self.store().restarting(&found)?))
    }

    /// Ends what a killed monitor left behind.
    fn end_lost(&self, listed: &Listed) -> Result<(), EngineError> {
        let held = self.hold(listed.pod.id())?;
        self.clear(&held, listed)?;
        Ok(())
    }

    /// Kills everything in a container's cgroup and waits until nobody holds the pod.
    pub(crate) fn kill_and_wait(&self, listed: &Listed, run: &Run) -> Result<(), EngineError> {
        match self.group(run)? {
            Some(group) => group.kill_all()?,
            None => send(run, Signal::KILL)?,
        }
        if self.wait_until_let_go(listed.pod.id(), Some(KILLED))? {
            return Ok(());
        }
        Err(EngineError::WillNotDie {
            name: listed.container().name.to_string(),
            seconds: KILLED.as_secs(),
        })
    }

    /// Waits until nobody holds a pod: its monitor has written the end, and taken everything away. `false`: time is over.
    ///
    /// The kernel wakes nobody when an open-file-description lock ends but those who wait for the lock itself, so that is what
    /// is waited for, by a lock attempt every few milliseconds that begins short: ends come quickly or late.
    pub(crate) fn wait_until_let_go(
        &self,
        pod: PodId,
        patience: Option<Duration>,
    ) -> Result<bool, EngineError> {
        let end = patience.map(|patience| Instant::now() + patience);
        let mut pause = Duration::from_micros(500);
        loop {
            match self.store().pod(pod)? {
                Some(pod) if pod.held => {}
                _ => return Ok(true),
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(false);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Waits until a container has ended; returns its exit code.
    pub fn wait(&self, asked: &str) -> Result<u8, EngineError> {
        let listed = self.find(asked)?;
        let (id, place) = (listed.pod.id(), listed.place);
        // Held open: a pod that is removed when it ends can still be read here.
        let journal = self.store().watch(id)?;
        if let Some(run) = listed.status.alive() {
            wait_for_exit(run)?;
            self.wait_until_let_go(id, None)?;
        } else if listed.status == Status::Created {
            while matches!(self.find(asked)?.status, Status::Created | Status::Starting) {
                std::thread::sleep(Duration::from_millis(20));
            }
            return self.wait(asked);
        }
        let journal = journal.read()?;
        let status = Status::of(&journal.lives[place], hull_state::Observed::default());
        Ok(status.exit().map_or(255, |exit| exit.code))
    }

    /// Freezes a container.
    pub fn pause(&self, asked: &str) -> Result<(), EngineError> {
        let listed = self.find(asked)?;
        match &listed.status {
            Status::Running { run } => match self.group(run)? {
                Some(group) => Ok(group.freeze()?),
                None => Err(EngineError::Unsupported {
                    given: "pause".to_owned(),
                    hint: "the container has no cgroup to freeze",
                }),
            },
            Status::Paused { .. } => Err(EngineError::WrongState {
                name: listed.container().name.to_string(),
                is: "paused already",
                hint: "`hull unpause` lets it go on",
            }),
            _ => Err(not_running(&listed)),
        }
    }

    /// Lets a frozen container go on.
    pub fn unpause(&self, asked: &str) -> Result<(), EngineError> {
        let listed = self.find(asked)?;
        match &listed.status {
            Status::Paused { run } => self.thaw(run),
            Status::Running { .. } => Err(EngineError::WrongState {
                name: listed.container().name.to_string(),
                is: "not paused",
                hint: "there is nothing to do",
            }),
            _ => Err(not_running(&listed)),
        }
    }

    fn thaw(&self, run: &Run) -> Result<(), EngineError> {
        if let Some(group) = self.group(run)?
            && group.is_frozen()?
        {
            group.thaw()?;
        }
        Ok(())
    }
}

pub(crate) fn not_running(listed: &Listed) -> EngineError {
    EngineError::WrongState {
        name: listed.container().name.to_string(),
        is: match listed.status {
            Status::Created => "not started yet",
            Status::Starting => "being started",
            Status::Paused { .. } => "paused",
            Status::Lost { .. } => "lost: its monitor was killed",
            _ => "not running",
        },
        hint: match listed.status {
            Status::Paused { .. } => "`hull unpause` lets it go on",
            Status::Lost { .. } => "`hull rm -f` ends and removes it",
            _ => "`hull start` starts it",
        },
    }
}

/// Sends a signal to init. Its monitor reaps it only after it wrote the end, so the number is right as long as the pod was held
/// and its journal said running a moment ago; a process that ended meanwhile takes no signal.
fn send(run: &Run, signal: Signal) -> Result<(), EngineError> {
    let failed = |source| EngineError::System {
        what: "signal the container",
        source,
    };
    let Some(pid) = Pid::from_raw(run.pid) else {
        return Ok(());
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => match hull_runtime::signal(&process, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(source) => Err(failed(source)),
        },
        Err(Errno::SRCH) => Ok(()),
        Err(source) => Err(failed(source)),
    }
}

/// Waits until a process has ended, without being its parent.
fn wait_for_exit(run: &Run) -> Result<(), EngineError> {
    let failed = |source| EngineError::System {
        what: "wait for the container",
        source,
    };
    let Some(pid) = Pid::from_raw(run.pid) else {
        return Ok(());
    };
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(Errno::SRCH) => return Ok(()),
        Err(source) => return Err(failed(source)),
    };
    loop {
        let mut polled = [PollFd::new(&process, PollFlags::IN)];
        match poll(&mut polled, None::<&Timespec>) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(source) => return Err(failed(source)),
        }
    }
}
