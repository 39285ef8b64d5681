//! What `-p` means, in all of docker's spellings. Pure.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A transport protocol whose ports can be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
}

/// One port of a pod that is reached through a port of the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortMap {
    /// The host's address to listen on; `None` is every IPv4 address of the host, loopback included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<Ipv4Addr>,
    /// The host's port; 0 asks for a free one. In an [`Attachment`](crate::Attachment) it is the port that was taken.
    pub host_port: u16,
    /// When set, any free port from `host_port` to this one will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port_last: Option<u16>,
    pub container_port: u16,
    pub protocol: Protocol,
}

/// A port on which a container says it listens: `80/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExposedPort {
    pub port: u16,
    pub protocol: Protocol,
}

/// Why a text publishes no port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPort {
    #[error("`{0}` is not a port")]
    Port(String),
    #[error("`{0}` is not an IPv4 address to publish on")]
    Address(String),
    #[error("`{text}` lacks the port")]
    AddressWithoutPort {
        text: String,
        address: Ipv4Addr,
        port: String,
    },
    #[error("publishing on the IPv6 address {0} is not supported yet")]
    Ipv6(Ipv6Addr),
    #[error("{0} ports are not supported yet")]
    ProtocolNotYet(String),
    #[error("`{0}` is not a protocol")]
    Protocol(String),
    #[error("`{text}` maps {host} host ports to {container} ports")]
    Lengths {
        text: String,
        host: usize,
        container: usize,
    },
    #[error("`{0}` is not a published port")]
    Shape(String),
}

impl InvalidPort {
    /// Returns what to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Port(_) => "a port is a number from 1 to 65535, or a range such as 8000-8010".to_owned(),
            Self::Address(_) => "write an address of this host, such as 127.0.0.1".to_owned(),
            Self::AddressWithoutPort { address, port, .. } => {
                format!("write {address}::{port} (any free port) or {address}:PORT:{port}")
            }
            Self::Ipv6(_) => "publish on an IPv4 address, such as 127.0.0.1".to_owned(),
            Self::ProtocolNotYet(_) | Self::Protocol(_) => "ports are tcp or udp".to_owned(),
            Self::Lengths { .. } => {
                "write as many on both sides, or one port of the container and a range of the host's to choose from".to_owned()
            }
            Self::Shape(_) => "write [[ADDRESS:]PORT:]PORT[/PROTOCOL], such as 8080:80 or 127.0.0.1:8080:80/udp".to_owned(),
        }
    }
}

impl PortMap {
    /// Returns the host's address to listen on, `0.0.0.0` for all.
    pub fn address(&self) -> Ipv4Addr {
        self.host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED)
    }
}

/// Reads one value of `-p`, which may stand for many ports: `8080:80`, `127.0.0.1:8080:80/udp`, `80`, `8000-8010:80-90`.
pub fn parse_publish(text: &str) -> Result<Vec<PortMap>, InvalidPort> {
    let (ports, protocol) = match text.split_once('/') {
        Some((ports, protocol)) => (ports, protocol.parse()?),
        None => (text, Protocol::Tcp),
    };
    let (host_ip, host, container) = split(text, ports)?;
    let container = range(container)?;
    let host = match host {
        // docker reads `0:80` and `:80` as "any free port".
        None | Some("" | "0") => None,
        Some(host) => Some(range(host)?),
    };
    let map = |host_port, host_port_last, container_port| PortMap {
        host_ip,
        host_port,
        host_port_last,
        container_port,
        protocol,
    };
    match host {
        None => Ok(container.map(|port| map(0, None, port)).collect()),
        Some(host) if host.len() == container.len() => Ok(host
            .zip(container)
            .map(|(host, container)| map(host, None, container))
            .collect()),
        Some(host) if container.len() == 1 => Ok(vec![map(
            *host.start(),
            Some(*host.end()),
            *container.start(),
        )]),
        Some(host) => Err(InvalidPort::Lengths {
            text: text.to_owned(),
            host: host.len(),
            container: container.len(),
        }),
    }
}

/// Reads one value of `--expose`, or one port that an image names: `80`, `80/udp`, `80-90`.
pub fn parse_expose(text: &str) -> Result<Vec<ExposedPort>, InvalidPort> {
    let (ports, protocol) = match text.split_once('/') {
        Some((ports, protocol)) => (ports, protocol.parse()?),
        None => (text, Protocol::Tcp),
    };
    let exposed = |port| ExposedPort { port, protocol };
    Ok(range(ports)?.map(exposed).collect())
}

/// Takes `address:host:container` apart; address and host ports may be missing.
fn split<'a>(
    text: &str,
    ports: &'a str,
) -> Result<(Option<Ipv4Addr>, Option<&'a str>, &'a str), InvalidPort> {
    let shape = || InvalidPort::Shape(text.to_owned());
    if let Some(rest) = ports.strip_prefix('[') {
        let (address, _) = rest.split_once(']').ok_or_else(shape)?;
        let address = address
            .parse()
            .map_err(|_| InvalidPort::Address(address.to_owned()))?;
        return Err(InvalidPort::Ipv6(address));
    }
    match *ports.split(':').collect::<Vec<_>>() {
        [container] => Ok((None, None, container)),
        [host, container] => match host.parse() {
            Ok(address) => Err(InvalidPort::AddressWithoutPort {
                text: text.to_owned(),
                address,
                port: container.to_owned(),
            }),
            Err(_) => Ok((None, Some(host), container)),
        },
        [address, host, container] => {
            let address: Ipv4Addr = address
                .parse()
                .map_err(|_| InvalidPort::Address(address.to_owned()))?;
            let address = Some(address).filter(|address| !address.is_unspecified());
            Ok((address, Some(host), container))
        }
        _ => match ports
            .rsplitn(3, ':')
            .nth(2)
            .and_then(|address| address.parse().ok())
        {
            Some(address) => Err(InvalidPort::Ipv6(address)),
            None => Err(shape()),
        },
    }
}

/// Reads `80` or `80-90`.
fn range(text: &str) -> Result<RangeInclusive<u16>, InvalidPort> {
    let invalid = || InvalidPort::Port(text.to_owned());
    let port = |text: &str| match text.parse() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(invalid()),
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    if first > last {
        return Err(invalid());
    }
    Ok(first..=last)
}

impl Protocol {
    /// Returns the number in the IP header.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl FromStr for Protocol {
    type Err = InvalidPort;
    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Err(InvalidPort::ProtocolNotYet(text.to_owned())),
            _ => Err(InvalidPort::Protocol(text.to_owned())),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl From<ExposedPort> for PortMap {
    /// Publishes it on any free port of any address.
    fn from(exposed: ExposedPort) -> Self {
        Self {
            host_ip: None,
            host_port: 0,
            host_port_last: None,
            container_port: exposed.port,
            protocol: exposed.protocol,
        }
    }
}

impl fmt::Display for ExposedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)
    }
}

impl fmt::Display for PortMap {
    /// Prints the way `-p` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = self.host_ip {
            write!(f, "{address}:")?;
        }
        match (self.host_port, self.host_port_last) {
            (first, Some(last)) => write!(f, "{first}-{last}:")?,
            (0, None) if self.host_ip.is_none() => {}
            (0, None) => f.write_str(":")?,
            (port, None) => write!(f, "{port}:")?,
        }
        write!(f, "{}/{}", self.container_port, self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Result<Vec<String>, InvalidPort> {
        Ok(parse_publish(text)?
            .iter()
            .map(PortMap::to_string)
            .collect())
    }

    #[test]
    fn docker_spellings_are_read() {
        let rows: &[(&str, &[&str])] = &[
            ("80", &["80/tcp"]),
            ("80/udp", &["80/udp"]),
            ("80/TCP", &["80/tcp"]),
            ("8080:80", &["8080:80/tcp"]),
            ("0:80", &["80/tcp"]),
            (":80", &["80/tcp"]),
            ("127.0.0.1:8080:80/udp", &["127.0.0.1:8080:80/udp"]),
            ("127.0.0.1::80", &["127.0.0.1::80/tcp"]),
            ("127.0.0.7:0:80", &["127.0.0.7::80/tcp"]),
            ("0.0.0.0:8080:80", &["8080:80/tcp"]),
            ("80-82", &["80/tcp", "81/tcp", "82/tcp"]),
            (
                "8000-8002:80-82",
                &["8000:80/tcp", "8001:81/tcp", "8002:82/tcp"],
            ),
            ("8000-8010:80", &["8000-8010:80/tcp"]),
            (
                "10.0.0.1:53-54:53-54/udp",
                &["10.0.0.1:53:53/udp", "10.0.0.1:54:54/udp"],
            ),
            ("65535:65535", &["65535:65535/tcp"]),
        ];
        for (text, expected) in rows {
            assert_eq!(
                shown(text).as_deref(),
                Ok(&expected.map_to_owned()[..]),
                "{text}"
            );
        }
    }

    trait MapToOwned {
        fn map_to_owned(&self) -> Vec<String>;
    }
    impl MapToOwned for &[&str] {
        fn map_to_owned(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn other_spellings_are_refused_by_what_is_wrong() {
        let owned = str::to_owned;
        let rows = [
            ("", InvalidPort::Port(owned(""))),
            ("0", InvalidPort::Port(owned("0"))),
            ("x", InvalidPort::Port(owned("x"))),
            ("+80", InvalidPort::Port(owned("+80"))),
            ("65536", InvalidPort::Port(owned("65536"))),
            ("90-80", InvalidPort::Port(owned("90-80"))),
            ("80:0", InvalidPort::Port(owned("0"))),
            ("a:80", InvalidPort::Port(owned("a"))),
            ("80/sctp", InvalidPort::ProtocolNotYet(owned("sctp"))),
            ("80/icmp", InvalidPort::Protocol(owned("icmp"))),
            ("80/", InvalidPort::Protocol(owned(""))),
            ("localhost:80:80", InvalidPort::Address(owned("localhost"))),
            ("[::1]:8080:80", InvalidPort::Ipv6(Ipv6Addr::LOCALHOST)),
            ("::1:8080:80", InvalidPort::Ipv6(Ipv6Addr::LOCALHOST)),
            ("[::1:8080:80", InvalidPort::Shape(owned("[::1:8080:80"))),
            ("a:b:c:d", InvalidPort::Shape(owned("a:b:c:d"))),
            (
                "127.0.0.1:80",
                InvalidPort::AddressWithoutPort {
                    text: owned("127.0.0.1:80"),
                    address: Ipv4Addr::LOCALHOST,
                    port: owned("80"),
                },
            ),
            (
                "8000-8001:80-82",
                InvalidPort::Lengths {
                    text: owned("8000-8001:80-82"),
                    host: 2,
                    container: 3,
                },
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_publish(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn exposed_ports_are_ports_of_the_container_alone() {
        let shown = |text: &str| -> Result<Vec<String>, InvalidPort> {
            Ok(parse_expose(text)?
                .iter()
                .map(ExposedPort::to_string)
                .collect())
        };
        for (text, expected) in [
            ("80", vec!["80/tcp"]),
            ("53/UDP", vec!["53/udp"]),
            ("90-91/udp", vec!["90/udp", "91/udp"]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(shown(text), Ok(expected), "{text}");
        }
        for bad in ["", "foo", "0", "8080:80", "127.0.0.1:80", "80/foo", "2-1"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(
            ip in proptest::option::of(1u32..),
            host: u16,
            span in proptest::option::of(1u16..9),
            container in 1u16..,
            udp: bool,
        ) {
            let last = span.and_then(|span| host.checked_add(span)).filter(|_| host > 0);
            let map = PortMap {
                host_ip: ip.map(Ipv4Addr::from),
                host_port: host,
                host_port_last: last,
                container_port: container,
                protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
            };
            prop_assert_eq!(parse_publish(&map.to_string()), Ok(vec![map]));
        }

        #[test]
        fn any_text_is_ports_or_an_error(text in "[-0-9.:/a-z\\[\\]]{0,24}") {
            drop(parse_publish(&text));
        }
    }
}
