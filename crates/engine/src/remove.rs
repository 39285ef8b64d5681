//! Taking containers away: rm, rename, gc, prune.

use std::collections::HashSet;

use hull_state::{Held, StateError, Status};
use hull_types::{ContainerName, DiffId, Digest, PodId};

use crate::{ContainerFilter, Engine, EngineError, Listed};

/// Whether a running container is ended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    No,
    Yes,
}

/// What a collection took away, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub removed: Vec<String>,
    /// Bytes freed, where they were counted.
    pub bytes: u64,
}

impl Swept {
    /// Says how many of something went, if any did.
    fn count(&mut self, count: usize, one: &str, several: &str) {
        let what = if count == 1 { one } else { several };
        if count > 0 {
            self.removed.push(format!("{count} {what} of dead pods"));
        }
    }
}

impl Engine {
    /// Removes a container; with `volumes` those that nobody named, too.
    pub fn remove(&self, asked: &str, force: Force, volumes: bool) -> Result<(), EngineError> {
        let listed = self.find(asked)?;
        self.remove_listed(&listed, force, volumes)
    }

    fn remove_listed(
        &self,
        listed: &Listed,
        force: Force,
        volumes: bool,
    ) -> Result<(), EngineError> {
        let name = || listed.container().name.to_string();
        match (&listed.status, force) {
            (Status::Lost { run }, _) => self.kill_and_wait(listed, run)?,
            (Status::Running { run } | Status::Paused { run }, Force::Yes) => {
                self.kill_and_wait(listed, run)?
            }
            (Status::Running { .. }, Force::No) => {
                return Err(EngineError::WrongState {
                    name: name(),
                    is: "running",
                    hint: "stop it first, or give -f, which kills it",
                });
            }
            (Status::Paused { .. }, Force::No) => {
                return Err(EngineError::WrongState {
                    name: name(),
                    is: "paused",
                    hint: "stop it first, or give -f, which kills it",
                });
            }
            _ => {}
        }
        let held = match self.hold(listed.pod.id()) {
            Ok(held) => held,
            // It was to be removed when it ended, and has been.
            Err(EngineError::State(StateError::NotFound { .. })) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.discard(held, listed, volumes)
    }

    /// Takes a pod's lock, waiting a moment for somebody who only looks after an end.
    pub(crate) fn hold(&self, pod: PodId) -> Result<Held, EngineError> {
        match self.store().hold(pod) {
            Err(StateError::Held { .. }) => {
                self.wait_until_let_go(pod, Some(std::time::Duration::from_secs(5)))?;
                Ok(self.store().hold(pod)?)
            }
            other => Ok(other?),
        }
    }

    /// Removes a pod that is held, with what a killed monitor left of it.
    fn discard(&self, held: Held, listed: &Listed, volumes: bool) -> Result<(), EngineError> {
        self.clean_run(&held, listed)?;
        self.store().discard(held)?;
        if volumes || listed.config.request.remove {
            for volume in &listed.config.anonymous {
                self.volumes()?.remove(&volume.name).ok();
            }
        }
        Ok(())
    }

    /// Takes away what a run of a pod left in the kernel when its monitor was killed.
    pub(crate) fn clean_run(&self, held: &Held, listed: &Listed) -> Result<(), EngineError> {
        if let Some(run) = listed.status.run()
            && !matches!(listed.status, Status::Stopped { .. })
        {
            if let Some(group) = self.group(run)? {
                group.kill_all()?;
                group.remove()?;
            }
            if run.network.is_some() {
                self.networks()?.reap(&held.id)?;
            }
            crate::ids::collect(self.store().root(), |pod| *pod != held.id)?;
            let run = self.places().run.join(format!("pods/{}", held.id));
            std::fs::remove_file(run.join("attach")).ok();
            std::fs::remove_dir(run).ok();
        }
        Ok(())
    }

    /// Gives a container another name.
    pub fn rename(&self, asked: &str, name: &ContainerName) -> Result<(), EngineError> {
        let found = self.store().find(asked)?;
        Ok(self.store().rename(&found, name)?)
    }

    /// Removes what no record names: what commands that were killed left on disk and in the kernel. Takes nothing that
    /// somebody may still want.
    pub fn gc(&self) -> Result<Swept, EngineError> {
        let mut swept = Swept::default();
        let (listed, _) = self.list()?;
        for container in &listed {
            let name = &container.container().name;
            match &container.status {
                Status::Lost { run } => {
                    self.kill_and_wait(container, run)?;
                    swept.removed.push(format!(
                        "processes of container {name}, whose monitor was killed"
                    ));
                }
                Status::Vanished { .. } => {
                    if let Ok(held) = self.store().hold(container.pod.id()) {
                        self.clean_run(&held, container)?;
                    }
                }
                _ => {}
            }
            let ended = !matches!(
                container.status,
                Status::Running { .. } | Status::Paused { .. }
            );
            if container.config.request.remove && ended && !container.pod.held {
                match self.remove_listed(container, Force::No, true) {
                    Ok(()) => swept
                        .removed
                        .push(format!("container {name}, which was to go when it ended")),
                    Err(EngineError::State(
                        StateError::Held { .. } | StateError::NotFound { .. },
                    )) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        swept.removed.extend(self.store().sweep()?);
        self.collect_kernel(&mut swept)?;
        if self.caller().is_root() && self.places().root.join("images").exists() {
            let collected = self.images()?.collect()?;
            swept.bytes += collected.bytes;
            swept
                .removed
                .extend(collected.blobs.iter().map(|blob| format!("blob {blob}")));
            swept.removed.extend(
                collected
                    .layers
                    .iter()
                    .map(|layer| format!("layer {layer}")),
            );
        }
        Ok(swept)
    }

    /// Removes cgroups, addresses, ids and sockets of pods that are not alive.
    fn collect_kernel(&self, swept: &mut Swept) -> Result<(), EngineError> {
        // A pod whose record cannot be read may well be alive: nothing of it is touched.
        let held = |pod: &PodId| match self.store().pod(*pod) {
            Ok(pod) => pod.is_some_and(|pod| pod.held),
            Err(_) => true,
        };
        if self.caller().is_root() {
            let hierarchies = self.hierarchies()?;
            let place = self.cgroup_parent()?.to_string_lossy().into_owned();
            let parent = cgroup_path(&place)?;
            for name in hierarchies.groups_below(&parent)? {
                if name.parse::<PodId>().is_ok_and(|pod| !held(&pod)) {
                    let group = hull_cgroup::Group::open(
                        &hierarchies,
                        &cgroup_path(&format!("{place}/{name}"))?,
                    )?;
                    group.kill_all()?;
                    group.remove()?;
                    swept.removed.push(format!("cgroup {place}/{name}"));
                }
            }
            hierarchies.remove_if_empty(&parent)?;
            let collected = self.networks()?.collect(held)?;
            swept.count(collected.leases, "address", "addresses");
            swept.count(collected.ports, "published port", "published ports");
            swept.count(collected.interfaces, "interface", "interfaces");
        }
        let freed = crate::ids::collect(self.store().root(), held)?;
        swept.count(freed, "range of user ids", "ranges of user ids");
        let sockets = self.places().run.join("pods");
        for entry in std::fs::read_dir(&sockets).into_iter().flatten().flatten() {
            let pod = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<PodId>().ok());
            if pod.is_some_and(|pod| !held(&pod)) {
                std::fs::remove_file(entry.path().join("attach")).ok();
                std::fs::remove_dir(entry.path()).ok();
                swept.removed.push(format!(
                    "socket of dead pod {}",
                    entry.file_name().display()
                ));
            }
        }
        Ok(())
    }

    /// Returns the images that containers were made from, by manifest and by id.
    pub fn images_in_use(&self) -> Result<HashSet<Digest>, EngineError> {
        let (listed, _) = self.list()?;
        let sources = listed
            .into_iter()
            .filter_map(|container| container.config.image.source);
        Ok(sources
            .flat_map(|source| [source.manifest, source.id])
            .collect())
    }

    /// Returns the stopped containers that all `filters` admit: what [`Self::prune_containers`] would remove.
    pub fn stopped_containers(
        &self,
        filters: &[ContainerFilter],
    ) -> Result<Vec<Listed>, EngineError> {
        let mut listed = self.list()?.0;
        listed.retain(|container| {
            let stopped = matches!(
                container.status,
                Status::Stopped { .. } | Status::Vanished { .. } | Status::Created
            );
            stopped && !container.pod.held && ContainerFilter::all_admit(filters, container)
        });
        Ok(listed)
    }

    /// Removes the stopped containers that all `filters` admit; says which, and how much they had written.
    pub fn prune_containers(&self, filters: &[ContainerFilter]) -> Result<Swept, EngineError> {
        let mut swept = Swept::default();
        for container in self.stopped_containers(filters)? {
            let (bytes, _) = self.sizes(&container);
            match self.remove_listed(&container, Force::No, false) {
                Ok(()) => {
                    swept.removed.push(container.container().name.to_string());
                    swept.bytes += bytes;
                }
                // Somebody took it up, or was faster.
                Err(EngineError::State(StateError::Held { .. } | StateError::NotFound { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(swept)
    }
}

/// Returns the layers that containers stand on; nothing where a record cannot be read, which might name any.
pub(crate) fn layers_in_use(root: &std::path::Path) -> Option<HashSet<DiffId>> {
    let (pods, unreadable) = hull_state::Store::open(root).ok()?.pods().ok()?;
    let containers = pods.iter().flat_map(|pod| &pod.journal.record.containers);
    unreadable
        .is_empty()
        .then(|| containers.flat_map(|c| c.layers.clone()).collect())
}

fn cgroup_path(text: &str) -> Result<hull_cgroup::GroupPath, EngineError> {
    Ok(text.parse().map_err(hull_cgroup::CgroupError::from)?)
}
