//! The backstage tmpfs: one superblock for everything small that is the container's own.
//!
//! ```text
//!   /dev      becomes /dev: nodes, links, mount points
//!   /files/N  the given files, each bound to its place
//!   /nodes/N  devices with a place outside /dev
//!   /empty    covers masked directories
//!   /cgroup   mount points for the cgroup hierarchies
//!   /upper /work  the throw-away layer of @host
//! ```
//! The parent makes it, because `mknod` is refused in a user namespace; with the file-system ids of the container's root
//! set, everything belongs to that root from the start: no id map, no chown, also before Linux 6.3.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use hull_spec::runtime::{Device, DeviceKind};
use hull_sys::Errno;
use hull_sys::mount::MountAttr;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chownat, makedev, mkdirat, mknodat, openat,
    symlinkat,
};
use rustix::mount::{MountAttrFlags, MoveMountFlags, move_mount};

use super::inside::{Inside, Shape};
use super::superblock::{Depth, Superblock, clone_mount};
use crate::error::{At as _, Failure, Step};
use crate::namespaces::IdMaps;

/// The nodes every container has: name, major, minor; all 0666.
const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// What the backstage has to hold.
#[derive(Debug)]
pub(crate) struct Backstage<'a> {
    /// `size=` of the tmpfs; none is half of the memory.
    pub(crate) size: Option<&'a str>,
    /// Devices beside the standard ones.
    pub(crate) devices: Vec<&'a Device>,
    /// Contents of the given files.
    pub(crate) files: Vec<&'a [u8]>,
    /// Names of mount points for cgroup hierarchies; none when there is no such mount.
    pub(crate) hierarchies: Vec<&'a str>,
    /// A terminal wants a place for `/dev/console`.
    pub(crate) console: bool,
    /// Room for an upper layer.
    pub(crate) upper: bool,
    /// How container ids become host ids, for the owners of devices.
    pub(crate) maps: Option<&'a IdMaps>,
    /// Where device nodes come from.
    pub(crate) nodes: Nodes,
}

/// Where device nodes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nodes {
    /// `mknod`.
    Made,
    /// The host's nodes, bound: where `mknod` is refused. The tmpfs has to be attached for that.
    Bound,
}

impl Backstage<'_> {
    /// Makes the tmpfs, attached nowhere and still empty. Not `nodev`: the nodes on it shall work.
    pub(crate) fn tmpfs(&self) -> Result<OwnedFd, Failure> {
        let tmpfs = Superblock::new("tmpfs", Step::Tmpfs, "")?;
        tmpfs.text("source", "tmpfs")?;
        tmpfs.text("mode", "0755")?;
        if let Some(size) = self.size {
            tmpfs.text("size", size)?;
        }
        tmpfs.mount(MountAttrFlags::MOUNT_ATTR_NOSUID)
    }

    /// Fills it.
    pub(crate) fn fill(&self, tmpfs: BorrowedFd<'_>) -> Result<(), Failure> {
        make_dir(tmpfs, "empty", 0o755)?;
        if !self.files.is_empty() {
            self.fill_files(tmpfs)?;
        }
        if !self.hierarchies.is_empty() {
            make_dir(tmpfs, "cgroup", 0o755)?;
            let dir = open_dir(tmpfs, "cgroup")?;
            for name in &self.hierarchies {
                make_dir(dir.as_fd(), name, 0o755)?;
            }
        }
        if self.upper {
            make_dir(tmpfs, "upper", 0o755)?;
            make_dir(tmpfs, "work", 0o755)?;
        }
        make_dir(tmpfs, "dev", 0o755)?;
        self.fill_dev(tmpfs)
    }

    fn fill_files(&self, tmpfs: BorrowedFd<'_>) -> Result<(), Failure> {
        make_dir(tmpfs, "files", 0o755)?;
        let dir = open_dir(tmpfs, "files")?;
        for (index, contents) in self.files.iter().enumerate() {
            let name = index.to_string();
            make_file(dir.as_fd(), &name, contents).at(Step::File, &name)?;
        }
        Ok(())
    }

    fn fill_dev(&self, tmpfs: BorrowedFd<'_>) -> Result<(), Failure> {
        let dev = open_dir(tmpfs, "dev")?;
        let dev = dev.as_fd();
        for (name, mode) in [("pts", 0o755), ("shm", 0o1777), ("mqueue", 0o1777)] {
            make_dir(dev, name, mode)?;
        }
        for (target, name) in LINKS.map(|(name, target)| (target, name)) {
            symlinkat(target, dev, name).at(Step::Device, name)?;
        }
        if self.console {
            make_file(dev, "console", b"").at(Step::Device, "console")?;
        }
        for (name, major, minor) in NODES {
            let node = Node {
                name: Path::new(name),
                host: &Path::new("/dev").join(name),
                kind: FileType::CharacterDevice,
                mode: 0o666,
                number: makedev(major, minor),
            };
            node.put(dev, self.nodes).at(Step::Device, name)?;
        }
        for device in &self.devices {
            self.device(tmpfs, dev, device)
                .at(Step::Device, &device.path)?;
        }
        Ok(())
    }

    fn device(
        &self,
        tmpfs: BorrowedFd<'_>,
        dev: BorrowedFd<'_>,
        device: &Device,
    ) -> Result<(), Errno> {
        let nodes;
        let (dir, name) = match device.path.strip_prefix("/dev") {
            // The spec may list the standard ones as well.
            Ok(name) if NODES.iter().any(|node| Path::new(node.0) == name) => return Ok(()),
            Ok(name) => (dev, name),
            Err(_) => {
                let name = device.path.strip_prefix("/").map_err(|_| Errno::INVAL)?;
                nodes = Inside(tmpfs).mount_point(Path::new("/nodes"), Shape::Directory)?;
                (nodes.as_fd(), name)
            }
        };
        let parent = match name.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                Inside(dir).mount_point(parent, Shape::Directory)?
            }
            _ => Inside(dir).find(Path::new("/"), OFlags::DIRECTORY)?,
        };
        let last = Path::new(name.file_name().ok_or(Errno::INVAL)?);
        let node = Node {
            name: last,
            host: &device.path,
            kind: match device.kind {
                DeviceKind::Char => FileType::CharacterDevice,
                DeviceKind::Block => FileType::BlockDevice,
                DeviceKind::Fifo => FileType::Fifo,
            },
            mode: device.file_mode.unwrap_or(0o666) & 0o7777,
            number: match device.kind {
                DeviceKind::Fifo => 0,
                _ => makedev(
                    device.major.ok_or(Errno::INVAL)?,
                    device.minor.ok_or(Errno::INVAL)?,
                ),
            },
        };
        match node.put(parent.as_fd(), self.nodes) {
            // Named twice: by the engine and in the spec.
            Err(Errno::EXIST) => return Ok(()),
            result => result?,
        }
        match (device.uid.unwrap_or(0), device.gid.unwrap_or(0)) {
            (0, 0) => Ok(()),
            (uid, gid) if self.nodes == Nodes::Made => {
                let (uid, gid) = match self.maps {
                    Some(maps) => maps.on_host(uid, gid).ok_or(Errno::OVERFLOW)?,
                    None => (uid, gid),
                };
                let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
                chownat(
                    parent,
                    last,
                    Some(uid),
                    Some(gid),
                    AtFlags::SYMLINK_NOFOLLOW,
                )
            }
            _ => Ok(()),
        }
    }
}

/// One node to make.
struct Node<'a> {
    name: &'a Path,
    host: &'a Path,
    kind: FileType,
    mode: u32,
    number: u64,
}

impl Node<'_> {
    fn put(&self, dir: BorrowedFd<'_>, nodes: Nodes) -> Result<(), Errno> {
        match nodes {
            Nodes::Made => {
                let mode = Mode::from_raw_mode(self.mode);
                mknodat(dir, self.name, self.kind, mode, self.number)
            }
            Nodes::Bound => {
                let host = clone_mount(CWD, self.host, Depth::One, &MountAttr::default())?;
                make_file_at(dir, self.name, b"")?;
                let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
                move_mount(host, "", dir, self.name, flags)
            }
        }
    }
}

fn make_dir(dir: BorrowedFd<'_>, name: &str, mode: u32) -> Result<(), Failure> {
    mkdirat(dir, name, Mode::from_raw_mode(mode)).at(Step::Tmpfs, name)
}

fn open_dir(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty()).at(Step::Tmpfs, name)
}

fn make_file(dir: BorrowedFd<'_>, name: &str, contents: &[u8]) -> Result<(), Errno> {
    make_file_at(dir, Path::new(name), contents)
}

fn make_file_at(dir: BorrowedFd<'_>, name: &Path, contents: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, Mode::from_raw_mode(0o644))?;
    let mut rest = contents;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = &rest[written..];
    }
    Ok(())
}
