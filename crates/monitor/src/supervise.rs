//! One container from its start to its end.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use hull_cgroup::{CgroupError, Group, GroupPath, Hierarchies, Limits};
use hull_net::{Attachment, Networks, Reservations};
use hull_runtime::{Created, Join, Launch, RootFs, Running, Stdio, TerminalSize, seccomp};
use hull_state::{Exit, Held, Run, Store};
use hull_sys::signal::{self, SignalSet};
use hull_types::{PodId, Signal, Timestamp};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{WaitId, WaitIdOptions, pidfd_send_signal, waitid},
};

use crate::{
    Descriptors, Failure, Filter, HIERARCHIES, Handover, ID_CLAIMS, JoinKind, JoinNamespace,
    LogWriter, MonitorError, Report, Rootfs, Stream, attach,
    streams::{Source, Streams},
};

/// The signals that are passed on to the container: all that somebody may send and a process may take.
const FORWARDED: [Signal; 8] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::CONT,
    Signal::WINCH,
];

/// Starts the container and looks after it until it ends; returns its exit code. What cannot be started is undone, written down
/// and returned as the error. What could be done only in part is told to `warn` before anything of the container is shown.
///
/// The caller must have one thread: namespaces are entered, and processes cloned, here.
pub fn supervise(
    order: &Handover,
    descriptors: Descriptors,
    warn: impl FnOnce(&[String]),
) -> Result<u8, MonitorError> {
    let Descriptors {
        journal,
        layers,
        stdin,
        client,
        report,
    } = descriptors;
    let held = Held::inherited(order.pod, journal);
    let foreground = report.is_none();
    let result = Supervised::start(order, &held, layers, stdin);
    match result {
        Ok(mut container) => {
            warn(&container.warnings);
            if foreground {
                container.streams.show();
            }
            if let Some(client) = client {
                container.streams.attach(client);
            }
            if let Some(report) = report {
                tell(
                    &report,
                    &Report::Started {
                        pid: container.pid(),
                        warnings: std::mem::take(&mut container.warnings),
                    },
                );
            }
            let exit = container.watch()?;
            container.finish(held, exit)
        }
        Err(error) => {
            let failure = Failure::new(&error, error.kind(), error.hint());
            give_up(order, held, &failure);
            if let Some(report) = report {
                tell(&report, &Report::Failed(failure));
            }
            Err(error)
        }
    }
}

/// Whoever started us may be gone; then nobody is told.
fn tell(report: &OwnedFd, what: &Report) {
    if let Ok(text) = serde_json::to_vec(what) {
        rustix::io::write(report, &text).ok();
    }
}

/// Writes down that the container could not be started, and removes what would be removed at its end.
fn give_up(order: &Handover, held: Held, failure: &Failure) {
    free_ids(order);
    let exit = Exit {
        at: Timestamp::now(),
        code: failure.code,
        cause: Some(failure.words.join(": ")),
        ..Exit::default()
    };
    held.append(&hull_state::Entry::Failed {
        container: order.place,
        exit,
    })
    .ok();
    // What stays is found by `gc`: the record says it is to be removed. It stays as long as its group does, which gc knows by it.
    let gone = order.cgroup.as_ref().is_none_or(|path| {
        let group = Group::open(&order.hierarchies, path);
        matches!(group, Err(CgroupError::NotFound(_)))
    });
    if order.remove
        && gone
        && let Ok(store) = Store::open(&order.root)
    {
        remove_volumes(order);
        store.discard(held).ok();
    }
}

/// A container that runs, and all that is held for it.
#[derive(Debug)]
struct Supervised<'a> {
    order: &'a Handover,
    running: Running,
    group: Option<Group>,
    connection: Option<Connection>,
    streams: Streams,
    signals: OwnedFd,
    /// What was asked for and could be done only in part.
    warnings: Vec<String>,
}

impl<'a> Supervised<'a> {
    fn start(
        order: &'a Handover,
        held: &Held,
        layers: Vec<OwnedFd>,
        stdin: Option<OwnedFd>,
    ) -> Result<Self, MonitorError> {
        let signals = take_signals()?;
        let files = PodFiles::open(order)?;
        let mut warnings = Vec::new();
        let group = make_group(order, &mut warnings)?;
        let undo = UndoGroup(group);
        let (stdio, ends) = Ends::make(order, stdin)?;
        let launch = Launch {
            spec: &order.spec,
            root: files.root(order, layers)?,
            files: order
                .files
                .iter()
                .map(|(path, text)| (path.clone(), text.clone().into_bytes()))
                .collect(),
            cgroup: undo.0.as_ref(),
            stdio,
            filter: filter(order)?,
            devices: Vec::new(),
            join: join(order)?,
            user: order.user.clone(),
        };
        let (mut running, connection) = start(order, launch)?;
        let terminal = running.terminal.take();
        let pid = running.pid.as_raw_nonzero().get();
        warnings.extend(running.warnings.iter().map(ToString::to_string));
        held.started(
            order.place,
            Run {
                started: Timestamp::now(),
                pid,
                cgroup: order
                    .cgroup
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                network: connection
                    .as_ref()
                    .and_then(|connection| serde_json::to_value(&connection.attachment).ok()),
            },
        )?;
        let mut streams = ends.streams(LogWriter::new(files.container, order.log), terminal);
        if order.attachable {
            streams.listen(listen(order)?);
        }
        Ok(Self {
            order,
            running,
            group: undo.keep(),
            connection,
            streams,
            signals,
            warnings,
        })
    }

    fn pid(&self) -> i32 {
        self.running.pid.as_raw_nonzero().get()
    }

    /// Turns until init has ended; returns how. Init is not reaped yet: its process id stays its own until the end is written.
    fn watch(&mut self) -> Result<Exit, MonitorError> {
        loop {
            let others = [self.running.pidfd.as_fd(), self.signals.as_fd()];
            let [ended, signalled] =
                self.streams
                    .turn(others, None)
                    .map_err(|source| MonitorError::System {
                        what: "wait",
                        source,
                    })?;
            if signalled {
                self.forward_signals();
            }
            if ended && let Some(exit) = self.look_at_end()? {
                return Ok(exit);
            }
        }
    }

    fn forward_signals(&self) {
        while let Ok(Some(received)) = signal::read(&self.signals) {
            // Init that has ended takes no signal.
            pidfd_send_signal(&self.running.pidfd, received.signal).ok();
        }
    }

    fn look_at_end(&self) -> Result<Option<Exit>, MonitorError> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = match waitid(WaitId::PidFd(self.running.pidfd.as_fd()), options) {
            Ok(Some(status)) => status,
            Ok(None) | Err(Errno::INTR) => return Ok(None),
            Err(source) => {
                return Err(MonitorError::System {
                    what: "wait for the container",
                    source,
                });
            }
        };
        let signal = status.terminating_signal().and_then(Signal::from_number);
        let code = match (status.exit_status(), signal) {
            (Some(code), _) => u8::try_from(code & 0xff).unwrap_or(255),
            (None, Some(signal)) => u8::try_from(128 + signal.number()).unwrap_or(255),
            (None, None) => 255,
        };
        let oom = self
            .group
            .as_ref()
            .is_some_and(|group| group.oom_kills().is_ok_and(|kills| kills > 0));
        Ok(Some(Exit {
            at: Timestamp::now(),
            code,
            signal,
            oom,
            cause: None,
        }))
    }

    /// Ends what init left behind, writes the end down, and takes everything away that belonged to the run. The order matters:
    /// a process of the container may still write to the log until it is killed, and the end is written before init is reaped.
    fn finish(mut self, held: Held, exit: Exit) -> Result<u8, MonitorError> {
        // In a process namespace of its own the kernel has ended everything with init.
        if let Some(group) = &self.group
            && !has_own_pids(self.order)
        {
            group.kill_all()?;
        }
        self.streams.drain();
        let code = exit.code;
        held.exited(self.order.place, exit)?;
        waitid(
            WaitId::PidFd(self.running.pidfd.as_fd()),
            WaitIdOptions::EXITED,
        )
        .ok();
        if let Some(connection) = self.connection.take() {
            connection.end()?;
        }
        if let Some(group) = self.group.take()
            && group.remove().is_err()
        {
            // Somebody who was on the way in (`exec`) and had not got to the namespaces.
            group.kill_all()?;
            group.remove()?;
        }
        free_ids(self.order);
        if self.order.attachable {
            remove_socket(self.order);
        }
        if self.order.remove {
            let journal = held.read()?;
            // Whoever restarts it said so.
            if !journal.restarting {
                remove_volumes(self.order);
                Store::open(&self.order.root)?.discard_known(held, Some(&journal))?;
            }
        }
        self.streams.end(code);
        Ok(code)
    }
}

fn has_own_pids(order: &Handover) -> bool {
    let joined = |join: &JoinNamespace| join.kind == JoinKind::Pid;
    let namespaces = order.spec.linux.as_ref().map(|linux| &linux.namespaces);
    namespaces.into_iter().flatten().any(|namespace| {
        namespace.kind == hull_spec::runtime::NamespaceKind::Pid && namespace.path.is_none()
    }) && !order.join.iter().any(joined)
}

/// Starts the app, after connecting the container where it is to have a network.
fn start(
    order: &Handover,
    launch: Launch<'_>,
) -> Result<(Running, Option<Connection>), MonitorError> {
    let forget = order.init.then_some(forget_descriptors as fn());
    let Some(wanted) = &order.network else {
        return Ok((hull_runtime::run(launch, forget)?, None));
    };
    let created = match forget {
        Some(forget) => hull_runtime::create_with_init(launch, forget)?,
        None => hull_runtime::create(launch)?,
    };
    let connection = Connection::make(order, wanted, &created)?;
    Ok((created.start()?, Some(connection)))
}

/// Blocks the signals that are forwarded, so that they arrive at a descriptor the loop polls.
fn take_signals() -> Result<OwnedFd, MonitorError> {
    let failed = |source| MonitorError::System {
        what: "take over the signals",
        source,
    };
    let set: SignalSet = FORWARDED
        .iter()
        .filter_map(|signal| signal::from_raw(signal.number()))
        .collect();
    signal::block(set).map_err(failed)?;
    signal::ignore(rustix::process::Signal::PIPE).map_err(failed)?;
    signal::signalfd(set).map_err(failed)
}

/// The container's directory, as the two descriptors that are needed of it.
#[derive(Debug)]
struct PodFiles {
    container: OwnedFd,
}

impl PodFiles {
    fn open(order: &Handover) -> Result<Self, MonitorError> {
        let path = order
            .root
            .join(format!("pods/{}/{}", order.pod, order.place));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let container =
            rustix::fs::open(&path, flags, Mode::empty()).map_err(|source| MonitorError::File {
                what: "open",
                path,
                source,
            })?;
        Ok(Self { container })
    }

    fn root(&self, order: &Handover, layers: Vec<OwnedFd>) -> Result<RootFs, MonitorError> {
        Ok(match &order.rootfs {
            Rootfs::Overlay => RootFs::Overlay {
                lower: layers,
                scratch: duplicate(self.container.as_fd())?,
                idmap: order
                    .spec
                    .linux
                    .as_ref()
                    .is_some_and(|linux| !linux.uid_mappings.is_empty()),
                volatile: order.remove,
            },
            Rootfs::Host { hide } => RootFs::HostOverlay { hide: hide.clone() },
        })
    }
}

fn duplicate(file: BorrowedFd<'_>) -> Result<OwnedFd, MonitorError> {
    rustix::io::fcntl_dupfd_cloexec(file, 3).map_err(|source| MonitorError::System {
        what: "copy a descriptor",
        source,
    })
}

/// What the small init does first: it is a copy of this process, and must not keep our pipes and the journal's lock open.
fn forget_descriptors() {
    // Where the kernel has no close_range(2), none of ours is close enough to matter more than a container that starts.
    hull_sys::close_range::close_from(0).ok();
}

fn make_group(order: &Handover, warnings: &mut Vec<String>) -> Result<Option<Group>, MonitorError> {
    let Some(path) = &order.cgroup else {
        return Ok(None);
    };
    let resources = order
        .spec
        .linux
        .as_ref()
        .and_then(|linux| linux.resources.as_ref());
    let limits = resources
        .map(Limits::try_from)
        .transpose()
        .map_err(hull_cgroup::CgroupError::from)?;
    let limits = limits.unwrap_or_default();
    let made = make_group_in(&order.hierarchies, path, &limits, warnings);
    match made {
        // Were hierarchies mounted or unmounted since somebody looked? Then that is looked at anew, now and by the next.
        Err(error) => match Hierarchies::detect() {
            Ok(found) if found != order.hierarchies => {
                rustix::fs::unlink(HIERARCHIES).ok();
                make_group_in(&found, path, &limits, warnings).map(Some)
            }
            _ => Err(error),
        },
        made => made.map(Some),
    }
}

fn make_group_in(
    hierarchies: &Hierarchies,
    path: &GroupPath,
    limits: &Limits,
    warnings: &mut Vec<String>,
) -> Result<Group, MonitorError> {
    let mut undo = UndoGroup(Some(Group::create(hierarchies, path, limits)?));
    if let Some(group) = &mut undo.0 {
        let ignored = group.apply(limits)?.into_iter();
        warnings.extend(ignored.map(|limit| {
            format!("the limit {limit} has no effect: this kernel's cgroups do not keep it")
        }));
    }
    Ok(undo.keep().expect("it was made above"))
}

/// A cgroup that is removed again unless it is kept.
#[derive(Debug)]
struct UndoGroup(Option<Group>);

impl UndoGroup {
    fn keep(mut self) -> Option<Group> {
        self.0.take()
    }
}

impl Drop for UndoGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            // What stays is found by `gc`: no record names it.
            group.kill_all().ok();
            group.remove().ok();
        }
    }
}

fn filter(order: &Handover) -> Result<hull_runtime::Filter, MonitorError> {
    Ok(match order.filter {
        Filter::Unconfined => hull_runtime::Filter::None,
        Filter::Default => hull_runtime::Filter::Compiled(seccomp::DEFAULT.to_vec()),
        Filter::FromSpec => {
            match order
                .spec
                .linux
                .as_ref()
                .and_then(|linux| linux.seccomp.as_ref())
            {
                Some(profile) => hull_runtime::Filter::Compiled(seccomp::compile(
                    profile,
                    seccomp::Abi::native(),
                )?),
                None => hull_runtime::Filter::None,
            }
        }
    })
}

/// Opens the namespaces of other containers that this one joins.
fn join(order: &Handover) -> Result<Join, MonitorError> {
    let mut join = Join::default();
    for JoinNamespace { pid, kind } in &order.join {
        let (slot, word) = match kind {
            JoinKind::Network => (&mut join.net, "net"),
            JoinKind::Ipc => (&mut join.ipc, "ipc"),
            JoinKind::Uts => (&mut join.uts, "uts"),
            JoinKind::Pid => (&mut join.pid, "pid"),
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(format!("/proc/{pid}/ns/{word}"), flags, Mode::empty());
        *slot = Some(opened.map_err(|source| MonitorError::JoinedGone { source })?);
    }
    Ok(join)
}

/// A connection to a network; given back when it is dropped, unless that was done with [`Self::end`].
#[derive(Debug)]
struct Connection {
    networks: Networks,
    pod: PodId,
    attachment: Attachment,
    /// They keep the published ports ours.
    reservations: Reservations,
    ended: bool,
}

impl Connection {
    fn make(
        order: &Handover,
        wanted: &crate::Network,
        created: &Created,
    ) -> Result<Self, MonitorError> {
        let networks = Networks::open(&order.root, hull_net::Pool::default())?;
        let network = match &wanted.name {
            Some(name) => networks.find(name)?,
            None => networks.default_network()?,
        };
        let namespace = created.namespace(hull_spec::runtime::NamespaceKind::Network)?;
        let (attachment, reservations) =
            networks.attach(namespace.as_fd(), &network, &order.pod, &wanted.ports)?;
        let connection = Self {
            networks,
            pod: order.pod,
            attachment,
            reservations,
            ended: false,
        };
        connection.tell_address(created, &wanted.own_names)?;
        Ok(connection)
    }

    /// Adds the address to the container's `/etc/hosts`, which is Hull's own file; nothing of the container runs yet.
    fn tell_address(&self, created: &Created, names: &[String]) -> Result<(), MonitorError> {
        let path = PathBuf::from(format!("/proc/{}/root", created.pid().as_raw_nonzero()));
        let failed = |source| MonitorError::File {
            what: "write",
            path: "/etc/hosts".into(),
            source,
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, Mode::empty()).map_err(failed)?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC;
        let Ok(file) = hull_fs::Root::new(root).open(Path::new("/etc/hosts"), flags, Mode::empty())
        else {
            return Ok(());
        };
        let line = format!("{}\t{}\n", self.attachment.address, names.join(" "));
        rustix::io::write(&file, line.as_bytes()).map_err(failed)?;
        Ok(())
    }

    fn end(mut self) -> Result<(), MonitorError> {
        self.ended = true;
        Ok(self
            .networks
            .detach(&self.pod, &self.attachment, &self.reservations)?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.ended {
            // What stays is found by `gc`: its pod is dead.
            self.networks
                .detach(&self.pod, &self.attachment, &self.reservations)
                .ok();
        }
    }
}

/// The two ends of the app's standard streams.
#[derive(Debug)]
struct Ends {
    sources: Vec<Source>,
    input: Option<OwnedFd>,
}

impl Ends {
    /// Makes what the app gets, and keeps our ends of it.
    fn make(order: &Handover, stdin: Option<OwnedFd>) -> Result<(Stdio, Self), MonitorError> {
        if let Some((rows, columns)) = order.terminal {
            let stdio = Stdio::Terminal(TerminalSize { rows, columns });
            return Ok((
                stdio,
                Self {
                    sources: Vec::new(),
                    input: None,
                },
            ));
        }
        let pipe = || {
            pipe_with(PipeFlags::CLOEXEC).map_err(|source| MonitorError::System {
                what: "make a pipe",
                source,
            })
        };
        let (stdin, input) = match stdin {
            Some(stdin) => (stdin, None),
            None if order.interactive => pipe().map(|(read, write)| (read, Some(write)))?,
            None => (open_null()?, None),
        };
        let (out, stdout) = pipe()?;
        let (err, stderr) = pipe()?;
        let sources = vec![
            Source {
                stream: Stream::Stdout,
                file: out,
            },
            Source {
                stream: Stream::Stderr,
                file: err,
            },
        ];
        Ok((
            Stdio::Streams {
                stdin,
                stdout,
                stderr,
            },
            Self { sources, input },
        ))
    }

    fn streams(mut self, log: LogWriter, terminal: Option<OwnedFd>) -> Streams {
        let Some(terminal) = terminal else {
            return Streams::new(log, self.sources, self.input, false);
        };
        let copy = rustix::io::fcntl_dupfd_cloexec(&terminal, 3).ok();
        self.sources.push(Source {
            stream: Stream::Stdout,
            file: terminal,
        });
        Streams::new(log, self.sources, copy, true)
    }
}

fn open_null() -> Result<OwnedFd, MonitorError> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(|source| {
        MonitorError::File {
            what: "open",
            path: "/dev/null".into(),
            source,
        }
    })
}

/// Makes the socket for clients. Its path may be longer than the 108 bytes that an address has, so it is bound through the
/// directory's descriptor.
fn listen(order: &Handover) -> Result<OwnedFd, MonitorError> {
    let path = order.run.join(format!("pods/{}", order.pod));
    make_run_directory(order, &path).map_err(|source| MonitorError::File {
        what: "make",
        path: path.clone(),
        source,
    })?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory =
        rustix::fs::open(&path, flags, Mode::empty()).map_err(|source| MonitorError::File {
            what: "open",
            path: path.clone(),
            source,
        })?;
    // A monitor that was killed left its socket.
    rustix::fs::unlinkat(&directory, "attach", rustix::fs::AtFlags::empty()).ok();
    attach::listen_in(&directory).map_err(|source| MonitorError::File {
        what: "listen at",
        path,
        source,
    })
}

fn make_run_directory(order: &Handover, path: &Path) -> Result<(), Errno> {
    let exists = |result| match result {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    };
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Err(Errno::NOENT) => {
            exists(rustix::fs::mkdir(&order.run, Mode::RWXU))?;
            exists(rustix::fs::mkdir(order.run.join("pods"), Mode::RWXU))?;
            exists(rustix::fs::mkdir(path, Mode::RWXU))
        }
        other => exists(other),
    }
}

/// Removes the volumes that nobody named. One that stays is listed, and `prune` takes it.
fn remove_volumes(order: &Handover) {
    let volumes = hull_volume::Volumes::new(&order.root);
    for name in &order.anonymous {
        volumes.remove(name).ok();
    }
}

/// Gives the pod's range of ids back. One that stays is found by `gc`: its pod is not held.
fn free_ids(order: &Handover) {
    if let Some(base) = order.ids {
        rustix::fs::unlink(format!("{ID_CLAIMS}/{base}")).ok();
    }
}

/// A socket that stays is found by `gc`.
fn remove_socket(order: &Handover) {
    let path = order.run.join(format!("pods/{}", order.pod));
    rustix::fs::unlink(path.join("attach")).ok();
    rustix::fs::rmdir(path).ok();
}
