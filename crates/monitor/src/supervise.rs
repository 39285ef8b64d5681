//! One container from its start to its end.
//!
//! ```text
//!   start   group ─ streams ─ created ─ connected ─ started ─ socket       what fails takes back what was made
//!   watch   turn the streams, forward signals, until init has ended
//!   finish  kill the rest ─ write the end ─ reap ─ take away connection, group, ids, socket, pod
//! ```

mod connection;
mod files;
mod group;
mod socket;
mod stdio;

use std::os::fd::{AsFd, OwnedFd};

use hull_cgroup::{CgroupError, Group};
use hull_runtime::{Join, Launch, Running, seccomp};
use hull_state::{Exit, Held, Run, Store};
use hull_sys::signal::{self, SignalSet};
use hull_types::{Signal, Timestamp};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::{WaitId, WaitIdOptions, pidfd_send_signal, waitid},
};

use crate::{
    Descriptors, Failure, Filter, Handover, ID_CLAIMS, JoinKind, JoinNamespace, MonitorError,
    Report, parents, streams::Streams,
};
use connection::Connection;
use files::Files;
use stdio::Ends;

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
        stdin,
        client,
        report,
    } = descriptors;
    let held = Held::inherited(order.pod, journal, order.journal);
    let foreground = report.is_none();
    let result = Supervised::start(order, &held, stdin);
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
pub(crate) fn tell(report: impl AsFd, what: &Report) {
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
        release_parents(order, &store);
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
    /// Hull's root directory.
    root: OwnedFd,
    /// What was asked for and could be done only in part.
    warnings: Vec<String>,
}

impl<'a> Supervised<'a> {
    fn start(
        order: &'a Handover,
        held: &Held,
        stdin: Option<OwnedFd>,
    ) -> Result<Self, MonitorError> {
        let signals = take_signals()?;
        let files = Files::open(order)?;
        let mut warnings = Vec::new();
        let group = group::make(order, &mut warnings)?;
        let (stdio, ends) = Ends::make(order, stdin)?;
        let launch = Launch {
            spec: &order.spec,
            root: files.root(order)?,
            files: order
                .files
                .iter()
                .map(|(path, text)| (path.clone(), text.clone().into_bytes()))
                .collect(),
            cgroup: group.group(),
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
        let mut streams = ends.streams(files.log(order)?, terminal);
        if order.attachable {
            streams.listen(socket::listen(order)?);
        }
        Ok(Self {
            order,
            running,
            group: group.keep(),
            connection,
            streams,
            signals,
            root: files.into_root(),
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
            socket::remove(self.order);
        }
        if self.order.remove {
            let journal = held.read_if_longer()?;
            // Whoever restarts it said so.
            if !journal.as_ref().is_some_and(|journal| journal.restarting) {
                remove_volumes(self.order);
                let store = Store::opened(&self.order.root, self.root);
                release_parents(self.order, &store);
                match &journal {
                    Some(journal) => {
                        let containers = journal.record.containers.iter();
                        store.discard_named(held, containers.map(|container| &container.name))?;
                    }
                    None => store.discard_named(held, [&self.order.name])?,
                }
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

/// What the small init does first: it is a copy of this process, and must not keep our pipes and the journal's lock open.
fn forget_descriptors() {
    // Where the kernel has no close_range(2), none of ours is close enough to matter more than a container that starts.
    hull_sys::close_range::close_from(0).ok();
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
    let open = |pid: i32, word: &str| {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(format!("/proc/{pid}/ns/{word}"), flags, Mode::empty());
        opened.map_err(|source| MonitorError::JoinedGone { source })
    };
    for JoinNamespace { pid, kind } in &order.join {
        let (slot, word) = match kind {
            JoinKind::Network => (&mut join.net, "net"),
            JoinKind::Ipc => (&mut join.ipc, "ipc"),
            JoinKind::Uts => (&mut join.uts, "uts"),
            JoinKind::Pid => (&mut join.pid, "pid"),
        };
        *slot = Some(open(*pid, word)?);
        if *kind == JoinKind::Ipc {
            join.mounts = Some(open(*pid, "mnt")?);
        }
    }
    Ok(join)
}

/// Removes the volumes that nobody named. One that stays is listed, and `prune` takes it.
fn remove_volumes(order: &Handover) {
    let volumes = hull_volume::Volumes::new(&order.root);
    for name in &order.anonymous {
        volumes.remove(name).ok();
    }
}

/// Parents that stay are found by `gc`: the claims on them do.
fn release_parents(order: &Handover, store: &Store) {
    if order.lies_elsewhere {
        parents::collect(store.root(), &order.hierarchies, Some(order.pod)).ok();
    }
}

/// Gives the pod's range of ids back. One that stays is found by `gc`: its pod is not held.
fn free_ids(order: &Handover) {
    if let Some(base) = order.ids {
        rustix::fs::unlink(format!("{ID_CLAIMS}/{base}")).ok();
    }
}
