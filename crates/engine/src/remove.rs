//! Taking containers away: rm, rename, gc, prune.

use std::collections::HashSet;

use hull_cgroup::{CgroupError, Group, GroupPath};
use hull_state::{Held, StateError, Status};
use hull_types::{ContainerName, DiffId, Digest, PodId};

use crate::{ContainerFilter, Engine, EngineError, Listed};

/// Whether a running container is ended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    No,
    Yes,
}

/// A pod that is not alive, and that nobody can start as long as this exists.
#[derive(Debug)]
enum Dead {
    Gone,
    Held(#[expect(dead_code, reason = "held, not used")] Held),
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

    /// Removes a pod that is held, with what a killed monitor left of it. The pod's record goes last: it is by this that all else
    /// is found if we are killed in between.
    fn discard(&self, held: Held, listed: &Listed, volumes: bool) -> Result<(), EngineError> {
        self.clear(&held, listed)?;
        if volumes || listed.config.request.remove {
            for volume in &listed.config.anonymous {
                self.volumes()?.remove(&volume.name).ok();
            }
        }
        self.release_parents(&listed.config, held.id)?;
        Ok(self.store().discard(held)?)
    }

    /// Takes away what a pod that is held has in the kernel though nobody supervises it: its monitor was killed. Processes that
    /// outlived it are killed. Returns whether there was something.
    pub(crate) fn clear(&self, held: &Held, listed: &Listed) -> Result<bool, EngineError> {
        let mut left = matches!(listed.status, Status::Lost { .. } | Status::Vanished { .. });
        for path in self.groups_of(listed)? {
            match Group::open(&self.hierarchies()?, &path) {
                Ok(group) => {
                    group.kill_all()?;
                    group.remove()?;
                    left = true;
                }
                Err(CgroupError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // A monitor takes the group away after the rest, so that without one there is no rest; what it gives back still later
        // is no hindrance, and collected.
        if left {
            if listed.config.is_on_bridge() {
                self.networks()?.reap(&held.id)?;
            }
            crate::ids::collect(self.mark()?, |pod| (*pod == held.id).then_some(()))?;
            let run = self.places().run.join(format!("pods/{}", held.id));
            std::fs::remove_file(run.join("attach")).ok();
            std::fs::remove_dir(run).ok();
        }
        Ok(left)
    }

    /// Returns the cgroups that a container may have: the one it would be started in, and the one it was started in, should its
    /// root have been moved since.
    fn groups_of(&self, listed: &Listed) -> Result<Vec<GroupPath>, EngineError> {
        let pod = listed.pod.id().to_string();
        let mut groups: Vec<GroupPath> = self
            .cgroup_path(&listed.config, &pod)?
            .into_iter()
            .collect();
        if let Some(run) = listed.status.run().filter(|run| !run.cgroup.is_empty()) {
            let path = cgroup_path(&run.cgroup)?;
            if !groups.contains(&path) {
                groups.push(path);
            }
        }
        Ok(groups)
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
        if self.caller().is_root() {
            // Whoever starts containers believes what was found once; this is the moment to look again.
            self.find_hierarchies()?;
        }
        self.collect_unfinished(&mut swept)?;
        for container in &self.list()?.0 {
            self.collect_dead(container, &mut swept)?;
        }
        let left = self.store().sweep()?;
        swept.removed.extend(left.removed);
        swept.bytes += left.bytes;
        self.collect_kernel(&mut swept)?;
        self.collect_files(&mut swept)?;
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

    /// Removes pods whose makers were killed before they wrote what these are, with the volumes that were made for them.
    fn collect_unfinished(&self, swept: &mut Swept) -> Result<(), EngineError> {
        for held in self.store().unfinished()? {
            let pod = held.id;
            if self.caller().is_root() {
                let volumes = self.volumes()?;
                for volume in volumes.list()? {
                    if volume.pod == Some(pod) {
                        volumes.remove(&volume.name)?;
                        swept.removed.push(format!("volume {}", volume.name));
                    }
                }
            }
            self.store().discard(held)?;
            swept.removed.push(format!("unfinished pod {pod}"));
        }
        Ok(())
    }

    /// Takes away what a container whose monitor was killed left, and the container if it was to go when it ended.
    fn collect_dead(&self, container: &Listed, swept: &mut Swept) -> Result<(), EngineError> {
        let config = &container.config.request;
        let journal = &container.pod.journal;
        let (begun, ended) = match container.status {
            Status::Lost { .. } | Status::Vanished { .. } => (true, true),
            Status::Stopped { .. } => (false, true),
            _ => (false, false),
        };
        let goes = config.remove && ended;
        // Below the root's own group each pod's is found by looking there.
        if !(begun || goes || config.cgroup_parent.is_some()) {
            return Ok(());
        }
        // Who holds it supervises it, starts it or removes it.
        let Ok(held) = self.store().hold(container.pod.id()) else {
            return Ok(());
        };
        let name = &container.container().name;
        if self.clear(&held, container)? && matches!(container.status, Status::Lost { .. }) {
            swept.removed.push(format!(
                "processes of container {name}, whose monitor was killed"
            ));
        }
        let restarts = journal.restarting && self.store().is_restarting(held.id);
        // Started and ended again since we looked? Then the next collection sees to it.
        if goes && !restarts && held.read().is_ok_and(|now| now.starts == journal.starts) {
            swept.bytes += self.sizes(container).0;
            self.discard(held, container, true)?;
            swept
                .removed
                .push(format!("container {name}, which was to go when it ended"));
        }
        Ok(())
    }

    /// Returns something that keeps a pod from coming alive, unless it is alive, or may be: its record cannot be read.
    fn dead(&self, pod: &PodId) -> Option<Dead> {
        match self.store().hold(*pod) {
            Ok(held) => Some(Dead::Held(held)),
            Err(StateError::NotFound { .. }) => Some(Dead::Gone),
            Err(_) => None,
        }
    }

    /// Removes cgroups, addresses, ids and sockets of pods that are not alive.
    fn collect_kernel(&self, swept: &mut Swept) -> Result<(), EngineError> {
        if self.caller().is_root() {
            let hierarchies = self.hierarchies()?;
            let place = self.mark()?;
            let parent = cgroup_path(place)?;
            for name in hierarchies.groups_below(&parent)? {
                if let Ok(pod) = name.parse::<PodId>()
                    && let Some(_dead) = self.dead(&pod)
                {
                    let path = cgroup_path(&format!("{place}/{name}"))?;
                    match Group::open(&hierarchies, &path) {
                        Ok(group) => {
                            group.kill_all()?;
                            group.remove()?;
                            swept.removed.push(format!("cgroup {place}/{name}"));
                        }
                        // Its monitor was just about to.
                        Err(CgroupError::NotFound(_)) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            hierarchies.remove_if_empty(&parent)?;
            let parents = hull_monitor::parents::collect(self.store().root(), &hierarchies, None)?;
            swept
                .removed
                .extend(parents.iter().map(|parent| format!("cgroup {parent}")));
            let collected = self.networks()?.collect(|pod| self.dead(pod).is_none())?;
            swept.count(collected.leases, "address", "addresses");
            swept.count(collected.ports, "published port", "published ports");
            swept.count(collected.interfaces, "interface", "interfaces");
            let freed = crate::ids::collect(place, |pod| self.dead(pod))?;
            swept.count(freed, "range of user ids", "ranges of user ids");
        }
        let sockets = self.places().run.join("pods");
        for entry in std::fs::read_dir(&sockets).into_iter().flatten().flatten() {
            let pod = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<PodId>().ok());
            if let Some(pod) = pod
                && let Some(_dead) = self.dead(&pod)
            {
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

    /// Removes volumes and records that nobody finishes any more.
    fn collect_files(&self, swept: &mut Swept) -> Result<(), EngineError> {
        if !self.caller().is_root() {
            return Ok(());
        }
        let volumes = self.volumes()?.remove_unfinished()?;
        let networks = self.networks()?.remove_unfinished()?;
        for (count, what) in [(volumes, "volumes"), (networks, "records of networks")] {
            if count > 0 {
                swept.removed.push(format!("{count} unfinished {what}"));
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

fn cgroup_path(text: &str) -> Result<GroupPath, EngineError> {
    Ok(text.parse().map_err(CgroupError::from)?)
}
