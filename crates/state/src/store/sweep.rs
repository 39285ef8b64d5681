//! Removing a pod, and what removers and makers who were killed left behind.
//!
//! ```text
//!   pods/<id> ── rename ──▶ garbage/<id> ── names freed ── files deleted
//!                            └─ its remover was killed: the next sweep goes on from here
//! ```
//! The pod's lock is held throughout, so that nobody sweeps what is still being removed.

use std::os::fd::BorrowedFd;

use hull_sys::ofd;
use hull_types::{ContainerName, PodId};
use rustix::{
    fs::{Mode, OFlags, openat, renameat},
    io::Errno,
};

use super::{DIRECTORY, Store};
use crate::{Held, Pod, StateError};

/// What a sweep took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// In words.
    pub removed: Vec<String>,
    /// What it took on the disk.
    pub bytes: u64,
}

impl Store {
    /// Removes a pod that the caller holds: it disappears by one rename, its names are freed, and its files are deleted.
    /// The lock is kept to the end, so that whoever wants a name of it, or sweeps, leaves that to us.
    pub fn discard(&self, held: Held) -> Result<(), StateError> {
        let journal = held.read().ok();
        let containers = journal
            .iter()
            .flat_map(|journal| &journal.record.containers);
        self.discard_named(held, containers.map(|container| &container.name))
    }

    /// The same where it is known what names it has.
    pub fn discard_named<'n>(
        &self,
        held: Held,
        names: impl IntoIterator<Item = &'n ContainerName>,
    ) -> Result<(), StateError> {
        let id = held.id;
        let (from, to) = (format!("pods/{id}"), format!("garbage/{id}"));
        self.within(|root| renameat(root, &from, root, &to))
            .map_err(|source| self.failed("remove", &from, source))?;
        for name in names {
            self.free_own_name(name, id);
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
    pub fn sweep(&self) -> Result<Swept, StateError> {
        let mut swept = Swept {
            removed: self.sweep_names()?,
            bytes: 0,
        };
        let mut garbage = Vec::new();
        self.each("garbage", |name| garbage.push(name.to_owned()))?;
        for name in garbage {
            let path = format!("garbage/{name}");
            // Whoever is deleting it still holds its lock.
            if !self.is_held(&format!("{path}/journal")) {
                swept.bytes += self.bytes(&path);
                self.delete(&path)?;
                swept.removed.push(path);
            }
        }
        let unfinished = hull_fs::remove_unfinished(self.root());
        let unfinished = unfinished.map_err(|source| StateError::Sweep {
            path: self.path.clone(),
            source,
        })?;
        if unfinished > 0 {
            swept
                .removed
                .push(format!("{unfinished} unfinished records"));
        }
        Ok(swept)
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

    /// Tells whether somebody holds a journal's lock.
    pub(super) fn is_held(&self, journal: &str) -> bool {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat(self.root(), journal, flags, Mode::empty())
            .is_ok_and(|file| ofd::holder(&file).is_ok_and(|holder| holder.is_some()))
    }

    /// Returns how much a directory takes on the disk, as far as it can be read.
    fn bytes(&self, path: &str) -> u64 {
        let directory = openat(self.root(), path, DIRECTORY, Mode::empty());
        directory.map_or(0, |directory| {
            hull_fs::disk_usage(directory).map_or(0, |usage| usage.bytes)
        })
    }

    fn delete(&self, path: &str) -> Result<(), StateError> {
        remove_below(self.root(), path).map_err(|source| StateError::Sweep {
            path: self.path.join(path),
            source,
        })
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
