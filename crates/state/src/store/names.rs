//! Who bears which name: `names/<name>` is a symbolic link whose text is the pod's id.
//!
//! Making the link is the claim, and the kernel lets one process make it. A claim can outlive its pod (whoever removed the pod
//! was killed), so a name that is taken is only believed while its pod is there.

use std::time::{Duration, Instant};

use hull_fs::Making;
use hull_types::{ContainerName, PodId};
use rustix::{
    fs::{AtFlags, Mode, openat, readlinkat, renameat, symlinkat, unlinkat},
    io::Errno,
};

use super::{DIRECTORY, Found, Store};
use crate::{Entry, Pod, StateError, pod::random};

/// How long a name is waited for whose owner is just being removed.
const REMOVAL: Duration = Duration::from_secs(5);

/// What has become of the pod that a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    There,
    /// Somebody is removing it, and will free its names himself.
    Leaving,
    Gone,
}

impl Store {
    /// Returns the pod that owns a name.
    pub fn owner(&self, name: &ContainerName) -> Result<Option<PodId>, StateError> {
        let path = format!("names/{name}");
        match readlinkat(self.root(), &path, Vec::new()) {
            Ok(text) => Ok(text.to_str().ok().and_then(|text| text.parse().ok())),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(source) => Err(self.failed("read", &path, source)),
        }
    }

    /// Takes a name for a pod. A name whose pod is gone is freed first.
    pub fn take_name(&self, name: &ContainerName, pod: PodId) -> Result<(), StateError> {
        let path = format!("names/{name}");
        let until = Instant::now() + REMOVAL;
        while Instant::now() < until {
            match self.within(|root| symlinkat(pod.to_string(), root, &path)) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => {}
                Err(source) => return Err(self.failed("make", &path, source)),
            }
            let Some(owner) = self.owner(name)? else {
                continue;
            };
            match self.became_of(owner) {
                // A renaming that was killed got this far.
                Owner::There if owner == pod => return Ok(()),
                Owner::There => {
                    let id = Pod::read(self, owner)?.map(|pod| pod.container(0).id.short());
                    let owner = id.unwrap_or_else(|| owner.simple()[..12].to_owned());
                    return Err(StateError::NameTaken {
                        name: name.clone(),
                        owner,
                    });
                }
                Owner::Leaving => std::thread::sleep(Duration::from_millis(1)),
                Owner::Gone => self.free_name(name, owner),
            }
        }
        Err(StateError::NameTaken {
            name: name.clone(),
            owner: "that is just being removed".to_owned(),
        })
    }

    fn became_of(&self, pod: PodId) -> Owner {
        if self.exists(pod) {
            return Owner::There;
        }
        match self.is_held(&format!("garbage/{pod}/journal")) {
            true => Owner::Leaving,
            // Its remover may have come to an end between the two looks, but it does not come back.
            false => Owner::Gone,
        }
    }

    /// Frees a name if that pod owns it.
    ///
    /// Two processes that find the same dead owner may both come here, and the slower one could unlink what the faster one's
    /// pod has just taken. So the link is renamed aside first, looked at, and put back if it is another's.
    pub fn free_name(&self, name: &ContainerName, pod: PodId) {
        let path = format!("names/{name}");
        let aside = format!("garbage/name-{}", PodId::from_random(random()).simple());
        if renameat(self.root(), &path, self.root(), &aside).is_err() {
            return;
        }
        let owner = readlinkat(self.root(), &aside, Vec::new()).ok();
        let text = owner.and_then(|text| text.into_string().ok());
        if text.as_deref() != Some(&pod.to_string()) {
            // Another's: back to its place, unless that has been taken meanwhile by a third.
            rustix::fs::linkat(self.root(), &aside, self.root(), &path, AtFlags::empty()).ok();
        }
        unlinkat(self.root(), &aside, AtFlags::empty()).ok();
    }

    /// Frees a name that no other process can be taking: its pod is there, or being removed by the caller, so a plain unlink is
    /// exact.
    pub(super) fn free_own_name(&self, name: &ContainerName, pod: PodId) {
        if self.owner(name).ok().flatten() == Some(pod) {
            unlinkat(self.root(), format!("names/{name}"), AtFlags::empty()).ok();
        }
    }

    /// Gives a container another name. The pod may be running: the line is appended past its holder, in one write.
    pub fn rename(&self, found: &Found, name: &ContainerName) -> Result<(), StateError> {
        let pod = found.pod.id();
        if *name == found.container().name {
            return Ok(());
        }
        // For as long as the pod has a name too many.
        let _renaming = self.renaming()?;
        self.take_name(name, pod)?;
        let renamed = Entry::Renamed {
            container: found.place,
            name: name.clone(),
        };
        if let Err(error) = self.append_past_holder(pod, &renamed) {
            self.free_own_name(name, pod);
            return Err(error);
        }
        self.free_own_name(&found.container().name, pod);
        Ok(())
    }

    pub(super) fn renaming(&self) -> Result<Making, StateError> {
        let names = self.within(|root| openat(root, "names", DIRECTORY, Mode::empty()));
        let names = names.map_err(|source| self.failed("open", "names", source))?;
        Making::begin(names).map_err(|source| StateError::Sweep {
            path: self.path.join("names"),
            source,
        })
    }

    /// Frees the names that nobody bears. Returns what went.
    pub(super) fn sweep_names(&self) -> Result<Vec<String>, StateError> {
        let mut swept = Vec::new();
        let mut names = Vec::new();
        self.each("names", |name| names.push(name.to_owned()))?;
        // Asked after the names were read: a pod that has two of these, or another than its record says, is not being renamed,
        // unless it is from now on.
        let renaming = openat(self.root(), "names", DIRECTORY, Mode::empty())
            .is_ok_and(|names| Making::is_under_way(names).unwrap_or(true));
        for name in names
            .iter()
            .filter_map(|name| name.parse::<ContainerName>().ok())
        {
            let Some(owner) = self.owner(&name)? else {
                continue;
            };
            match self.became_of(owner) {
                Owner::Leaving => {}
                Owner::Gone => {
                    self.free_name(&name, owner);
                    swept.push(format!("name {name} of a pod that is gone"));
                }
                Owner::There if renaming || self.bears(owner, &name) => {}
                Owner::There => {
                    self.free_name(&name, owner);
                    if self.bears(owner, &name) {
                        // It was renamed to this meanwhile.
                        self.take_name(&name, owner)?;
                    } else {
                        swept.push(format!("name {name} of a container with another"));
                    }
                }
            }
        }
        Ok(swept)
    }

    /// Tells whether a pod has a container of this name. One that is being made, or cannot be read, may have any.
    fn bears(&self, pod: PodId, name: &ContainerName) -> bool {
        match Pod::read(self, pod) {
            Ok(Some(pod)) => {
                let mut containers = pod.journal.record.containers.iter();
                containers.any(|container| container.name == *name)
            }
            Ok(None) | Err(_) => true,
        }
    }
}
