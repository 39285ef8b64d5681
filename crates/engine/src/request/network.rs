use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use hull_net::{ExposedPort, NetworkName, PortMap};
use serde::{Deserialize, Serialize};

use super::{
    ContainerText, InvalidRequest,
    namespace::{Joined, joined},
    serde_through_text,
};

/// How the container reaches others, and they it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub mode: NetworkMode,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    /// Ports of the host that lead to ports of the container.
    pub ports: Vec<PortMap>,
    /// Also publish what the image exposes, on any free ports.
    pub publish_all: bool,
    /// Ports named for others to read, in addition to the image's.
    pub expose: Vec<ExposedPort>,
    pub dns: Vec<IpAddr>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    pub hosts: Vec<HostEntry>,
}

impl Network {
    /// Reads docker's `-p`, which may stand for many ports.
    pub fn publish(&mut self, text: &str) -> Result<(), InvalidRequest> {
        let ports = hull_net::parse_publish(text).map_err(InvalidRequest::Port)?;
        self.ports.extend(ports);
        Ok(())
    }

    /// Reads docker's `--expose`, which may stand for many ports.
    pub fn expose(&mut self, text: &str) -> Result<(), InvalidRequest> {
        let ports = hull_net::parse_expose(text).map_err(InvalidRequest::Port)?;
        self.expose.extend(ports);
        Ok(())
    }

    /// Says whether any port is to be published.
    pub fn publishes(&self) -> bool {
        self.publish_all || !self.ports.is_empty()
    }
}

/// Where the container's interfaces come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// What Hull chooses: the default bridge, or none for `@host` and for callers who may make no bridge.
    #[default]
    Default,
    /// Loopback only.
    None,
    Host,
    /// The default network.
    Bridge,
    Named(NetworkName),
    Container(ContainerText),
    /// `ns:PATH`.
    Path(PathBuf),
}

impl FromStr for NetworkMode {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        match (text, joined(text)) {
            ("none", _) => Ok(Self::None),
            ("host", _) => Ok(Self::Host),
            ("default", _) => Ok(Self::Default),
            ("bridge", _) => Ok(Self::Bridge),
            (_, Some(Ok(Joined::Container(name)))) => Ok(Self::Container(name)),
            (_, Some(Ok(Joined::Path(path)))) => Ok(Self::Path(path)),
            (_, Some(Err(error))) => Err(error),
            (_, None) => match text.parse() {
                Ok(name) => Ok(Self::Named(name)),
                Err(_) => Err(InvalidRequest::Malformed {
                    what: "a network",
                    word: text.to_owned(),
                    example: "none, host, bridge, container:NAME or ns:PATH",
                }),
            },
        }
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::None => f.write_str("none"),
            Self::Host => f.write_str("host"),
            Self::Bridge => f.write_str("bridge"),
            Self::Named(name) => name.fmt(f),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Path(path) => write!(f, "ns:{}", path.display()),
        }
    }
}

/// A line for `/etc/hosts`: docker's `NAME:ADDRESS` or `NAME=ADDRESS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    pub name: String,
    pub address: HostAddress,
}

/// An address, or the host's own as the container sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostAddress {
    Ip(IpAddr),
    Gateway,
}

impl FromStr for HostEntry {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let malformed = || InvalidRequest::Malformed {
            what: "a host and its address",
            word: text.to_owned(),
            example: "NAME:ADDRESS, such as db:10.0.0.7 or docker:host-gateway",
        };
        let (name, address) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .ok_or_else(malformed)?;
        let bare = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let address = match bare.unwrap_or(address) {
            "host-gateway" => HostAddress::Gateway,
            address => HostAddress::Ip(address.parse().map_err(|_| malformed())?),
        };
        let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if name.is_empty() || !name.bytes().all(good) {
            return Err(malformed());
        }
        Ok(Self {
            name: name.to_owned(),
            address,
        })
    }
}

impl fmt::Display for HostEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            HostAddress::Ip(address) => write!(f, "{}:{address}", self.name),
            HostAddress::Gateway => write!(f, "{}:host-gateway", self.name),
        }
    }
}

serde_through_text!(NetworkMode, HostEntry);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_round_trip() {
        for text in [
            "default",
            "none",
            "host",
            "bridge",
            "back_end",
            "container:web",
            "ns:/run/netns/x",
        ] {
            assert_eq!(text.parse::<NetworkMode>().unwrap().to_string(), text);
        }
        for bad in ["", "container:", "ns:x", "a b", "name=x,alias=y", "-x"] {
            assert!(bad.parse::<NetworkMode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_are_read_as_docker_writes_them() {
        for (text, printed) in [
            ("db:10.0.0.7", "db:10.0.0.7"),
            ("db=10.0.0.7", "db:10.0.0.7"),
            ("db:::1", "db:::1"),
            ("db:[::1]", "db:::1"),
            ("docker:host-gateway", "docker:host-gateway"),
        ] {
            assert_eq!(text.parse::<HostEntry>().unwrap().to_string(), printed);
        }
        for bad in ["", "db", "db:", ":10.0.0.7", "db:10.0.0", "d b:10.0.0.7"] {
            assert!(bad.parse::<HostEntry>().is_err(), "{bad}");
        }
    }
}
