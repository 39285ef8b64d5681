//! The overlay root, assembled from descriptors: nothing is attached anywhere, no path is joined. Before Linux 6.15 that
//! is done aside, in a mount namespace that goes at once ([`Stack`]); which it is, the first descriptor tells.
//!
//! Two traps (start-path.md §1): over an id-mapped upper the mount *succeeds read-only* unless the mounter's file-system
//! ids lie in the map while the superblock is made ([`as_container_root`]); and leaving uid 0 takes the file capabilities
//! away, without which making `work` fails.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use hull_fs::overlay::{self, Stack, Stacked};
use hull_sys::Errno;
use hull_sys::ids::{FsIds, set_fs_ids};
use hull_sys::{caps, mount::MountAttr};
use rustix::fs::{Mode, OFlags, StatVfsMountFlags, fstatvfs, openat};
use rustix::mount::MountAttrFlags;

use super::superblock::{Depth, Superblock, clone_mount};
use crate::error::{At as _, Failure, Step};
use crate::launch::Directories;
use crate::namespaces::HostRoot;

/// Under whose rules overlayfs keeps its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    /// `trusted.overlay.*`: the initial user namespace only.
    Trusted,
    /// `user.overlay.*`: for callers inside a user namespace, where redirects and metacopy are refused.
    User,
}

/// Makes a mount of every lower directory.
type Apart<'a> = dyn Fn() -> Result<Vec<OwnedFd>, Failure> + 'a;

/// What goes into an overlay.
pub(crate) struct Overlay<'a> {
    /// Top first.
    pub(crate) lower: Vec<BorrowedFd<'a>>,
    /// Gives the lower directories as mounts of their own, for kernels that want each attached by itself; none where the
    /// directories will do.
    pub(crate) apart: Option<&'a Apart<'a>>,
    pub(crate) upper: BorrowedFd<'a>,
    pub(crate) work: BorrowedFd<'a>,
    /// Where `upper` and `work` lie.
    pub(crate) scratch: overlay::Scratch<'a>,
    pub(crate) marks: Marks,
    pub(crate) volatile: bool,
    pub(crate) attr: MountAttrFlags,
}

impl Overlay<'_> {
    /// Renaming a lower directory needs redirects (else `EXDEV`); chmod of a big file should not copy it; one device number for all.
    const EXTRAS: [(&'static str, &'static str); 3] =
        [("redirect_dir", "on"), ("metacopy", "on"), ("xino", "on")];

    /// Mounts it, detached, and makes sure it can be written.
    pub(crate) fn mount(&self) -> Result<Stacked, Failure> {
        let stacked = match self.by_descriptors()? {
            Ok(tree) => Stacked {
                tree,
                scratch: None,
            },
            Err(refused) => self.by_paths(&refused)?,
        };
        let flags = fstatvfs(&stacked.tree).at(Step::Overlay, "/")?.f_flag;
        if flags.contains(StatVfsMountFlags::RDONLY) {
            return Err(Failure::new(Step::OverlayReadOnly, "/", Errno::ROFS));
        }
        Ok(stacked)
    }

    fn by_descriptors(&self) -> Result<Result<OwnedFd, WantsPaths>, Failure> {
        match self.marks {
            Marks::User => self.attempt(&[]),
            // A kernel built without one of the extras refuses them all the same way.
            Marks::Trusted => match self.attempt(&Self::EXTRAS) {
                Err(refused) if refused.errno == Errno::INVAL => {
                    self.attempt(&[]).map_err(|_| refused)
                }
                result => result,
            },
        }
    }

    fn attempt(&self, extras: &[(&str, &str)]) -> Result<Result<OwnedFd, WantsPaths>, Failure> {
        let overlay = Superblock::new("overlay", Step::Overlay, "/")?;
        overlay.text("source", "overlay")?;
        match self.name_directories(&overlay) {
            // Not by descriptor (before Linux 6.5, before 6.13), or not by one like these (before 6.15).
            Err(refused)
                if matches!(refused.errno, Errno::OPNOTSUPP | Errno::INVAL | Errno::BADF) =>
            {
                return Ok(Err(WantsPaths(refused)));
            }
            result => result?,
        }
        for (key, value) in extras {
            overlay.text(key, value)?;
        }
        if self.marks == Marks::User {
            overlay.flag("userxattr")?;
        }
        if self.volatile {
            overlay.flag("volatile")?;
        }
        overlay.mount(self.attr).map(Ok)
    }

    fn name_directories(&self, overlay: &Superblock) -> Result<(), Failure> {
        for layer in &self.lower {
            overlay.descriptor("lowerdir+", layer)?;
        }
        overlay.descriptor("upperdir", self.upper)?;
        overlay.descriptor("workdir", self.work)
    }

    fn by_paths(&self, WantsPaths(refused): &WantsPaths) -> Result<Stacked, Failure> {
        let extras = Self::EXTRAS.map(|(key, value)| format!("{key}={value}"));
        let extras = extras.each_ref().map(String::as_str);
        let mut options = Vec::new();
        if self.marks == Marks::User {
            options.push("userxattr");
        }
        if self.volatile {
            options.push("volatile");
        }
        let apart = self.apart.map(|apart| apart()).transpose()?;
        let lower = match &apart {
            Some(mounts) => &mounts.iter().map(AsFd::as_fd).collect(),
            None => &self.lower,
        };
        let stack = Stack {
            lower,
            scratch: Some(self.scratch),
            options: &options,
            extras: match self.marks {
                Marks::User => &[],
                Marks::Trusted => &extras,
            },
            attr: self.attr,
        };
        stack.mount().map_err(|not| {
            // A newer kernel may have had a better reason, and has said it.
            let detail = format!("{}; {}", not.action, refused.detail);
            Failure::new(Step::Overlay, "/", not.errno).detail(detail)
        })
    }
}

/// What a kernel said that takes no descriptors like these.
#[derive(Debug)]
struct WantsPaths(Failure);

/// A container's layers and what it writes, opened: directories of one mount, seen through one id map.
#[derive(Debug)]
pub(crate) struct Layers {
    /// Top first.
    pub(crate) lower: Vec<OwnedFd>,
    pub(crate) upper: OwnedFd,
    pub(crate) work: OwnedFd,
    /// The id-mapped clone they lie on. Closing it would take the mount from under them.
    mapped: Option<OwnedFd>,
}

impl Layers {
    /// Opens them, through the container's id map when there is one.
    pub(crate) fn open(
        directories: &Directories,
        userns: Option<BorrowedFd<'_>>,
    ) -> Result<Self, Failure> {
        let base = directories.base.as_fd();
        let mapped = userns
            .map(|userns| mapped(base, userns, "the container's layers"))
            .transpose()?;
        let base = mapped.as_ref().map_or(base, AsFd::as_fd);
        let lower = directories.lower.iter().map(|path| open(base, path));
        Ok(Self {
            lower: lower.collect::<Result<_, _>>()?,
            upper: open(base, directories.upper.as_ref())?,
            work: open(base, directories.work.as_ref())?,
            mapped,
        })
    }

    /// Says where upper and work lie.
    pub(crate) fn scratch<'a>(&'a self, directories: &'a Directories) -> overlay::Scratch<'a> {
        overlay::Scratch {
            dir: self.mapped.as_ref().unwrap_or(&directories.base).as_fd(),
            upper: &directories.upper,
            work: &directories.work,
        }
    }
}

impl Directories {
    /// Makes a mount of every layer, each with the id map.
    pub(crate) fn apart(&self, userns: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, Failure> {
        let lower = self.lower.iter();
        lower
            .map(|path| mapped(open(self.base.as_fd(), path)?.as_fd(), userns, "a layer"))
            .collect()
    }
}

fn open(base: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(base, path, flags, Mode::empty()).at(Step::Layer, path)
}

/// Clones the mount that a directory lies on, with that directory as its root, through the container's id map.
fn mapped(dir: BorrowedFd<'_>, userns: BorrowedFd<'_>, what: &str) -> Result<OwnedFd, Failure> {
    let attr = MountAttr {
        userns: Some(userns),
        ..MountAttr::default()
    };
    clone_mount(dir, "", Depth::One, &attr).at(Step::IdMap, what)
}

/// Runs `make` with the file-system ids of the container's root, all capabilities raised, and returns to our own.
pub(crate) fn as_container_root<T>(
    root: HostRoot,
    make: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    if root.uid == 0 && root.gid == 0 {
        return make();
    }
    let refused = |errno| Failure::new(Step::SetIds, root.uid.to_string(), errno);
    let own = set_fs_ids(FsIds {
        uid: root.uid,
        gid: root.gid,
    })
    .map_err(refused)?;
    let made = caps::raise_effective()
        .map_err(refused)
        .and_then(|()| make());
    // Going back to uid 0 gives the file capabilities back as well.
    set_fs_ids(own).map_err(refused)?;
    made
}
