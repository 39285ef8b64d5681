//! The container's root file system: its parts, who makes them, and how they come together.
//!
//! ```text
//!   parent (power over the host)                        child (in its own namespaces)
//!   overlay, backstage tmpfs, binds, cgroups  ─ fds ─▶  attach root, mounts in order, files, masks, pivot
//! ```
//! For an ordinary user there is no such parent: the child makes the parts itself ([`Assembly::Inside`]).
//! Parts are detached mounts. Nothing is ever mounted in the host's mount namespace, so a start that dies leaves nothing.

pub(crate) mod dev;
pub(crate) mod host;
pub(crate) mod inside;
pub(crate) mod masks;
pub(crate) mod mounts;
pub(crate) mod options;
pub(crate) mod overlay;
pub(crate) mod superblock;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use hull_sys::Errno;
use hull_sys::mount::MountAttr;
use rustix::fs::CWD;
use rustix::mount::{MountAttrFlags, MoveMountFlags, move_mount};
use rustix::process::umask;

use self::dev::{Backstage, Nodes};
use self::mounts::Maker;
use self::overlay::{Layers, Marks, Overlay, as_container_root};
use self::superblock::{Depth, clone_mount};
use crate::error::{At as _, Failure, Step};
use crate::launch::{Launch, RootFs};
use crate::plan::{Assembly, Plan};

/// The parts of a root that do not exist until the container's user namespace does.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) root: OwnedFd,
    pub(crate) backstage: OwnedFd,
    /// The mounts of the spec made outside, by their place in the plan.
    pub(crate) mounts: Vec<Option<OwnedFd>>,
    /// The container's cgroup directories, by the name of the hierarchy.
    pub(crate) cgroups: Vec<OwnedFd>,
    /// The host's other disks, for `@host`.
    pub(crate) disks: Vec<OwnedFd>,
}

/// Where one descriptor of [`Parts`] belongs, as it is said in the message that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Root,
    Backstage,
    Mount(u16),
    Cgroup,
    Disk,
    /// A mount namespace in which all of them are in place.
    Namespace,
}

impl Slot {
    pub(crate) fn encode(self) -> [u8; 3] {
        let (kind, index) = match self {
            Self::Root => (0, 0),
            Self::Backstage => (1, 0),
            Self::Mount(index) => (2, index),
            Self::Cgroup => (3, 0),
            Self::Disk => (4, 0),
            Self::Namespace => (5, 0),
        };
        let [low, high] = index.to_le_bytes();
        [kind, low, high]
    }

    pub(crate) fn decode(bytes: [u8; 3]) -> Option<Self> {
        let [kind, low, high] = bytes;
        Some(match kind {
            0 => Self::Root,
            1 => Self::Backstage,
            2 => Self::Mount(u16::from_le_bytes([low, high])),
            3 => Self::Cgroup,
            4 => Self::Disk,
            5 => Self::Namespace,
            _ => return None,
        })
    }
}

impl Parts {
    /// Takes the parts apart for the journey.
    pub(crate) fn into_slots(self) -> Vec<(Slot, OwnedFd)> {
        let mut slots = vec![(Slot::Root, self.root), (Slot::Backstage, self.backstage)];
        for (index, mount) in (0..).zip(self.mounts) {
            if let Some(mount) = mount {
                slots.push((Slot::Mount(index), mount));
            }
        }
        slots.extend(self.cgroups.into_iter().map(|fd| (Slot::Cgroup, fd)));
        slots.extend(self.disks.into_iter().map(|fd| (Slot::Disk, fd)));
        slots
    }

    /// Puts them together again; none if the essential ones are missing.
    pub(crate) fn from_slots(slots: Vec<(Slot, OwnedFd)>, mounts: usize) -> Option<Self> {
        let (mut root, mut backstage) = (None, None);
        let mut places: Vec<_> = std::iter::repeat_with(|| None).take(mounts).collect();
        let (mut cgroups, mut disks) = (Vec::new(), Vec::new());
        for (slot, fd) in slots {
            match slot {
                Slot::Root => root = Some(fd),
                Slot::Backstage => backstage = Some(fd),
                Slot::Mount(index) => *places.get_mut(usize::from(index))? = Some(fd),
                Slot::Cgroup => cgroups.push(fd),
                Slot::Disk => disks.push(fd),
                Slot::Namespace => return None,
            }
        }
        Some(Self {
            root: root?,
            backstage: backstage?,
            mounts: places,
            cgroups,
            disks,
        })
    }
}

/// What assembling needs.
#[derive(Debug)]
pub(crate) struct Assembler<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) launch: &'a Launch<'a>,
    /// The container's cgroup directories: name of the hierarchy (none for cgroup2 alone), place.
    pub(crate) cgroups: &'a [(String, PathBuf)],
    /// Whose map the clones get. None without a user namespace, and in the child, which may not map.
    pub(crate) userns: Option<BorrowedFd<'a>>,
}

impl Assembler<'_> {
    /// Makes every part. Modes are as written: the caller's umask is set aside.
    pub(crate) fn assemble(&self) -> Result<Parts, Failure> {
        let former = umask(rustix::fs::Mode::empty());
        let parts = self.parts();
        umask(former);
        parts
    }

    fn parts(&self) -> Result<Parts, Failure> {
        // First: what an ordinary user's container is made of is put aside over /proc, which may be asked for itself.
        let mounts = self
            .plan
            .mounts
            .iter()
            .map(|mount| {
                (mount.maker == Maker::Outside)
                    .then(|| mount.make_outside(self.userns, &self.launch.join))
                    .transpose()
            })
            .collect::<Result<_, _>>()?;
        let (root, backstage) = match self.plan.assembly {
            Assembly::Outside => self.outside()?,
            Assembly::Inside => self.inside()?,
        };
        let disks = match (&self.launch.root, self.plan.assembly) {
            (RootFs::HostOverlay { .. }, Assembly::Outside) => self
                .plan
                .host_mounts
                .visible_disks()
                .map(host::disk)
                .collect::<Result<_, _>>()?,
            _ => Vec::new(),
        };
        Ok(Parts {
            root,
            backstage,
            mounts,
            cgroups: self.cgroup_clones()?,
            disks,
        })
    }

    /// Root and backstage with power over the host; both belong to the container's root from the start.
    fn outside(&self) -> Result<(OwnedFd, OwnedFd), Failure> {
        let ids = self.plan.namespaces.host_root();
        let userns = |idmap: bool| self.userns.filter(|_| idmap);
        let backstage = self.backstage(Nodes::Made);
        match &self.launch.root {
            RootFs::Overlay {
                directories,
                idmap,
                volatile,
            } => {
                let userns = userns(*idmap);
                let layers = Layers::open(directories, userns)?;
                let apart = userns.map(|userns| move || directories.apart(userns));
                let overlay = Overlay {
                    lower: layers.lower.iter().map(AsFd::as_fd).collect(),
                    apart: apart.as_ref().map(|apart| apart as _),
                    upper: layers.upper.as_fd(),
                    work: layers.work.as_fd(),
                    scratch: layers.scratch(directories),
                    marks: Marks::Trusted,
                    volatile: *volatile,
                    attr: self.root_attr(),
                };
                as_container_root(ids, || {
                    let root = overlay.mount()?.tree;
                    let tmpfs = backstage.tmpfs()?;
                    backstage.fill(tmpfs.as_fd())?;
                    Ok((root, tmpfs))
                })
            }
            RootFs::Dir { dir, idmap } => {
                let root = self.dir(dir.as_fd(), userns(*idmap))?;
                as_container_root(ids, || {
                    let tmpfs = backstage.tmpfs()?;
                    backstage.fill(tmpfs.as_fd())?;
                    Ok((root, tmpfs))
                })
            }
            RootFs::HostOverlay { .. } => as_container_root(ids, || {
                let tmpfs = backstage.tmpfs()?;
                backstage.fill(tmpfs.as_fd())?;
                let stacked = host::overlay(tmpfs.as_fd())?;
                Ok((stacked.tree, stacked.scratch.unwrap_or(tmpfs)))
            }),
        }
    }

    /// Root and backstage in the child's own namespaces: nodes are the host's, bound; marks are the user's.
    fn inside(&self) -> Result<(OwnedFd, OwnedFd), Failure> {
        let backstage = self.backstage(Nodes::Bound);
        let tmpfs = backstage.tmpfs()?;
        put_aside(tmpfs.as_fd()).at(Step::Tmpfs, "")?;
        backstage.fill(tmpfs.as_fd())?;
        let root = match &self.launch.root {
            RootFs::Overlay {
                directories,
                volatile,
                ..
            } => {
                let layers = Layers::open(directories, None)?;
                let overlay = Overlay {
                    lower: layers.lower.iter().map(AsFd::as_fd).collect(),
                    apart: None,
                    upper: layers.upper.as_fd(),
                    work: layers.work.as_fd(),
                    scratch: layers.scratch(directories),
                    marks: Marks::User,
                    volatile: *volatile,
                    attr: self.root_attr(),
                };
                overlay.mount()?.tree
            }
            RootFs::Dir { dir, .. } => self.dir(dir.as_fd(), None)?,
            RootFs::HostOverlay { .. } => {
                host::Skeleton::build(&self.plan.host_mounts, tmpfs.as_fd())?
            }
        };
        Ok((root, tmpfs))
    }

    fn dir(&self, dir: BorrowedFd<'_>, userns: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Failure> {
        let attr = MountAttr {
            set: self.root_attr(),
            userns,
            ..MountAttr::default()
        };
        // An id map has to be possible for every mount it is set on: the root alone.
        let depth = match userns {
            Some(_) => Depth::One,
            None => Depth::Tree,
        };
        clone_mount(dir, "", depth, &attr).at(Step::IdMap, "the root directory")
    }

    /// Root in a user namespace cannot make device nodes, and those in an image are no business of its.
    fn root_attr(&self) -> MountAttrFlags {
        match self.plan.namespaces.maps {
            Some(_) => MountAttrFlags::MOUNT_ATTR_NODEV,
            None => MountAttrFlags::empty(),
        }
    }

    fn backstage(&self, nodes: Nodes) -> Backstage<'_> {
        let host = matches!(self.launch.root, RootFs::HostOverlay { .. });
        let hierarchies = match self.plan.cgroup_mount().is_some() {
            true => self.cgroups.iter().map(|(name, _)| name.as_str()).collect(),
            false => Vec::new(),
        };
        let hierarchies = match hierarchies.as_slice() {
            [""] => Vec::new(),
            _ => hierarchies,
        };
        Backstage {
            // The upper layer of `@host` lies here too: the size of /dev is not its limit.
            size: self.plan.dev_size().filter(|_| !host),
            devices: self.plan.devices.iter().collect(),
            files: self
                .launch
                .files
                .iter()
                .map(|(_, bytes)| bytes.as_slice())
                .collect(),
            hierarchies,
            console: self.plan.terminal,
            upper: host,
            maps: self.plan.namespaces.maps.as_ref(),
            nodes,
        }
    }

    fn cgroup_clones(&self) -> Result<Vec<OwnedFd>, Failure> {
        let Some(mount) = self.plan.cgroup_mount() else {
            return Ok(Vec::new());
        };
        let attr = MountAttr {
            set: mount.options.set,
            ..MountAttr::default()
        };
        self.cgroups
            .iter()
            .map(|(name, dir)| clone_mount(CWD, dir, Depth::One, &attr).at(Step::Mount, name))
            .collect()
    }
}

/// Attaches a mount over the root directory of the old mount tree: path look-ups start below it, and `pivot_root` wants the
/// new root to be attached somewhere.
pub(crate) fn put_on_old_root(mount: BorrowedFd<'_>) -> Result<(), Errno> {
    attach_at(mount, "/")
}

/// Attaches a mount where it is out of everybody's way and goes when the old root is detached. Not over `/` as well: every
/// mount stacked there would have to be detached by itself after the pivot. The caller has used `/proc`, so it exists.
pub(crate) fn put_aside(mount: BorrowedFd<'_>) -> Result<(), Errno> {
    attach_at(mount, "/proc")
}

fn attach_at(mount: BorrowedFd<'_>, place: &str) -> Result<(), Errno> {
    move_mount(
        mount,
        "",
        CWD,
        place,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
}
