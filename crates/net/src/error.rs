//! What can go wrong with a network, and which sort of failure each one is.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use hull_fs::FsError;
use hull_types::{ErrorKind, PodId};
use rustix::io::Errno;

use crate::network::NetworkName;
use crate::ports::Protocol;

/// Why a network operation failed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("network `{0}` does not exist")]
    NoNetwork(NetworkName),
    #[error(
        "`{0}` is not a network name: it starts with a letter or digit, then letters, digits, `_`, `.` or `-`, at most 64"
    )]
    InvalidName(String),
    #[error("the record {path} is not readable as a network")]
    Record {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error(transparent)]
    Files(#[from] FsError),
    #[error(
        "every range that Hull may use for `{0}` collides with a route or name server of this host"
    )]
    NoFreeSubnet(NetworkName),
    #[error("network `{network}` has no free address left in {subnet}")]
    NoFreeAddress {
        network: NetworkName,
        subnet: crate::Subnet,
    },
    #[error("the interface `{bridge}` exists and is not the bridge of network `{network}`")]
    BridgeTaken {
        bridge: String,
        network: NetworkName,
    },
    #[error("bridge `{0}` is full: the kernel allows 1,023 interfaces on one bridge")]
    BridgeFull(String),
    #[error("port {port}/{protocol} of {address} is in use{}", owner.map(|pod| format!(" by pod {pod}")).unwrap_or_default())]
    PortInUse {
        address: Ipv4Addr,
        port: u16,
        protocol: Protocol,
        owner: Option<PodId>,
    },
    #[error("no port between {first} and {last}/{protocol} of {address} is free")]
    NoFreePort {
        address: Ipv4Addr,
        first: u16,
        last: u16,
        protocol: Protocol,
    },
    #[error("this host has no address {0} to publish a port on")]
    NoSuchHostAddress(Ipv4Addr),
    #[error("cannot reserve port {port}/{protocol} of {address}")]
    Reserve {
        address: Ipv4Addr,
        port: u16,
        protocol: Protocol,
        source: Errno,
    },
    #[error("cannot {action}")]
    Kernel { action: String, source: Errno },
    #[error("the kernel refused Hull's nftables {what}")]
    Firewall { what: &'static str, source: Errno },
    #[error("cannot set {path} to {value}")]
    Sysctl {
        path: String,
        value: &'static str,
        source: Errno,
    },
    #[error("cannot enter the network namespace")]
    Enter { source: Errno },
    #[error("cannot return from the network namespace")]
    Return { source: Errno },
}

impl NetError {
    /// Returns what sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoNetwork(_) => ErrorKind::NotFound,
            Self::InvalidName(_) | Self::NoSuchHostAddress(_) => ErrorKind::InvalidInput,
            Self::PortInUse { .. } | Self::BridgeTaken { .. } => ErrorKind::AlreadyExists,
            Self::NoFreeSubnet(_)
            | Self::NoFreeAddress { .. }
            | Self::NoFreePort { .. }
            | Self::BridgeFull(_) => ErrorKind::Unavailable,
            Self::Record { .. } => ErrorKind::WrongState,
            Self::Files(error) => error.kind(),
            Self::Reserve { source, .. }
            | Self::Kernel { source, .. }
            | Self::Firewall { source, .. }
            | Self::Sysctl { source, .. }
            | Self::Enter { source }
            | Self::Return { source } => kind_of(*source),
        }
    }

    /// Returns what a person can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::PortInUse { port, protocol, .. } => {
                let list = match protocol {
                    Protocol::Tcp => "-ltnp",
                    Protocol::Udp => "-lunp",
                };
                format!(
                    "`ss {list} 'sport = :{port}'` shows who holds it; `-p` with the container's port alone takes a free one"
                )
            }
            Self::BridgeTaken { bridge, .. } => {
                format!(
                    "another Hull root or another program made `{bridge}`; `ip -d link show {bridge}` shows it"
                )
            }
            Self::NoNetwork(_) => {
                "bridge, none, host, container:NAME and ns:PATH are known; networks of your own are not there yet".to_owned()
            }
            Self::NoSuchHostAddress(_) => "`ip -brief address` lists those it has".to_owned(),
            Self::NoFreePort { .. } => "name a wider range, or the container's port alone".to_owned(),
            Self::BridgeFull(_) => "use a second network, or `--network none`".to_owned(),
            Self::NoFreeSubnet(_) => "give the network a subnet of its own".to_owned(),
            Self::Firewall {
                source: Errno::EXIST | Errno::NOENT,
                ..
            } => "a table `ip hull` that Hull did not make? `nft list table ip hull` shows it"
                .to_owned(),
            Self::Firewall {
                source: Errno::OPNOTSUPP | Errno::NOSYS | Errno::PROTONOSUPPORT,
                ..
            } => "this kernel lacks nf_tables; `hull doctor` lists what is missing".to_owned(),
            Self::Reserve {
                source: Errno::ACCESS,
                port,
                ..
            } => {
                format!(
                    "ports below 1024 are for root; `-p {}:…` works",
                    port.saturating_add(8000)
                )
            }
            _ => return None,
        })
    }

    pub(crate) fn kernel(action: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        let action = action.into();
        move |source| Self::Kernel { action, source }
    }
}

fn kind_of(errno: Errno) -> ErrorKind {
    match errno {
        Errno::PERM | Errno::ACCESS => ErrorKind::Denied,
        Errno::NOENT | Errno::NODEV => ErrorKind::NotFound,
        Errno::EXIST => ErrorKind::AlreadyExists,
        Errno::OPNOTSUPP | Errno::NOSYS | Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT => {
            ErrorKind::Unsupported
        }
        Errno::INTR => ErrorKind::Interrupted,
        _ => ErrorKind::Unavailable,
    }
}
