//! A layer's archive made into a tree for overlayfs.
//!
//! Every name is resolved by one component at a time from a directory held open, and no symbolic link is ever followed,
//! not even inside the root: what a layer's tree looks like is decided by the names of its entries alone. A path that
//! leads through a link of the same layer is refused; links of other layers are not here to be followed.
//!
//! Files and links are finished at once. What belongs to directories (owner, mode, attributes, times, opaque marks) is
//! set at the end: a directory's time changes with every name put into it, and its set-group bit or default ACL would
//! be inherited by what comes after it.
//!
//! The tree must be new, empty and seen by nobody else. System calls are what extraction costs: an ordinary file takes
//! five (open, write, set times, close, and change of owner if it is not ours).

pub(crate) mod attributes;
mod pending;
mod whiteout;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use hull_fs::remove_tree;
use hull_fs::tar::{Device, Entry, EntryPath, Kind, Reader};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::descent::{Descent, Found};
use crate::{Options, Refusal, RootDirectory, SnapshotError};
use attributes::Attributes;
use pending::Pending;
use whiteout::Meaning;

/// The highest user or group id a container has: pods get ranges of 65,536.
const HIGHEST_ID: u32 = 65_535;

/// What there is to say about an extracted archive.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) size: u64,
    pub(crate) entries: u64,
    pub(crate) root: Option<RootDirectory>,
    pub(crate) skipped: BTreeSet<Vec<u8>>,
    pub(crate) dropped_attributes: BTreeSet<Vec<u8>>,
    pub(crate) end_was_marked: bool,
}

/// Extracts an archive into an empty directory, and reads the stream to its end.
pub(crate) fn extract(
    root: BorrowedFd<'_>,
    source: &mut dyn Read,
    options: Options,
) -> Result<Summary, SnapshotError> {
    let mut reader = Reader::new(source, options.limits);
    let mut extraction = Extraction {
        tree: Descent::new(root),
        process: Process::read(),
        options,
        pending: BTreeMap::new(),
        summary: Summary::default(),
    };
    while let Some(entry) = reader.next_entry()? {
        extraction.summary.entries += 1;
        extraction.put(&entry, &mut reader)?;
    }
    extraction.finish_directories()?;
    extraction.summary.end_was_marked = reader.end_was_marked();
    let _ = reader.finish()?;
    Ok(extraction.summary)
}

/// What this process gives to files it makes without being asked.
#[derive(Clone, Copy, Debug)]
struct Process {
    uid: u32,
    gid: u32,
    umask: u32,
}

impl Process {
    fn read() -> Self {
        // There is no call that reads the umask without changing it for all threads.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let umask = status
            .lines()
            .find_map(|line| line.strip_prefix("Umask:"))
            .and_then(|text| u32::from_str_radix(text.trim(), 8).ok());
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            // Not known: every mode is set once more.
            umask: umask.unwrap_or(0o777),
        }
    }

    /// Returns whether a file made with `mode` needs it set again. Set-id bits go away when a file is written or
    /// given to somebody, so they always do.
    fn must_set_mode(self, mode: u32) -> bool {
        mode & (self.umask | 0o7000) != 0
    }

    fn must_set_owner(self, entry: &Entry) -> bool {
        (entry.uid, entry.gid) != (self.uid, self.gid)
    }
}

struct Extraction<'a> {
    tree: Descent<'a>,
    process: Process,
    options: Options,
    /// What directories are to become, by path.
    pending: BTreeMap<Vec<u8>, Pending>,
    summary: Summary,
}

impl Extraction<'_> {
    fn put<R: Read>(&mut self, entry: &Entry, reader: &mut Reader<R>) -> Result<(), SnapshotError> {
        let refuse = |refusal| SnapshotError::Refused {
            path: entry.path.clone(),
            refusal,
        };
        let attributes = Attributes::choose(entry, &mut self.summary.dropped_attributes)?;
        match whiteout::meaning(entry).map_err(refuse)? {
            Meaning::Plain => {}
            Meaning::Whiteout { parent, name } => return self.white_out(entry, parent, name),
            Meaning::Opaque { directory } => return self.make_opaque(entry, directory),
        }
        for (what, id) in [("user", entry.uid), ("group", entry.gid)] {
            if id > HIGHEST_ID {
                return Err(refuse(Refusal::Id { what, id }));
            }
        }
        let Some((parent, name)) = entry.path.parts() else {
            return self.put_root(entry, attributes).map_err(refuse);
        };
        match &entry.kind {
            Kind::CharDevice(Device { major: 0, minor: 0 }) => {
                return Err(refuse(Refusal::NativeWhiteout));
            }
            Kind::CharDevice(_) | Kind::BlockDevice(_) => {
                return self.skip_device(entry).map_err(refuse);
            }
            _ => {}
        }
        self.enter(entry, parent)?;
        match &entry.kind {
            Kind::Directory => self.put_directory(entry, name, attributes),
            Kind::File => self.put_file(entry, name, &attributes, reader),
            Kind::Symlink(target) => self.put_symlink(entry, name, target),
            Kind::HardLink(target) => self.put_hard_link(entry, name, target),
            Kind::Fifo => self.put_fifo(entry, name, &attributes),
            Kind::CharDevice(_) | Kind::BlockDevice(_) => Ok(()),
        }
    }

    fn put_root(&mut self, entry: &Entry, attributes: Attributes<'_>) -> Result<(), Refusal> {
        if entry.kind != Kind::Directory {
            return Err(Refusal::Root(entry.kind.word()));
        }
        let Entry { mode, uid, gid, .. } = *entry;
        self.summary.root = Some(RootDirectory { mode, uid, gid });
        self.pending
            .insert(Vec::new(), Pending::of(entry, attributes, None));
        Ok(())
    }

    /// Leaves out a device that every container gets a better one for; refuses others.
    fn skip_device(&mut self, entry: &Entry) -> Result<(), Refusal> {
        if !is_below_dev(&entry.path) {
            return Err(Refusal::Device);
        }
        self.summary.skipped.insert(entry.path.as_bytes().to_vec());
        Ok(())
    }

    /// Makes the directory `path` the current one. What is missing of it is made, as tar does.
    fn enter(&mut self, entry: &Entry, path: &[u8]) -> Result<(), SnapshotError> {
        for end in self.tree.leave_for(path) {
            let name = &path[self.tree.next_name()..end];
            let here = &path[..end];
            let failed = |source| fail("open directory", here, source);
            match self.tree.enter(name, end) {
                Ok(()) => continue,
                Err(Errno::NOENT) => {}
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    self.clear_way(entry, here, name)?;
                }
                Err(source) => return Err(failed(source)),
            }
            let made = 0o755;
            rustix::fs::mkdirat(self.tree.current(), name, Mode::from_raw_mode(made))
                .map_err(|source| fail("create directory", here, source))?;
            let was_whiteout = self
                .pending
                .remove(here)
                .is_some_and(|pending| pending.opaque);
            self.pending
                .insert(here.to_vec(), Pending::implied(entry, made, was_whiteout));
            self.tree.enter(name, end).map_err(failed)?;
        }
        Ok(())
    }

    /// Removes a whiteout that stands where a directory is needed; anything else there is refused.
    fn clear_way(&mut self, entry: &Entry, here: &[u8], name: &[u8]) -> Result<(), SnapshotError> {
        let refusal = match self
            .tree
            .look(name)
            .map_err(|source| fail("inspect", here, source))?
        {
            Some(Found::Whiteout) => {
                self.unlink(name, here)?;
                // The directory replaces what was deleted, and shows nothing of it.
                self.pending.insert(here.to_vec(), Pending::opaque());
                return Ok(());
            }
            Some(Found::Symlink) => Refusal::ThroughSymlink(plain(here)),
            _ => Refusal::ThroughFile(plain(here)),
        };
        Err(SnapshotError::Refused {
            path: entry.path.clone(),
            refusal,
        })
    }

    fn put_directory(
        &mut self,
        entry: &Entry,
        name: &[u8],
        attributes: Attributes<'_>,
    ) -> Result<(), SnapshotError> {
        let path = entry.path.as_bytes();
        let mode = entry.mode & 0o777;
        let make = |tree: &Descent<'_>| {
            rustix::fs::mkdirat(tree.current(), name, Mode::from_raw_mode(mode))
                .map_err(|source| fail("create directory", path, source))
        };
        let known = match make(&self.tree) {
            Ok(()) => Some(mode & !self.process.umask),
            Err(SnapshotError::Entry {
                source: Errno::EXIST,
                ..
            }) => {
                let found = self
                    .tree
                    .look(name)
                    .map_err(|source| fail("inspect", path, source))?;
                let opaque = match found {
                    // A second entry for it: the later one says what it is to be.
                    Some(Found::Directory) => {
                        self.pending.get(path).is_some_and(|pending| pending.opaque)
                    }
                    found => {
                        self.remove(name, path, found)?;
                        make(&self.tree)?;
                        found == Some(Found::Whiteout)
                    }
                };
                let pending = Pending::of(entry, attributes, None).with_opaque(opaque);
                self.pending.insert(path.to_vec(), pending);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.pending
            .insert(path.to_vec(), Pending::of(entry, attributes, known));
        Ok(())
    }

    fn put_file<R: Read>(
        &mut self,
        entry: &Entry,
        name: &[u8],
        attributes: &Attributes<'_>,
        reader: &mut Reader<R>,
    ) -> Result<(), SnapshotError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        let file = self.make(entry, name, "create file", |dir| {
            rustix::fs::openat(dir, name, flags, mode)
        })?;
        let failed = |action| move |source| fail(action, entry.path.as_bytes(), source);
        let mut end = 0;
        while let Some(chunk) = reader.chunk()? {
            write_at(file.as_fd(), chunk.bytes, chunk.offset).map_err(failed("write"))?;
            end = chunk.offset + chunk.bytes.len() as u64;
        }
        if end < entry.size {
            rustix::fs::ftruncate(&file, entry.size).map_err(failed("set the size of"))?;
        }
        // In this order: giving a file away takes its set-id bits and capabilities.
        if self.process.must_set_owner(entry) {
            rustix::fs::fchown(&file, Some(owner(entry)), Some(group(entry)))
                .map_err(failed("set the owner of"))?;
        }
        if self.process.must_set_mode(entry.mode) {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode))
                .map_err(failed("set the mode of"))?;
        }
        attributes.set(file.as_fd(), &entry.path)?;
        rustix::fs::futimens(&file, &entry.mtime.to_set()).map_err(failed("set the time of"))?;
        self.summary.size += entry.size;
        Ok(())
    }

    fn put_symlink(
        &mut self,
        entry: &Entry,
        name: &[u8],
        target: &[u8],
    ) -> Result<(), SnapshotError> {
        self.make(entry, name, "create symbolic link", |dir| {
            rustix::fs::symlinkat(target, dir, name)
        })?;
        self.set_owner_and_time(entry, name)
    }

    fn put_fifo(
        &mut self,
        entry: &Entry,
        name: &[u8],
        attributes: &Attributes<'_>,
    ) -> Result<(), SnapshotError> {
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        self.make(entry, name, "create named pipe", |dir| {
            rustix::fs::mknodat(dir, name, FileType::Fifo, mode, 0)
        })?;
        let dir = self.tree.current();
        let path = entry.path.as_bytes();
        attributes.set_without_opening(dir, name, &entry.path)?;
        self.set_owner_and_time(entry, name)?;
        if self.process.must_set_mode(entry.mode) {
            let mode = Mode::from_raw_mode(entry.mode);
            rustix::fs::chmodat(dir, name, mode, AtFlags::empty())
                .map_err(|source| fail("set the mode of", path, source))?;
        }
        Ok(())
    }

    fn set_owner_and_time(&self, entry: &Entry, name: &[u8]) -> Result<(), SnapshotError> {
        let dir = self.tree.current();
        let path = entry.path.as_bytes();
        let itself = AtFlags::SYMLINK_NOFOLLOW;
        if self.process.must_set_owner(entry) {
            rustix::fs::chownat(dir, name, Some(owner(entry)), Some(group(entry)), itself)
                .map_err(|source| fail("set the owner of", path, source))?;
        }
        rustix::fs::utimensat(dir, name, &entry.mtime.to_set(), itself)
            .map_err(|source| fail("set the time of", path, source))
    }

    fn put_hard_link(
        &mut self,
        entry: &Entry,
        name: &[u8],
        target: &EntryPath,
    ) -> Result<(), SnapshotError> {
        let refuse = |refusal| SnapshotError::Refused {
            path: entry.path.clone(),
            refusal,
        };
        if *target == entry.path {
            return Err(refuse(Refusal::LinkToItself));
        }
        if self.summary.skipped.contains(target.as_bytes()) && is_below_dev(&entry.path) {
            self.summary.skipped.insert(entry.path.as_bytes().to_vec());
            return Ok(());
        }
        let absent = || refuse(Refusal::LinkTarget(target.clone()));
        let (target_parent, target_name) = target.parts().ok_or_else(absent)?;
        let found = self.tree.look_at(target_parent, target_name);
        let dir = match found {
            Ok((dir, Found::File)) => dir,
            Ok(_) => return Err(refuse(Refusal::LinkToOther(target.clone()))),
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(absent()),
            Err(Errno::LOOP) => return Err(refuse(Refusal::LinkThroughSymlink(target.clone()))),
            Err(source) => return Err(fail("inspect", target.as_bytes(), source)),
        };
        self.make(entry, name, "create hard link", |here| {
            rustix::fs::linkat(&dir, target_name, here, name, AtFlags::empty())
        })
        .map_err(|error| match error {
            // The target lay in what the link was to replace.
            SnapshotError::Entry {
                source: Errno::NOENT,
                ..
            } => absent(),
            error => error,
        })
    }

    /// Makes something in the current directory; what an earlier entry put there is replaced.
    fn make<T>(
        &mut self,
        entry: &Entry,
        name: &[u8],
        action: &'static str,
        make: impl Fn(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, SnapshotError> {
        let path = entry.path.as_bytes();
        match make(self.tree.current()) {
            Err(Errno::EXIST) => {
                let found = self
                    .tree
                    .look(name)
                    .map_err(|source| fail("inspect", path, source))?;
                self.remove(name, path, found)?;
                make(self.tree.current())
            }
            made => made,
        }
        .map_err(|source| fail(action, path, source))
    }

    fn remove(
        &mut self,
        name: &[u8],
        path: &[u8],
        found: Option<Found>,
    ) -> Result<(), SnapshotError> {
        if found != Some(Found::Directory) {
            return self.unlink(name, path);
        }
        remove_tree(self.tree.current(), OsStr::from_bytes(name))?;
        self.pending.remove(path);
        let below = [path, b"/"].concat();
        let gone: Vec<Vec<u8>> = self
            .pending
            .range(below.clone()..)
            .map(|(other, _)| other)
            .take_while(|other| other.starts_with(&below))
            .cloned()
            .collect();
        for other in gone {
            self.pending.remove(&other);
        }
        Ok(())
    }

    fn unlink(&self, name: &[u8], path: &[u8]) -> Result<(), SnapshotError> {
        rustix::fs::unlinkat(self.tree.current(), name, AtFlags::empty())
            .map_err(|source| fail("replace", path, source))
    }

    /// Gives directories what was kept back for them, children before their parents.
    fn finish_directories(&mut self) -> Result<(), SnapshotError> {
        let pending = std::mem::take(&mut self.pending);
        for (path, pending) in pending.into_iter().rev() {
            let entry_path = plain(&path);
            match entry_path.parts() {
                None => pending.apply_to_root(self.tree.root(), &self.options, self.process)?,
                Some((parent, name)) => {
                    self.tree
                        .go_to(parent)
                        .map_err(|source| fail("open directory", parent, source))?;
                    let dir = self.tree.current();
                    pending.apply(dir, name, &entry_path, &self.options, self.process)?;
                }
            }
        }
        Ok(())
    }
}

/// Writes all of it at its place.
fn write_at(file: BorrowedFd<'_>, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let length = rustix::io::retry_on_intr(|| rustix::io::pwrite(file, bytes, offset))?;
        bytes = &bytes[length..];
        offset += length as u64;
    }
    Ok(())
}

fn is_below_dev(path: &EntryPath) -> bool {
    path.as_bytes().starts_with(b"dev/")
}

fn owner(entry: &Entry) -> Uid {
    Uid::from_raw(entry.uid)
}

fn group(entry: &Entry) -> Gid {
    Gid::from_raw(entry.gid)
}

/// Returns a path of the tree, which is plain already, for a message.
fn plain(path: &[u8]) -> EntryPath {
    EntryPath::parse(path).unwrap_or_default()
}

fn fail(action: &'static str, path: &[u8], source: Errno) -> SnapshotError {
    SnapshotError::Entry {
        action,
        path: plain(path),
        source,
    }
}
