//! What containers are doing: the journal's word checked against lock and cgroup, without disturbing anybody.

use hull_cgroup::{CgroupError, Group};
use hull_state::{Found, Pod, Run, Status};

use crate::{Config, Engine, EngineError};

/// A container as lists show it.
#[derive(Debug)]
pub struct Listed {
    pub pod: Pod,
    pub place: usize,
    pub status: Status,
    pub config: Config,
}

impl Listed {
    /// Returns what the container is.
    pub fn container(&self) -> &hull_state::Container {
        self.pod.container(self.place)
    }

    /// Returns whether processes of it exist: it runs, is paused, or nobody supervises it any more.
    pub fn is_alive(&self) -> bool {
        self.status.alive().is_some()
    }

    /// Returns whether its streams can be reached: somebody supervises it.
    pub fn is_supervised(&self) -> bool {
        matches!(self.status, Status::Running { .. } | Status::Paused { .. })
    }
}

impl Engine {
    /// Works out what a container is doing now.
    pub fn status(&self, found: &Found) -> Status {
        self.status_of(&found.pod, found.place)
    }

    fn status_of(&self, pod: &Pod, place: usize) -> Status {
        let ask = |run: &Run, question: fn(&Group) -> Result<bool, CgroupError>| {
            self.group(run)
                .ok()
                .flatten()
                .is_some_and(|group| question(&group).unwrap_or(false))
        };
        pod.status(
            place,
            |run| ask(run, |group| Ok(!group.is_empty()?)),
            |run| ask(run, Group::is_frozen),
        )
    }

    /// Opens the cgroup of a run; none if it had none, or it is gone.
    pub fn group(&self, run: &Run) -> Result<Option<Group>, EngineError> {
        if run.cgroup.is_empty() {
            return Ok(None);
        }
        let path = run.cgroup.parse().map_err(CgroupError::from)?;
        match Group::open(&self.hierarchies()?, &path) {
            Ok(group) => Ok(Some(group)),
            Err(CgroupError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns every container, newest first. Pods whose record cannot be read are told of in the second list, and hide
    /// nobody else.
    pub fn list(&self) -> Result<(Vec<Listed>, Vec<EngineError>), EngineError> {
        let (pods, unreadable) = self.store().pods()?;
        let mut errors: Vec<EngineError> = unreadable.into_iter().map(EngineError::from).collect();
        let mut listed = Vec::with_capacity(pods.len());
        for pod in pods.into_iter().rev() {
            match self.config(&pod, 0) {
                Ok(config) => {
                    let status = self.status_of(&pod, 0);
                    listed.push(Listed {
                        pod,
                        place: 0,
                        status,
                        config,
                    });
                }
                Err(error) => errors.push(error),
            }
        }
        Ok((listed, errors))
    }

    /// Finds one container by what a person typed.
    pub fn find(&self, asked: &str) -> Result<Listed, EngineError> {
        let Found { pod, place } = self.store().find(asked)?;
        let config = self.config(&pod, place)?;
        let status = self.status_of(&pod, place);
        Ok(Listed {
            pod,
            place,
            status,
            config,
        })
    }

    /// Reads the engine's part of a container's record.
    pub(crate) fn config(&self, pod: &Pod, place: usize) -> Result<Config, EngineError> {
        let container = pod.container(place);
        serde_json::from_str(container.config.get()).map_err(|source| EngineError::Config {
            name: container.name.to_string(),
            source,
        })
    }
}
