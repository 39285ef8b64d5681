//! One more process in a running container: `docker exec`.
//!
//! ```text
//!   caller ── clone3 ──▶ intermediate: joins the cgroup, enters the namespaces
//!      │                      └── clone3(PARENT) ──▶ the process: user, capabilities, filter, exec
//!      └───────────── parent of both ────────────────────┘
//! ```
//! Two processes, because entering a process id namespace counts for children only; `CLONE_PARENT` makes the second one
//! the caller's own child, to be waited for. It gets exactly what the container's first process got: cgroup, capabilities,
//! `no_new_privs`, filter and limits (rkt's CVE-2019-10144 and its two sisters were the absence of each).
//!
//! Whoever asks for more capabilities gets them, but for one. Mounts are locked when a container starts that may mount
//! ([`crate::locked`]), and only then; in any other, `CAP_SYS_ADMIN` would take masks off and make writable what is read-only.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hull_spec::runtime::Process;
use hull_sys::Errno;
use hull_sys::clone::{Clone3, CloneFlags, Forked};
use hull_sys::namespaces::setns;
use hull_sys::seccomp::SockFilter;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};
use rustix::process::{DumpableBehavior, Gid, Pid, Uid, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::channel::{self, Channel, Message};
use crate::create::{Newborn, Running, await_exec, program};
use crate::error::{At as _, Failure, StartError, Step, Warning};
use crate::init::{Stop, end};
use crate::launch::{Filter, Stdio, Target};
use crate::namespaces::{HostRoot, proc_of};
use crate::process::{ProcessPlan, bind_to_parent, leave_keyring};
use crate::rootfs::inside::Inside;
use crate::streams::{self, Terminal};

const MOUNTING: &str = "CAP_SYS_ADMIN";

/// One more process for a container.
#[derive(Debug)]
pub struct Exec<'a> {
    /// The container.
    pub target: Target<'a>,
    /// The process: the container's own, changed where the caller wants it.
    pub process: &'a Process,
    /// Who to be, in docker's words; none takes the numbers of the process.
    pub user: Option<&'a str>,
    /// Its streams.
    pub stdio: Stdio,
    /// Which system calls it may make: the container's filter.
    pub filter: Filter,
    /// Kill it when the caller dies.
    pub die_with_caller: bool,
}

/// Starts the process. The caller has to be single-threaded; the process is its child.
pub fn exec(request: Exec<'_>) -> Result<Running, StartError> {
    let weaker = without_mounting(request.process);
    let home = Home::look(&request.target, weaker.is_some())?;
    let weaker = weaker.filter(|_| !home.may_mount);
    let process = weaker.as_ref().unwrap_or(request.process);
    let plan = ProcessPlan::of(process, request.user)?;
    let capabilities = process.capabilities.as_ref();
    let bounding = capabilities.map_or(&[][..], |sets| sets.bounding.as_slice());
    let filter = program(&request.filter, bounding);
    let tasks = match request.target.cgroup {
        Some(group) => group.tasks_files()?,
        None => Vec::new(),
    };
    if let Some(root) = home.userns {
        streams::hand_over(&request.stdio, root)?;
    }
    crate::create::flush_before_clone();
    let (ours, theirs) = channel::pair().at(Step::Channel, "")?;
    let clone = Clone3 {
        flags: CloneFlags::empty(),
        cgroup: request.target.cgroup.and_then(|group| group.unified_dir()),
    };
    let intermediate = match clone.spawn() {
        Ok(Forked::Child) => {
            drop(ours);
            let entrant = Entrant {
                request: &request,
                plan: &plan,
                filter: filter.as_deref(),
                tasks: &tasks,
                home: &home,
            };
            entrant.run(&theirs)
        }
        Ok(Forked::Parent { pid, pidfd }) => Newborn::new(pid, pidfd),
        Err(Errno::DEADLK) => return Err(Failure::new(Step::Thread, "", Errno::DEADLK).into()),
        Err(errno) => return Err(Failure::new(Step::Clone, "", errno).into()),
    };
    drop((theirs, tasks, request.stdio));
    let (child, terminal, shared_keyring) = await_entered(&ours)?;
    // Its work is done: it has ended, or is about to.
    drop(intermediate);
    let mut warnings: Vec<_> = shared_keyring
        .map(|errno| Warning::SharedKeyring { errno })
        .into_iter()
        .chain(weaker.is_some().then_some(Warning::MayNotMount))
        .collect();
    if process.oom_score_adj.is_some() {
        warnings.extend(plan.set_oom_score(proc_of(child.pid)?.as_fd())?);
    }
    warnings.extend(plan.set_rlimits(child.pid)?);
    match ours.send(&Message::Start, &[]) {
        Ok(()) => {}
        Err(_) => return Err(StartError::InitDied { during: "exec" }),
    }
    await_exec(&ours)?;
    let (pid, pidfd) = child.keep();
    Ok(Running {
        pid,
        pidfd,
        terminal,
        warnings,
    })
}

/// Returns the process without the capability that undoes mounts, if it has that.
fn without_mounting(process: &Process) -> Option<Process> {
    let mut weaker = process.clone();
    let sets = weaker.capabilities.as_mut()?;
    for set in [
        &mut sets.bounding,
        &mut sets.effective,
        &mut sets.permitted,
        &mut sets.inheritable,
        &mut sets.ambient,
    ] {
        set.retain(|name| name != MOUNTING);
    }
    (weaker != *process).then_some(weaker)
}

/// The process, its terminal, and whether it kept the caller's keyring.
type Entered = (Newborn, Option<OwnedFd>, Option<Errno>);

/// Waits until the intermediate has said which process it made and that process has said that it stands.
///
/// They run side by side, so either may be heard first; a process that failed is still to be reaped.
fn await_entered(channel: &Channel) -> Result<Entered, StartError> {
    let mut child = None;
    let mut outcome = None;
    loop {
        match channel.receive()? {
            Some((Message::Spawned(number), fds)) => {
                let pid = Pid::from_raw(number).ok_or(StartError::BadMessage)?;
                let pidfd = fds.into_iter().next().ok_or(StartError::BadMessage)?;
                child = Some(Newborn::new(pid, pidfd));
            }
            Some((Message::Created { shared_keyring }, fds)) => {
                outcome = Some(Ok((fds.into_iter().next(), shared_keyring)));
            }
            Some((Message::Failed(failure), _)) => outcome = Some(Err(failure.into())),
            Some((Message::Command(command), _)) => outcome = Some(Err(command.into())),
            Some(_) => return Err(StartError::BadMessage),
            // Both are gone; the intermediate may have failed before there was a second one.
            None => {
                let error = outcome.and_then(Result::err);
                return Err(error.unwrap_or(StartError::InitDied { during: "exec" }));
            }
        }
        (child, outcome) = match (child, outcome) {
            (Some(child), Some(Ok((terminal, keyring)))) => return Ok((child, terminal, keyring)),
            (Some(_), Some(Err(error))) => return Err(error),
            unfinished => unfinished,
        };
    }
}

/// What has to be known of the container's user namespace before entering it.
#[derive(Debug)]
struct Home {
    /// Its root on the host; none if it shares the caller's user namespace.
    userns: Option<HostRoot>,
    /// `setgroups` is denied there.
    groups_denied: bool,
    /// Its mounts are locked, or as good as any of the host's. Looked at where it matters.
    may_mount: bool,
}

impl Home {
    fn look(target: &Target<'_>, wants_to_mount: bool) -> Result<Self, Failure> {
        let proc = proc_of(target.pid).map_err(|failure| match failure.errno {
            Errno::NOENT => gone(),
            _ => failure,
        })?;
        let userns = |dir: &OwnedFd, path: &str| {
            statat(dir, path, AtFlags::empty())
                .map(|stat| (stat.st_dev, stat.st_ino))
                .at(Step::Namespace, "user")
        };
        let own = openat(
            CWD,
            "/proc/self",
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .at(Step::Proc, "/proc/self")?;
        let shared = userns(&proc, "ns/user")? == userns(&own, "ns/user")?;
        let read = |name: &str| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let file = openat(&proc, name, flags, Mode::empty()).at(Step::Proc, name)?;
            let mut bytes = [0_u8; 4096];
            let length = rustix::io::read(file, &mut bytes).at(Step::Proc, name)?;
            Ok::<_, Failure>(String::from_utf8_lossy(&bytes[..length]).into_owned())
        };
        let home = match shared {
            true => Self {
                userns: None,
                groups_denied: false,
                may_mount: true,
            },
            false => Self {
                userns: Some(HostRoot {
                    uid: root_in(&read("uid_map")?)?,
                    gid: root_in(&read("gid_map")?)?,
                }),
                groups_denied: read("setgroups")?.trim_end() == "deny",
                may_mount: wants_to_mount && may_mount(&read("status")?),
            },
        };
        // The number was this process's as long as the process had not been reaped.
        let mut alive = [PollFd::new(&target.pidfd, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        match poll(&mut alive, Some(&now)).at(Step::Proc, "pidfd")? {
            0 => Ok(home),
            _ => Err(gone()),
        }
    }
}

fn gone() -> Failure {
    Failure::new(Step::Namespace, "container's", Errno::SRCH)
}

/// Reads from a `/proc/PID/status` whether the process could ever have had the capability.
fn may_mount(status: &str) -> bool {
    let bounding = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    bounding.is_some_and(|set| set & CapabilitySet::SYS_ADMIN.bits() != 0)
}

/// Finds the host's id of root in the text of an id map.
fn root_in(map: &str) -> Result<u32, Failure> {
    map.lines()
        .find_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            (fields.next()? == "0").then(|| fields.next()?.parse().ok())?
        })
        .ok_or_else(|| Failure::new(Step::MapIds, "uid_map", Errno::INVAL))
}

/// The child's side.
#[derive(Debug)]
struct Entrant<'a> {
    request: &'a Exec<'a>,
    plan: &'a ProcessPlan,
    filter: Option<&'a [SockFilter]>,
    tasks: &'a [OwnedFd],
    home: &'a Home,
}

impl Entrant<'_> {
    fn run(&self, channel: &Channel) -> ! {
        let Err(stop) = self.story(channel);
        if let Stop::Failed(error) = stop {
            channel.report(error);
        }
        end(1)
    }

    fn story(&self, channel: &Channel) -> Result<Infallible, Stop> {
        for tasks in self.tasks {
            rustix::io::write(tasks, b"0").at(Step::Cgroup, "")?;
        }
        self.enter()?;
        let clone = Clone3 {
            flags: CloneFlags::PARENT,
            cgroup: None,
        };
        if let Forked::Parent { pid, pidfd } = clone.spawn().at(Step::Fork, "")? {
            let spawned = Message::Spawned(pid.as_raw_pid());
            channel
                .send(&spawned, &[pidfd.as_fd()])
                .map_err(|_| Stop::Orphaned)?;
            end(0)
        }
        let terminal = self.open_terminal()?;
        self.plan.enter_directory()?;
        let identity = self.plan.identify()?;
        streams::install(&self.request.stdio, terminal.as_ref(), identity.uid)?;
        let in_userns = self.home.userns.is_some();
        self.plan.become_user(
            &identity,
            self.home.groups_denied,
            in_userns,
            self.filter.is_some(),
        )?;
        let ready = self.plan.find_command(&identity)?;
        let shared_keyring = leave_keyring()?;
        bind_to_parent(self.request.die_with_caller)?;
        let master = terminal.as_ref().map(|terminal| terminal.master.as_fd());
        channel
            .send(&Message::Created { shared_keyring }, master.as_slice())
            .map_err(|_| Stop::Orphaned)?;
        drop(terminal);
        match channel.receive()? {
            Some((Message::Start, _)) => {}
            Some(_) => return Err(StartError::BadMessage.into()),
            None => return Err(Stop::Orphaned),
        }
        Err(self.plan.exec(&ready, self.filter, in_userns).into())
    }

    /// Enters the container, as its root.
    fn enter(&self) -> Result<(), Failure> {
        // Before anything inside can see this process: its memory and links into the host are not the container's.
        set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::DeathSignal, "")?;
        let mut kinds = CloneFlags::NEWNS
            | CloneFlags::NEWPID
            | CloneFlags::NEWNET
            | CloneFlags::NEWIPC
            | CloneFlags::NEWUTS
            | CloneFlags::NEWCGROUP;
        if self.home.userns.is_some() {
            // Entering the one we are in is refused.
            kinds |= CloneFlags::NEWUSER;
        }
        setns(self.request.target.pidfd, kinds).at(Step::Namespace, "container's")?;
        if self.home.userns.is_none() {
            return Ok(());
        }
        let refused = |errno| Failure::new(Step::SetIds, "0", errno);
        set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).map_err(refused)?;
        if !self.home.groups_denied {
            set_thread_groups(&[]).map_err(refused)?;
        }
        set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).map_err(refused)
    }

    fn open_terminal(&self) -> Result<Option<Terminal>, Failure> {
        let Stdio::Terminal(size) = self.request.stdio else {
            return Ok(None);
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, Path::new("/"), flags, Mode::empty()).at(Step::Terminal, "")?;
        Terminal::open(Inside(root.as_fd()), size).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_mount_says_the_bounding_set() {
        let status = |set: &str| format!("CapEff:\t0000000000200000\nCapBnd:\t{set}\nCapAmb:\t0\n");
        assert!(may_mount(&status("000001ffffffffff")));
        assert!(!may_mount(&status("00000000a80425fb")));
        assert!(!may_mount("Name:\tsh\n"));
    }

    #[test]
    fn the_root_is_found_in_a_map() {
        let map = "         1     100001      65535\n         0       1000          1\n";
        assert_eq!(root_in(map).unwrap(), 1000);
        assert!(root_in("").is_err());
    }
}
