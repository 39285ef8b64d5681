//! The two things a caller can be attached to. Neither is ever waited for: the relay polls.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_monitor::attach::{FromClient, FromMonitor, PACKET};
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
    termios::{Winsize, tcsetwinsize},
};

/// What came from the far end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Nothing,
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Exited(u8),
    Gone,
}

/// The far end of a relay.
pub(crate) trait Far {
    /// Returns what to poll.
    fn descriptor(&self) -> BorrowedFd<'_>;
    /// Returns what becomes readable when it has ended, if that is not the descriptor itself.
    fn ended(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// Gives it some of what was typed; returns how many bytes it took.
    fn give(&mut self, typed: &[u8]) -> Result<usize, Errno>;
    /// Tells it that nothing more will be typed. `false`: it cannot be told now.
    fn end_input(&mut self) -> Result<bool, Errno>;
    /// Tells it the size of the caller's terminal.
    fn resize(&mut self, size: (u16, u16));
    /// Takes what it has.
    fn take(&mut self) -> Result<Event, Errno>;
}

/// A container's monitor.
#[derive(Debug)]
pub(crate) struct Monitor {
    socket: OwnedFd,
}

impl Monitor {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    fn send(&self, packet: &FromClient) -> Result<bool, Errno> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match send(&self.socket, &packet.to_packet(), flags) {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Far for Monitor {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn give(&mut self, typed: &[u8]) -> Result<usize, Errno> {
        // The kind takes one byte of the packet.
        let piece = &typed[..typed.len().min(PACKET - 1)];
        let taken = self.send(&FromClient::Input(piece.to_vec()))?;
        Ok(if taken { piece.len() } else { 0 })
    }

    fn end_input(&mut self) -> Result<bool, Errno> {
        self.send(&FromClient::InputEnded)
    }

    fn resize(&mut self, (rows, columns): (u16, u16)) {
        // One that is lost is followed by the next.
        self.send(&FromClient::Resize { rows, columns }).ok();
    }

    fn take(&mut self) -> Result<Event, Errno> {
        // Output comes in packets as large as the monitor's reads.
        let mut packet = vec![0; (64 << 10) + 1];
        match recv(&self.socket, &mut packet[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) | Err(Errno::CONNRESET) => Ok(Event::Gone),
            Ok((count, _)) => Ok(match FromMonitor::parse(&packet[..count]) {
                Some(FromMonitor::Stdout(bytes)) => Event::Stdout(bytes),
                Some(FromMonitor::Stderr(bytes)) => Event::Stderr(bytes),
                Some(FromMonitor::Exited(code)) => Event::Exited(code),
                None => Event::Nothing,
            }),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Event::Nothing),
            Err(error) => Err(error),
        }
    }
}

/// The terminal of a process whose parent the caller is.
#[derive(Debug)]
pub(crate) struct Pty<'a> {
    master: OwnedFd,
    process: BorrowedFd<'a>,
}

impl<'a> Pty<'a> {
    pub(crate) fn new(master: OwnedFd, process: BorrowedFd<'a>) -> Result<Self, Errno> {
        let flags = fcntl_getfl(&master)?;
        fcntl_setfl(&master, flags | OFlags::NONBLOCK)?;
        Ok(Self { master, process })
    }

    /// Returns the terminal.
    pub(crate) fn into_master(self) -> OwnedFd {
        self.master
    }
}

impl Far for Pty<'_> {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    fn ended(&self) -> Option<BorrowedFd<'_>> {
        Some(self.process)
    }

    fn give(&mut self, typed: &[u8]) -> Result<usize, Errno> {
        match rustix::io::write(&self.master, typed) {
            Ok(count) => Ok(count),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn end_input(&mut self) -> Result<bool, Errno> {
        // A terminal has no end: its line discipline's character says it, and somebody has to type that.
        Ok(true)
    }

    fn resize(&mut self, (rows, columns): (u16, u16)) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // A terminal that is gone needs no size.
        tcsetwinsize(&self.master, size).ok();
    }

    fn take(&mut self) -> Result<Event, Errno> {
        let mut bytes = vec![0; 64 << 10];
        match rustix::io::read(&self.master, &mut bytes[..]) {
            // EIO: its last user is gone.
            Ok(0) | Err(Errno::IO) => Ok(Event::Gone),
            Ok(count) => {
                bytes.truncate(count);
                Ok(Event::Stdout(bytes))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Event::Nothing),
            Err(error) => Err(error),
        }
    }
}
