//! What a directory is to become once everything is in it.

use std::os::fd::{AsFd, BorrowedFd};

use hull_fs::tar::{Entry, EntryPath, Mtime, Xattr};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, XattrFlags};

use super::Process;
use super::attributes::{self, Attributes};
use crate::{Options, SnapshotError, WhiteoutMarks};

#[derive(Debug, Default)]
pub(super) struct Pending {
    uid: u32,
    gid: u32,
    mode: u32,
    mtime: Mtime,
    xattrs: Vec<Xattr>,
    /// It shows nothing of the directories below it.
    pub(super) opaque: bool,
    /// The mode it was made with, if that is known.
    made: Option<u32>,
}

impl Pending {
    pub(super) fn of(entry: &Entry, attributes: Attributes<'_>, made: Option<u32>) -> Self {
        Self {
            uid: entry.uid,
            gid: entry.gid,
            mode: entry.mode,
            mtime: entry.mtime,
            xattrs: attributes.to_owned(),
            opaque: false,
            made,
        }
    }

    /// A directory without an entry of its own belongs to root, and is as old as what first needed it.
    pub(super) fn implied(entry: &Entry, mode: u32, opaque: bool) -> Self {
        Self {
            mode,
            mtime: entry.mtime,
            opaque,
            ..Self::default()
        }
    }

    pub(super) fn opaque() -> Self {
        Self {
            opaque: true,
            ..Self::default()
        }
    }

    pub(super) fn with_opaque(self, opaque: bool) -> Self {
        Self { opaque, ..self }
    }

    /// Applies it to the directory `name` in `dir`, which is only opened if it has attributes.
    pub(super) fn apply(
        self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &EntryPath,
        options: &Options,
        process: Process,
    ) -> Result<(), SnapshotError> {
        let failed = |action| {
            move |source| SnapshotError::Entry {
                action,
                path: path.clone(),
                source,
            }
        };
        if self.opaque || !self.xattrs.is_empty() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(dir, name, flags, Mode::empty())
                .map_err(failed("open directory"))?;
            return self.apply_to_open(opened.as_fd(), path, options, process);
        }
        if self.must_set_owner(process) {
            let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
            rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(failed("set the owner of"))?;
        }
        if self.must_set_mode() {
            rustix::fs::chmodat(dir, name, Mode::from_raw_mode(self.mode), AtFlags::empty())
                .map_err(failed("set the mode of"))?;
        }
        rustix::fs::utimensat(dir, name, &self.mtime.to_set(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed("set the time of"))
    }

    /// Applies it to the root, which has no name.
    pub(super) fn apply_to_root(
        self,
        root: BorrowedFd<'_>,
        options: &Options,
        process: Process,
    ) -> Result<(), SnapshotError> {
        self.apply(root, b".", &EntryPath::root(), options, process)
    }

    fn apply_to_open(
        self,
        dir: BorrowedFd<'_>,
        path: &EntryPath,
        options: &Options,
        process: Process,
    ) -> Result<(), SnapshotError> {
        let failed = |action| {
            move |source| SnapshotError::Entry {
                action,
                path: path.clone(),
                source,
            }
        };
        if self.must_set_owner(process) {
            let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
            rustix::fs::fchown(dir, Some(uid), Some(gid)).map_err(failed("set the owner of"))?;
        }
        // An access control list sets the mode as well, to the same value: it must come second.
        if self.must_set_mode() {
            rustix::fs::fchmod(dir, Mode::from_raw_mode(self.mode))
                .map_err(failed("set the mode of"))?;
        }
        for xattr in &self.xattrs {
            attributes::set(dir, xattr, path)?;
        }
        if self.opaque {
            let name = match options.marks {
                WhiteoutMarks::Trusted => "trusted.overlay.opaque",
                WhiteoutMarks::User => "user.overlay.opaque",
            };
            rustix::fs::fsetxattr(dir, name, b"y", XattrFlags::empty())
                .map_err(failed("mark as opaque"))?;
        }
        rustix::fs::futimens(dir, &self.mtime.to_set()).map_err(failed("set the time of"))
    }

    fn must_set_owner(&self, process: Process) -> bool {
        (self.uid, self.gid) != (process.uid, process.gid)
    }

    fn must_set_mode(&self) -> bool {
        self.made != Some(self.mode)
    }
}
