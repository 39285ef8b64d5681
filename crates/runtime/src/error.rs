//! What can go wrong between a [`Launch`](crate::Launch) and a running app, and how it crosses from the child to the parent.
//!
//! The child cannot return a value: it reports `{stage, step, errno, what, detail}` as one binary message
//! ([`crate::channel`]), so the errno survives and the parent's error is as precise as if it had happened there.

use std::fmt;
use std::path::Path;

use hull_sys::Errno;
use hull_types::ErrorKind;

use crate::lookup::CommandError;

/// Why a container, or a process in one, did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A step was refused by the kernel or by a rule of ours.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The command cannot be run: docker's exit codes 126 and 127.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The cgroup cannot be joined.
    #[error("cannot join the container's cgroup")]
    Cgroup(#[from] hull_cgroup::CgroupError),
    /// The request asks for something this version does not carry out.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// The request contradicts itself.
    #[error("{0}")]
    Invalid(String),
    /// Neither a report nor an exec: something killed the child.
    #[error("the container's first process died while the runtime was at work on it ({during})")]
    InitDied { during: &'static str },
    /// The other side said something that is no message of ours.
    #[error("the container's first process sent a message that cannot be understood")]
    BadMessage,
}

impl StartError {
    /// Returns the class of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Failed(failure) => failure.kind(),
            Self::Command(command) => command.kind(),
            Self::Cgroup(error) => error.kind(),
            Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::Invalid(_) => ErrorKind::InvalidInput,
            Self::InitDied { .. } => ErrorKind::Unavailable,
            Self::BadMessage => ErrorKind::Bug,
        }
    }

    /// Returns what the reader could do about it, when that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Failed(failure) => failure.hint(),
            Self::Command(command) => command.hint(),
            _ => None,
        }
    }

    /// Returns the exit code docker's users expect: 127 command not found, 126 cannot be run, 125 everything else.
    pub fn exit_code(&self) -> u8 {
        match self.kind() {
            ErrorKind::CommandNotFound => 127,
            ErrorKind::CommandNotRunnable => 126,
            _ => 125,
        }
    }
}

/// One step that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The part of the start.
    pub stage: Stage,
    /// The step of that part.
    pub step: Step,
    /// The path, name or option it was about.
    pub what: String,
    /// What the kernel's mount log or a rule of ours said beyond the errno.
    pub detail: String,
    /// The kernel's answer.
    pub errno: Errno,
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The sentence says it all: no file is missing, a name is.
        let is_said =
            matches!(self.step, Step::FindUser | Step::FindGroup) && self.errno == Errno::NOENT;
        (!is_said).then_some(&self.errno)
    }
}

impl Failure {
    pub(crate) fn new(step: Step, what: impl AsRef<Path>, errno: Errno) -> Self {
        Self {
            stage: step.stage(),
            step,
            what: what.as_ref().to_string_lossy().into_owned(),
            detail: String::new(),
            errno,
        }
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Returns the class of the error.
    pub fn kind(&self) -> ErrorKind {
        match (self.step, self.errno) {
            (Step::FindUser | Step::FindGroup | Step::OpenSource, Errno::NOENT) => {
                ErrorKind::NotFound
            }
            (
                Step::FindUser
                | Step::FindGroup
                | Step::MapIds
                | Step::WorkDir
                | Step::MountPoint
                | Step::Sysctl,
                Errno::INVAL | Errno::NOTDIR | Errno::ISDIR | Errno::NOENT,
            ) => ErrorKind::InvalidInput,
            (Step::Namespace, Errno::SRCH) => ErrorKind::WrongState,
            (_, Errno::PERM | Errno::ACCESS) => ErrorKind::Denied,
            (_, Errno::NOSYS | Errno::OPNOTSUPP) => ErrorKind::Unsupported,
            _ => ErrorKind::Unavailable,
        }
    }

    /// Returns what the reader could do about it, when that is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match (self.step, self.errno) {
            (Step::IdMap, Errno::NOSYS) => {
                "id-mapped mounts need Linux 5.12; `--userns host` does without them"
            }
            (Step::IdMap, Errno::INVAL) => {
                "this file system cannot be id-mapped; use `noidmap` for the volume, or `--userns host`"
            }
            (Step::Clone, Errno::PERM | Errno::NOSPC) => {
                "user namespaces may be turned off or used up here; `hull doctor` says"
            }
            (Step::Overlay, Errno::PERM) => {
                "a mount of overlay can be forbidden, by a security module or where Hull runs in a container itself; `hull doctor` tries it"
            }
            (Step::Overlay, Errno::INVAL) => {
                "overlay takes id-mapped layers since Linux 5.19 (`--userns host` does without them), and no store on another overlay (`--root DIR`); `hull doctor` tries it"
            }
            (Step::Overlay, Errno::NODEV) => "the kernel has no overlay: modprobe overlay",
            (Step::OpenSource, Errno::NOENT) => "the source of a bind mount must exist on the host",
            (Step::SharedMemory, Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {
                "that container has no shared memory (`--ipc none`); `--tmpfs /dev/shm` gives this one its own"
            }
            (Step::FindUser, Errno::NOENT) => {
                "users are looked up in the image's own /etc/passwd; a number always works"
            }
            (Step::FindGroup, Errno::NOENT) => {
                "groups are looked up in the image's own /etc/group; a number always works"
            }
            (Step::WorkDir, Errno::NOTDIR | Errno::EXIST) => {
                "the working directory, or a part of its path, is a file in the image"
            }
            (Step::WorkDir, Errno::NOENT) => "make it first, or name another with `-w`",
            (Step::Namespace, Errno::INVAL) => {
                "what is named must be a namespace of this kind, such as /proc/PID/ns/net or one made by `ip netns add`"
            }
            (Step::OpenNamespace, _) => {
                "it is a file such as /proc/PID/ns/net, or one made by `ip netns add`"
            }
            (Step::SetIds, Errno::INVAL) => {
                "the container's user namespace has no such id: it has 0 to 65535, or 0 alone where an ordinary user started it"
            }
            (Step::Sysctl, Errno::NOENT) => {
                "this kernel has no such setting for the container's namespaces"
            }
            (Step::Sysctl, Errno::INVAL) => {
                "only settings of the container's own namespaces (net.*, kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*) can be set"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.errno == Errno::NOENT {
            match self.step {
                Step::FindUser => return write!(f, "the container has no user `{}`", self.what),
                Step::FindGroup => return write!(f, "the container has no group `{}`", self.what),
                _ => {}
            }
        }
        match (self.step.text().split_once("{}"), self.what.as_str()) {
            (Some((before, after)), what) => write!(f, "{before}{what}{after}")?,
            (None, _) => f.write_str(self.step.text())?,
        }
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

/// Gives an enum a number for the wire and back.
macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant),* }
        impl $name {
            const ALL: &'static [Self] = &[$(Self::$variant),*];
            pub(crate) fn number(self) -> u8 {
                self as u8
            }
            pub(crate) fn from_number(number: u8) -> Option<Self> {
                Self::ALL.get(usize::from(number)).copied()
            }
        }
    };
}
pub(crate) use numbered;

numbered! {
    /// The parts of a start, in order.
    Stage {
        /// Before anything exists.
        Prepare,
        /// Clone, id maps, joined namespaces, cgroup.
        Isolate,
        /// The root file system and `/dev`.
        Root,
        /// Everything mounted below the root.
        Mounts,
        /// Host name, loopback, sysctls.
        System,
        /// Terminal and standard streams.
        Streams,
        /// User, limits, capabilities, filter.
        Process,
        /// The exec itself.
        Exec,
    }
}

/// Steps with their stage and the sentence said when they fail; `{}` is where `what` goes.
macro_rules! steps {
    ($($variant:ident $stage:ident $text:literal),* $(,)?) => {
        numbered! {
            /// What was being done.
            Step { $(#[doc = $text] $variant),* }
        }
        impl Step {
            /// Returns the part of the start this step belongs to.
            pub fn stage(self) -> Stage {
                match self { $(Self::$variant => Stage::$stage),* }
            }
            fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

steps! {
    Channel Prepare "cannot open the channel to the container's first process",
    Thread Prepare "cannot start a container from a process with several threads",
    Clone Isolate "cannot make the container's first process",
    MapIds Isolate "cannot write the {} of the container's user namespace",
    Namespace Isolate "cannot enter the {} namespace",
    OpenNamespace Isolate "cannot open the namespace `{}`",
    Unshare Isolate "cannot make the {} namespace",
    Cgroup Isolate "cannot join the container's cgroup",
    Proc Isolate "cannot use `{}` as the host's procfs",
    Layer Root "cannot open {}",
    IdMap Root "cannot id-map {}",
    Overlay Root "cannot mount the overlay root",
    OverlayReadOnly Root "the overlay root came up read-only although it should be writable",
    Tmpfs Root "cannot make the private tmpfs",
    Device Root "cannot make the device `{}`",
    File Root "cannot make the file for `{}`",
    HostRoot Root "cannot lay the host's `{}` under the container's root",
    AttachRoot Mounts "cannot attach the root file system",
    OpenSource Mounts "cannot open the mount source `{}`",
    Mount Mounts "cannot mount `{}`",
    SharedMemory Mounts "cannot share the `{}` of the container whose IPC namespace is joined",
    MountPoint Mounts "cannot make the mount point `{}`",
    Mask Mounts "cannot hide `{}`",
    ReadOnlyPath Mounts "cannot make `{}` read-only",
    Pivot Mounts "cannot make the container's root the root",
    Loopback System "cannot bring the loopback interface up",
    Hostname System "cannot set the name `{}`",
    Sysctl System "cannot set the sysctl `{}`",
    Terminal Streams "cannot open a terminal in the container",
    Streams Streams "cannot set up the standard streams",
    WorkDir Process "cannot change to the working directory `{}`",
    FindUser Process "cannot find the user `{}`",
    FindGroup Process "cannot find the group `{}`",
    SetIds Process "cannot become the user {}",
    Rlimit Process "cannot set the limit {}",
    OomScore Process "cannot set the OOM score to {}",
    Capabilities Process "cannot set the capabilities{}",
    NoNewPrivileges Process "cannot set no_new_privs",
    Keyring Process "cannot join a session keyring",
    Personality Process "cannot set the personality",
    Scheduler Process "cannot set the {} priority",
    DeathSignal Process "cannot tie the process to its monitor",
    Signals Process "cannot reset the signals",
    Seccomp Process "cannot load the system call filter",
    Fork Exec "cannot fork",
    Exec Exec "cannot run `{}`",
}

/// Attaches a step and its object to an errno.
pub(crate) trait At<T> {
    fn at(self, step: Step, what: impl AsRef<Path>) -> Result<T, Failure>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, step: Step, what: impl AsRef<Path>) -> Result<T, Failure> {
        self.map_err(|errno| Failure::new(step, what, errno))
    }
}

/// Something that was asked for and could be done only in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Without `CAP_SYS_RESOURCE` a hard limit cannot be raised.
    RlimitClamped { name: String, wanted: u64, got: u64 },
    /// Without `CAP_SYS_RESOURCE` the score cannot be lowered.
    OomScoreClamped { wanted: i32 },
    /// Keyrings are used up (`kernel.keys.maxkeys`): the host's session keyring is not replaced.
    SharedKeyring { errno: Errno },
    /// The container was started without `CAP_SYS_ADMIN`, so its mounts are not locked against it.
    MayNotMount,
    /// Nobody locks the mounts of an ordinary user's container.
    UnlockedMounts,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RlimitClamped { name, wanted, got } => write!(
                f,
                "{name} is {got}, not {wanted}: raising it needs CAP_SYS_RESOURCE, which Hull does not have here"
            ),
            Self::OomScoreClamped { wanted } => write!(
                f,
                "the OOM score stays as it is, not {wanted}: lowering it needs CAP_SYS_RESOURCE, which Hull does not have here"
            ),
            Self::MayNotMount => f.write_str(
                "the command goes without CAP_SYS_ADMIN: the mounts of this container are locked only if it is started with `--cap-add SYS_ADMIN`",
            ),
            Self::UnlockedMounts => f.write_str(
                "with CAP_SYS_ADMIN the app can make writable what is mounted read-only: only root can start a container that cannot",
            ),
            Self::SharedKeyring { errno } => {
                write!(
                    f,
                    "the container keeps the session keyring of its starter: {errno}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for step in Step::ALL {
            assert_eq!(Step::from_number(step.number()), Some(*step));
        }
        for stage in Stage::ALL {
            assert_eq!(Stage::from_number(stage.number()), Some(*stage));
        }
        assert_eq!(Step::from_number(255), None);
    }

    #[test]
    fn failures_read_as_sentences() {
        let failure = Failure::new(Step::Mount, "/proc", Errno::PERM).detail("proc: hidden");
        assert_eq!(failure.to_string(), "cannot mount `/proc` (proc: hidden)");
        assert_eq!(failure.kind(), ErrorKind::Denied);
        assert_eq!(
            StartError::from(Failure::new(Step::WorkDir, "/etc/passwd", Errno::NOTDIR)).exit_code(),
            125
        );
    }
}
