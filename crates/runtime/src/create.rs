//! The parent's story: from a [`Launch`] to a process that waits right before it becomes the app.
//!
//! ```text
//!   plan ─ channel ─ (visit joined namespaces) ─ clone3 ─ maps ─ assemble ─ send ─▶ … ─ Created ─ limits ─ Start ─▶ … ─ end of file
//! ```
//! [`create`] returns at Created, and [`Created::start`] does the rest; with [`run`] the child does not wait for Start.
//! Whatever goes wrong, the child is killed and reaped before the error is returned; detached mounts and descriptors go
//! with their owners. Nothing of a failed start stays.

use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use hull_cgroup::Group;
use hull_spec::runtime::NamespaceKind;
use hull_sys::Errno;
use hull_sys::clone::{Clone3, Forked};
use hull_sys::seccomp::SockFilter;
use rustix::fs::{Mode, OFlags, openat};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::borrow::Cow;

use crate::channel::{self, Channel, Message};
use crate::error::{At as _, Failure, StartError, Step, Warning};
use crate::init::Init;
use crate::launch::{Filter, Launch};
use crate::namespaces::{self, Visit, proc_of};
use crate::plan::{Assembly, Plan};
use crate::rootfs::mounts::{Maker, Planned};
use crate::rootfs::{Assembler, Slot};
use crate::{locked, seccomp, streams};

/// A container that is complete but for the exec of its app.
#[derive(Debug)]
pub struct Created {
    child: Newborn,
    proc: OwnedFd,
    channel: Channel,
    go: Go,
    terminal: Option<OwnedFd>,
    warnings: Vec<Warning>,
}

/// When the child becomes its app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    AtOnce,
    WhenTold,
}

/// A container whose app runs.
#[derive(Debug)]
pub struct Running {
    /// The first process, as the caller sees it: the caller's child, to be reaped.
    pub pid: Pid,
    /// The same, beyond doubt.
    pub pidfd: OwnedFd,
    /// The master of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
    /// What could be done only in part.
    pub warnings: Vec<Warning>,
}

/// Makes a container. The caller has to be single-threaded; the first process is its child.
pub fn create(launch: Launch<'_>) -> Result<Created, StartError> {
    make(launch, None, Go::WhenTold)
}

/// Makes a container whose first process is a small init of our own: it runs the app, passes signals on, reaps, and ends
/// as the app ends.
///
/// `forget` has to close every descriptor of the process it is called in: that init is a copy of the caller, keeps the
/// caller's descriptors as long as the container lives, and would so hold pipes and locks open. (It is handed in because
/// closing what others own is `hull-sys`'s to say.)
pub fn create_with_init(launch: Launch<'_>, forget: fn()) -> Result<Created, StartError> {
    make(launch, Some(forget), Go::WhenTold)
}

/// Makes a container and starts its app in one go, for callers who have nothing to do in between: the child need not wait
/// for them, nor they for it twice. `forget` is that of [`create_with_init`], for containers that want an init.
pub fn run(launch: Launch<'_>, forget: Option<fn()>) -> Result<Running, StartError> {
    make(launch, forget, Go::AtOnce)?.start()
}

fn make(mut launch: Launch<'_>, reaper: Option<fn()>, go: Go) -> Result<Created, StartError> {
    namespaces::open_paths(launch.spec, &mut launch.join)?;
    let plan = Plan::of(&launch)?;
    // Limits above the caller's own are the parent's to set, right before the app begins.
    let go = match plan.process.rlimits_are_within_own() {
        true => go,
        false => Go::WhenTold,
    };
    let filter = filter(&launch);
    let tasks = match launch.cgroup {
        Some(group) => group.tasks_files()?,
        None => Vec::new(),
    };
    let cgroups = launch.cgroup.map(cgroup_dirs).unwrap_or_default();
    flush_before_clone();
    let (ours, theirs) = channel::pair().at(Step::Channel, "")?;

    let visit = Visit::enter(&launch.join)?;
    let born = visited_mounts(&plan, &launch).and_then(|visited| {
        let clone = Clone3 {
            flags: plan.namespaces.at_clone(),
            cgroup: launch.cgroup.and_then(Group::unified_dir),
        };
        match clone.spawn() {
            Ok(Forked::Child) => {
                drop(ours);
                let init = Init {
                    plan: &plan,
                    launch: &launch,
                    filter: filter.as_deref(),
                    tasks: &tasks,
                    cgroups: &cgroups,
                    visited,
                    reaper,
                    go,
                };
                init.run(theirs)
            }
            Ok(Forked::Parent { pid, pidfd }) => Ok((Newborn::new(pid, pidfd), ours, theirs)),
            Err(Errno::DEADLK) => Err(Failure::new(Step::Thread, "", Errno::DEADLK)),
            Err(errno) => Err(Failure::new(Step::Clone, "", errno)),
        }
    });
    visit.leave()?;
    let (child, ours, theirs) = born?;
    drop((theirs, tasks));
    raise(child, ours, &plan, &launch, &cgroups, go)
}

/// The child is a copy: what lies unwritten in the buffer of standard output would be written twice.
pub(crate) fn flush_before_clone() {
    let _nobody_to_tell = std::io::stdout().flush();
}

/// Gives the newborn its ids and its parts, and waits until it stands.
fn raise(
    child: Newborn,
    channel: Channel,
    plan: &Plan,
    launch: &Launch<'_>,
    cgroups: &[(String, PathBuf)],
    go: Go,
) -> Result<Created, StartError> {
    let proc = proc_of(child.pid)?;
    let mut warnings = Vec::new();
    warnings.extend(plan.process.set_oom_score(proc.as_fd())?);
    warnings.extend(plan.unlocked.then_some(Warning::UnlockedMounts));
    if let Some(maps) = &plan.namespaces.maps {
        maps.write(proc.as_fd())?;
    }
    let parts = match plan.assembly {
        Assembly::Inside => Vec::new(),
        Assembly::Outside => {
            streams::hand_over(&launch.stdio, plan.namespaces.host_root())?;
            let userns = match plan.namespaces.maps {
                Some(_) => Some(open_namespace(&proc, "user")?),
                None => None,
            };
            let assembler = Assembler {
                plan,
                launch,
                cgroups,
                userns: userns.as_ref().map(AsFd::as_fd),
            };
            let parts = assembler.assemble()?;
            match (plan.locked, &userns) {
                (true, Some(userns)) => {
                    let namespace = locked::root(&channel, plan, launch, cgroups, parts, userns)?;
                    vec![(Slot::Namespace, namespace)]
                }
                _ => parts.into_slots(),
            }
        }
    };
    match channel.send_parts(&parts) {
        // A child that failed has said why; that is the better error.
        Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => {}
        Err(errno) => return Err(Failure::new(Step::Channel, "", errno).into()),
    }
    drop(parts);
    if go == Go::AtOnce {
        // Everything it has to say is read when it has said it all: one wait instead of two.
        channel.await_end().at(Step::Channel, "")?;
    }
    let (terminal, shared_keyring) = await_created(&channel)?;
    warnings.extend(shared_keyring.map(|errno| Warning::SharedKeyring { errno }));
    if go == Go::WhenTold {
        warnings.extend(plan.process.set_rlimits(child.pid)?);
    }
    Ok(Created {
        child,
        proc,
        channel,
        go,
        terminal,
        warnings,
    })
}

/// Waits until the child says it stands; returns its terminal and whether it kept the caller's keyring.
fn await_created(channel: &Channel) -> Result<(Option<OwnedFd>, Option<Errno>), StartError> {
    match channel.receive()? {
        Some((Message::Created { shared_keyring }, fds)) => {
            Ok((fds.into_iter().next(), shared_keyring))
        }
        Some((Message::Failed(failure), _)) => Err(failure.into()),
        Some((Message::Command(command), _)) => Err(command.into()),
        Some(_) => Err(StartError::BadMessage),
        None => Err(StartError::InitDied { during: "create" }),
    }
}

impl Created {
    /// Returns the process id of the first process.
    pub fn pid(&self) -> Pid {
        self.child.pid
    }

    /// Returns the descriptor that stands for the first process.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.child.pidfd()
    }

    /// Returns what could be done only in part.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Opens a namespace of the container.
    pub fn namespace(&self, kind: NamespaceKind) -> Result<OwnedFd, StartError> {
        Ok(open_namespace(
            &self.proc,
            namespaces::word(namespaces::flag(kind)),
        )?)
    }

    fn tell(&self) -> Result<(), StartError> {
        match self.channel.send(&Message::Start, &[]) {
            Ok(()) => Ok(()),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(StartError::InitDied {
                during: "between create and start",
            }),
            Err(errno) => Err(Failure::new(Step::Channel, "", errno).into()),
        }
    }

    /// Lets the container become its app. An error means there is no container any more.
    pub fn start(self) -> Result<Running, StartError> {
        if self.go == Go::WhenTold {
            self.tell()?;
        }
        await_exec(&self.channel)?;
        let (pid, pidfd) = self.child.keep();
        Ok(Running {
            pid,
            pidfd,
            terminal: self.terminal,
            warnings: self.warnings,
        })
    }
}

/// Waits for the exec to close the child's end of the channel, or for the reason it could not.
pub(crate) fn await_exec(channel: &Channel) -> Result<(), StartError> {
    match channel.receive()? {
        None => Ok(()),
        Some((Message::Failed(failure), _)) => Err(failure.into()),
        Some((Message::Command(command), _)) => Err(command.into()),
        Some(_) => Err(StartError::BadMessage),
    }
}

fn open_namespace(proc: &OwnedFd, word: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    openat(proc, format!("ns/{word}"), flags, Mode::empty()).at(Step::Namespace, word)
}

/// Makes the mounts that belong to joined namespaces, while the caller stands in them.
fn visited_mounts(plan: &Plan, launch: &Launch<'_>) -> Result<Vec<Option<OwnedFd>>, Failure> {
    let pid = launch.join.pid.as_ref().map(AsFd::as_fd);
    let visited = |mount: &Planned| mount.maker == Maker::Visitor;
    plan.mounts
        .iter()
        .map(|mount| visited(mount).then(|| mount.make_fresh(pid)).transpose())
        .collect()
}

/// Returns the filter's program, none where every call may pass.
pub(crate) fn filter<'f>(launch: &'f Launch<'_>) -> Option<Cow<'f, [SockFilter]>> {
    let process = launch.spec.process.as_ref();
    let bounding = process
        .and_then(|process| process.capabilities.as_ref())
        .map_or(&[][..], |capabilities| capabilities.bounding.as_slice());
    program(&launch.filter, bounding)
}

/// The same for a process with these bounding capabilities.
pub(crate) fn program<'f>(
    filter: &'f Filter,
    bounding: &[String],
) -> Option<Cow<'f, [SockFilter]>> {
    match filter {
        Filter::None => None,
        Filter::Default => Some(seccomp::default_filter(bounding)),
        Filter::Compiled(program) => Some(Cow::Borrowed(program)),
    }
}

/// Names and places of a group's directories: the name is the hierarchy's below `/sys/fs/cgroup`, none for cgroup2 there.
fn cgroup_dirs(group: &Group) -> Vec<(String, PathBuf)> {
    let name = |dir: &Path| {
        let below = dir.strip_prefix("/sys/fs/cgroup").ok()?;
        let depth = below.components().count() - group.path().as_path().components().count();
        let first = below.components().next().filter(|_| depth > 0);
        Some(first.map_or(String::new(), |name| {
            name.as_os_str().to_string_lossy().into_owned()
        }))
    };
    group
        .paths()
        .filter_map(|dir| Some((name(dir)?, dir.to_owned())))
        .collect()
}

/// A child of ours that is killed and reaped unless it is kept.
#[derive(Debug)]
pub(crate) struct Newborn {
    pub(crate) pid: Pid,
    pidfd: Option<OwnedFd>,
}

impl Newborn {
    pub(crate) fn new(pid: Pid, pidfd: OwnedFd) -> Self {
        Self {
            pid,
            pidfd: Some(pidfd),
        }
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd
            .as_ref()
            .expect("only `keep` takes it, and that consumes the value")
            .as_fd()
    }

    pub(crate) fn keep(mut self) -> (Pid, OwnedFd) {
        let pidfd = self
            .pidfd
            .take()
            .expect("only `keep` takes it, and that consumes the value");
        (self.pid, pidfd)
    }
}

impl Drop for Newborn {
    fn drop(&mut self) {
        let Some(pidfd) = &self.pidfd else {
            return;
        };
        // Dead already, or about to be: either way it is ours to reap.
        let _gone = pidfd_send_signal(pidfd, Signal::KILL);
        while let Err(Errno::INTR) = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {}
    }
}
