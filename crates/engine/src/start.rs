//! Starting a container that exists: connect, bundle, hand over to a monitor.

use std::{
    collections::BTreeSet,
    io::Write,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use hull_cgroup::{GroupPath, Hierarchies};
use hull_monitor::{
    Descriptors, Failure, Filter, HIERARCHIES, Handover, Network, Numbers, Report, Rootfs,
};
use hull_net::{ExposedPort, InvalidPort, PortMap};
use hull_state::{Held, Run};
use hull_types::{ContainerId, ContainerName};
use rustix::{
    io::{Errno, FdFlags, fcntl_setfd},
    pipe::{PipeFlags, pipe_with},
};

use crate::{
    Config, Engine, EngineError, Listed, ReportedFailure,
    bundle::{self, Facts},
    ids,
    request::{
        ContainerText, IpcNamespace, LogDriver, Namespace, NetworkMode, Seccomp, UserNamespace,
    },
};

/// How a container is started.
#[derive(Debug)]
pub enum How {
    /// This process becomes the monitor; its standard streams are the container's.
    Foreground,
    /// A monitor stays behind; the socket given is its first client.
    Behind {
        client: Option<OwnedFd>,
        size: Option<(u16, u16)>,
    },
}

/// An order to a monitor, with its descriptors.
#[derive(Debug)]
pub struct Order {
    pub handover: Handover,
    pub descriptors: Descriptors,
}

/// A container that was started by a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    pub pid: i32,
    /// What was asked for and could be done only in part.
    pub warnings: Vec<String>,
}

impl Engine {
    /// Works out everything a monitor needs to start a container whose pod the caller holds. Where that fails, what was taken
    /// for the start is given back, and a container that is to be removed when it ends goes.
    pub fn order(
        &self,
        held: Held,
        id: ContainerId,
        name: &ContainerName,
        config: &Config,
        how: How,
    ) -> Result<Order, EngineError> {
        match self.prepare(&held, id, name, config, how) {
            Ok(order) => {
                // Its copy in the order is the same open file: the lock is never let go.
                drop(held);
                Ok(order)
            }
            Err(error) => {
                ids::collect(self.mark()?, |pod| (*pod == held.id).then_some(())).ok();
                if config.request.remove {
                    for volume in &config.anonymous {
                        self.volumes()?.remove(&volume.name).ok();
                    }
                    self.release_parents(config, held.id).ok();
                    self.store().discard(held).ok();
                }
                Err(error)
            }
        }
    }

    fn prepare(
        &self,
        held: &Held,
        id: ContainerId,
        name: &ContainerName,
        config: &Config,
        how: How,
    ) -> Result<Order, EngineError> {
        let pod = held.id;
        let host = config.image.source.is_none();
        let hierarchies = if self.caller().is_root() {
            self.hierarchies()?
        } else {
            Hierarchies::default()
        };
        let cgroup = self.cgroup_path(config, &pod.to_string())?;
        self.claim_parents(config, &hierarchies, pod, cgroup.as_ref())?;
        let join = self.joins(config)?;
        let facts = self.facts(config, &pod, &id, &cgroup)?;
        let spec = bundle::plan(config, &facts);
        let asked = &config.request.process;
        let (interactive, terminal) = (asked.interactive, asked.terminal);
        let (stdin, client, behind, size) = match how {
            How::Foreground if interactive => {
                (Some(duplicate(rustix::stdio::stdin())?), None, false, None)
            }
            How::Foreground => (None, None, false, None),
            How::Behind { client, size } => (None, client, true, size),
        };
        let handover = Handover {
            root: self.places().root.clone(),
            run: self.places().run.clone(),
            pod,
            place: 0,
            id,
            name: name.clone(),
            journal: held.written(),
            filter: filter(config),
            spec,
            rootfs: if host {
                Rootfs::Host {
                    hide: self.own_directories(),
                }
            } else {
                Rootfs::Overlay {
                    layers: self.layers(config)?,
                }
            },
            files: self.files(config, &facts)?,
            hierarchies,
            lies_elsewhere: cgroup.is_some() && config.request.cgroup_parent.is_some(),
            cgroup,
            ids: facts.ids,
            network: network(config, &facts, name)?,
            join,
            user: config.user_and_groups(),
            terminal: terminal.then(|| size.unwrap_or((24, 80))),
            interactive,
            attachable: behind,
            log: log_options(config),
            remove: config.request.remove,
            anonymous: config
                .anonymous
                .iter()
                .map(|volume| volume.name.clone())
                .collect(),
            init: asked.init,
            numbers: Numbers::default(),
        };
        let journal = duplicate(held.as_fd())?;
        Ok(Order {
            handover,
            descriptors: Descriptors {
                journal,
                stdin,
                client,
                report: None,
            },
        })
    }

    /// Starts a monitor program with this order, and waits until the container runs or could not be started.
    pub fn hand_over(&self, order: Order) -> Result<Started, EngineError> {
        let Order {
            mut handover,
            descriptors,
        } = order;
        hull_monitor::keep_from_programs().map_err(|source| EngineError::System {
            what: "keep our files from the monitor",
            source,
        })?;
        handover.numbers = Numbers {
            journal: inheritable(&descriptors.journal)?,
            client: descriptors.client.as_ref().map(inheritable).transpose()?,
        };
        let system = |what| move |source| EngineError::System { what, source };
        let text = serde_json::to_vec(&handover).map_err(|source| EngineError::Config {
            name: handover.id.short(),
            source,
        })?;
        let order = rustix::fs::memfd_create("order", rustix::fs::MemfdFlags::CLOEXEC)
            .map_err(system("write the order to the monitor"))?;
        let mut order = std::fs::File::from(order);
        order
            .write_all(&text)
            .and_then(|()| std::io::Seek::rewind(&mut order))
            .map_err(|error| {
                system("write the order to the monitor")(
                    Errno::from_io_error(&error).unwrap_or(Errno::IO),
                )
            })?;
        let (outcome, report) = pipe_with(PipeFlags::CLOEXEC).map_err(system("make a pipe"))?;
        let (program, name) = monitor_program();
        let mut command = Command::new(&program);
        std::os::unix::process::CommandExt::arg0(&mut command, name);
        let child = command
            .stdin(Stdio::from(order))
            .stdout(Stdio::from(report))
            .stderr(Stdio::null())
            .env_clear()
            .current_dir("/")
            .spawn();
        drop(descriptors);
        child.map_err(|error| EngineError::File {
            what: "start the monitor",
            path: program,
            source: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })?;
        drop(command);
        let pod = handover.pod;
        let started = read_report(outcome);
        if started.is_err() {
            // A monitor that died, or could not read its order, has not given back what the order was for.
            ids::collect(self.mark()?, |other| (*other == pod).then_some(())).ok();
        }
        started
    }

    /// Says what a container's root lies on, the topmost first: the image's layers, and the places that every container needs
    /// something mounted on.
    fn layers(&self, config: &Config) -> Result<Vec<PathBuf>, EngineError> {
        let layers = self.images()?.layers();
        let top_first = config.image.layers.iter().rev();
        let mut paths: Vec<_> = top_first.map(|layer| layers.path(layer)).collect();
        paths.push(layers.mount_points()?);
        Ok(paths)
    }

    pub(crate) fn cgroup_path(
        &self,
        config: &Config,
        pod: &str,
    ) -> Result<Option<GroupPath>, EngineError> {
        if !self.caller().is_root() {
            return Ok(None);
        }
        let parent = match &config.request.cgroup_parent {
            Some(parent) => parent,
            None => Path::new(self.mark()?),
        };
        let path = parent.join(pod).to_string_lossy().into_owned();
        let path = path.parse().map_err(hull_cgroup::CgroupError::from)?;
        Ok(Some(path))
    }

    /// Returns what this root's things bear where all roots of the host share: it is the cgroup that its pods lie in, and says
    /// whose a range of ids is. `gc` must not take another root's pods for leftovers of its own, so a root in another place than
    /// usual has a mark of its own.
    pub(crate) fn mark(&self) -> Result<&str, EngineError> {
        if let Some(mark) = self.mark.get() {
            return Ok(mark);
        }
        let mark = self.find_mark()?;
        Ok(self.mark.get_or_init(|| mark))
    }

    fn find_mark(&self) -> Result<String, EngineError> {
        if self.places().root == Path::new("/var/lib/hull") {
            return Ok("hull".to_owned());
        }
        let root = rustix::fs::fstat(self.store().root()).map_err(|source| EngineError::File {
            what: "look at",
            path: self.places().root.clone(),
            source,
        })?;
        Ok(format!("hull-{:x}-{:x}", root.st_dev, root.st_ino))
    }

    /// Finds the cgroup hierarchies, once per boot: what was found is kept where a reboot forgets it, for all roots. Only root
    /// has groups, so the place is root's.
    pub fn hierarchies(&self) -> Result<Hierarchies, EngineError> {
        if let Ok(text) = std::fs::read(HIERARCHIES)
            && let Ok(found) = serde_json::from_slice(&text)
        {
            return Ok(found);
        }
        self.find_hierarchies()
    }

    /// Finds them anew, for all who come later, too.
    pub(crate) fn find_hierarchies(&self) -> Result<Hierarchies, EngineError> {
        let found = Hierarchies::detect()?;
        let path = Path::new(HIERARCHIES);
        if let (Ok(text), Some(directory)) = (serde_json::to_vec(&found), path.parent()) {
            // Only a saving: who cannot write it looks again.
            std::fs::create_dir_all(directory).ok();
            hull_fs::replace(
                path,
                &text,
                rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
                hull_fs::Durability::Cached,
            )
            .ok();
        }
        Ok(found)
    }

    fn facts(
        &self,
        config: &Config,
        pod: &hull_types::PodId,
        id: &ContainerId,
        cgroup: &Option<GroupPath>,
    ) -> Result<Facts, EngineError> {
        let caller = self.caller();
        let own_ids = match self.user_namespace(config) {
            UserNamespace::Host => None,
            UserNamespace::Private if caller.is_root() => Some(ids::take(self.mark()?, pod)?),
            UserNamespace::Private => None,
        };
        let single_id = (!caller.is_root()).then_some((caller.uid, caller.gid));
        Ok(Facts {
            ids: own_ids,
            single_id,
            hostname: self.hostname(config, id),
            cgroup: cgroup.as_ref().map(|path| format!("/{path}")),
            mounts: self.mounts(config)?,
            devices: self.devices(config)?,
            seccomp: self.seccomp(config)?,
            most_files: most_files(),
            host_queues: Path::new("/dev/mqueue").exists(),
        })
    }

    /// Returns whether the pod has a user namespace of its own: what was asked for, or implied.
    pub fn user_namespace(&self, config: &Config) -> UserNamespace {
        let request = &config.request;
        let implied = request.security.privileged || request.namespaces.pid == Namespace::Host;
        match &request.namespaces.user {
            Some(user) => *user,
            // What `@host` shows belongs to nobody: to be root over it as root would be no sandbox.
            None if implied => UserNamespace::Host,
            None => UserNamespace::Private,
        }
    }

    pub(crate) fn seccomp(
        &self,
        config: &Config,
    ) -> Result<Option<hull_spec::runtime::Seccomp>, EngineError> {
        let security = &config.request.security;
        match &security.seccomp {
            Seccomp::Unconfined => Ok(None),
            Seccomp::Default if security.privileged => Ok(None),
            // The default profile for the default capabilities was compiled when Hull was built.
            Seccomp::Default if filter(config) == Filter::Default => Ok(None),
            Seccomp::Default => {
                let capabilities = bundle::capabilities(security);
                Ok(Some(hull_runtime::seccomp::default_profile(&capabilities)))
            }
            Seccomp::Profile(path) => {
                let text = std::fs::read(path).map_err(|error| EngineError::Profile {
                    path: path.clone(),
                    source: error.into(),
                })?;
                let capabilities = bundle::capabilities(security);
                let unusable =
                    |error: hull_runtime::seccomp::InvalidProfile| EngineError::Profile {
                        path: path.clone(),
                        source: error.into(),
                    };
                let release = rustix::system::uname()
                    .release()
                    .to_string_lossy()
                    .into_owned();
                let host = hull_runtime::seccomp::Host {
                    native: hull_runtime::seccomp::Abi::native(),
                    kernel: release.parse().map_err(unusable)?,
                    bounding: &capabilities,
                };
                hull_runtime::seccomp::parse_profile(&text, &host)
                    .map(Some)
                    .map_err(unusable)
            }
        }
    }

    /// Returns the directories of Hull's own that `@host` shows empty.
    fn own_directories(&self) -> Vec<PathBuf> {
        vec![self.places().root.clone(), self.places().run.clone()]
    }

    fn joins<'a>(
        &self,
        config: &'a Config,
    ) -> Result<Vec<hull_monitor::JoinNamespace>, EngineError> {
        use hull_monitor::{JoinKind, JoinNamespace};
        let namespaces = &config.request.namespaces;
        let network = match &config.request.network.mode {
            NetworkMode::Container(container) => Some(container),
            _ => None,
        };
        let ipc = match &namespaces.ipc {
            IpcNamespace::Container(container) => Some(container),
            _ => None,
        };
        let other = |namespace: &'a Namespace| match namespace {
            Namespace::Container(container) => Some(container),
            _ => None,
        };
        let joined = [
            (JoinKind::Network, network),
            (JoinKind::Ipc, ipc),
            (JoinKind::Pid, other(&namespaces.pid)),
            (JoinKind::Uts, other(&namespaces.uts)),
        ];
        let join = |(kind, container): (_, Option<&ContainerText>)| {
            let run = self.alive(container?).map(|(_, run)| run);
            Some(run.map(|run| JoinNamespace { pid: run.pid, kind }))
        };
        joined.into_iter().filter_map(join).collect()
    }

    /// Finds a container whose namespaces are to be joined: one that runs.
    pub(crate) fn alive(&self, asked: &ContainerText) -> Result<(Listed, Run), EngineError> {
        let listed = self.find(asked.as_str())?;
        match listed.status.alive().cloned() {
            Some(run) => Ok((listed, run)),
            None => Err(EngineError::WrongState {
                name: listed.container().name.to_string(),
                is: "not running",
                hint: "start it first: its namespaces exist only while it runs",
            }),
        }
    }
}

/// Returns the most open files this process may allow others; none where it may raise limits.
pub(crate) fn most_files() -> Option<u64> {
    use rustix::{
        process::{Resource, getrlimit},
        thread::{CapabilitySet, capabilities},
    };
    let raises =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE));
    if raises {
        None
    } else {
        getrlimit(Resource::Nofile).maximum
    }
}

pub(crate) fn filter(config: &Config) -> Filter {
    let security = &config.request.security;
    let default_capabilities = security.add.is_empty() && !security.privileged;
    match &security.seccomp {
        Seccomp::Unconfined => Filter::Unconfined,
        Seccomp::Default if security.privileged => Filter::Unconfined,
        // Fewer capabilities than the default's make no rule looser.
        Seccomp::Default if default_capabilities => Filter::Default,
        Seccomp::Default | Seccomp::Profile(_) => Filter::FromSpec,
    }
}

fn network(
    config: &Config,
    facts: &Facts,
    name: &ContainerName,
) -> Result<Option<Network>, EngineError> {
    let asked = &config.request.network;
    let network = match &asked.mode {
        NetworkMode::Bridge => None,
        NetworkMode::Named(network) => Some(network.clone()),
        NetworkMode::Default
        | NetworkMode::None
        | NetworkMode::Host
        | NetworkMode::Container(_)
        | NetworkMode::Path(_) => return Ok(None),
    };
    let mut ports = asked.ports.clone();
    if asked.publish_all {
        ports.extend(exposed(config)?.into_iter().map(PortMap::from));
    }
    Ok(Some(Network {
        name: network,
        ports,
        own_names: own_names(&facts.hostname, name),
    }))
}

/// Returns the names by which a container knows itself in its `/etc/hosts`: its host name, that without its domain, its own.
pub(crate) fn own_names(hostname: &str, name: &ContainerName) -> Vec<String> {
    let mut names = vec![hostname];
    for other in [
        hostname.split('.').next().unwrap_or_default(),
        name.as_str(),
    ] {
        if !names.contains(&other) {
            names.push(other);
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

/// Returns the ports on which the container says it listens: the image's, then those that were named.
pub(crate) fn exposed(config: &Config) -> Result<BTreeSet<ExposedPort>, InvalidPort> {
    let mut ports: BTreeSet<ExposedPort> = config.request.network.expose.iter().copied().collect();
    for text in &config.image.config.config.exposed_ports {
        ports.extend(hull_net::parse_expose(text)?);
    }
    Ok(ports)
}

fn log_options(config: &Config) -> hull_monitor::LogOptions {
    let (asked, default) = (&config.request.log, hull_monitor::LogOptions::default());
    hull_monitor::LogOptions {
        max_size: asked.max_size.unwrap_or(default.max_size),
        max_files: asked.max_files.unwrap_or(default.max_files).max(1),
        kept: asked.driver != LogDriver::None,
    }
}

fn duplicate(file: impl AsFd) -> Result<OwnedFd, EngineError> {
    rustix::io::fcntl_dupfd_cloexec(file, 3).map_err(|source| EngineError::System {
        what: "copy a descriptor",
        source,
    })
}

/// Lets a descriptor pass to the program started next; returns its number there.
fn inheritable(file: &OwnedFd) -> Result<i32, EngineError> {
    fcntl_setfd(file, FdFlags::empty()).map_err(|source| EngineError::System {
        what: "hand a descriptor to the monitor",
        source,
    })?;
    Ok(file.as_raw_fd())
}

/// Returns the monitor: the small program beside this one, or this one under its name (`cargo run` builds only `hull`).
fn monitor_program() -> (PathBuf, &'static str) {
    let own = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let beside = own.with_file_name("hull-monitor");
    (if beside.exists() { beside } else { own }, "hull-monitor")
}

fn read_report(outcome: OwnedFd) -> Result<Started, EngineError> {
    let mut text = Vec::new();
    let read = std::io::Read::read_to_end(&mut std::fs::File::from(outcome), &mut text);
    let died = || {
        let words = vec!["the monitor died before the container was started".to_owned()];
        EngineError::Reported(ReportedFailure::from(Failure {
            words,
            hint: None,
            code: 125,
        }))
    };
    read.map_err(|_| died())?;
    match serde_json::from_slice(&text) {
        Ok(Report::Started { pid, warnings }) => Ok(Started { pid, warnings }),
        Ok(Report::Failed(failure)) => Err(EngineError::Reported(failure.into())),
        Err(_) => Err(died()),
    }
}
