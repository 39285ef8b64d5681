//! One pod on disk: reserved by its maker, read by anyone, held by one.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::ofd::{self, Kind};
use hull_types::{ContainerId, ContainerName, PodId, Timestamp};
use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, Uid, chmodat, chownat, mkdirat, openat},
    io::Errno,
};

use crate::{
    Container, Entry, Exit, Journal, Lifecycle, Observed, PodRecord, Run, StateError, Status, Store,
};

/// Overlayfs's two directories of a container, and the first of the files that keep what it wrote.
pub const UPPER: &str = "upper";
pub const WORK: &str = "work";
pub const LOG: &str = "log";

/// Returns the name that a part of the container at `place` has in its pod's directory: `0.upper`. Parts lie there side by
/// side: a directory for each container would cost every start as much as making and removing one costs.
pub fn part_of(place: usize, part: &str) -> String {
    format!("{place}.{part}")
}

/// A pod as read: its journal at one moment, and whether somebody held it at that moment.
#[derive(Debug)]
pub struct Pod {
    pub journal: Journal,
    pub held: bool,
}

/// A pod that this process holds: it may write. The lock goes with the descriptor, and ends with its last copy.
#[derive(Debug)]
pub struct Held {
    pub id: PodId,
    journal: OwnedFd,
    /// How long the journal is as far as its holders wrote it themselves, the pod's maker first. Of a pod taken up later it is
    /// not known, and says nothing.
    written: Cell<u64>,
}

/// A pod's journal held open for reading: it can be read even after the pod was removed.
#[derive(Debug)]
pub struct Watched {
    id: PodId,
    journal: OwnedFd,
}

impl Watched {
    pub(crate) fn open(store: &Store, id: PodId) -> Result<Self, StateError> {
        let path = format!("pods/{id}/journal");
        match openat(
            store.root(),
            &path,
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            Ok(journal) => Ok(Self { id, journal }),
            Err(Errno::NOENT) => Err(StateError::NotFound {
                asked: id.to_string(),
                near: Vec::new(),
            }),
            Err(source) => Err(store.failed("open", &path, source)),
        }
    }

    /// Reads the journal as it is now.
    pub fn read(&self) -> Result<Journal, StateError> {
        read_journal(self.id, self.journal.as_fd())
    }

    /// Returns whether somebody holds the pod.
    pub fn is_held(&self) -> bool {
        ofd::holder(&self.journal).is_ok_and(|holder| holder.is_some())
    }
}

fn read_journal(id: PodId, file: BorrowedFd<'_>) -> Result<Journal, StateError> {
    let failed = |source| StateError::File {
        what: "read",
        path: format!("pods/{id}/journal").into(),
        source,
    };
    match Journal::parse(&read_all(file).map_err(failed)?) {
        Ok(Some(journal)) => Ok(journal),
        Ok(None) => Err(StateError::NoRecord {
            pod: id,
            source: None,
        }),
        Err(source) => Err(StateError::NoRecord {
            pod: id,
            source: Some(source),
        }),
    }
}

/// Mode and owner of a container's `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootDirectory {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

impl Default for RootDirectory {
    /// What docker gives an image that says nothing.
    fn default() -> Self {
        Self {
            mode: 0o755,
            uid: 0,
            gid: 0,
        }
    }
}

/// A pod being made: its directory, its lock and its names exist, its record does not. Dropped, it is undone.
#[derive(Debug)]
pub struct Reserved<'a> {
    store: &'a Store,
    held: Option<Held>,
    directory: OwnedFd,
    names: Vec<ContainerName>,
}

impl Pod {
    /// Reads a pod without taking a lock. `None`: there is no such pod, or not yet.
    pub(crate) fn read(store: &Store, id: PodId) -> Result<Option<Self>, StateError> {
        let path = format!("pods/{id}/journal");
        let file = match openat(
            store.root(),
            &path,
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(source) => return Err(store.failed("open", &path, source)),
        };
        // Asked before reading: whoever let go in between has written its last line by then.
        let held = ofd::holder(&file)
            .map(|holder| holder.is_some())
            .map_err(|source| store.failed("ask for the lock of", &path, source))?;
        let bytes = read_all(&file).map_err(|source| store.failed("read", &path, source))?;
        match Journal::parse(&bytes) {
            Ok(Some(journal)) => Ok(Some(Self { journal, held })),
            Ok(None) => Ok(None),
            Err(source) => Err(StateError::NoRecord {
                pod: id,
                source: Some(source),
            }),
        }
    }

    /// Returns the pod's id.
    pub fn id(&self) -> PodId {
        self.journal.record.id
    }

    /// Returns a container by its place, which `find` gave.
    pub fn container(&self, place: usize) -> &Container {
        &self.journal.record.containers[place]
    }

    /// Works out what a container is doing; `populated` and `frozen` ask its cgroup and are called only when it matters.
    pub fn status(
        &self,
        place: usize,
        populated: impl FnOnce(&Run) -> bool,
        frozen: impl FnOnce(&Run) -> bool,
    ) -> Status {
        let life = &self.journal.lives[place];
        let mut seen = Observed {
            held: self.held,
            ..Observed::default()
        };
        if let Lifecycle::Running { run } = life {
            if self.held {
                seen.frozen = frozen(run);
            } else {
                seen.populated = populated(run);
            }
        }
        Status::of(life, seen)
    }
}

impl Held {
    /// Opens a pod's journal for writing and takes its lock, if nobody has it.
    pub(crate) fn open(store: &Store, id: PodId) -> Result<Self, StateError> {
        let path = format!("pods/{id}/journal");
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
        let file = match openat(store.root(), &path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => {
                return Err(StateError::NotFound {
                    asked: id.to_string(),
                    near: Vec::new(),
                });
            }
            Err(source) => return Err(store.failed("open", &path, source)),
        };
        if !ofd::try_lock(&file, Kind::Exclusive)
            .map_err(|source| store.failed("lock", &path, source))?
        {
            return Err(StateError::Held { pod: id });
        }
        let held = Self {
            id,
            journal: file,
            written: Cell::new(0),
        };
        held.end_torn_line()
            .map_err(|source| store.failed("mend", &path, source))?;
        Ok(held)
    }

    /// Takes over a lock that was inherited with its descriptor, and what the holder before knew of the journal's length.
    pub fn inherited(id: PodId, journal: OwnedFd, written: u64) -> Self {
        Self {
            id,
            journal,
            written: Cell::new(written),
        }
    }

    /// Returns how long the journal is as far as is known; see [`Self::read_if_longer`].
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// Reads the journal, unless its holders have written all of it: then there is nothing in it that they do not know. Who
    /// renames or restarts a container writes past them.
    pub fn read_if_longer(&self) -> Result<Option<Journal>, StateError> {
        let size = rustix::fs::fstat(self.journal.as_fd())
            .map_err(|source| self.failed("look at", source))?
            .st_size;
        match u64::try_from(size) == Ok(self.written.get()) {
            true => Ok(None),
            false => self.read().map(Some),
        }
    }

    /// Returns the journal's descriptor, to be inherited by the process that shall hold the pod.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.journal.as_fd()
    }

    /// Reads the journal.
    pub fn read(&self) -> Result<Journal, StateError> {
        read_journal(self.id, self.journal.as_fd())
    }

    /// Appends an event: one write of one line.
    pub fn append(&self, entry: &Entry) -> Result<(), StateError> {
        let line = entry
            .to_line()
            .map_err(|source| StateError::Encode { source })?;
        self.write(&line)
    }

    /// Writes that a container's app was started.
    pub fn started(&self, container: usize, run: Run) -> Result<(), StateError> {
        self.append(&Entry::Started { container, run })
    }

    /// Writes that a container ended.
    pub fn exited(&self, container: usize, exit: Exit) -> Result<(), StateError> {
        self.append(&Entry::Exited { container, exit })
    }

    fn write(&self, line: &[u8]) -> Result<(), StateError> {
        let mut rest = line;
        while !rest.is_empty() {
            match rustix::io::write(self.journal.as_fd(), rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(source) => return Err(self.failed("write to", source)),
            }
        }
        let written = self.written.get() + line.len() as u64;
        self.written.set(written);
        Ok(())
    }

    /// A writer that was killed, or a full disk, may have left half a line: end it, so that the next line stands alone.
    fn end_torn_line(&self) -> Result<(), Errno> {
        let size = rustix::fs::fstat(self.journal.as_fd())?.st_size;
        let Some(last) = u64::try_from(size)
            .ok()
            .and_then(|size| size.checked_sub(1))
        else {
            return Ok(());
        };
        let mut byte = [0];
        rustix::io::pread(self.journal.as_fd(), &mut byte, last)?;
        if byte != *b"\n" {
            rustix::io::write(self.journal.as_fd(), b"\n")?;
        }
        Ok(())
    }

    fn failed(&self, what: &'static str, source: Errno) -> StateError {
        StateError::File {
            what,
            path: format!("pods/{}/journal", self.id).into(),
            source,
        }
    }
}

impl<'a> Reserved<'a> {
    /// Makes the directory, takes the lock, takes the names.
    pub(crate) fn make(
        store: &'a Store,
        id: PodId,
        names: Vec<ContainerName>,
    ) -> Result<Self, StateError> {
        let path = format!("pods/{id}");
        store
            .within(|root| mkdirat(root, &path, Mode::RWXU))
            .map_err(|source| store.failed("make", &path, source))?;
        // Until the lock is ours, a collector that came by may hold it: then this directory is on its way out, or gone.
        let failed = |what, path: &str, source| match source {
            Errno::NOENT => StateError::Held { pod: id },
            source => store.failed(what, path, source),
        };
        let journal = format!("{path}/journal");
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
        let file = openat(store.root(), &journal, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|source| failed("make", &journal, source))?;
        if !ofd::try_lock(&file, Kind::Exclusive)
            .map_err(|source| store.failed("lock", &path, source))?
        {
            return Err(StateError::Held { pod: id });
        }
        // It is still there, so it is not a file that was removed which is locked here.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(store.root(), &path, flags, Mode::empty())
            .map_err(|source| failed("open", &path, source))?;
        let mut reserved = Self {
            store,
            held: Some(Held {
                id,
                journal: file,
                written: Cell::new(0),
            }),
            directory,
            names: Vec::with_capacity(names.len()),
        };
        for name in names {
            store.take_name(&name, id)?;
            reserved.names.push(name);
        }
        Ok(reserved)
    }

    /// Returns the pod's id.
    pub fn id(&self) -> PodId {
        self.held.as_ref().expect("present until published").id
    }

    /// Makes the writable part of the container at `place`: `upper` and `work`. The upper directory's own mode and owner are what
    /// the container sees of its `/`.
    pub fn make_container(&self, place: usize, root: RootDirectory) -> Result<(), StateError> {
        for part in [UPPER, WORK] {
            let path = part_of(place, part);
            let failed = |source| {
                self.store
                    .failed("make", &format!("pods/{}/{path}", self.id()), source)
            };
            mkdirat(&self.directory, &path, Mode::RWXU).map_err(failed)?;
        }
        let path = part_of(place, UPPER);
        let failed = |source| {
            self.store
                .failed("set up", &format!("pods/{}/{path}", self.id()), source)
        };
        if (root.uid, root.gid) != (0, 0) {
            let (uid, gid) = (Uid::from_raw(root.uid), Gid::from_raw(root.gid));
            chownat(&self.directory, &path, Some(uid), Some(gid), NO_FOLLOW).map_err(failed)?;
        }
        // After the owner: a change of owner clears set-id bits. Not by mkdir: the umask would have its say.
        chmodat(
            &self.directory,
            &path,
            Mode::from_raw_mode(root.mode),
            AtFlags::empty(),
        )
        .map_err(failed)
    }

    /// Lets go of the lock as a maker that is killed does: nothing is undone.
    #[cfg(test)]
    pub(crate) fn abandon(mut self) -> Self {
        self.held = None;
        self
    }

    /// Writes the first line: from now on the pod exists.
    pub fn publish(
        mut self,
        created: Timestamp,
        remove: bool,
        containers: Vec<Container>,
    ) -> Result<Held, StateError> {
        let record = PodRecord {
            id: self.id(),
            created,
            remove,
            containers,
        };
        let line = record
            .to_line()
            .map_err(|source| StateError::Encode { source })?;
        self.held
            .as_ref()
            .expect("present until published")
            .write(&line)?;
        self.names.clear();
        Ok(self.held.take().expect("present until published"))
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            for name in &self.names {
                self.store.free_name(name, held.id);
            }
            // What cannot be removed now is removed by `gc`: it has no first line.
            drop(self.store.discard(held));
        }
    }
}

/// Returns random bytes from the kernel. It has them once it has booted, so there is nothing to report.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags).unwrap_or(0);
    }
    bytes
}

/// Makes the id of a pod's first container.
pub(crate) fn first_container(pod: &PodId) -> ContainerId {
    ContainerId::first_of(pod, random())
}

pub(crate) fn read_all(file: impl AsFd) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::with_capacity(8192);
    loop {
        bytes.reserve(4096);
        let at = bytes.len() as u64;
        match rustix::io::pread(file.as_fd(), rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => return Ok(bytes),
            // A short read of a regular file is its end; the loop would ask once more for nothing.
            Ok(_) if bytes.len() < bytes.capacity() => return Ok(bytes),
            Ok(_) | Err(Errno::INTR) => {}
            Err(source) => return Err(source),
        }
    }
}

pub(crate) const NO_FOLLOW: AtFlags = AtFlags::SYMLINK_NOFOLLOW;
