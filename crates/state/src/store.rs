//! All pods of one root directory.

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use hull_fs::Durability;
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
    Held, Pod, Reserved, StateError, Watched,
    pod::{first_container, random, read_all},
    random_name,
};

/// The layout's version; a store with a higher one is refused.
const VERSION: u32 = 1;

/// The root directory of a store.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    root: OwnedFd,
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
        };
        store.check_version()?;
        Ok(store)
    }

    /// Returns the root directory.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
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
                // A made-up name that is taken is made up again; a collector may have met the new directory first.
                Err(StateError::NameTaken { .. }) if name.is_none() => attempt += 1,
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
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.root, &path, flags, Mode::empty())
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
        match readlinkat(&self.root, &path, Vec::new()) {
            Ok(text) => Ok(text.to_str().ok().and_then(|text| text.parse().ok())),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(source) => Err(self.failed("read", &path, source)),
        }
    }

    /// Takes a name for a pod. A name whose pod is gone is freed first.
    pub fn take_name(&self, name: &ContainerName, pod: PodId) -> Result<(), StateError> {
        let path = format!("names/{name}");
        for _ in 0..8 {
            match symlinkat(pod.to_string(), &self.root, &path) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => match self.owner(name)? {
                    Some(owner) if self.exists(owner) => {
                        let id = Pod::read(self, owner)?.map(|pod| pod.container(0).id.short());
                        let owner = id.unwrap_or_else(|| owner.simple()[..12].to_owned());
                        return Err(StateError::NameTaken {
                            name: name.clone(),
                            owner,
                        });
                    }
                    Some(owner) => self.free_name(name, owner),
                    None => {}
                },
                Err(source) => return Err(self.failed("make", &path, source)),
            }
        }
        Err(StateError::NameTaken {
            name: name.clone(),
            owner: "that is just being made".to_owned(),
        })
    }

    /// Frees a name if that pod owns it.
    ///
    /// Two processes that find the same dead owner may both come here, and the slower one could unlink what the faster one's
    /// pod has just taken. So the link is renamed aside first, looked at, and put back if it is another's.
    pub fn free_name(&self, name: &ContainerName, pod: PodId) {
        let path = format!("names/{name}");
        let aside = format!("garbage/name-{}", PodId::from_random(random()).simple());
        if renameat(&self.root, &path, &self.root, &aside).is_err() {
            return;
        }
        let owner = readlinkat(&self.root, &aside, Vec::new()).ok();
        let text = owner.and_then(|text| text.into_string().ok());
        if text.as_deref() != Some(&pod.to_string()) {
            // Another's: back to its place, unless that has been taken meanwhile by a third.
            rustix::fs::linkat(&self.root, &aside, &self.root, &path, AtFlags::empty()).ok();
        }
        unlinkat(&self.root, &aside, AtFlags::empty()).ok();
    }

    /// Frees a name that no other process can be taking: its pod lives and is held by the caller, so a plain unlink is exact.
    fn free_own_name(&self, name: &ContainerName, pod: PodId) {
        if self.owner(name).ok().flatten() == Some(pod) {
            unlinkat(&self.root, format!("names/{name}"), AtFlags::empty()).ok();
        }
    }

    /// Gives a container another name. The pod may be running: the line is appended past its holder, in one write.
    pub fn rename(&self, found: &Found, name: &ContainerName) -> Result<(), StateError> {
        let (pod, path) = (found.pod.id(), format!("pods/{}/journal", found.pod.id()));
        self.take_name(name, pod)?;
        let renamed = crate::Entry::Renamed {
            container: found.place,
            name: name.clone(),
        };
        let line = renamed
            .to_line()
            .map_err(|source| StateError::Encode { source })?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC;
        let written = openat(&self.root, &path, flags, Mode::empty())
            .and_then(|file| rustix::io::write(&file, &line))
            .map_err(|source| self.failed("write to", &path, source));
        if let Err(error) = written {
            self.free_own_name(name, pod);
            return Err(error);
        }
        self.free_own_name(&found.container().name, pod);
        Ok(())
    }

    /// Removes a pod that the caller holds: its names are freed, it disappears by one rename, and its files are deleted.
    /// The lock is kept to the end, so that a sweeper leaves the directory to us.
    pub fn discard(&self, held: Held) -> Result<(), StateError> {
        let id = held.id;
        if let Ok(journal) = held.read() {
            for container in &journal.record.containers {
                self.free_own_name(&container.name, id);
            }
        }
        let (from, to) = (format!("pods/{id}"), format!("garbage/{id}"));
        renameat(&self.root, &from, &self.root, &to)
            .map_err(|source| self.failed("remove", &from, source))?;
        self.delete(&to)
    }

    /// Deletes what earlier removals left, and pods whose maker died before it wrote what they are. Returns what went.
    pub fn sweep(&self) -> Result<Vec<String>, StateError> {
        let mut swept = Vec::new();
        for id in self.ids()? {
            if let Ok(None) = Pod::read(self, id)
                && let Some(held) = self.hold_unmade(id)?
            {
                self.discard(held)?;
                swept.push(format!("unfinished pod {id}"));
            }
        }
        let mut names = Vec::new();
        self.each("names", |name| names.push(name.to_owned()))?;
        for name in names
            .iter()
            .filter_map(|name| name.parse::<ContainerName>().ok())
        {
            if let Some(owner) = self.owner(&name)?
                && !self.exists(owner)
            {
                self.free_name(&name, owner);
                swept.push(format!("name {name} of a pod that is gone"));
            }
        }
        let mut garbage = Vec::new();
        self.each("garbage", |name| garbage.push(name.to_owned()))?;
        for name in garbage {
            let path = format!("garbage/{name}");
            // Whoever is deleting it still holds its lock.
            let journal = format!("{path}/journal");
            let held = openat(
                &self.root,
                &journal,
                OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .is_ok_and(|file| ofd::holder(&file).is_ok_and(|holder| holder.is_some()));
            if !held {
                self.delete(&path)?;
                swept.push(path);
            }
        }
        Ok(swept)
    }

    /// Takes the lock of a directory without a record, making the journal if even that is missing: its maker, should it still
    /// come, finds the lock taken.
    fn hold_unmade(&self, id: PodId) -> Result<Option<Held>, StateError> {
        let path = format!("pods/{id}/journal");
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
        match openat(&self.root, &path, flags, Mode::RUSR | Mode::WUSR) {
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
        rustix::fs::statat(&self.root, format!("pods/{id}"), crate::pod::NO_FOLLOW).is_ok()
    }

    fn delete(&self, path: &str) -> Result<(), StateError> {
        remove_below(&self.root, path).map_err(|source| StateError::Sweep {
            path: self.path.join(path),
            source,
        })
    }

    /// Calls `each` with every entry's name.
    fn each(&self, directory: &str, mut each: impl FnMut(&str)) -> Result<(), StateError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match openat(&self.root, directory, flags, Mode::empty()) {
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
fn remove_below(root: &OwnedFd, path: &str) -> Result<(), hull_fs::FsError> {
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
        home.store.sweep().unwrap();
        let mut left = names(&home.store, "pods");
        left.sort();
        let mut expected = vec![kept.id.to_string(), alive.id().to_string()];
        expected.sort();
        assert_eq!(left, expected);
        assert_eq!(names(&home.store, "names"), ["web"]);
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
