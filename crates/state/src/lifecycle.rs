//! The life of a container, as a value.
//!
//! ```text
//!            started             exited
//!  Created ───────────▶ Running ─────────▶ Stopped
//!     │                                     │  ▲
//!     │ failed                      started │  │ failed
//!     └──────────────▶ Stopped ◀────────────┘──┘
//! ```
//!
//! A started container that stopped may be started again: that is a new run in the same record. Whether a running container
//! is paused is not written anywhere: the kernel's freezer knows.

use hull_types::{Signal, Timestamp};
use serde::{Deserialize, Serialize};

/// What the journal says of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Made, never started.
    Created,
    /// Started, and nobody wrote that it ended.
    Running { run: Run },
    /// Ended, or failed to start.
    Stopped { run: Option<Run>, exit: Exit },
}

/// One run of a container: from the start of its init to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When the app was started.
    pub started: Timestamp,
    /// Init's process id, as the host sees it. Its monitor writes the end of the run *before* it reaps init, so while the pod
    /// is held and its journal says running, this number is nobody else's.
    pub pid: i32,
    /// The container's cgroup below the root of each hierarchy.
    pub cgroup: String,
    /// The address on the pod's network, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<serde_json::Value>,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// When it ended.
    pub at: Timestamp,
    /// The exit status as a shell shows it: the app's own, or 128 + signal.
    pub code: u8,
    /// The signal that ended it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// Whether the kernel killed a process of the container because its memory limit was reached.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oom: bool,
    /// What Hull knows beyond the code: why it could not start, or who ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// What can happen to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Started(Run),
    Exited(Exit),
    /// The app could not be started.
    Failed(Exit),
}

/// This state refuses this event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a container that is {} cannot be {}", name(.state), verb(.event))]
pub struct Refused {
    pub state: Lifecycle,
    pub event: Event,
}

impl Lifecycle {
    /// Returns the state after `event`, or says why this state refuses it. Pure: no clock, no disk.
    pub fn after(self, event: Event) -> Result<Self, Refused> {
        Ok(match (self, event) {
            (Self::Created | Self::Stopped { .. }, Event::Started(run)) => Self::Running { run },
            (Self::Running { run }, Event::Exited(exit)) => Self::Stopped {
                run: Some(run),
                exit,
            },
            (Self::Created, Event::Failed(exit)) => Self::Stopped { run: None, exit },
            (Self::Stopped { run, .. }, Event::Failed(exit)) => Self::Stopped { run, exit },
            // A monitor that was killed wrote no exit; the next run says that the last one is over.
            (Self::Running { .. }, Event::Started(run)) => Self::Running { run },
            (Self::Running { run }, Event::Failed(exit)) => Self::Stopped {
                run: Some(run),
                exit,
            },
            (state @ (Self::Created | Self::Stopped { .. }), event @ Event::Exited(_)) => {
                return Err(Refused { state, event });
            }
        })
    }
}

fn name(state: &Lifecycle) -> &'static str {
    match state {
        Lifecycle::Created => "created",
        Lifecycle::Running { .. } => "running",
        Lifecycle::Stopped { .. } => "stopped",
    }
}

fn verb(event: &Event) -> &'static str {
    match event {
        Event::Started(_) => "started",
        Event::Exited(_) => "ended",
        Event::Failed(_) => "said to have failed",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn run(pid: i32) -> Run {
        Run {
            started: Timestamp::default(),
            pid,
            cgroup: "hull/x".into(),
            network: None,
        }
    }

    #[test]
    fn every_pair_of_state_and_event_has_an_answer() {
        let exit = Exit::default();
        let states = [
            Lifecycle::Created,
            Lifecycle::Running { run: run(1) },
            Lifecycle::Stopped {
                run: Some(run(1)),
                exit: exit.clone(),
            },
        ];
        let events = [
            Event::Started(run(2)),
            Event::Exited(exit.clone()),
            Event::Failed(exit),
        ];
        let table: Vec<Vec<&str>> = states
            .iter()
            .map(|state| {
                let after = |event: &Event| match state.clone().after(event.clone()) {
                    Ok(state) => name(&state),
                    Err(_) => "refused",
                };
                events.iter().map(after).collect()
            })
            .collect();
        assert_eq!(
            table,
            [
                ["running", "refused", "stopped"],
                ["running", "stopped", "stopped"],
                ["running", "refused", "stopped"]
            ]
        );
    }

    #[test]
    fn a_refusal_can_be_read_aloud() {
        let refused = Lifecycle::Created
            .after(Event::Exited(Exit::default()))
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a container that is created cannot be ended"
        );
    }
}
