//! Which cgroup hierarchies this machine has, and where in them this process may make groups.

use std::path::{Component, Path, PathBuf};

use rustix::fs::stat;
use serde::{Deserialize, Serialize};

use crate::mountinfo::{CgroupMount, OwnGroup, cgroup_mounts, own_groups};
use crate::{CgroupError, Controller, files};

/// Every hierarchy a group can have a directory in. Cheap to keep: for one user it stays the same until the next boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchies {
    pub v1: Vec<Hierarchy>,
    pub unified: Option<Unified>,
}

/// A v1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// One, or those mounted together (`cpu,cpuacct`); empty for a named one.
    pub controllers: Vec<Controller>,
    /// `systemd`, for the hierarchy in which systemd keeps its units.
    pub name: Option<String>,
    /// The directory below which groups are made.
    pub base: PathBuf,
}

/// The v2 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unified {
    /// The directory below which groups are made.
    pub base: PathBuf,
}

/// How the machine is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    V1,
    /// Controllers on v1, and a unified hierarchy beside them that may have some as well.
    Hybrid,
    V2,
}

impl Hierarchies {
    /// Reads them from `/proc/self`.
    pub fn detect() -> Result<Self, CgroupError> {
        let mountinfo = files::read_path(Path::new("/proc/self/mountinfo"))?;
        let own = files::read_path(Path::new("/proc/self/cgroup"))?;
        let user = rustix::process::geteuid().as_raw();
        let owned = |dir: &Path| stat(dir).is_ok_and(|stat| stat.st_uid == user);
        let found = Self::parse(&mountinfo, &own, &owned);
        if found.v1.is_empty() && found.unified.is_none() {
            Err(CgroupError::NoHierarchy)
        } else {
            Ok(found)
        }
    }

    /// Finds them in the texts of `mountinfo` and `cgroup`; `owned` tells whether a directory belongs to the caller.
    pub(crate) fn parse(mountinfo: &str, own: &str, owned: &dyn Fn(&Path) -> bool) -> Self {
        let groups = own_groups(own);
        let mut found = Self::default();
        for mount in best_mounts(cgroup_mounts(mountinfo)) {
            let base = base(&mount, own_path(&mount, &groups), owned);
            if mount.unified {
                found.unified = Some(Unified { base });
            } else {
                found.v1.push(Hierarchy {
                    controllers: mount
                        .options
                        .iter()
                        .filter_map(|word| Controller::from_v1(word))
                        .collect(),
                    name: mount
                        .options
                        .iter()
                        .find_map(|word| word.strip_prefix("name="))
                        .map(str::to_owned),
                    base,
                });
            }
        }
        found
    }

    /// Tells which set-up this is.
    pub fn mode(&self) -> Mode {
        match (
            &self.unified,
            self.v1
                .iter()
                .any(|hierarchy| !hierarchy.controllers.is_empty()),
        ) {
            (None, _) => Mode::V1,
            (Some(_), true) => Mode::Hybrid,
            (Some(_), false) => Mode::V2,
        }
    }

    /// Returns the v1 hierarchy with this controller. Where there is none, the controller is on v2, if the kernel has it.
    pub fn v1_with(&self, controller: Controller) -> Option<&Hierarchy> {
        self.v1
            .iter()
            .find(|hierarchy| hierarchy.controllers.contains(&controller))
    }
}

/// One mount for each hierarchy: containers bind them about. Writable ones win, then those at the usual place, then the last (it hides the earlier).
fn best_mounts(mounts: Vec<CgroupMount>) -> Vec<CgroupMount> {
    let rank = |mount: &CgroupMount| {
        (
            !mount.read_only,
            mount.mount_point.starts_with("/sys/fs/cgroup"),
        )
    };
    let same = |one: &CgroupMount, other: &CgroupMount| {
        let names = |mount: &CgroupMount| -> Vec<String> {
            let known =
                |word: &&String| word.starts_with("name=") || Controller::from_v1(word).is_some();
            mount.options.iter().filter(known).cloned().collect()
        };
        one.unified == other.unified && (one.unified || names(one) == names(other))
    };
    let mut best: Vec<CgroupMount> = Vec::new();
    for mount in mounts {
        let useful = mount.unified
            || mount
                .options
                .iter()
                .any(|word| word == "name=systemd" || Controller::from_v1(word).is_some());
        match best.iter_mut().find(|other| same(other, &mount)) {
            _ if !useful => {}
            Some(other) if rank(&mount) >= rank(other) => *other = mount,
            Some(_) => {}
            None => best.push(mount),
        }
    }
    best
}

fn own_path<'a>(mount: &CgroupMount, groups: &'a [OwnGroup]) -> Option<&'a Path> {
    let mine = |group: &&OwnGroup| match group.controllers.first() {
        None => mount.unified,
        Some(name) => !mount.unified && mount.options.contains(name),
    };
    groups.iter().find(mine).map(|group| group.path.as_path())
}

/// Where groups are made: at the mount's top for root; for others at the highest directory above the own group that was
/// handed to them. Who has neither gets the top, and the kernel's refusal when making a group.
fn base(mount: &CgroupMount, own: Option<&Path>, owned: &dyn Fn(&Path) -> bool) -> PathBuf {
    let top = mount.mount_point.clone();
    if owned(&top) {
        return top;
    }
    // The own path counts from the namespace's root, as the mount's does.
    let below = own
        .and_then(|path| path.strip_prefix(&mount.root).ok())
        .unwrap_or(Path::new(""));
    if below.components().any(|part| part == Component::ParentDir) {
        return top;
    }
    let own_dir = top.join(below);
    let delegated = own_dir
        .ancestors()
        .take_while(|dir| dir.starts_with(&top))
        .take_while(|dir| owned(dir));
    delegated.last().map_or(top.clone(), Path::to_path_buf)
}

#[cfg(test)]
#[path = "hierarchies_tests.rs"]
mod tests;
