//! What the runtime is asked to start: everything decided before, nothing looked up later.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use hull_cgroup::Group;
use hull_spec::runtime::{Device, Spec};
use hull_sys::seccomp::SockFilter;

/// One container to start.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Process, namespaces, mounts, masks, sysctls, limits, id maps.
    pub spec: &'a Spec,
    /// What lies below `/`.
    pub root: RootFs,
    /// Files put over the image's (`/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`): on a private tmpfs, writable.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// The cgroup, limits already written; none for callers who have no cgroups.
    pub cgroup: Option<&'a Group>,
    /// The app's standard streams.
    pub stdio: Stdio,
    /// Which system calls the app may make.
    pub filter: Filter,
    /// Devices beside the standard ones and those in the spec.
    pub devices: Vec<Device>,
    /// Namespaces of others, joined instead of made.
    pub join: Join,
    /// Who to be, in docker's words (`name`, `uid`, `name:group`, `uid:gid`, each followed by `+group` for more), looked up in the container's own
    /// `/etc/passwd` and `/etc/group`; none takes the numbers of `spec.process.user`.
    pub user: Option<String>,
}

/// What lies below `/`.
#[derive(Debug)]
pub enum RootFs {
    /// Layers under a writable one.
    Overlay {
        /// They.
        directories: Directories,
        /// Owners on disk are the container's: go through its id map.
        idmap: bool,
        /// Never sync the upper layer: for containers that are removed when they end.
        volatile: bool,
    },
    /// A directory or mount as it is.
    Dir {
        /// It.
        dir: OwnedFd,
        /// Owners on disk are the container's: go through its id map.
        idmap: bool,
    },
    /// `@host`: the host's own files under a throw-away layer.
    HostOverlay {
        /// Directories that are shown empty (Hull's own), beside the fixed ones.
        hide: Vec<PathBuf>,
    },
}

/// What an overlay is put together from: directories of one mount, by their paths below `base`. A single id-mapped clone of
/// it serves them all; taking such a clone away is the dearest part of having it.
#[derive(Debug)]
pub struct Directories {
    /// A directory above all of them.
    pub base: OwnedFd,
    /// The layers, the top one first.
    pub lower: Vec<PathBuf>,
    /// What the container changes. Neither this path nor the next has a comma or a colon in it.
    pub upper: String,
    /// Overlayfs's own room.
    pub work: String,
}

/// The app's standard streams.
#[derive(Debug)]
pub enum Stdio {
    /// Three descriptors.
    Streams {
        /// Standard input.
        stdin: OwnedFd,
        /// Standard output.
        stdout: OwnedFd,
        /// Standard error.
        stderr: OwnedFd,
    },
    /// A new terminal of the container's own; the master comes back with the report.
    Terminal(TerminalSize),
}

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// Which system calls the app may make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Those of the default profile for the container's bounding capabilities.
    Default,
    /// Every one.
    None,
    /// Those this program lets pass.
    Compiled(Vec<SockFilter>),
}

/// Namespaces of others by descriptor, joined instead of made.
#[derive(Debug, Default)]
pub struct Join {
    /// Network.
    pub net: Option<OwnedFd>,
    /// System V IPC and message queues.
    pub ipc: Option<OwnedFd>,
    /// Host name.
    pub uts: Option<OwnedFd>,
    /// Process ids.
    pub pid: Option<OwnedFd>,
    /// The mounts of the container whose IPC namespace it is, to share its `/dev/shm` as well. They are not joined.
    pub mounts: Option<OwnedFd>,
}

/// A running container, for [`exec`](crate::exec()).
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its first process, as the caller sees it.
    pub pid: rustix::process::Pid,
    /// The same, beyond doubt.
    pub pidfd: BorrowedFd<'a>,
    /// Its cgroup.
    pub cgroup: Option<&'a Group>,
}
