//! What the app's process is made into: streams, directory, user, capabilities, limits.
//!
//! Order matters. The parent sets limits from outside, because raising one asks for `CAP_SYS_RESOURCE` in the *initial* user
//! namespace. In the child the bounding set shrinks while it is still root; ids change with capabilities kept; the death
//! signal comes after the last change of ids, which would clear it; the filter comes last, so that it need not allow what
//! came before.

use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use hull_spec::runtime::{
    Capabilities, IoPriority, IoPriorityClass, Process, Rlimit, RlimitKind, Scheduler,
    SchedulerFlag, SchedulerPolicy,
};
use hull_sys::caps::{self, CapSet, CapSets};
use hull_sys::exec::{CStrings, execve};
use hull_sys::process::{IoClass, Scheduling};
use hull_sys::seccomp::{SeccompFlags, SockFilter};
use hull_sys::{Errno, close_range, seccomp, signal};
use rustix::fs::Mode;
use rustix::process::{
    DumpableBehavior, Gid, Pid, Resource, Signal, Uid, chdir, getcwd, prlimit,
    set_dumpable_behavior, set_parent_process_death_signal, setrlimit, umask,
};
use rustix::thread::{
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::error::{At as _, Failure, StartError, Step, Warning};
use crate::lookup::{self, DEFAULT_PATH};
use crate::namespaces::put;
use crate::rootfs::inside::lexical;
use crate::user::{Identity, Wanted};

/// The app's process, decided.
#[derive(Debug)]
pub(crate) struct ProcessPlan {
    args: CStrings,
    command: String,
    env: Vec<String>,
    pub(crate) cwd: PathBuf,
    who: Wanted,
    umask: u32,
    caps: CapabilityPlan,
    no_new_privileges: bool,
    rlimits: Vec<Rlimit>,
    oom_score_adj: Option<i32>,
    scheduler: Option<Scheduling>,
    io_priority: Option<(IoClass, u8)>,
}

/// The five sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CapabilityPlan {
    bounding: CapSet,
    sets: CapSets,
    ambient: CapSet,
}

/// The process with everything but the filter and the exec behind it.
#[derive(Debug)]
pub(crate) struct Ready {
    file: CString,
    env: CStrings,
}

impl ProcessPlan {
    /// Understands the process of a spec; `user` are docker's words for who it is.
    pub(crate) fn of(process: &Process, user: Option<&str>) -> Result<Self, StartError> {
        let command = process
            .args
            .first()
            .ok_or_else(|| StartError::Invalid("there is no command to run".into()))?;
        let strings = |list: &[String], what: &str| {
            CStrings::new(list)
                .map_err(|_| StartError::Invalid(format!("{what} has a zero byte inside")))
        };
        if process.env.iter().any(|text| text.contains('\0')) {
            return Err(StartError::Invalid(
                "the environment has a zero byte inside".into(),
            ));
        }
        if !process.cwd.is_absolute() {
            return Err(StartError::Invalid(format!(
                "the working directory `{}` is not absolute",
                process.cwd.display()
            )));
        }
        Ok(Self {
            args: strings(&process.args, "the command")?,
            command: command.clone(),
            env: process.env.clone(),
            cwd: lexical(&process.cwd),
            who: Wanted {
                words: user.map(str::to_owned),
                numbers: process.user.clone(),
            },
            umask: process.user.umask.unwrap_or(0o022) & 0o777,
            caps: CapabilityPlan::of(process.capabilities.as_ref())?,
            no_new_privileges: process.no_new_privileges,
            rlimits: process.rlimits.clone(),
            oom_score_adj: process.oom_score_adj,
            scheduler: process.scheduler.as_ref().map(scheduling).transpose()?,
            io_priority: process.io_priority.as_ref().map(io_priority).transpose()?,
        })
    }

    /// Parent: sets the OOM score of the process whose `/proc` directory this is, while that belongs to the caller.
    pub(crate) fn set_oom_score(&self, proc: BorrowedFd<'_>) -> Result<Option<Warning>, Failure> {
        let Some(wanted) = self.oom_score_adj else {
            return Ok(None);
        };
        let text = wanted.to_string();
        match put(proc, "oom_score_adj", &text) {
            Err(Errno::ACCESS | Errno::PERM) => Ok(Some(Warning::OomScoreClamped { wanted })),
            result => result.at(Step::OomScore, &text).map(|()| None),
        }
    }

    /// Parent: sets the limits of `pid`, which has nothing left to do but the exec. What cannot be had for want of
    /// `CAP_SYS_RESOURCE` is set as far as it goes, with a warning.
    pub(crate) fn set_rlimits(&self, pid: Pid) -> Result<Vec<Warning>, Failure> {
        let mut warnings = Vec::new();
        for limit in &self.rlimits {
            warnings.extend(set_rlimit(pid, limit)?);
        }
        Ok(warnings)
    }

    /// Parent: tells whether a child could set all limits itself, which may lower them but not raise them.
    pub(crate) fn rlimits_are_within_own(&self) -> bool {
        self.rlimits.iter().all(|limit| {
            let own = rustix::process::getrlimit(resource(limit.kind)).maximum;
            own.is_none_or(|own| limit.hard <= own)
        })
    }

    /// Child: sets them as its last act but the exec.
    pub(crate) fn set_own_rlimits(&self) -> Result<(), Failure> {
        self.rlimits.iter().try_for_each(|limit| {
            setrlimit(resource(limit.kind), values(limit)).at(Step::Rlimit, rlimit_name(limit.kind))
        })
    }

    /// Child: finds out who to be. The root is the container's, /etc is where the image has it.
    pub(crate) fn identify(&self) -> Result<Identity, Failure> {
        self.who
            .find(!self.env.iter().any(|entry| entry.starts_with("HOME=")))
    }

    /// Child: goes to the working directory and makes sure it lies inside the root (CVE-2024-21626).
    pub(crate) fn enter_directory(&self) -> Result<(), Failure> {
        let step = |errno| Failure::new(Step::WorkDir, &self.cwd, errno);
        chdir(&self.cwd).map_err(step)?;
        match getcwd(Vec::new()) {
            Ok(place) if place.as_bytes().first() == Some(&b'/') => Ok(()),
            // The kernel writes "(unreachable)" in front of what is not below our root.
            Ok(_) => Err(step(Errno::XDEV).detail("it leads out of the container")),
            Err(errno) => Err(step(errno)),
        }
    }

    /// Child: becomes `identity`. With `keep`, the capability to load a filter is kept until [`Self::exec`].
    pub(crate) fn become_user(
        &self,
        identity: &Identity,
        groups_denied: bool,
        in_userns: bool,
        filtered: bool,
    ) -> Result<(), Failure> {
        umask(Mode::from_raw_mode(self.umask));
        if let Some(scheduling) = &self.scheduler {
            hull_sys::process::set_scheduling(scheduling).at(Step::Scheduler, "CPU")?;
        }
        if let Some((class, level)) = self.io_priority {
            hull_sys::process::set_io_priority(class, level).at(Step::Scheduler, "I/O")?;
        }
        caps::drop_bounding_except(self.caps.bounding).at(Step::Capabilities, "")?;
        if !(in_userns && identity.is_root()) {
            set_ids(identity, groups_denied)?;
        }
        if self.no_new_privileges {
            set_no_new_privs(true).at(Step::NoNewPrivileges, "")?;
        }
        if filtered && !self.no_new_privileges {
            // Loading the filter will ask for CAP_SYS_ADMIN: everything permitted stays so until then.
            return caps::raise_effective().at(Step::Capabilities, "");
        }
        self.caps.apply(in_userns)
    }

    /// Child: finds the command as the user it has become, and makes the environment.
    pub(crate) fn find_command(&self, identity: &Identity) -> Result<Ready, StartError> {
        let value = |name: &str| {
            self.env.iter().rev().find_map(|entry| {
                entry
                    .strip_prefix(name)
                    .and_then(|rest| rest.strip_prefix('='))
            })
        };
        let file = lookup::find(&self.command, value("PATH").unwrap_or(DEFAULT_PATH))?;
        let home = (value("HOME").is_none()).then(|| format!("HOME={}", identity.home));
        let env =
            CStrings::new(self.env.iter().chain(home.as_ref())).at(Step::Exec, &self.command)?;
        Ok(Ready { file, env })
    }

    /// Child: loads the filter, drops what is left to drop, and becomes the app. Returns only when that failed.
    pub(crate) fn exec(
        &self,
        ready: &Ready,
        filter: Option<&[SockFilter]>,
        in_userns: bool,
    ) -> StartError {
        match self.last_steps(filter, in_userns) {
            Err(failure) => failure.into(),
            Ok(()) => {
                let errno = execve(&ready.file, &self.args, &ready.env);
                let file = Path::new(std::ffi::OsStr::from_bytes(ready.file.as_bytes()));
                lookup::diagnose(file, errno).into()
            }
        }
    }

    fn last_steps(&self, filter: Option<&[SockFilter]>, in_userns: bool) -> Result<(), Failure> {
        signal::reset_all().at(Step::Signals, "")?;
        signal::set_mask(signal::SignalSet::empty()).at(Step::Signals, "")?;
        // Everything of ours is close-on-exec already; this is for what a library or a caller forgot.
        close_range::set_cloexec_from(3).at(Step::Streams, "")?;
        let Some(filter) = filter else {
            return Ok(());
        };
        seccomp::load(filter, SeccompFlags::empty()).at(Step::Seccomp, "")?;
        match self.no_new_privileges {
            true => Ok(()),
            false => self.caps.apply(in_userns),
        }
    }
}

/// Changes to the ids of `identity`, with capabilities kept. (In a user namespace the child has become root already.)
fn set_ids(identity: &Identity, groups_denied: bool) -> Result<(), Failure> {
    let refused = |errno| Failure::new(Step::SetIds, identity.uid.to_string(), errno);
    if identity.uid != 0 {
        set_keep_capabilities(true).map_err(refused)?;
    }
    if !groups_denied {
        let groups: Vec<_> = identity.groups.iter().copied().map(Gid::from_raw).collect();
        set_thread_groups(&groups).map_err(refused)?;
    }
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    set_thread_res_gid(gid, gid, gid).map_err(refused)?;
    set_thread_res_uid(uid, uid, uid).map_err(refused)
}

/// Child: replaces the session keyring. Used-up keyrings (200 a user by default) are no reason not to start.
pub(crate) fn leave_keyring() -> Result<Option<Errno>, Failure> {
    match hull_sys::process::join_session_keyring(None) {
        Ok(()) | Err(Errno::NOSYS) => Ok(None),
        Err(errno @ (Errno::DQUOT | Errno::PERM)) => Ok(Some(errno)),
        Err(errno) => Err(Failure::new(Step::Keyring, "", errno)),
    }
}

/// Child: ties the process to its parent's life and closes its memory and `/proc` entries to others in the container
/// (CVE-2016-9962, CVE-2019-5736). The caller has to check afterwards that the parent was still there.
pub(crate) fn bind_to_parent(die_with_parent: bool) -> Result<(), Failure> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::DeathSignal, "")?;
    let signal = die_with_parent.then_some(Signal::KILL);
    set_parent_process_death_signal(signal).at(Step::DeathSignal, "")
}

impl CapabilityPlan {
    fn of(asked: Option<&Capabilities>) -> Result<Self, StartError> {
        let nothing = Capabilities::default();
        let asked = asked.unwrap_or(&nothing);
        let set = |names: &[String]| {
            names.iter().try_fold(CapSet::empty(), |set, name| {
                caps::parse(name)
                    .map(|one| set | one)
                    .ok_or_else(|| StartError::Invalid(format!("`{name}` is no capability")))
            })
        };
        Ok(Self {
            bounding: set(&asked.bounding)?,
            sets: CapSets {
                effective: set(&asked.effective)?,
                permitted: set(&asked.permitted)?,
                inheritable: set(&asked.inheritable)?,
            },
            ambient: set(&asked.ambient)?,
        })
    }

    fn apply(&self, in_userns: bool) -> Result<(), Failure> {
        let mut sets = self.sets;
        let mut ambient = self.ambient;
        if !in_userns {
            // Hull itself may run with less than everything; what it has not got it cannot give.
            let own = caps::current().at(Step::Capabilities, "")?.permitted;
            sets.effective &= own;
            sets.permitted &= own;
            sets.inheritable &= own;
            ambient &= own;
        }
        caps::set(sets).at(Step::Capabilities, "")?;
        if ambient.is_empty() {
            return Ok(());
        }
        caps::set_ambient(ambient).at(Step::Capabilities, "")
    }
}

/// Sets one limit, clamping the hard limit to what it is where raising it is refused.
fn set_rlimit(pid: Pid, limit: &Rlimit) -> Result<Option<Warning>, Failure> {
    let name = || rlimit_name(limit.kind).to_owned();
    let resource = resource(limit.kind);
    match prlimit(Some(pid), resource, values(limit)) {
        Ok(_) => return Ok(None),
        Err(Errno::PERM) => {}
        Err(errno) => return Err(Failure::new(Step::Rlimit, name(), errno)),
    }
    let ours = rustix::process::getrlimit(resource).maximum;
    let hard = ours.unwrap_or(u64::MAX);
    let clamped = rustix::process::Rlimit {
        current: finite(limit.soft.min(hard)),
        maximum: ours,
    };
    prlimit(Some(pid), resource, clamped).at(Step::Rlimit, name())?;
    Ok(Some(Warning::RlimitClamped {
        name: name(),
        wanted: limit.hard,
        got: hard,
    }))
}

fn values(limit: &Rlimit) -> rustix::process::Rlimit {
    rustix::process::Rlimit {
        current: finite(limit.soft),
        maximum: finite(limit.hard),
    }
}

fn finite(number: u64) -> Option<u64> {
    (number != u64::MAX).then_some(number)
}

fn resource(kind: RlimitKind) -> Resource {
    match kind {
        RlimitKind::As => Resource::As,
        RlimitKind::Core => Resource::Core,
        RlimitKind::Cpu => Resource::Cpu,
        RlimitKind::Data => Resource::Data,
        RlimitKind::Fsize => Resource::Fsize,
        RlimitKind::Locks => Resource::Locks,
        RlimitKind::Memlock => Resource::Memlock,
        RlimitKind::Msgqueue => Resource::Msgqueue,
        RlimitKind::Nice => Resource::Nice,
        RlimitKind::Nofile => Resource::Nofile,
        RlimitKind::Nproc => Resource::Nproc,
        RlimitKind::Rss => Resource::Rss,
        RlimitKind::Rtprio => Resource::Rtprio,
        RlimitKind::Rttime => Resource::Rttime,
        RlimitKind::Sigpending => Resource::Sigpending,
        RlimitKind::Stack => Resource::Stack,
    }
}

fn rlimit_name(kind: RlimitKind) -> &'static str {
    match kind {
        RlimitKind::As => "RLIMIT_AS",
        RlimitKind::Core => "RLIMIT_CORE",
        RlimitKind::Cpu => "RLIMIT_CPU",
        RlimitKind::Data => "RLIMIT_DATA",
        RlimitKind::Fsize => "RLIMIT_FSIZE",
        RlimitKind::Locks => "RLIMIT_LOCKS",
        RlimitKind::Memlock => "RLIMIT_MEMLOCK",
        RlimitKind::Msgqueue => "RLIMIT_MSGQUEUE",
        RlimitKind::Nice => "RLIMIT_NICE",
        RlimitKind::Nofile => "RLIMIT_NOFILE",
        RlimitKind::Nproc => "RLIMIT_NPROC",
        RlimitKind::Rss => "RLIMIT_RSS",
        RlimitKind::Rtprio => "RLIMIT_RTPRIO",
        RlimitKind::Rttime => "RLIMIT_RTTIME",
        RlimitKind::Sigpending => "RLIMIT_SIGPENDING",
        RlimitKind::Stack => "RLIMIT_STACK",
    }
}

fn scheduling(asked: &Scheduler) -> Result<Scheduling, StartError> {
    let flag = |flag: &SchedulerFlag| match flag {
        SchedulerFlag::ResetOnFork => 0x01,
        SchedulerFlag::Reclaim => 0x02,
        SchedulerFlag::DeadlineOverrun => 0x04,
        SchedulerFlag::KeepPolicy => 0x08,
        SchedulerFlag::KeepParams => 0x10,
        SchedulerFlag::UtilClampMin => 0x20,
        SchedulerFlag::UtilClampMax => 0x40,
    };
    let priority = u32::try_from(asked.priority.unwrap_or(0))
        .map_err(|_| StartError::Invalid("a scheduler priority is not negative".into()))?;
    Ok(Scheduling {
        policy: match asked.policy {
            SchedulerPolicy::Other => 0,
            SchedulerPolicy::Fifo => 1,
            SchedulerPolicy::RoundRobin => 2,
            SchedulerPolicy::Batch => 3,
            SchedulerPolicy::Iso => 4,
            SchedulerPolicy::Idle => 5,
            SchedulerPolicy::Deadline => 6,
        },
        flags: asked.flags.iter().map(flag).fold(0, |all, one| all | one),
        nice: asked.nice.unwrap_or(0),
        priority,
        runtime: asked.runtime.unwrap_or(0),
        deadline: asked.deadline.unwrap_or(0),
        period: asked.period.unwrap_or(0),
    })
}

fn io_priority(asked: &IoPriority) -> Result<(IoClass, u8), StartError> {
    let class = match asked.class {
        IoPriorityClass::RealTime => IoClass::RealTime,
        IoPriorityClass::BestEffort => IoClass::BestEffort,
        IoPriorityClass::Idle => IoClass::Idle,
    };
    match u8::try_from(asked.priority) {
        Ok(level @ 0..=7) => Ok((class, level)),
        _ => Err(StartError::Invalid("an I/O priority is from 0 to 7".into())),
    }
}
