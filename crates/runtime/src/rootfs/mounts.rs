//! The mounts of the spec: what each one is, who can make it, and attaching it inside the root.
//!
//! | mount | made by |
//! |---|---|
//! | bind | the parent, which sees the host: a clone, id-mapped and restricted before anybody can reach it |
//! | proc, sysfs, mqueue of an own namespace; devpts, tmpfs | the child, to whom they then belong |
//! | the same of a joined namespace | the parent, while it visits that namespace: the child has no power over it |
//! | the same of the host's namespace, in a user namespace | the parent: a clone of the host's mount |
//! | `/dev/shm` of the container whose IPC namespace is joined | the parent: a clone, from among that container's mounts |
//! | cgroup | the parent: clones of the container's own cgroup directories (fresh mounts cost twice as much) |
//!
//! Destinations are found inside the root by descriptor and mounts are attached to that descriptor, so nobody who changes
//! the tree meanwhile can lead a mount elsewhere.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use hull_spec::runtime::{Mount, Spec};
use hull_sys::Errno;
use hull_sys::clone::CloneFlags;
use hull_sys::mount::MountAttr;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::mount::{MountAttrFlags, MountPropagationFlags, MoveMountFlags, move_mount};

use super::inside::{Inside, Shape, lexical, until_exec};
use super::options::{Bind, Options};
use super::superblock::{Depth, Superblock, change_mount, clone_mount};
use crate::error::{At as _, Failure, StartError, Step};
use crate::launch::Join;
use crate::namespaces::{Namespaces, among_mounts_of};

/// One mount, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) destination: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) maker: Maker,
    pub(crate) options: Options,
}

/// What a mount is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bind {
        source: PathBuf,
    },
    Proc,
    Sysfs,
    Devpts,
    Mqueue,
    Tmpfs,
    /// `/dev/shm` of the container whose IPC namespace is joined.
    SharedMemory,
    /// `/dev`: from the backstage.
    Dev,
    /// The container's own cgroups.
    Cgroup,
}

/// Who makes a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    /// The parent: a clone of something of the host's.
    Outside,
    /// The parent, while it visits the joined namespaces.
    Visitor,
    /// The child.
    Inside,
}

/// The files of a container's procfs over which something may be mounted (lxcfs does); everything else there would let
/// an image or a volume lie to what trusts /proc (CVE-2019-16884).
const PROC_FILES: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "slabinfo",
    "stat",
    "swaps",
    "uptime",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
];

const SHARED_MEMORY: &str = "/dev/shm";

/// Understands the mounts of the spec.
pub(crate) fn plan(
    spec: &Spec,
    namespaces: &Namespaces,
    join: &Join,
) -> Result<Vec<Planned>, StartError> {
    spec.mounts
        .iter()
        .map(|mount| plan_one(mount, namespaces, join))
        .collect()
}

fn plan_one(mount: &Mount, namespaces: &Namespaces, join: &Join) -> Result<Planned, StartError> {
    let destination = lexical(&mount.destination);
    if destination == Path::new("/") {
        return Err(StartError::Invalid(
            "nothing can be mounted over the container's root".into(),
        ));
    }
    let mut options = Options::parse(&mount.options);
    let kind = kind(mount, &destination, &options, join)?;
    if let Ok(below) = destination.strip_prefix("/proc") {
        let allowed = match kind {
            Kind::Proc => below.as_os_str().is_empty(),
            Kind::Bind { .. } => PROC_FILES.iter().any(|file| Path::new(file) == below),
            _ => false,
        };
        if !allowed {
            return Err(StartError::Invalid(format!(
                "nothing can be mounted at `{}`: programs trust what they find there",
                destination.display()
            )));
        }
    }
    if !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
        let own = spec_maps_are(mount, namespaces);
        if !own {
            return Err(StartError::Unsupported(format!(
                "an id map of its own for the mount `{}`",
                destination.display()
            )));
        }
        options.idmap = true;
    }
    if kind == Kind::Devpts {
        drop_unmapped_gid(&mut options, namespaces);
    }
    let maker = maker(&kind, namespaces, join);
    Ok(Planned {
        destination,
        kind,
        maker,
        options,
    })
}

fn kind(
    mount: &Mount,
    destination: &Path,
    options: &Options,
    join: &Join,
) -> Result<Kind, StartError> {
    let word = mount.kind.as_deref().unwrap_or("none");
    Ok(match word {
        _ if options.bind.is_some() || word == "bind" => Kind::Bind {
            source: mount.source.clone().ok_or_else(|| {
                StartError::Invalid(format!(
                    "the bind mount `{}` has no source",
                    destination.display()
                ))
            })?,
        },
        "proc" => Kind::Proc,
        "sysfs" => Kind::Sysfs,
        "devpts" => Kind::Devpts,
        "mqueue" => Kind::Mqueue,
        "tmpfs" if destination == Path::new("/dev") => Kind::Dev,
        // Only what is there when nobody asked for another.
        "tmpfs" if join.mounts.is_some() && is_standard_memory(mount, destination) => {
            Kind::SharedMemory
        }
        "tmpfs" => Kind::Tmpfs,
        "cgroup" | "cgroup2" => Kind::Cgroup,
        other => {
            return Err(StartError::Unsupported(format!(
                "a mount of type `{other}` (at `{}`)",
                destination.display()
            )));
        }
    })
}

fn is_standard_memory(mount: &Mount, destination: &Path) -> bool {
    destination == Path::new(SHARED_MEMORY) && mount.source.as_deref() == Some(Path::new("shm"))
}

fn maker(kind: &Kind, namespaces: &Namespaces, join: &Join) -> Maker {
    let of = |own: CloneFlags, joined: bool| match (namespaces.makes(own), joined) {
        (true, _) => Maker::Inside,
        (false, true) => Maker::Visitor,
        (false, false) if namespaces.makes(CloneFlags::NEWUSER) => Maker::Outside,
        (false, false) => Maker::Inside,
    };
    match kind {
        Kind::Bind { .. } | Kind::SharedMemory => Maker::Outside,
        Kind::Proc => of(CloneFlags::NEWPID, join.pid.is_some()),
        Kind::Sysfs => of(CloneFlags::NEWNET, join.net.is_some()),
        Kind::Mqueue => of(CloneFlags::NEWIPC, join.ipc.is_some()),
        Kind::Devpts | Kind::Tmpfs | Kind::Dev | Kind::Cgroup => Maker::Inside,
    }
}

fn spec_maps_are(mount: &Mount, namespaces: &Namespaces) -> bool {
    namespaces
        .maps
        .as_ref()
        .is_some_and(|maps| maps.are(&mount.uid_mappings, &mount.gid_mappings))
}

/// `gid=5` (tty) is refused where that group does not exist: for an ordinary user nobody but root does.
fn drop_unmapped_gid(options: &mut Options, namespaces: &Namespaces) {
    let Some(maps) = &namespaces.maps else {
        return;
    };
    options.data.retain(|(key, value)| {
        let gid = value.as_deref().and_then(|text| text.parse().ok());
        key != "gid" || gid.is_none_or(|gid| maps.maps_gid(gid))
    });
}

impl Planned {
    /// Makes the mount on the parent's side: a clone of something of the host's.
    pub(crate) fn make_outside(
        &self,
        userns: Option<BorrowedFd<'_>>,
        join: &Join,
    ) -> Result<OwnedFd, Failure> {
        if let (Kind::SharedMemory, Some(mounts)) = (&self.kind, &join.mounts) {
            return among_mounts_of(mounts.as_fd(), || self.share_memory(userns));
        }
        let (source, depth) = match &self.kind {
            Kind::Bind { source } => (source.as_path(), self.bind_depth()),
            Kind::Proc => (Path::new("/proc"), Depth::Tree),
            // Only sysfs itself: what the host has mounted below is not the container's. An ordinary user's copy of the
            // mount tree is locked together and can be had only whole.
            Kind::Sysfs if userns.is_some() => (Path::new("/sys"), Depth::One),
            Kind::Sysfs => (Path::new("/sys"), Depth::Tree),
            Kind::Mqueue => (Path::new("/dev/mqueue"), Depth::One),
            _ => return Err(Failure::new(Step::Mount, &self.destination, Errno::INVAL)),
        };
        let step = match self.kind {
            Kind::Bind { .. } => Step::OpenSource,
            _ => Step::Mount,
        };
        let clone = clone_mount(CWD, source, depth, &MountAttr::default()).at(step, source)?;
        // `ro` and its like hold for the whole tree where the words said so; propagation is private unless asked for.
        let propagation = match self.options.propagation {
            none if none.is_empty() => MountPropagationFlags::PRIVATE,
            asked => asked.difference(MountPropagationFlags::REC),
        };
        let attr = MountAttr {
            set: self.options.set,
            propagation,
            userns: userns.filter(|_| self.options.idmap),
            ..MountAttr::default()
        };
        let deep = match (depth, self.options.recursive || step == Step::Mount) {
            (Depth::Tree, true) => Depth::Tree,
            _ => Depth::One,
        };
        let failed = match attr.userns {
            Some(_) => Step::IdMap,
            None => Step::Mount,
        };
        change_mount(&clone, deep, &attr).at(failed, source)?;
        Ok(clone)
    }

    /// Clones `/dev/shm` of the container among whose mounts the caller is. Root is root there and here, whatever numbers the
    /// two have outside.
    fn share_memory(&self, userns: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Failure> {
        let failed = |errno| Failure::new(Step::SharedMemory, SHARED_MEMORY, errno);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // A link there is that container's, and could lead through its /proc to what is not.
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let place = openat2(CWD, SHARED_MEMORY, flags, Mode::empty(), resolve).map_err(failed)?;
        let clone = |userns| {
            let attr = MountAttr {
                set: self.options.set,
                propagation: MountPropagationFlags::PRIVATE,
                userns,
                ..MountAttr::default()
            };
            clone_mount(&place, "", Depth::One, &attr)
        };
        match clone(userns) {
            // Below Linux 6.3 a tmpfs has no id map: the files are there, and the other's.
            Err(Errno::INVAL) if userns.is_some() => clone(None),
            made => made,
        }
        .map_err(failed)
    }

    fn bind_depth(&self) -> Depth {
        match self.options.bind {
            Some(Bind::One) => Depth::One,
            Some(Bind::Tree) | None => Depth::Tree,
        }
    }

    /// Makes the mount as a new file system of the namespaces the caller is in.
    pub(crate) fn make_fresh(&self, pid: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Failure> {
        let (kind, source) = match self.kind {
            Kind::Proc => ("proc", "proc"),
            Kind::Sysfs => ("sysfs", "sysfs"),
            Kind::Devpts => ("devpts", "devpts"),
            Kind::Mqueue => ("mqueue", "mqueue"),
            Kind::Tmpfs | Kind::Dev => ("tmpfs", "tmpfs"),
            Kind::Bind { .. } | Kind::Cgroup | Kind::SharedMemory => {
                return Err(Failure::new(Step::Mount, &self.destination, Errno::INVAL));
            }
        };
        let fs = Superblock::new(kind, Step::Mount, &self.destination)?;
        fs.text("source", source)?;
        if let Some(pid) = pid.filter(|_| self.kind == Kind::Proc) {
            fs.descriptor("pidns", pid)?;
        }
        for (key, value) in &self.options.data {
            match (value, key.as_str()) {
                // Every instance is a new one since Linux 4.7.
                (None, "newinstance") => {}
                (Some(value), _) => fs.text(key, value)?,
                (None, _) => fs.flag(key)?,
            }
        }
        fs.mount(self.options.set)
    }

    /// Attaches the mount at its destination, which is made when it is not there.
    ///
    /// The place's descriptor stays open until the exec.
    pub(crate) fn attach(&self, root: Inside<'_>, mount: &OwnedFd) -> Result<(), Failure> {
        let place = match self.kind {
            // These must be ordinary directories: behind a link, masks and sysctls would miss them.
            Kind::Proc | Kind::Sysfs => root.plain_dir(&self.destination),
            Kind::Bind { .. } => {
                shape(mount.as_fd()).and_then(|shape| root.mount_point(&self.destination, shape))
            }
            _ => root.mount_point(&self.destination, Shape::Directory),
        };
        let place = place.at(Step::MountPoint, &self.destination)?;
        attach(mount.as_fd(), place.as_fd()).at(Step::Mount, &self.destination)?;
        until_exec(place);
        Ok(())
    }
}

/// Says what the root of a mount is.
pub(crate) fn shape(mount: BorrowedFd<'_>) -> Result<Shape, Errno> {
    match FileType::from_raw_mode(fstat(mount)?.st_mode) {
        FileType::Directory => Ok(Shape::Directory),
        _ => Ok(Shape::File),
    }
}

/// Attaches a detached mount to the place a descriptor stands for.
pub(crate) fn attach(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", place, "", flags)
}

/// `ro` for a clone.
pub(crate) const READ_ONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;

#[cfg(test)]
mod tests {
    use super::*;
    use hull_spec::runtime::{Linux, Namespace, NamespaceKind};

    fn plan_text(destination: &str, kind: &str, options: &[&str]) -> Result<Planned, StartError> {
        let namespaces = |kinds: &[NamespaceKind]| {
            let namespaces = kinds
                .iter()
                .map(|&kind| Namespace { kind, path: None })
                .collect();
            let spec = Spec {
                linux: Some(Linux {
                    namespaces,
                    ..Linux::default()
                }),
                ..Spec::default()
            };
            Namespaces::plan(&spec, &Join::default()).unwrap()
        };
        let mount = Mount {
            destination: destination.into(),
            kind: Some(kind.to_owned()),
            source: Some("/src".into()),
            options: options.iter().map(|&word| word.to_owned()).collect(),
            ..Mount::default()
        };
        let namespaces = namespaces(&[NamespaceKind::Mount, NamespaceKind::Pid]);
        plan_one(&mount, &namespaces, &Join::default())
    }

    #[test]
    fn types_and_options_say_what_a_mount_is() {
        assert_eq!(plan_text("/proc", "proc", &[]).unwrap().kind, Kind::Proc);
        assert_eq!(plan_text("/dev", "tmpfs", &[]).unwrap().kind, Kind::Dev);
        assert_eq!(
            plan_text("/dev/shm", "tmpfs", &[]).unwrap().kind,
            Kind::Tmpfs
        );
        let bind = plan_text("/a/../b", "none", &["rbind"]).unwrap();
        assert_eq!(bind.destination, Path::new("/b"));
        assert_eq!(bind.maker, Maker::Outside);
        assert!(plan_text("/x", "nfs", &[]).is_err());
    }

    #[test]
    fn nothing_goes_over_proc_or_the_root() {
        for destination in ["/proc/self", "/a/../proc/1", "/proc/sys", "/", "/..", "."] {
            assert!(
                plan_text(destination, "bind", &[]).is_err(),
                "{destination}"
            );
        }
        assert!(plan_text("/proc", "tmpfs", &[]).is_err());
        assert!(plan_text("/proc/cpuinfo", "bind", &[]).is_ok());
    }
}
