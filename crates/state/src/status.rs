//! What a container is doing now, worked out from three observations; nothing of it is written down.

use crate::{Exit, Lifecycle, Run};

/// What the kernel says, besides the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Somebody holds the journal's lock: the pod is supervised, or being started or removed.
    pub held: bool,
    /// Processes are left in the container's cgroup. Asked only when it matters: not held, yet the journal says running.
    pub populated: bool,
    /// The container's cgroup is frozen. Asked only of a running container.
    pub frozen: bool,
}

/// What a container is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Made, not started.
    Created,
    /// Somebody holds the lock and no run has begun: it is about to start.
    Starting,
    Running {
        run: Run,
    },
    Paused {
        run: Run,
    },
    Stopped {
        run: Option<Run>,
        exit: Exit,
    },
    /// Its monitor died without writing an end, and no process is left.
    Vanished {
        run: Run,
    },
    /// Its monitor died and processes are left in its cgroup: nobody supervises them. Every verb that needs the pod dead kills
    /// them first.
    Lost {
        run: Run,
    },
}

impl Status {
    /// Works out the status. `lifecycle` is what the journal says.
    pub fn of(lifecycle: &Lifecycle, seen: Observed) -> Self {
        match (lifecycle.clone(), seen) {
            (Lifecycle::Created, Observed { held: false, .. }) => Self::Created,
            (Lifecycle::Created, Observed { held: true, .. }) => Self::Starting,
            (
                Lifecycle::Running { run },
                Observed {
                    held: true,
                    frozen: true,
                    ..
                },
            ) => Self::Paused { run },
            (Lifecycle::Running { run }, Observed { held: true, .. }) => Self::Running { run },
            (
                Lifecycle::Running { run },
                Observed {
                    populated: true, ..
                },
            ) => Self::Lost { run },
            (Lifecycle::Running { run }, _) => Self::Vanished { run },
            (Lifecycle::Stopped { run, exit }, _) => Self::Stopped { run, exit },
        }
    }

    /// Returns the word that `ps` filters and `inspect` use: docker's where docker has one.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Running { .. } => "running",
            Self::Paused { .. } => "paused",
            Self::Stopped { .. } | Self::Vanished { .. } => "exited",
            Self::Lost { .. } => "lost",
        }
    }

    /// Returns the run whose processes exist, if any do.
    pub fn alive(&self) -> Option<&Run> {
        match self {
            Self::Running { run } | Self::Paused { run } | Self::Lost { run } => Some(run),
            Self::Created | Self::Starting | Self::Stopped { .. } | Self::Vanished { .. } => None,
        }
    }

    /// Returns the last run, over or not.
    pub fn run(&self) -> Option<&Run> {
        match self {
            Self::Running { run }
            | Self::Paused { run }
            | Self::Lost { run }
            | Self::Vanished { run } => Some(run),
            Self::Stopped { run, .. } => run.as_ref(),
            Self::Created | Self::Starting => None,
        }
    }

    /// Returns how it ended: of a container whose monitor was killed nobody knows the code, and 137 stands for "killed".
    pub fn exit(&self) -> Option<Exit> {
        match self {
            Self::Stopped { exit, .. } => Some(exit.clone()),
            Self::Vanished { run } => Some(Exit {
                at: run.started,
                code: 137,
                cause: Some("its monitor was killed, so nobody saw how it ended".to_owned()),
                ..Exit::default()
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::tests::run;

    #[test]
    fn status_follows_from_journal_lock_and_cgroup() {
        let run = run(2);
        let running = Lifecycle::Running { run: run.clone() };
        let stopped = Lifecycle::Stopped {
            run: Some(run),
            exit: Exit::default(),
        };
        let seen = |held, populated, frozen| Observed {
            held,
            populated,
            frozen,
        };
        for (lifecycle, seen, word) in [
            (&Lifecycle::Created, seen(false, false, false), "created"),
            (&Lifecycle::Created, seen(true, false, false), "starting"),
            (&running, seen(true, true, false), "running"),
            (&running, seen(true, true, true), "paused"),
            (&running, seen(false, true, false), "lost"),
            (&running, seen(false, true, true), "lost"),
            (&running, seen(false, false, false), "exited"),
            (&stopped, seen(false, false, false), "exited"),
            (&stopped, seen(true, false, false), "exited"),
        ] {
            assert_eq!(
                Status::of(lifecycle, seen).word(),
                word,
                "{lifecycle:?} {seen:?}"
            );
        }
    }
}
