//! How a client talks to a monitor: packets on a `SOCK_SEQPACKET` socket, first byte the kind.
//!
//! ```text
//! client ▶ monitor   'i' bytes for standard input    'e' standard input ended    'w' rows cols (u16, network order)
//! monitor ▶ client   'o' bytes of standard output    'r' bytes of standard error    'x' exit code (u8): the last packet
//! ```
//!
//! A client that goes away, or takes nothing for ten seconds, is dropped: it can never stop the container. A terminal's output is
//! standard output. The socket is `<run>/pods/<pod>/attach`, in a directory of mode 0700.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen,
        recv, socket_with,
    },
};

/// The most payload in one packet.
pub const PACKET: usize = 16 << 10;

/// A packet from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromClient {
    Input(Vec<u8>),
    InputEnded,
    Resize { rows: u16, columns: u16 },
}

/// A packet from the monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromMonitor {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Exited(u8),
}

impl FromClient {
    /// Reads a packet; one that makes no sense is `None`.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        Some(match packet {
            [b'i', bytes @ ..] => Self::Input(bytes.to_vec()),
            [b'e'] => Self::InputEnded,
            [b'w', r1, r2, c1, c2] => Self::Resize {
                rows: u16::from_be_bytes([*r1, *r2]),
                columns: u16::from_be_bytes([*c1, *c2]),
            },
            _ => return None,
        })
    }

    /// Writes the packet.
    pub fn to_packet(&self) -> Vec<u8> {
        match self {
            Self::Input(bytes) => [b"i", &bytes[..]].concat(),
            Self::InputEnded => b"e".to_vec(),
            Self::Resize { rows, columns } => {
                [&b"w"[..], &rows.to_be_bytes(), &columns.to_be_bytes()].concat()
            }
        }
    }
}

impl FromMonitor {
    /// Reads a packet; one that makes no sense is `None`.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        Some(match packet {
            [b'o', bytes @ ..] => Self::Stdout(bytes.to_vec()),
            [b'r', bytes @ ..] => Self::Stderr(bytes.to_vec()),
            [b'x', code] => Self::Exited(*code),
            _ => return None,
        })
    }

    /// Writes the packet.
    pub fn to_packet(&self) -> Vec<u8> {
        match self {
            Self::Stdout(bytes) => [b"o", &bytes[..]].concat(),
            Self::Stderr(bytes) => [b"r", &bytes[..]].concat(),
            Self::Exited(code) => vec![b'x', *code],
        }
    }
}

/// Receives one packet; `Ok(None)`: the other side is gone.
pub fn receive(socket: impl AsFd) -> Result<Option<Vec<u8>>, Errno> {
    let mut packet = vec![0; PACKET + 1];
    loop {
        match recv(&socket, &mut packet[..], RecvFlags::empty()) {
            Ok((0, _)) => return Ok(None),
            Ok((count, _)) => {
                packet.truncate(count);
                return Ok(Some(packet));
            }
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Listens on `attach` in a directory.
pub(crate) fn listen_in(directory: &OwnedFd) -> Result<OwnedFd, Errno> {
    let socket = socket()?;
    bind(&socket, &SocketAddrUnix::new(through(directory))?)?;
    listen(&socket, 16)?;
    Ok(socket)
}

/// Connects to the `attach` of a pod's directory in the run directory.
pub fn connect_in(directory: &OwnedFd) -> Result<OwnedFd, Errno> {
    let socket = socket()?;
    connect(&socket, &SocketAddrUnix::new(through(directory))?)?;
    Ok(socket)
}

fn socket() -> Result<OwnedFd, Errno> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    socket_with(family, kind, SocketFlags::CLOEXEC, None)
}

/// An address has room for 108 bytes, a path may be longer: through the directory's descriptor it is always short.
fn through(directory: &OwnedFd) -> String {
    format!("/proc/self/fd/{}/attach", directory.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_round_trip_and_nonsense_is_refused() {
        for packet in [
            FromClient::Input(b"ls\n".to_vec()),
            FromClient::InputEnded,
            FromClient::Resize {
                rows: 24,
                columns: 300,
            },
        ] {
            assert_eq!(FromClient::parse(&packet.to_packet()), Some(packet));
        }
        for packet in [
            FromMonitor::Stdout(vec![0, 1]),
            FromMonitor::Stderr(Vec::new()),
            FromMonitor::Exited(137),
        ] {
            assert_eq!(FromMonitor::parse(&packet.to_packet()), Some(packet));
        }
        for bad in [&b""[..], b"?", b"w", b"w\0\0\0", b"e!"] {
            assert_eq!(FromClient::parse(bad), None);
        }
        assert_eq!(FromMonitor::parse(b"x"), None);
    }
}
