use std::path::PathBuf;

use hull_types::ErrorKind;
use rustix::io::Errno;

/// Why a container could not be started or looked after.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    #[error(transparent)]
    Start(#[from] hull_runtime::StartError),
    #[error(transparent)]
    State(#[from] hull_state::StateError),
    #[error("cannot prepare the container's cgroup")]
    Cgroup(#[from] hull_cgroup::CgroupError),
    #[error("cannot connect the container to its network")]
    Network(#[from] hull_net::NetError),
    #[error("cannot compile the seccomp profile")]
    Seccomp(#[from] hull_runtime::seccomp::SeccompError),
    #[error("cannot {what} {}", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        source: Errno,
    },
    #[error("cannot {what}")]
    System { what: &'static str, source: Errno },
    #[error("the order to the monitor cannot be read")]
    Order { source: serde_json::Error },
    #[error("the container whose namespaces were to be joined has ended")]
    JoinedGone { source: Errno },
}

impl MonitorError {
    /// Returns what sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Start(error) => error.kind(),
            Self::State(error) => error.kind(),
            Self::Cgroup(error) => error.kind(),
            Self::Network(error) => error.kind(),
            Self::Seccomp(_) => ErrorKind::InvalidInput,
            Self::File { .. } | Self::System { .. } => ErrorKind::Unavailable,
            Self::Order { .. } => ErrorKind::Bug,
            Self::JoinedGone { .. } => ErrorKind::WrongState,
        }
    }

    /// Returns what the reader could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Start(error) => error.hint(),
            Self::State(error) => error.hint(),
            Self::Cgroup(error) => error.hint(),
            Self::Network(error) => error.hint(),
            Self::JoinedGone { .. } => Some("start it again, then this one".to_owned()),
            Self::Order { .. } => Some(
                "`hull` and the `hull-monitor` beside it must be of one version: install both again"
                    .to_owned(),
            ),
            Self::Seccomp(_) | Self::File { .. } | Self::System { .. } => None,
        }
    }
}
