//! All pods of one root directory.

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};

use hull_fs::{Durability, Making};
use hull_sys::ofd;
use hull_types::{ContainerId, ContainerName, PodId, near};
use rustix::{
    fs::{
        AtFlags, Dir, Mode, OFlags, mkdir, mkdirat, openat, readlinkat, renameat, symlinkat,
        unlinkat,
    },
    io::Errno,
};

use crate::{
    Held, Journal, Pod, Reserved, StateError, Watched,
    pod::{first_container, random, read_all},
    random_name,
};

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// The layout's version; a store with a higher one is refused.
const VERSION: u32 = 1;

/// How often directories that somebody takes away again are made anew. Each time takes another command that finds the store
/// empty in the very moment, so nobody meets many.
const ATTEMPTS: usize = 32;
/// How long a name is waited for whose owner is just being removed.
const REMOVAL: Duration = Duration::from_secs(5);

/// The root directory of a store.
///
/// Whoever made a store takes its directories away again if he leaves nothing in them. Another who has just opened it then finds
/// them missing, or holds a root directory that is no longer there: he makes them anew, and goes on in those.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    root: OwnedFd,
    /// The store in the place of this one, whose root directory was taken away.
    again: OnceLock<Box<Self>>,
}

/// What has become of the pod that a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    There,
    /// Somebody is removing it, and will free its names himself.
    Leaving,
    Gone,
}

/// A container that a person's word led to.
#[derive(Debug)]
pub struct Found {
    pub pod: Pod,
    /// The container's place in its pod.
    pub place: usize,
}

impl Found {
    /// Returns what the container is.
    pub fn container(&self) -> &crate::Container {
        self.pod.container(self.place)
    }
}

impl Store {
    /// Opens a store, making its directories if it is new.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        for _ in 1..ATTEMPTS {
            match Self::open_once(path) {
                Err(error) if error.is_missing() => {}
                other => return other,
            }
        }
        Self::open_once(path)
    }

    fn open_once(path: &Path) -> Result<Self, StateError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(root) => root,
            Err(Errno::NOENT) => {
                make_all(path)?;
                rustix::fs::open(path, flags, Mode::empty())
                    .map_err(|source| failed("open", path, source))?
            }
            Err(source) => return Err(failed("open", path, source)),
        };
        let store = Self {
            path: path.to_owned(),
            root,
            again: OnceLock::new(),
        };
        store.check_version()?;
        Ok(store)
    }

    /// Returns the root directory.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.last().root.as_fd()
    }

    fn last(&self) -> &Self {
        self.again.get().map_or(self, |again| again.last())
    }

    /// Does something in the store's directories; where they are missing they are made anew, and it is done again.
    pub(crate) fn within<T>(
        &self,
        mut act: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        for _ in 1..ATTEMPTS {
            match act(self.root()) {
                Err(Errno::NOENT) => self.restore(),
                other => return other,
            }
        }
        act(self.root())
    }

    /// Makes what is missing. What cannot be made is told by whoever needs it.
    fn restore(&self) {
        let last = self.last();
        if let Err(error) = last.lay_out()
            && error.is_missing()
            && let Ok(store) = Self::open(&self.path)
        {
            last.again.set(Box::new(store)).ok();
        }
    }

    /// Returns where the root directory is, for messages and for programs started by Hull.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn check_version(&self) -> Result<(), StateError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        match openat(&self.root, "VERSION", flags, Mode::empty()) {
            Ok(file) => {
                let text =
                    read_all(&file).map_err(|source| self.failed("read", "VERSION", source))?;
                let found = String::from_utf8_lossy(&text).trim().to_owned();
                match found.parse::<u32>() {
                    Ok(version) if version <= VERSION => Ok(()),
                    _ => Err(StateError::NewerVersion {
                        path: self.path.clone(),
                        found,
                        known: VERSION,
                    }),
                }
            }
            Err(Errno::NOENT) => self.lay_out(),
            Err(source) => Err(self.failed("open", "VERSION", source)),
        }
    }

    /// Makes the directories, then the version file that says they are there.
    fn lay_out(&self) -> Result<(), StateError> {
        for directory in ["pods", "names", "garbage"] {
            match mkdirat(&self.root, directory, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(source) => return Err(self.failed("make", directory, source)),
            }
        }
        let text = format!("{VERSION}\n");
        hull_fs::replace_at(
            &self.root,
            "VERSION",
            text.as_bytes(),
            Mode::RUSR | Mode::WUSR,
            Durability::Cached,
        )
        .map_err(|source| StateError::Sweep {
            path: self.path.join("VERSION"),
            source,
        })
    }

    /// Reserves a pod of one container under the name given, or under one made up.
    pub fn reserve(
        &self,
        name: Option<&ContainerName>,
    ) -> Result<(Reserved<'_>, ContainerId, ContainerName), StateError> {
        let mut attempt = 0;
        loop {
            let id = PodId::from_random(random());
            let chosen = match name {
                Some(name) => name.clone(),
                None => random_name(u64::from_ne_bytes(random()), attempt),
            };
            match Reserved::make(self, id, vec![chosen.clone()]) {
                Ok(reserved) => return Ok((reserved, first_container(&id), chosen)),
                // A made-up name that is taken is made up again.
                Err(StateError::NameTaken { .. }) if name.is_none() => attempt += 1,
                // A collector met the new directory first.
                Err(StateError::Held { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the ids of all pods, in no order.
    pub fn ids(&self) -> Result<Vec<PodId>, StateError> {
        let mut ids = Vec::new();
        self.each("pods", |name| ids.extend(name.parse::<PodId>().ok()))?;
        Ok(ids)
    }

    /// Reads all pods, oldest first, taking no lock. A pod that cannot be read is left out and told of in the second list.
    pub fn pods(&self) -> Result<(Vec<Pod>, Vec<StateError>), StateError> {
        let (mut pods, mut unreadable) = (Vec::new(), Vec::new());
        for id in self.ids()? {
            match Pod::read(self, id) {
                Ok(Some(pod)) => pods.push(pod),
                Ok(None) => {}
                Err(error) => unreadable.push(error),
            }
        }
        pods.sort_by_key(|pod| (pod.journal.record.created, pod.id()));
        Ok((pods, unreadable))
    }

    /// Reads one pod.
    pub fn pod(&self, id: PodId) -> Result<Option<Pod>, StateError> {
        Pod::read(self, id)
    }

    /// Takes a pod's lock.
    pub fn hold(&self, id: PodId) -> Result<Held, StateError> {
        Held::open(self, id)
    }

    /// Opens a pod's journal for reading, so that its end can be read although it is removed.
    pub fn watch(&self, id: PodId) -> Result<Watched, StateError> {
        Watched::open(self, id)
    }

    /// Opens a pod's directory.
    pub fn directory(&self, id: PodId) -> Result<OwnedFd, StateError> {
        let path = format!("pods/{id}");
        openat(self.root(), &path, DIRECTORY, Mode::empty())
            .map_err(|source| self.failed("open", &path, source))
    }

    /// Finds a container by name, full id, or a beginning of its id that no other has.
    pub fn find(&self, asked: &str) -> Result<Found, StateError> {
        let not_found = |near| StateError::NotFound {
            asked: asked.to_owned(),
            near,
        };
        if let Ok(name) = asked.parse::<ContainerName>()
            && let Some(id) = self.owner(&name)?
            && let Some(pod) = Pod::read(self, id)?
        {
            let place = pod
                .journal
                .record
                .containers
                .iter()
                .position(|container| container.name == name);
            return Ok(Found {
                place: place.unwrap_or(0),
                pod,
            });
        }
        let digits = asked.to_ascii_lowercase().replace('-', "");
        let is_id = !digits.is_empty()
            && digits.len() <= 64
            && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let mut found = Vec::new();
        if is_id {
            let head = &digits[..digits.len().min(32)];
            for id in self
                .ids()?
                .into_iter()
                .filter(|id| id.simple().starts_with(head))
            {
                if let Some(pod) = Pod::read(self, id)? {
                    let matching = |container: &crate::Container| {
                        container.id.to_string().starts_with(&digits)
                    };
                    if let Some(place) = pod.journal.record.containers.iter().position(matching) {
                        found.push(Found { pod, place });
                    }
                }
            }
        }
        match found.len() {
            0 => {
                let mut names = Vec::new();
                self.each("names", |name| names.push(name.to_owned()))?;
                Err(not_found(near(asked, names.iter().map(String::as_str))))
            }
            1 => found.pop().ok_or_else(|| not_found(Vec::new())),
            _ => Err(StateError::Ambiguous {
                asked: asked.to_owned(),
                ids: found
                    .iter()
                    .map(|found| found.container().id.short())
                    .collect(),
            }),
        }
    }

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

    fn is_held(&self, journal: &str) -> bool {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat(self.root(), journal, flags, Mode::empty())
            .is_ok_and(|file| ofd::holder(&file).is_ok_and(|holder| holder.is_some()))
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
    fn free_own_name(&self, name: &ContainerName, pod: PodId) {
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
        let renamed = crate::Entry::Renamed {
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

    /// Says that a container is going to be ended and started again, so that its end does not remove it. While what is
    /// returned lives, collectors leave the pod alone, too.
    pub fn restarting(&self, found: &Found) -> Result<Making, StateError> {
        let pod = found.pod.id();
        let making = Making::begin(self.directory(pod)?).map_err(|source| StateError::Sweep {
            path: self.path.join(format!("pods/{pod}")),
            source,
        })?;
        let container = found.place;
        self.append_past_holder(pod, &crate::Entry::Restarting { container })?;
        Ok(making)
    }

    /// Tells whether somebody is about to start a pod again that has ended.
    pub fn is_restarting(&self, pod: PodId) -> bool {
        self.directory(pod)
            .is_ok_and(|directory| Making::is_under_way(directory).unwrap_or(true))
    }

    fn append_past_holder(&self, pod: PodId, entry: &crate::Entry) -> Result<(), StateError> {
        let path = format!("pods/{pod}/journal");
        let mut line = entry
            .to_line()
            .map_err(|source| StateError::Encode { source })?;
        // A holder that was killed may have left half a line, which is not to swallow this one; an empty line says nothing.
        line.insert(0, b'\n');
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC;
        openat(self.root(), &path, flags, Mode::empty())
            .and_then(|file| rustix::io::write(&file, &line))
            .map(drop)
            .map_err(|source| self.failed("write to", &path, source))
    }

    fn renaming(&self) -> Result<Making, StateError> {
        let names = self.within(|root| openat(root, "names", DIRECTORY, Mode::empty()));
        let names = names.map_err(|source| self.failed("open", "names", source))?;
        Making::begin(names).map_err(|source| StateError::Sweep {
            path: self.path.join("names"),
            source,
        })
    }

    /// Removes a pod that the caller holds: it disappears by one rename, its names are freed, and its files are deleted.
    /// The lock is kept to the end, so that whoever wants a name of it, or sweeps, leaves that to us.
    pub fn discard(&self, held: Held) -> Result<(), StateError> {
        let journal = held.read().ok();
        self.discard_known(held, journal.as_ref())
    }

    /// The same where the pod's journal was read already, if it has one.
    pub fn discard_known(&self, held: Held, journal: Option<&Journal>) -> Result<(), StateError> {
        let id = held.id;
        let (from, to) = (format!("pods/{id}"), format!("garbage/{id}"));
        self.within(|root| renameat(root, &from, root, &to))
            .map_err(|source| self.failed("remove", &from, source))?;
        for container in journal
            .into_iter()
            .flat_map(|journal| &journal.record.containers)
        {
            self.free_own_name(&container.name, id);
        }
        self.delete(&to)
    }

    /// Takes the locks of pods whose makers died before they wrote what these are.
    pub fn unfinished(&self) -> Result<Vec<Held>, StateError> {
        let mut unfinished = Vec::new();
        for id in self.ids()? {
            if let Ok(None) = Pod::read(self, id) {
                unfinished.extend(self.hold_unmade(id)?);
            }
        }
        Ok(unfinished)
    }

    /// Deletes what earlier removals left, names that nobody bears, and records that were not finished. Returns what went.
    pub fn sweep(&self) -> Result<Vec<String>, StateError> {
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
        let mut garbage = Vec::new();
        self.each("garbage", |name| garbage.push(name.to_owned()))?;
        for name in garbage {
            let path = format!("garbage/{name}");
            // Whoever is deleting it still holds its lock.
            if !self.is_held(&format!("{path}/journal")) {
                self.delete(&path)?;
                swept.push(path);
            }
        }
        let unfinished = hull_fs::remove_unfinished(self.root());
        let unfinished = unfinished.map_err(|source| StateError::Sweep {
            path: self.path.clone(),
            source,
        })?;
        if unfinished > 0 {
            swept.push(format!("{unfinished} unfinished records"));
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

    /// Takes the lock of a directory without a record, making the journal if even that is missing: its maker, should it still
    /// come, finds the lock taken.
    fn hold_unmade(&self, id: PodId) -> Result<Option<Held>, StateError> {
        let path = format!("pods/{id}/journal");
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
        match openat(self.root(), &path, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => drop(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(source) => return Err(self.failed("open", &path, source)),
        }
        match Held::open(self, id) {
            // Somebody may have finished it between our look and our lock.
            Ok(held) => Ok(held.read().is_err().then_some(held)),
            Err(StateError::Held { .. } | StateError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn exists(&self, id: PodId) -> bool {
        rustix::fs::statat(self.root(), format!("pods/{id}"), crate::pod::NO_FOLLOW).is_ok()
    }

    fn delete(&self, path: &str) -> Result<(), StateError> {
        remove_below(self.root(), path).map_err(|source| StateError::Sweep {
            path: self.path.join(path),
            source,
        })
    }

    /// Calls `each` with every entry's name.
    fn each(&self, directory: &str, mut each: impl FnMut(&str)) -> Result<(), StateError> {
        let opened = match openat(self.root(), directory, DIRECTORY, Mode::empty()) {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(()),
            Err(source) => return Err(self.failed("open", directory, source)),
        };
        let mut entries =
            Dir::new(opened).map_err(|source| self.failed("read", directory, source))?;
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(|source| self.failed("read", directory, source))?;
            if let Ok(name) = CStr::to_str(entry.file_name())
                && name != "."
                && name != ".."
            {
                each(name);
            }
        }
        Ok(())
    }

    pub(crate) fn failed(&self, what: &'static str, path: &str, source: Errno) -> StateError {
        StateError::File {
            what,
            path: self.path.join(path),
            source,
        }
    }
}

fn failed(what: &'static str, path: &Path, source: Errno) -> StateError {
    StateError::File {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Deletes `directory/name` below the root.
fn remove_below(root: BorrowedFd<'_>, path: &str) -> Result<(), hull_fs::FsError> {
    let (directory, name) = path.rsplit_once('/').unwrap_or((".", path));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent =
        openat(root, directory, flags, Mode::empty()).map_err(|source| hull_fs::FsError::Open {
            path: directory.into(),
            source,
        })?;
    hull_fs::remove_tree(&parent, name)
}

/// Makes a directory and those above it; only the last is closed to others.
fn make_all(path: &Path) -> Result<(), StateError> {
    if let Some(parent) = path.parent()
        && !parent.as_os_str().is_empty()
        && !parent.exists()
    {
        std::fs::create_dir_all(parent).map_err(|error| {
            failed(
                "make",
                parent,
                Errno::from_io_error(&error).unwrap_or(Errno::IO),
            )
        })?;
    }
    match mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(source) => Err(failed("make", path, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Container, Exit, Lifecycle, Run, Status};
    use hull_types::Timestamp;

    struct Home {
        _temp: tempfile::TempDir,
        store: Store,
    }

    fn home() -> Home {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::open(&temp.path().join("a/b")).unwrap();
        Home { _temp: temp, store }
    }

    fn make(store: &Store, name: &str) -> Held {
        let name: ContainerName = name.parse().unwrap();
        let (reserved, id, name) = store.reserve(Some(&name)).unwrap();
        reserved
            .make_container(0, crate::RootDirectory::default())
            .unwrap();
        let config = serde_json::value::to_raw_value("config").unwrap();
        reserved
            .publish(
                Timestamp::now(),
                false,
                vec![Container {
                    id,
                    name,
                    layers: Vec::new(),
                    config,
                }],
            )
            .unwrap()
    }

    fn run() -> Run {
        Run {
            started: Timestamp::now(),
            pid: 7,
            cgroup: "hull/x".into(),
            network: None,
        }
    }

    fn names(store: &Store, directory: &str) -> Vec<String> {
        let mut names = Vec::new();
        store
            .each(directory, |name| names.push(name.to_owned()))
            .unwrap();
        names
    }

    #[test]
    fn a_container_is_found_by_name_id_and_prefix() {
        let home = home();
        let held = make(&home.store, "web");
        let other = make(&home.store, "db");
        let id = home.store.find("web").unwrap().container().id;
        for asked in [
            id.to_string(),
            id.short(),
            id.to_string()[..3].to_owned(),
            held.id.to_string(),
            id.to_string().to_uppercase(),
        ] {
            let found = home.store.find(&asked);
            if asked.len() > 3 {
                assert_eq!(found.unwrap().container().id, id, "{asked}");
            }
        }
        assert!(matches!(
            home.store.find(""),
            Err(StateError::NotFound { .. })
        ));
        let Err(StateError::NotFound { near, .. }) = home.store.find("wen") else {
            panic!("found")
        };
        assert_eq!(near, ["web"]);
        drop(other);
    }

    #[test]
    fn a_name_has_one_owner_until_it_is_freed() {
        let home = home();
        let held = make(&home.store, "web");
        let name: ContainerName = "web".parse().unwrap();
        assert!(matches!(
            home.store.reserve(Some(&name)),
            Err(StateError::NameTaken { .. })
        ));
        assert_eq!(
            names(&home.store, "pods").len(),
            1,
            "the refused pod left nothing"
        );
        home.store.discard(held).unwrap();
        assert!(names(&home.store, "names").is_empty());
        assert!(names(&home.store, "garbage").is_empty());
        home.store.discard(make(&home.store, "web")).unwrap();
    }

    #[test]
    fn the_lock_is_exclusive_and_readers_do_not_take_it() {
        let home = home();
        let held = make(&home.store, "web");
        let id = held.id;
        assert!(matches!(home.store.hold(id), Err(StateError::Held { .. })));
        assert!(home.store.find("web").unwrap().pod.held);
        drop(held);
        assert!(!home.store.find("web").unwrap().pod.held);
        home.store.hold(id).unwrap();
    }

    #[test]
    fn status_follows_the_journal() {
        let home = home();
        let held = make(&home.store, "web");
        let status = |held: bool| {
            let found = home.store.find("web").unwrap();
            assert_eq!(found.pod.held, held);
            found.pod.status(0, |_| true, |_| false).word()
        };
        assert_eq!(status(true), "starting");
        held.started(0, run()).unwrap();
        assert_eq!(status(true), "running");
        let id = held.id;
        drop(held);
        assert_eq!(status(false), "lost");
        let held = home.store.hold(id).unwrap();
        held.exited(
            0,
            Exit {
                code: 3,
                ..Exit::default()
            },
        )
        .unwrap();
        assert_eq!(status(true), "exited");
        let Status::Stopped { exit, .. } =
            home.store
                .find("web")
                .unwrap()
                .pod
                .status(0, |_| false, |_| false)
        else {
            panic!("not stopped");
        };
        assert_eq!(exit.code, 3);
    }

    #[test]
    fn a_torn_line_is_ignored_and_the_next_one_is_not() {
        let home = home();
        let held = make(&home.store, "web");
        held.started(0, run()).unwrap();
        rustix::io::write(held.as_fd(), b"{\"exited\":{\"contai").unwrap();
        assert!(matches!(
            held.read().unwrap().lives[0],
            Lifecycle::Running { .. }
        ));
        let id = held.id;
        drop(held);
        let held = home.store.hold(id).unwrap();
        held.exited(0, Exit::default()).unwrap();
        assert!(matches!(
            held.read().unwrap().lives[0],
            Lifecycle::Stopped { .. }
        ));
    }

    #[test]
    fn a_rename_moves_the_name_while_somebody_holds_the_pod() {
        let home = home();
        let _held = make(&home.store, "web");
        let found = home.store.find("web").unwrap();
        home.store.rename(&found, &"shop".parse().unwrap()).unwrap();
        assert!(matches!(
            home.store.find("web"),
            Err(StateError::NotFound { .. })
        ));
        assert_eq!(
            home.store.find("shop").unwrap().container().name.as_str(),
            "shop"
        );
    }

    #[test]
    fn sweep_takes_what_killed_makers_left_and_nothing_else() {
        let home = home();
        let kept = make(&home.store, "web");
        let name: ContainerName = "ghost".parse().unwrap();
        let dead =
            Reserved::make(&home.store, PodId::from_random([1; 16]), vec![name.clone()]).unwrap();
        dead.make_container(0, crate::RootDirectory::default())
            .unwrap();
        std::mem::forget(dead.abandon());
        mkdirat(
            home.store.root(),
            format!("pods/{}", PodId::from_random([2; 16])),
            Mode::RWXU,
        )
        .unwrap();
        let alive = Reserved::make(&home.store, PodId::from_random([3; 16]), Vec::new()).unwrap();
        for unfinished in home.store.unfinished().unwrap() {
            home.store.discard(unfinished).unwrap();
        }
        home.store.sweep().unwrap();
        let mut left = names(&home.store, "pods");
        left.sort();
        let mut expected = vec![kept.id.to_string(), alive.id().to_string()];
        expected.sort();
        assert_eq!(left, expected);
        assert_eq!(names(&home.store, "names"), ["web"]);
        assert!(names(&home.store, "garbage").is_empty());
    }

    /// Does what a command does that made a store and leaves nothing in it.
    fn leave(root: &Path, as_far_as: usize) {
        std::fs::remove_file(root.join("VERSION")).ok();
        let directories = ["pods", "names", "garbage", ""];
        for directory in directories.iter().take(as_far_as) {
            std::fs::remove_dir(root.join(directory)).unwrap();
        }
    }

    #[test]
    fn directories_that_their_maker_took_away_are_made_anew() {
        for as_far_as in 0..=4 {
            let home = home();
            leave(home.store.path(), as_far_as);
            let held = make(&home.store, "web");
            let other = Store::open(home.store.path()).unwrap();
            assert_eq!(other.find("web").unwrap().pod.id(), held.id);
            home.store.discard(held).unwrap();
            assert!(names(&other, "pods").is_empty() && names(&other, "garbage").is_empty());
        }
    }

    #[test]
    fn a_store_is_made_and_left_by_many_at_once() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("a/b");
        std::thread::scope(|scope| {
            for starter in 0..4 {
                let root = &root;
                scope.spawn(move || {
                    for turn in 0..100 {
                        let store = Store::open(root).unwrap();
                        let held = make(&store, &format!("web-{starter}-{turn}"));
                        store.discard(held).unwrap();
                        std::fs::remove_file(root.join("VERSION")).ok();
                        for directory in ["pods", "names", "garbage", "", ".."] {
                            if std::fs::remove_dir(root.join(directory)).is_err() {
                                break;
                            }
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn a_rename_is_not_lost_in_a_torn_line() {
        let home = home();
        let held = make(&home.store, "web");
        held.started(0, run()).unwrap();
        rustix::io::write(held.as_fd(), b"{\"exited\":{\"contai").unwrap();
        drop(held);
        let found = home.store.find("web").unwrap();
        home.store.rename(&found, &"shop".parse().unwrap()).unwrap();
        let found = home.store.find("shop").unwrap();
        assert_eq!(found.container().name.as_str(), "shop");
        assert_eq!(names(&home.store, "names"), ["shop"]);
    }

    #[test]
    fn a_name_that_a_killed_rename_left_is_freed() {
        let home = home();
        let held = make(&home.store, "web");
        let (new, old) = ("shop".parse().unwrap(), "web".parse().unwrap());
        // Killed before the line, and after it.
        home.store.take_name(&new, held.id).unwrap();
        assert!(matches!(
            home.store.reserve(Some(&new)),
            Err(StateError::NameTaken { .. })
        ));
        let renaming = home.store.renaming().unwrap();
        home.store.sweep().unwrap();
        assert_eq!(home.store.owner(&new).unwrap(), Some(held.id));
        drop(renaming);
        home.store.sweep().unwrap();
        assert_eq!(names(&home.store, "names"), ["web"]);
        let found = home.store.find("web").unwrap();
        home.store.rename(&found, &new).unwrap();
        home.store.take_name(&old, held.id).unwrap();
        home.store.sweep().unwrap();
        assert_eq!(names(&home.store, "names"), ["shop"]);
    }

    #[test]
    fn a_name_is_waited_for_while_its_pod_is_being_removed() {
        let home = home();
        let held = make(&home.store, "web");
        let id = held.id;
        let (pods, garbage) = (format!("pods/{id}"), format!("garbage/{id}"));
        renameat(home.store.root(), &pods, home.store.root(), &garbage).unwrap();
        home.store.sweep().unwrap();
        assert_eq!(names(&home.store, "names"), ["web"]);
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| make(&home.store, "web").id);
            std::thread::sleep(Duration::from_millis(20));
            assert!(!taker.is_finished());
            home.store.free_own_name(&"web".parse().unwrap(), id);
            let owner = taker.join().unwrap();
            assert_eq!(
                home.store.owner(&"web".parse().unwrap()).unwrap(),
                Some(owner)
            );
        });
        drop(held);
        home.store.sweep().unwrap();
        assert!(names(&home.store, "garbage").is_empty());
    }

    #[test]
    fn a_newer_store_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::open(temp.path()).unwrap();
        hull_fs::replace_at(
            store.root(),
            "VERSION",
            b"2\n",
            Mode::RUSR,
            Durability::Cached,
        )
        .unwrap();
        assert!(matches!(
            Store::open(temp.path()),
            Err(StateError::NewerVersion { .. })
        ));
    }

    #[test]
    fn starters_race_and_one_wins() {
        let home = home();
        let id = make(&home.store, "web").id;
        let winners: usize = std::thread::scope(|scope| {
            let starter = |_| {
                scope.spawn(|| {
                    home.store.hold(id).is_ok_and(|held| {
                        held.started(0, run())
                            .map(|()| std::mem::forget(held))
                            .is_ok()
                    })
                })
            };
            let starters: Vec<_> = (0..16).map(starter).collect();
            starters
                .into_iter()
                .map(|starter| usize::from(starter.join().unwrap()))
                .sum()
        });
        assert_eq!(winners, 1);
    }
}
