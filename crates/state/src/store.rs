//! All pods of one root directory: opening it, and looking into it.

mod find;
mod names;
mod sweep;

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use hull_fs::{Durability, Making};
use hull_types::{ContainerId, ContainerName, PodId};
use rustix::{
    fs::{Dir, Mode, OFlags, mkdir, mkdirat, openat},
    io::Errno,
};

use crate::{
    Held, Pod, Reserved, StateError, Watched,
    pod::{first_container, random, read_all},
    random_name,
};

pub use find::Found;
pub use sweep::Swept;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// The layout's version; a store with a higher one is refused.
const VERSION: u32 = 1;

/// How often directories that somebody takes away again are made anew. Each time takes another command that finds the store
/// empty in the very moment, so nobody meets many.
const ATTEMPTS: usize = 32;

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
        let store = Self::opened(path, root);
        store.check_version()?;
        Ok(store)
    }

    /// The store whose root directory the caller has open, by its path, and knows to be of this version.
    pub fn opened(path: &Path, root: OwnedFd) -> Self {
        Self {
            path: path.to_owned(),
            root,
            again: OnceLock::new(),
        }
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

    fn exists(&self, id: PodId) -> bool {
        rustix::fs::statat(self.root(), format!("pods/{id}"), crate::pod::NO_FOLLOW).is_ok()
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
mod tests;
