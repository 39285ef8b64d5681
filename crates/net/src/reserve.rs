//! Taking the host's ports, so that nobody else does while the pod lives.
//!
//! Translation happens before a packet finds a socket, so a published port needs none. Yet without one, another program could
//! bind the port, succeed, and never be reached; and two pods could publish the same port. So each published port is bound,
//! and the descriptor kept open by whoever lives as long as the pod (the monitor): the kernel refuses everyone else, tells us
//! when the port is in use, and frees it when the monitor dies, however it dies.
//!
//! A TCP socket also *listens*, though nobody ever accepts: most servers set `SO_REUSEADDR`, which shares a port with sockets
//! that are merely bound, and we set it too, because a server that has just ended leaves connections in TIME_WAIT that would
//! refuse us the port for a minute. It also lets `ss -ltnp` name the monitor. (If someone flushes our table, connections hang
//! instead of being refused.)

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::error::NetError;
use crate::ports::{PortMap, Protocol};

/// The sockets that keep a pod's published ports. Whoever holds them as long as the pod lives keeps the ports its own.
#[derive(Debug, Default)]
pub struct Reservations(
    #[expect(
        dead_code,
        reason = "they are held, and nothing else is done with them"
    )]
    Vec<OwnedFd>,
);

impl Reservations {
    /// Takes every port asked for and returns the maps with the ports that were taken.
    ///
    /// `owner` is asked who has a port that is in use.
    pub(crate) fn take(
        wanted: &[PortMap],
        owner: impl Fn(&PortMap) -> Option<hull_types::PodId>,
    ) -> Result<(Self, Vec<PortMap>), NetError> {
        let mut sockets = Vec::with_capacity(wanted.len());
        let mut taken = Vec::with_capacity(wanted.len());
        for map in wanted {
            let (socket, port) = reserve(map).map_err(|failure| explain(failure, map, &owner))?;
            sockets.push(socket);
            taken.push(PortMap {
                host_port: port,
                host_port_last: None,
                ..map.clone()
            });
        }
        Ok((Self(sockets), taken))
    }
}

/// A port that could not be taken.
#[derive(Clone, Copy, Debug)]
struct Failure {
    port: u16,
    errno: Errno,
}

fn explain(
    failure: Failure,
    map: &PortMap,
    owner: impl Fn(&PortMap) -> Option<hull_types::PodId>,
) -> NetError {
    let Failure { port, errno } = failure;
    let (address, protocol) = (map.address(), map.protocol);
    match (errno, map.host_port_last) {
        (Errno::ADDRINUSE, Some(last)) => NetError::NoFreePort {
            address,
            first: map.host_port,
            last,
            protocol,
        },
        (Errno::ADDRINUSE, None) => NetError::PortInUse {
            address,
            port,
            protocol,
            owner: owner(map),
        },
        (Errno::ADDRNOTAVAIL, _) => NetError::NoSuchHostAddress(address),
        (source, _) => NetError::Reserve {
            address,
            port,
            protocol,
            source,
        },
    }
}

/// Takes the port the map asks for, or the first free one of its range.
fn reserve(map: &PortMap) -> Result<(OwnedFd, u16), Failure> {
    let last = map.host_port_last.unwrap_or(map.host_port);
    let mut failure = Failure {
        port: map.host_port,
        errno: Errno::INVAL,
    };
    for port in map.host_port..=last {
        match bind(map.address(), port, map.protocol) {
            Err(errno @ Errno::ADDRINUSE) => failure = Failure { port, errno },
            Err(errno) => return Err(Failure { port, errno }),
            Ok(socket) => return Ok((socket, port)).and_then(with_chosen_port),
        }
    }
    Err(failure)
}

/// Replaces port 0 by the one the kernel chose, out of `net.ipv4.ip_local_port_range` (32768–60999).
fn with_chosen_port((socket, port): (OwnedFd, u16)) -> Result<(OwnedFd, u16), Failure> {
    if port != 0 {
        return Ok((socket, port));
    }
    let chosen = rustix::net::getsockname(&socket).and_then(SocketAddrV4::try_from);
    match chosen {
        Ok(chosen) => Ok((socket, chosen.port())),
        Err(errno) => Err(Failure { port, errno }),
    }
}

fn bind(address: Ipv4Addr, port: u16, protocol: Protocol) -> Result<OwnedFd, Errno> {
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let socket = rustix::net::socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None)?;
    // Port 0 with SO_REUSEADDR may be given a port that somebody else has bound.
    if protocol == Protocol::Tcp && port != 0 {
        rustix::net::sockopt::set_socket_reuseaddr(socket.as_fd(), true)?;
    }
    rustix::net::bind(&socket, &SocketAddrV4::new(address, port))?;
    match protocol {
        Protocol::Tcp => rustix::net::listen(&socket, 0)?,
        // What reaches this socket went past the translation, and nobody will read it.
        Protocol::Udp => rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 1)?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::parse_publish;

    fn take(text: &str) -> Result<(Reservations, Vec<PortMap>), NetError> {
        Reservations::take(&parse_publish(text).unwrap(), |_| None)
    }

    #[test]
    fn a_free_port_is_chosen_and_then_in_use() {
        for protocol in ["tcp", "udp"] {
            let (held, maps) = take(&format!("127.0.0.1::80/{protocol}")).unwrap();
            let port = maps[0].host_port;
            assert!(port >= 1024, "{port}");
            let again = format!("127.0.0.1:{port}:80/{protocol}");
            let error = take(&again).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("port {port}/{protocol} of 127.0.0.1 is in use")
            );
            // Everywhere includes loopback.
            assert!(matches!(
                take(&format!("{port}:80/{protocol}")),
                Err(NetError::PortInUse { .. })
            ));
            drop(held);
            take(&again).unwrap();
        }
    }

    #[test]
    fn a_range_gives_its_first_free_port() {
        let (_held, maps) = take("127.0.0.1::80").unwrap();
        let port = maps[0].host_port;
        if port > 65_533 {
            return;
        }
        let (_next, maps) = take(&format!("127.0.0.1:{port}-{}:80", port + 2)).unwrap();
        assert!(maps[0].host_port > port);
        assert_eq!(maps[0].host_port_last, None);
        let error = take(&format!("127.0.0.1:{port}-{port}:80"));
        assert!(matches!(error, Err(NetError::PortInUse { .. })));
    }

    #[test]
    fn an_address_of_another_host_is_refused_by_name() {
        let error = take("192.0.2.1::80").unwrap_err();
        assert_eq!(
            error.to_string(),
            "this host has no address 192.0.2.1 to publish a port on"
        );
    }
}
