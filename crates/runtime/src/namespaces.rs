//! Which namespaces are made, joined or shared with the host, and the id maps of a new user namespace.
//!
//! ```text
//!   clone3      user mount pid net uts      born in them
//!   child       cgroup ipc                  unshared later: the cgroup namespace is rooted where the process is at that
//!                                           moment, so the joins come first; the message queue file system belongs to
//!                                           whoever makes the IPC namespace, so its maker has to be the mapped root
//!   parent      joined ones                 entered for the moment of the clone, then left again
//! ```

use std::fmt::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_spec::runtime::{IdMapping, NamespaceKind, Spec};
use hull_sys::Errno;
use hull_sys::clone::CloneFlags;
use hull_sys::namespaces::setns;
use rustix::fs::{CWD, Mode, OFlags, fstatfs, openat};
use rustix::process::{Pid, chroot, fchdir, getegid, geteuid};

use crate::error::{At as _, Failure, StartError, Step};
use crate::launch::Join;

/// What is made, joined and shared.
#[derive(Debug)]
pub(crate) struct Namespaces {
    /// Made for this container.
    pub(crate) new: CloneFlags,
    /// The maps, when a user namespace is made.
    pub(crate) maps: Option<IdMaps>,
}

impl Namespaces {
    /// Reads them from the spec. A kind that is joined is not made; a kind that is neither is the host's.
    pub(crate) fn plan(spec: &Spec, join: &Join) -> Result<Self, StartError> {
        let linux = spec
            .linux
            .as_ref()
            .ok_or_else(|| StartError::Invalid("config.json has no `linux` section".into()))?;
        let mut new = CloneFlags::empty();
        for namespace in linux.namespaces.iter().filter(|one| one.path.is_none()) {
            new |= flag(namespace.kind);
        }
        if !new.contains(CloneFlags::NEWNS) {
            return Err(StartError::Unsupported(
                "a container in the host's mount namespace".into(),
            ));
        }
        if new.contains(CloneFlags::NEWTIME) {
            return Err(StartError::Unsupported("a time namespace".into()));
        }
        for (joined, kind) in joined(join) {
            if joined.is_some() {
                new -= kind;
            }
        }
        let maps = new
            .contains(CloneFlags::NEWUSER)
            .then(|| IdMaps::plan(&linux.uid_mappings, &linux.gid_mappings))
            .transpose()?;
        Ok(Self { new, maps })
    }

    /// Those the child is born in.
    pub(crate) fn at_clone(&self) -> CloneFlags {
        self.new - self.in_child()
    }

    /// Those the child makes once it is in its cgroup and root of its user namespace.
    pub(crate) fn in_child(&self) -> CloneFlags {
        self.new & (CloneFlags::NEWCGROUP | CloneFlags::NEWIPC)
    }

    /// Says whether the container has one of its own.
    pub(crate) fn makes(&self, kind: CloneFlags) -> bool {
        self.new.contains(kind)
    }

    /// Returns the host's ids for the container's root.
    pub(crate) fn host_root(&self) -> HostRoot {
        self.maps
            .as_ref()
            .map_or(HostRoot { uid: 0, gid: 0 }, |maps| maps.root)
    }
}

/// Opens the namespaces the spec names by path; descriptors given beside it count more.
pub(crate) fn open_paths(spec: &Spec, join: &mut Join) -> Result<(), StartError> {
    let Some(linux) = &spec.linux else {
        return Ok(());
    };
    for namespace in &linux.namespaces {
        let Some(path) = &namespace.path else {
            continue;
        };
        let slot = match namespace.kind {
            NamespaceKind::Network => &mut join.net,
            NamespaceKind::Ipc => &mut join.ipc,
            NamespaceKind::Uts => &mut join.uts,
            NamespaceKind::Pid => &mut join.pid,
            kind => {
                return Err(StartError::Unsupported(format!(
                    "joining a {} namespace by path",
                    word(flag(kind))
                )));
            }
        };
        if slot.is_none() {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            *slot = Some(openat(CWD, path, flags, Mode::empty()).at(Step::OpenNamespace, path)?);
        }
    }
    Ok(())
}

/// Returns the kernel's bit for the standard's word.
pub(crate) fn flag(kind: NamespaceKind) -> CloneFlags {
    match kind {
        NamespaceKind::Pid => CloneFlags::NEWPID,
        NamespaceKind::Network => CloneFlags::NEWNET,
        NamespaceKind::Mount => CloneFlags::NEWNS,
        NamespaceKind::Ipc => CloneFlags::NEWIPC,
        NamespaceKind::Uts => CloneFlags::NEWUTS,
        NamespaceKind::User => CloneFlags::NEWUSER,
        NamespaceKind::Cgroup => CloneFlags::NEWCGROUP,
        NamespaceKind::Time => CloneFlags::NEWTIME,
    }
}

/// Returns the name under `/proc/PID/ns`.
pub(crate) fn word(kind: CloneFlags) -> &'static str {
    match kind {
        CloneFlags::NEWPID => "pid",
        CloneFlags::NEWNET => "net",
        CloneFlags::NEWNS => "mnt",
        CloneFlags::NEWIPC => "ipc",
        CloneFlags::NEWUTS => "uts",
        CloneFlags::NEWUSER => "user",
        CloneFlags::NEWCGROUP => "cgroup",
        CloneFlags::NEWTIME => "time",
        _ => "several",
    }
}

fn joined(join: &Join) -> [(Option<&OwnedFd>, CloneFlags); 4] {
    [
        (join.net.as_ref(), CloneFlags::NEWNET),
        (join.ipc.as_ref(), CloneFlags::NEWIPC),
        (join.uts.as_ref(), CloneFlags::NEWUTS),
        (join.pid.as_ref(), CloneFlags::NEWPID),
    ]
}

/// The caller standing in other namespaces; [`Visit::leave`] brings it home.
///
/// The parent goes, not the child: a namespace of another container belongs to that container's user namespace, over
/// which the child, once in its own, has no power.
#[derive(Debug)]
pub(crate) struct Visit {
    home: Vec<(OwnedFd, CloneFlags)>,
}

impl Visit {
    /// Enters every namespace of `join`.
    pub(crate) fn enter(join: &Join) -> Result<Self, Failure> {
        let mut visit = Self { home: Vec::new() };
        for (namespace, kind) in joined(join) {
            let Some(namespace) = namespace else {
                continue;
            };
            if let Err(failure) = visit.go(namespace, kind) {
                visit.leave()?;
                return Err(failure);
            }
        }
        Ok(visit)
    }

    fn go(&mut self, namespace: &OwnedFd, kind: CloneFlags) -> Result<(), Failure> {
        let own = format!("/proc/self/ns/{}", word(kind));
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let home = openat(CWD, own.as_str(), flags, Mode::empty()).at(Step::Namespace, &own)?;
        setns(namespace, kind).at(Step::Namespace, word(kind))?;
        self.home.push((home, kind));
        Ok(())
    }

    /// Goes back to where the caller came from.
    pub(crate) fn leave(self) -> Result<(), Failure> {
        for (home, kind) in self.home.into_iter().rev() {
            setns(home, kind).at(Step::Namespace, word(kind))?;
        }
        Ok(())
    }
}

/// Runs `work` where the mounts are those of `namespace`, and comes back.
pub(crate) fn among_mounts_of<T>(
    namespace: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let failed = |errno| Failure::new(Step::Namespace, "mnt", errno);
    let path = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |name: &str, flags| openat(CWD, name, flags, Mode::empty()).map_err(failed);
    let (root, here) = (open("/", path)?, open(".", path)?);
    let home = open("/proc/self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC)?;
    setns(namespace, CloneFlags::NEWNS).map_err(failed)?;
    let done = work();
    setns(home, CloneFlags::NEWNS).map_err(failed)?;
    // setns(2) made the root of the mounts the root and the working directory; the caller may live below it.
    fchdir(root).and_then(|()| chroot(".")).map_err(failed)?;
    fchdir(here).map_err(failed)?;
    done
}

/// The two maps of a user namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdMaps {
    uid: Vec<IdMapping>,
    gid: Vec<IdMapping>,
    root: HostRoot,
    /// The writer may map nothing but itself.
    single: bool,
}

/// Who the container's root is on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostRoot {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl IdMaps {
    /// The kernel takes so many lines.
    const MOST_LINES: usize = 340;

    fn plan(uid: &[IdMapping], gid: &[IdMapping]) -> Result<Self, StartError> {
        let single = !geteuid().is_root();
        let own = |id| {
            vec![IdMapping {
                container_id: 0,
                host_id: id,
                size: 1,
            }]
        };
        let (uid, gid) = match (single, uid.is_empty(), gid.is_empty()) {
            // An ordinary user without newuidmap: root inside is the user, nobody else exists.
            (true, true, true) => (own(geteuid().as_raw()), own(getegid().as_raw())),
            (false, true, _) | (_, _, true) | (true, true, false) => {
                return Err(StartError::Invalid(
                    "a user namespace needs uidMappings and gidMappings".into(),
                ));
            }
            _ => (uid.to_vec(), gid.to_vec()),
        };
        let root = HostRoot {
            uid: root_of("uidMappings", &uid)?,
            gid: root_of("gidMappings", &gid)?,
        };
        if single && uid.iter().chain(&gid).any(|line| line.size != 1) {
            return Err(StartError::Unsupported(
                "an id range for an ordinary user (newuidmap)".into(),
            ));
        }
        Ok(Self {
            uid,
            gid,
            root,
            single,
        })
    }

    /// Says whether the container's group `id` exists.
    pub(crate) fn maps_gid(&self, id: u32) -> bool {
        self.on_host(0, id).is_some()
    }

    /// Returns who the container's user and group are on the host.
    pub(crate) fn on_host(&self, uid: u32, gid: u32) -> Option<(u32, u32)> {
        let through = |map: &[IdMapping], id: u32| {
            map.iter()
                .find(|line| id >= line.container_id && id - line.container_id < line.size)
                .map(|line| line.host_id + (id - line.container_id))
        };
        Some((through(&self.uid, uid)?, through(&self.gid, gid)?))
    }

    /// Says whether these are the same maps.
    pub(crate) fn are(&self, uid: &[IdMapping], gid: &[IdMapping]) -> bool {
        self.uid == uid && self.gid == gid
    }

    /// Says whether nobody but the container's root exists.
    pub(crate) fn is_single(&self) -> bool {
        self.single
    }

    /// Writes the maps of the process whose `/proc` directory this is.
    pub(crate) fn write(&self, process: BorrowedFd<'_>) -> Result<(), Failure> {
        put(process, "uid_map", &lines(&self.uid)).at(Step::MapIds, "uid_map")?;
        if self.single {
            // user_namespaces(7): without privilege the group map may be written only once setgroups is denied for good.
            put(process, "setgroups", "deny").at(Step::MapIds, "setgroups")?;
        }
        put(process, "gid_map", &lines(&self.gid)).at(Step::MapIds, "gid_map")
    }
}

fn root_of(what: &str, map: &[IdMapping]) -> Result<u32, StartError> {
    if map.len() > IdMaps::MOST_LINES {
        return Err(StartError::Invalid(format!(
            "{what} has more than {} lines",
            IdMaps::MOST_LINES
        )));
    }
    map.iter()
        .find(|line| line.container_id == 0 && line.size > 0)
        .map(|line| line.host_id)
        .ok_or_else(|| StartError::Invalid(format!("{what} gives the container no root (id 0)")))
}

fn lines(map: &[IdMapping]) -> String {
    let mut text = String::new();
    for line in map {
        let _ = writeln!(text, "{} {} {}", line.container_id, line.host_id, line.size);
    }
    text
}

/// Opens `/proc/PID` of a child that has not been reaped, so the number is its own, and makes sure it is procfs.
pub(crate) fn proc_of(pid: Pid) -> Result<OwnedFd, Failure> {
    let path = format!("/proc/{pid}", pid = pid.as_raw_nonzero());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(CWD, path.as_str(), flags, Mode::empty()).at(Step::Proc, &path)?;
    is_procfs(dir.as_fd()).at(Step::Proc, &path)?;
    Ok(dir)
}

/// Fails with `ENOTSUP` unless `fd` lies on procfs: what is written there means something only there.
pub(crate) fn is_procfs(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    match fstatfs(fd)?.f_type {
        PROC_SUPER_MAGIC => Ok(()),
        _ => Err(Errno::NOTSUP),
    }
}

/// Writes `text` to a file of procfs in one write, as its files want it.
pub(crate) fn put(dir: BorrowedFd<'_>, name: &str, text: &str) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, Mode::empty())?;
    match rustix::io::write(file, text.as_bytes())? {
        written if written == text.len() => Ok(()),
        _ => Err(Errno::INVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_spec::runtime::{Linux, Namespace};

    fn spec(kinds: &[NamespaceKind]) -> Spec {
        let namespaces = kinds
            .iter()
            .map(|&kind| Namespace { kind, path: None })
            .collect();
        let map = vec![IdMapping {
            container_id: 0,
            host_id: 524_288,
            size: 65_536,
        }];
        Spec {
            linux: Some(Linux {
                namespaces,
                uid_mappings: map.clone(),
                gid_mappings: map,
                ..Linux::default()
            }),
            ..Spec::default()
        }
    }

    #[test]
    fn cgroup_and_ipc_are_left_to_the_child() {
        use NamespaceKind::{Cgroup, Ipc, Mount, Pid};
        let plan = Namespaces::plan(&spec(&[Mount, Pid, Ipc, Cgroup]), &Join::default()).unwrap();
        assert_eq!(plan.at_clone(), CloneFlags::NEWNS | CloneFlags::NEWPID);
        assert_eq!(plan.in_child(), CloneFlags::NEWIPC | CloneFlags::NEWCGROUP);
        assert!(plan.maps.is_none());
    }

    #[test]
    fn what_is_joined_is_not_made() {
        use NamespaceKind::{Mount, Network};
        let join = Join {
            net: Some(std::fs::File::open("/dev/null").unwrap().into()),
            ..Join::default()
        };
        let plan = Namespaces::plan(&spec(&[Mount, Network]), &join).unwrap();
        assert_eq!(plan.new, CloneFlags::NEWNS);
        assert!(Namespaces::plan(&spec(&[Network]), &join).is_err());
    }

    #[test]
    fn maps_are_written_as_the_kernel_reads_them() {
        let map = [
            IdMapping {
                container_id: 0,
                host_id: 524_288,
                size: 1,
            },
            IdMapping {
                container_id: 1,
                host_id: 600_000,
                size: 65_535,
            },
        ];
        assert_eq!(lines(&map), "0 524288 1\n1 600000 65535\n");
        assert_eq!(root_of("x", &map).unwrap(), 524_288);
        assert!(root_of("x", &map[1..]).is_err());
    }
}
