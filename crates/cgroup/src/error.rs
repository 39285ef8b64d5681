//! What goes wrong with cgroups.

use std::path::PathBuf;

use hull_types::ErrorKind;
use rustix::io::Errno;

use crate::{Controller, InvalidGroupPath, InvalidLimit};

/// Why a group could not be made, limited, watched or removed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("this machine has no cgroup hierarchy mounted")]
    NoHierarchy,
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: Errno },
    #[error("cannot create the cgroup {path}")]
    Create { path: PathBuf, source: Errno },
    #[error("the cgroup {path} exists and is in use")]
    InUse { path: PathBuf },
    #[error("there is no cgroup `{0}`")]
    NotFound(String),
    #[error("cannot open {path}")]
    Open { path: PathBuf, source: Errno },
    #[error("cannot set {path} to `{value}`")]
    Write {
        path: PathBuf,
        value: String,
        source: Errno,
    },
    #[error("the kernel has no `{file}`: its controller `{}` is not there", .controller.v2_name())]
    NoController {
        controller: Controller,
        file: String,
    },
    #[error(
        "cannot give the controllers `{controllers}` to the groups below {path}, because it has processes of its own"
    )]
    HasProcesses { path: PathBuf, controllers: String },
    #[error("cannot give the controllers `{controllers}` to the groups below {path}")]
    Enable {
        path: PathBuf,
        controllers: String,
        source: Errno,
    },
    #[error("{path} has more memory in use than the new limit of {limit} bytes")]
    MemoryInUse { path: PathBuf, limit: u64 },
    #[error("the device rules of a running container cannot be changed")]
    DevicesFixed,
    #[error("cannot load the device program for {path}")]
    DeviceProgram { path: PathBuf, source: Errno },
    #[error("some processes in {path} did not freeze within {seconds} s")]
    FreezeTimeout { path: PathBuf, seconds: u64 },
    #[error("cannot signal process {pid} in {path}")]
    Signal {
        pid: i32,
        path: PathBuf,
        source: Errno,
    },
    #[error("cannot remove the cgroup {path}")]
    Remove { path: PathBuf, source: Errno },
    #[error("`{text}` in {path} is not what the kernel documents")]
    Unreadable { path: PathBuf, text: String },
    #[error(transparent)]
    Limit(#[from] InvalidLimit),
    #[error(transparent)]
    Path(#[from] InvalidGroupPath),
}

impl CgroupError {
    /// Returns the class of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoHierarchy | Self::NoController { .. } | Self::DevicesFixed => {
                ErrorKind::Unsupported
            }
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::InUse { .. } => ErrorKind::AlreadyExists,
            Self::Limit(_) | Self::Path(_) => ErrorKind::InvalidInput,
            Self::MemoryInUse { .. } | Self::HasProcesses { .. } | Self::FreezeTimeout { .. } => {
                ErrorKind::WrongState
            }
            Self::Unreadable { .. } => ErrorKind::Bug,
            Self::Write { source, .. } => match *source {
                // Every one of them is the kernel refusing the value.
                Errno::INVAL | Errno::RANGE | Errno::NODEV | Errno::NXIO => ErrorKind::InvalidInput,
                Errno::BUSY => ErrorKind::WrongState,
                errno => of_errno(errno),
            },
            Self::Read { source, .. }
            | Self::Create { source, .. }
            | Self::Open { source, .. }
            | Self::Enable { source, .. }
            | Self::DeviceProgram { source, .. }
            | Self::Signal { source, .. }
            | Self::Remove { source, .. } => of_errno(*source),
        }
    }

    /// Returns what the person can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Create {
                source: Errno::ACCESS | Errno::PERM,
                ..
            } => {
                "an ordinary user needs a delegated cgroup: `systemd-run --user --scope -p Delegate=yes hull …`"
            }
            Self::Create {
                source: Errno::ROFS,
                ..
            } => {
                "inside a container, /sys/fs/cgroup must be writable (docker: `--privileged`, podman: `--cgroupns private -v /sys/fs/cgroup:/sys/fs/cgroup:rw`)"
            }
            Self::Write {
                path,
                source: Errno::INVAL | Errno::RANGE,
                ..
            } if path.ends_with("cpuset.cpus") => {
                "`cat /sys/devices/system/cpu/online` shows the processors there are"
            }
            Self::Write {
                path,
                source: Errno::INVAL | Errno::RANGE,
                ..
            } if path.ends_with("cpuset.mems") => {
                "`cat /sys/devices/system/node/online` shows the memory nodes there are"
            }
            Self::HasProcesses { .. } => {
                "cgroup v2 allows limits only below groups without processes: move those processes into a group of their own first"
            }
            Self::NoController { .. } => "`hull doctor` lists the controllers this kernel offers",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

fn of_errno(errno: Errno) -> ErrorKind {
    match errno {
        Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::Denied,
        Errno::NOENT => ErrorKind::NotFound,
        Errno::NOSYS | Errno::OPNOTSUPP => ErrorKind::Unsupported,
        Errno::BUSY => ErrorKind::WrongState,
        Errno::INTR => ErrorKind::Interrupted,
        _ => ErrorKind::Unavailable,
    }
}
