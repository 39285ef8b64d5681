//! The journal: one file a pod, one JSON line an event.

use hull_types::{ContainerId, ContainerName, PodId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Event, Exit, Lifecycle, Run};

/// What a pod is: the journal's first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PodRecord {
    /// The pod's id, also its directory's name.
    pub id: PodId,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it is removed when it ends (`--rm`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remove: bool,
    /// Its containers; a container's place here is the name of its directory.
    pub containers: Vec<Container>,
}

/// What a container is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Container {
    pub id: ContainerId,
    pub name: ContainerName,
    /// The layers it stands on, top first: what keeps `rmi` and `gc` from taking them away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<hull_types::DiffId>,
    /// What was asked for and what the image said, in the engine's words; nothing here looks inside.
    pub config: Box<RawValue>,
}

/// A later line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    Started {
        container: usize,
        #[serde(flatten)]
        run: Run,
    },
    Exited {
        container: usize,
        #[serde(flatten)]
        exit: Exit,
    },
    Failed {
        container: usize,
        #[serde(flatten)]
        exit: Exit,
    },
    Renamed {
        container: usize,
        name: ContainerName,
    },
}

/// A journal as read: what the pod is and how each container's life went.
#[derive(Clone, Debug)]
pub struct Journal {
    pub record: PodRecord,
    pub lives: Vec<Lifecycle>,
}

impl Journal {
    /// Reads a journal's bytes. A last line without its line feed was torn by a crash, or is being written: it does not count.
    /// `Ok(None)`: there is no first line yet.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        let whole = bytes
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(&[][..], |end| &bytes[..end]);
        let mut lines = whole.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let Some(first) = lines.next() else {
            return Ok(None);
        };
        let record: PodRecord = serde_json::from_slice(first)?;
        let count = record.containers.len();
        let mut journal = Self {
            record,
            lives: vec![Lifecycle::Created; count],
        };
        for line in lines {
            // Two writers may follow each other after a crash in the middle of a line: such a line reads as no event.
            if let Ok(entry) = serde_json::from_slice(line) {
                journal.apply(entry);
            }
        }
        Ok(Some(journal))
    }

    /// Follows one event. Events that name a container the pod does not have, or that its state refuses, change nothing.
    fn apply(&mut self, entry: Entry) {
        let (container, event) = match entry {
            Entry::Started { container, run } => (container, Event::Started(run)),
            Entry::Exited { container, exit } => (container, Event::Exited(exit)),
            Entry::Failed { container, exit } => (container, Event::Failed(exit)),
            Entry::Renamed { container, name } => {
                if let Some(container) = self.record.containers.get_mut(container) {
                    container.name = name;
                }
                return;
            }
        };
        if let Some(life) = self.lives.get_mut(container)
            && let Ok(after) = life.clone().after(event)
        {
            *life = after;
        }
    }
}

impl PodRecord {
    /// Returns the first line, with its line feed.
    pub(crate) fn to_line(&self) -> Result<Vec<u8>, serde_json::Error> {
        to_line(self)
    }
}

impl Entry {
    /// Returns the line, with its line feed.
    pub(crate) fn to_line(&self) -> Result<Vec<u8>, serde_json::Error> {
        to_line(self)
    }
}

fn to_line(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}
