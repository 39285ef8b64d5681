//! Entries made into files below a directory, and nowhere else.
//!
//! A name is never followed out of the directory: parents are found by `openat2` with `RESOLVE_BENEATH` and without
//! symbolic links, and the last component is made or replaced as itself. What is replaced is replaced by a rename, so that
//! whoever reads meanwhile sees the old or the new file, and a failure leaves the old one.

use std::{
    fs::File,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::PathBuf,
};

use hull_fs::{
    Root,
    tar::{Entry, EntryPath, Kind},
};
use rustix::{
    fs::{
        AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid, XattrFlags, chmodat, chownat, linkat,
        mkdirat, mkfifoat, openat, openat2, renameat, statat, symlinkat, unlinkat, utimensat,
    },
    io::Errno,
};

use super::{CopyError, IdMaps, Side, contents::Contents};

/// Whose the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owners {
    /// These ids, as the target calls them. Set-id bits, capabilities and access lists were the former owner's.
    All { user: u32, group: u32 },
    /// As the source says.
    Kept,
}

/// What to do about the directory that everything goes into, where the source has an entry for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Top {
    /// It stays as it is.
    Stays,
    /// It takes the source's owner, mode and time.
    Takes,
}

/// The target of a copy.
pub(crate) struct Place<'a> {
    pub(crate) root: BorrowedFd<'a>,
    /// Where symbolic links on the way to a parent may lead: the whole tree and the root's path in it. Without it such a
    /// link is an error.
    pub(crate) within: Option<(&'a Root, PathBuf)>,
    /// How the target calls users, and how the host does.
    pub(crate) ids: &'a IdMaps,
    pub(crate) owners: Owners,
    pub(crate) top: Top,
    /// For messages: where the root is.
    pub(crate) side: Side<'a>,
    pub(crate) progress: Made,
}

/// What a copy came to, and what it has left to do.
#[derive(Default)]
pub(crate) struct Made {
    /// The parent of the last entry: the next one is mostly its sibling.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// Directories that were made, to be finished when nothing goes into them any more.
    unfinished: Vec<Entry>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) left_out: Vec<PathBuf>,
}

/// The flags of a parent directory.
const PARENT: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Place<'_> {
    /// Makes one entry.
    pub(crate) fn put(
        &mut self,
        entry: Entry,
        contents: Contents<'_, '_>,
    ) -> Result<(), CopyError> {
        self.progress.files += 1;
        let Some((parent, name)) = entry.path.parts() else {
            if entry.kind == Kind::Directory && self.top == Top::Takes {
                self.progress.unfinished.push(entry);
            }
            return Ok(());
        };
        let parent = self.parent(parent)?;
        let mut is_unfinished = false;
        match &entry.kind {
            Kind::Directory => {
                // A directory that was there keeps what it has, unless owners are kept: then the source decides.
                let is_new = self.directory(&parent, name, &entry)?;
                is_unfinished = is_new || self.owners == Owners::Kept;
            }
            Kind::CharDevice(_) | Kind::BlockDevice(_) => {
                self.progress.files -= 1;
                let path = PathBuf::from(entry.path.as_path());
                self.progress.left_out.push(path);
            }
            _ => self.other(&parent, name, &entry, contents)?,
        }
        let path = entry.path.parts().map_or(&[][..], |(parent, _)| parent);
        self.progress.parent = Some((path.to_vec(), parent));
        if is_unfinished {
            self.progress.unfinished.push(entry);
        }
        Ok(())
    }

    /// Gives directories what was put off until they were full.
    pub(crate) fn finish(mut self) -> Result<Made, CopyError> {
        self.progress.parent = None;
        while let Some(entry) = self.progress.unfinished.pop() {
            let node = match entry.path.parts() {
                None => openat(self.root, ".", PARENT, Mode::empty()),
                Some((parent, name)) => {
                    let parent = self.parent(parent)?;
                    openat(parent, name, PARENT | OFlags::NOFOLLOW, Mode::empty())
                }
            };
            let node = node.map_err(|source| self.failed("open", &entry.path, source))?;
            self.dress(&node, &entry)?;
        }
        Ok(self.progress)
    }

    /// Opens the directory in which an entry goes, making it if an archive did not mention it.
    fn parent(&mut self, path: &[u8]) -> Result<OwnedFd, CopyError> {
        if let Some((last, parent)) = self.progress.parent.take()
            && last == path
        {
            return Ok(parent);
        }
        if path.is_empty() {
            return openat(self.root, ".", PARENT, Mode::empty())
                .map_err(|source| self.failed("open", &EntryPath::root(), source));
        }
        let rules = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let failed = |source| CopyError::Access {
            action: "open",
            path: self.side.at_bytes(path),
            source,
        };
        match openat2(self.root, path, PARENT, Mode::empty(), rules) {
            Ok(parent) => Ok(parent),
            Err(Errno::LOOP) => match &self.within {
                Some((root, base)) => {
                    let path = base.join(std::ffi::OsStr::from_bytes(path));
                    Ok(root.open(&path, PARENT, Mode::empty())?)
                }
                None => Err(failed(Errno::LOOP)),
            },
            Err(Errno::NOENT) => {
                let entry = Entry::new(EntryPath::parse(path).unwrap_or_default(), Kind::Directory);
                let (above, name) = entry.path.parts().ok_or_else(|| failed(Errno::NOENT))?;
                let above = self.parent(above)?;
                self.directory(&above, name, &entry)?;
                let made = openat(above, name, PARENT | OFlags::NOFOLLOW, Mode::empty());
                let made = made.map_err(|source| self.failed("open", &entry.path, source))?;
                self.dress(&made, &entry)?;
                Ok(made)
            }
            Err(source) => Err(failed(source)),
        }
    }

    /// Makes a directory, or finds it; returns whether it was made.
    fn directory(&self, parent: &OwnedFd, name: &[u8], entry: &Entry) -> Result<bool, CopyError> {
        match self.make(|| mkdirat(parent, name, Mode::RWXU)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => {
                match openat(parent, name, PARENT | OFlags::NOFOLLOW, Mode::empty()) {
                    Ok(_) => Ok(false),
                    Err(Errno::NOTDIR | Errno::LOOP) => {
                        Err(CopyError::DirectoryOntoFile(self.side.at(&entry.path)))
                    }
                    Err(source) => Err(self.failed("open", &entry.path, source)),
                }
            }
            Err(source) => Err(self.failed("make", &entry.path, source)),
        }
    }

    /// Makes anything but a directory: under its name if that is free, else under another, and puts it in the old one's place.
    fn other(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        contents: Contents<'_, '_>,
    ) -> Result<(), CopyError> {
        let temp;
        let chosen = if is_free(parent, name) {
            name
        } else {
            temp = hull_fs::temp_name()?;
            temp.as_bytes()
        };
        let made = self.node(parent, chosen, entry, contents);
        let placed = made.and_then(|()| {
            if chosen == name {
                return Ok(());
            }
            match renameat(parent, chosen, parent, name) {
                Ok(()) => Ok(()),
                Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                    Err(CopyError::FileOntoDirectory(self.side.at(&entry.path)))
                }
                Err(source) => Err(self.failed("replace", &entry.path, source)),
            }
        });
        // Two names of one file are not renamed over each other: the kernel calls that done and leaves both.
        if placed.is_err() || chosen != name && matches!(entry.kind, Kind::HardLink(_)) {
            unlinkat(parent, chosen, AtFlags::empty()).ok();
        }
        placed
    }

    fn node(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        contents: Contents<'_, '_>,
    ) -> Result<(), CopyError> {
        let failed = |source| self.failed("make", &entry.path, source);
        match &entry.kind {
            Kind::File => {
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let mode = Mode::RUSR | Mode::WUSR;
                let file = self.make(|| openat(parent, name, flags, mode));
                let mut file = File::from(file.map_err(failed)?);
                let copied = contents.copy_to(&mut file, entry.size);
                self.progress.bytes += copied.map_err(|error| error.at(&self.side, &entry.path))?;
                self.dress(&file, entry)
            }
            Kind::HardLink(target) => self.link(parent, name, entry, target),
            Kind::Symlink(text) => {
                self.make(|| symlinkat(text.as_slice(), parent, name))
                    .map_err(failed)?;
                self.dress_entry(parent, name, entry)
            }
            Kind::Fifo => {
                self.make(|| mkfifoat(parent, name, Mode::RUSR | Mode::WUSR))
                    .map_err(failed)?;
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let node = openat(parent, name, flags, Mode::empty()).map_err(failed)?;
                self.dress(&node, entry)
            }
            Kind::Directory | Kind::CharDevice(_) | Kind::BlockDevice(_) => Ok(()),
        }
    }

    fn link(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        target: &EntryPath,
    ) -> Result<(), CopyError> {
        let missing = || CopyError::LinkTarget {
            path: self.side.at(&entry.path),
            target: self.side.at(target),
        };
        let (above, last) = target.parts().ok_or_else(missing)?;
        let rules = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let above = match above {
            b"" => openat(self.root, ".", PARENT, Mode::empty()),
            above => openat2(self.root, above, PARENT, Mode::empty(), rules),
        };
        match above.and_then(|above| linkat(above, last, parent, name, AtFlags::empty())) {
            Ok(()) => Ok(()),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => Err(missing()),
            Err(source) => Err(self.failed("link", &entry.path, source)),
        }
    }

    /// Makes something as the target's root: nobody else can where ids are mapped.
    fn make<T>(&self, make: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        match (self.ids.user_outside(0), self.ids.group_outside(0)) {
            (Some(user), Some(group)) if (user, group) != (0, 0) => {
                hull_fs::as_owner(user, group, make)
            }
            _ => make(),
        }
    }

    /// Gives a node its owner, mode, attributes and time, in the order in which none undoes another.
    fn dress(&self, node: impl AsFd, entry: &Entry) -> Result<(), CopyError> {
        let node = format!("/proc/self/fd/{}", node.as_fd().as_raw_fd());
        let failed = |action| move |source| self.failed(action, &entry.path, source);
        let follow = AtFlags::empty();
        self.chown(rustix::fs::CWD, node.as_bytes(), entry, follow)?;
        let mut mode = entry.mode;
        if self.owners != Owners::Kept && entry.kind != Kind::Directory {
            mode &= 0o1777;
        }
        chmodat(rustix::fs::CWD, &node, Mode::from_raw_mode(mode), follow)
            .map_err(failed("set the mode of"))?;
        for xattr in &entry.xattrs {
            if self.owners != Owners::Kept && !xattr.name.starts_with(b"user.") {
                continue;
            }
            let Some(xattr) = self.ids.attribute_outside(xattr) else {
                continue;
            };
            match rustix::fs::setxattr(
                &node,
                xattr.name.as_slice(),
                &xattr.value,
                XattrFlags::empty(),
            ) {
                // A file system without them.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(source) => return Err(failed("set an attribute of")(source)),
            }
        }
        utimensat(rustix::fs::CWD, &node, &entry.mtime.to_set(), follow)
            .map_err(failed("set the time of"))
    }

    /// The same for a symbolic link, which has no mode and, here, no attributes.
    fn dress_entry(&self, parent: &OwnedFd, name: &[u8], entry: &Entry) -> Result<(), CopyError> {
        self.chown(parent.as_fd(), name, entry, AtFlags::SYMLINK_NOFOLLOW)?;
        utimensat(
            parent,
            name,
            &entry.mtime.to_set(),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(|source| self.failed("set the time of", &entry.path, source))
    }

    fn chown(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        flags: AtFlags,
    ) -> Result<(), CopyError> {
        let (user, group) = match self.owners {
            Owners::All { user, group } => (user, group),
            Owners::Kept => (entry.uid, entry.gid),
        };
        let unknown = |what, id| CopyError::Owner {
            path: self.side.at(&entry.path),
            what,
            id,
        };
        let uid = self
            .ids
            .user_outside(user)
            .ok_or_else(|| unknown("user", user))?;
        let gid = self
            .ids
            .group_outside(group)
            .ok_or_else(|| unknown("group", group))?;
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        match chownat(dir, name, Some(uid), Some(gid), flags) {
            Ok(()) => Ok(()),
            // An ordinary user's files are theirs already.
            Err(Errno::PERM) if !rustix::process::geteuid().is_root() => Ok(()),
            Err(source) => Err(self.failed("set the owner of", &entry.path, source)),
        }
    }

    fn failed(&self, action: &'static str, path: &EntryPath, source: Errno) -> CopyError {
        CopyError::Access {
            action,
            path: self.side.at(path),
            source,
        }
    }
}

fn is_free(parent: &OwnedFd, name: &[u8]) -> bool {
    matches!(
        statat(parent, name, AtFlags::SYMLINK_NOFOLLOW),
        Err(Errno::NOENT)
    )
}
