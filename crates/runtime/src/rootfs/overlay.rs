//! The overlay root, assembled from descriptors: nothing is attached anywhere, no path is joined.
//!
//! Two traps (start-path.md §1): over an id-mapped upper the mount *succeeds read-only* unless the mounter's file-system
//! ids lie in the map while the superblock is made ([`as_container_root`]); and leaving uid 0 takes the file capabilities
//! away, without which making `work` fails.

use std::os::fd::{AsFd, OwnedFd};

use hull_sys::Errno;
use hull_sys::ids::{FsIds, set_fs_ids};
use hull_sys::{caps, mount::MountAttr};
use rustix::fs::{Mode, OFlags, StatVfsMountFlags, fstatvfs, openat};
use rustix::mount::MountAttrFlags;
use std::os::fd::BorrowedFd;

use super::superblock::{Depth, Superblock, clone_mount};
use crate::error::{At as _, Failure, Step};
use crate::namespaces::HostRoot;

/// Under whose rules overlayfs keeps its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    /// `trusted.overlay.*`: the initial user namespace only.
    Trusted,
    /// `user.overlay.*`: for callers inside a user namespace, where redirects and metacopy are refused.
    User,
}

/// What goes into an overlay.
#[derive(Debug)]
pub(crate) struct Overlay<'a> {
    /// Top first.
    pub(crate) lower: Vec<BorrowedFd<'a>>,
    pub(crate) upper: BorrowedFd<'a>,
    pub(crate) work: BorrowedFd<'a>,
    pub(crate) marks: Marks,
    pub(crate) volatile: bool,
    pub(crate) attr: MountAttrFlags,
}

impl Overlay<'_> {
    /// Renaming a lower directory needs redirects (else `EXDEV`); chmod of a big file should not copy it; one device number for all.
    const EXTRAS: [(&'static str, &'static str); 3] =
        [("redirect_dir", "on"), ("metacopy", "on"), ("xino", "on")];

    /// Mounts it, detached, and makes sure it can be written.
    pub(crate) fn mount(&self) -> Result<OwnedFd, Failure> {
        let mount = match self.marks {
            Marks::User => self.attempt(&[])?,
            // A kernel built without one of the extras refuses them all the same way.
            Marks::Trusted => match self.attempt(&Self::EXTRAS) {
                Err(refused) if refused.errno == Errno::INVAL => {
                    self.attempt(&[]).map_err(|_| refused)?
                }
                result => result?,
            },
        };
        let flags = fstatvfs(&mount).at(Step::Overlay, "/")?.f_flag;
        if flags.contains(StatVfsMountFlags::RDONLY) {
            return Err(Failure::new(Step::OverlayReadOnly, "/", Errno::ROFS));
        }
        Ok(mount)
    }

    fn attempt(&self, extras: &[(&str, &str)]) -> Result<OwnedFd, Failure> {
        let overlay = Superblock::new("overlay", Step::Overlay, "/")?;
        overlay.text("source", "overlay")?;
        for layer in &self.lower {
            overlay.descriptor("lowerdir+", layer)?;
        }
        overlay.descriptor("upperdir", self.upper)?;
        overlay.descriptor("workdir", self.work)?;
        for (key, value) in extras {
            overlay.text(key, value)?;
        }
        if self.marks == Marks::User {
            overlay.flag("userxattr")?;
        }
        if self.volatile {
            overlay.flag("volatile")?;
        }
        overlay.mount(self.attr)
    }
}

/// The pod's writable layer, opened.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) upper: OwnedFd,
    pub(crate) work: OwnedFd,
    /// The id-mapped clone they lie on. Closing it would take the mount from under them.
    _mapped: Option<OwnedFd>,
}

impl Scratch {
    /// Opens `upper` and `work` in the pod's directory, through the container's id map when there is one.
    pub(crate) fn open(
        dir: BorrowedFd<'_>,
        userns: Option<BorrowedFd<'_>>,
    ) -> Result<Self, Failure> {
        let mapped = userns
            .map(|userns| layer(dir, Some(userns), "the writable layer"))
            .transpose()?;
        let dir = mapped.as_ref().map_or(dir, AsFd::as_fd);
        let open = |name| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(dir, name, flags, Mode::empty()).at(Step::Layer, name)
        };
        Ok(Self {
            upper: open("upper")?,
            work: open("work")?,
            _mapped: mapped,
        })
    }
}

/// Clones one layer, through the container's id map.
pub(crate) fn layer(
    dir: BorrowedFd<'_>,
    userns: Option<BorrowedFd<'_>>,
    what: &str,
) -> Result<OwnedFd, Failure> {
    let attr = MountAttr {
        userns,
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
