//! What a monitor is told: everything it needs to start a pod's container and look after it, decided before.

use std::{os::fd::OwnedFd, path::PathBuf};

use hull_cgroup::{GroupPath, Hierarchies};
use hull_spec::runtime::Spec;
use hull_types::{ContainerId, ContainerName, ErrorKind, PodId};
use serde::{Deserialize, Serialize};

use crate::LogOptions;

/// Who has which range of user ids, on the whole host: every root of one host claims here (docs/adr/0017).
pub const ID_CLAIMS: &str = "/run/hull/ids";
/// Which cgroup hierarchies this host has, found once and then read by every root.
pub const HIERARCHIES: &str = "/run/hull/hierarchies";

/// The order to start one container and supervise it. Written as JSON into the program `hull-monitor`'s standard input, or
/// passed by value when `hull run` itself becomes the monitor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Handover {
    /// The store's root directory.
    pub root: PathBuf,
    /// The directory for sockets; nothing in it outlives a boot.
    pub run: PathBuf,
    pub pod: PodId,
    /// The container's place in its pod.
    pub place: usize,
    pub id: ContainerId,
    /// What the container was called when the order was written.
    pub name: ContainerName,
    /// How long the pod's journal is, if that is known: [`hull_state::Held::written`].
    pub journal: u64,
    /// The container in OCI's words.
    pub spec: Spec,
    pub rootfs: Rootfs,
    /// Files that Hull makes for the container, such as `/etc/hosts`: path inside, contents.
    pub files: Vec<(PathBuf, String)>,
    pub filter: Filter,
    /// Where the cgroup hierarchies are, found once per boot.
    pub hierarchies: Hierarchies,
    /// The container's cgroup below the root of each hierarchy; none where the caller may make none.
    pub cgroup: Option<GroupPath>,
    /// Whether somebody said where it is to lie.
    #[serde(default)]
    pub lies_elsewhere: bool,
    /// The first of the ids that are the pod's for this run; given back at its end.
    pub ids: Option<u32>,
    /// The bridge network it is connected to, if any.
    pub network: Option<Network>,
    /// Namespaces of other containers that this one joins.
    #[serde(default)]
    pub join: Vec<JoinNamespace>,
    /// Who the app is, in docker's words; looked up in the container's own files.
    pub user: Option<String>,
    /// Whether there is a terminal, and its size.
    pub terminal: Option<(u16, u16)>,
    /// Whether standard input is open.
    pub interactive: bool,
    /// Whether clients may attach: a socket is made.
    pub attachable: bool,
    pub log: LogOptions,
    /// Whether the pod is removed when it ends.
    pub remove: bool,
    /// Volumes that nobody named: they go with a pod that is removed when it ends.
    #[serde(default)]
    pub anonymous: Vec<String>,
    /// Whether Hull's own init runs as the first process.
    pub init: bool,
    /// The numbers under which the program finds its descriptors.
    #[serde(default)]
    pub numbers: Numbers,
}

/// The numbers of descriptors that a monitor program inherits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Numbers {
    pub journal: i32,
    pub client: Option<i32>,
}

/// What the root file system is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Rootfs {
    /// These layers, the top one first, below the container's own upper directory: paths below the root directory.
    Overlay { layers: Vec<PathBuf> },
    /// The running host's `/`, below a throw-away upper layer. The paths are hidden: Hull's own directories.
    Host { hide: Vec<PathBuf> },
}

/// The seccomp filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Filter {
    /// The default profile for the default capabilities, compiled when Hull was built.
    Default,
    /// The profile in the spec, compiled now.
    FromSpec,
    /// None.
    Unconfined,
}

/// The container's place on a bridge network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Network {
    /// The network's name; none is the default network, which is made on first use.
    pub name: Option<hull_net::NetworkName>,
    /// What is published.
    pub ports: Vec<hull_net::PortMap>,
    /// The names by which the container knows itself in its `/etc/hosts`.
    pub own_names: Vec<String>,
}

/// A namespace of a running container that this one joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinNamespace {
    /// The other's init.
    pub pid: i32,
    pub kind: JoinKind,
}

/// Which namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinKind {
    Network,
    Ipc,
    Pid,
    Uts,
}

/// The descriptors that go with a [`Handover`].
#[derive(Debug)]
pub struct Descriptors {
    /// The journal, locked: holding it is supervising the pod.
    pub journal: OwnedFd,
    /// Standard input of the container, where no monitor stands between.
    pub stdin: Option<OwnedFd>,
    /// The first attached client.
    pub client: Option<OwnedFd>,
    /// Where the outcome of the start is reported.
    pub report: Option<OwnedFd>,
}

/// How a start went, as the monitor reports it to whoever started it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Report {
    Started {
        pid: i32,
        /// What was asked for and could be done only in part.
        #[serde(default)]
        warnings: Vec<String>,
    },
    Failed(Failure),
}

/// An error that has left its process.
#[derive(Clone, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{}", .words.join("\n  because: "))]
pub struct Failure {
    /// The chain of messages, outermost first.
    pub words: Vec<String>,
    pub hint: Option<String>,
    /// The exit code that a shell should see.
    pub code: u8,
}

impl Failure {
    /// Takes an error's chain of messages.
    pub fn new(error: &dyn std::error::Error, kind: ErrorKind, hint: Option<String>) -> Self {
        let mut words = vec![error.to_string()];
        let mut next = error.source();
        while let Some(source) = next {
            words.push(source.to_string());
            next = source.source();
        }
        Self {
            words,
            hint,
            code: exit_code(kind),
        }
    }
}

/// The exit code of a container that could not be started: docker's.
pub fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::CommandNotFound => 127,
        ErrorKind::CommandNotRunnable => 126,
        _ => 125,
    }
}
