//! The caller's own terminal.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
    },
};

/// While this lives, the terminal passes every key on as it is; then it is as before.
#[derive(Debug)]
pub struct RawMode {
    terminal: OwnedFd,
    before: Termios,
    ahead: Vec<u8>,
}

impl RawMode {
    /// Takes the terminal into raw mode.
    pub fn enter(terminal: impl AsFd) -> Result<Self, Errno> {
        let terminal = rustix::io::fcntl_dupfd_cloexec(terminal, 3)?;
        let before = tcgetattr(&terminal)?;
        let ahead = typed_ahead(&terminal, &before);
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        Ok(Self {
            terminal,
            before,
            ahead,
        })
    }

    /// Takes what was typed before.
    pub fn take_ahead(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ahead)
    }
}

/// Reads the lines that were typed already, and the end of input if that was (`script` types one when its own input ends).
///
/// While lines are made the kernel keeps such an end as a zero byte with a mark beside it; without lines the mark counts
/// for nothing, and the zero byte would be read.
fn typed_ahead(terminal: &OwnedFd, modes: &Termios) -> Vec<u8> {
    let mut ahead = Vec::new();
    if !modes.local_modes.contains(LocalModes::ICANON) {
        return ahead;
    }
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    loop {
        let mut polled = [PollFd::new(terminal, PollFlags::IN)];
        if poll(&mut polled, Some(&now)) != Ok(1) || polled[0].revents() != PollFlags::IN {
            return ahead;
        }
        // No line is longer than 4 KiB.
        let mut line = [0; 4 << 10];
        let Ok(length) = rustix::io::read(terminal, &mut line[..]) else {
            return ahead;
        };
        ahead.extend_from_slice(&line[..length]);
        if !line[..length].ends_with(b"\n") {
            ahead.push(modes.special_codes[SpecialCodeIndex::VEOF]);
            return ahead;
        }
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // When the terminal is gone there is nothing to restore.
        let _ = tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// Returns the terminal's rows and columns.
pub fn size(terminal: impl AsFd) -> Result<(u16, u16), Errno> {
    let size = tcgetwinsize(terminal)?;
    Ok((size.ws_row, size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::LocalModes;

    #[test]
    fn the_terminal_is_as_before_afterwards() {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let terminal = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        let echoes = || {
            tcgetattr(&terminal)
                .unwrap()
                .local_modes
                .contains(LocalModes::ECHO)
        };
        assert!(echoes());
        let raw = RawMode::enter(&terminal).unwrap();
        assert!(!echoes());
        drop(raw);
        assert!(echoes());
        assert!(RawMode::enter(std::fs::File::open("/dev/null").unwrap()).is_err());
        assert_eq!(size(&terminal).unwrap(), (0, 0));
    }

    #[test]
    fn what_was_typed_before_is_kept_and_an_end_stays_an_end() {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let terminal = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        for (typed, ahead, later) in [
            ("", "", ""),
            ("\x04", "\x04", ""),
            ("one\rtwo\rthr", "one\ntwo\n", "thr"),
            ("one\rtwo\x04", "one\ntwo\x04", ""),
        ] {
            rustix::io::write(&master, typed.as_bytes()).unwrap();
            // What is typed takes a moment through the kernel.
            let patience = Timespec {
                tv_sec: if ahead.is_empty() { 0 } else { 10 },
                tv_nsec: 0,
            };
            poll(
                &mut [PollFd::new(&terminal, PollFlags::IN)],
                Some(&patience),
            )
            .unwrap();
            let mut raw = RawMode::enter(&terminal).unwrap();
            assert_eq!(raw.take_ahead(), ahead.as_bytes(), "{typed:?}");
            rustix::io::write(&master, b"!").unwrap();
            // The two may come in two pieces.
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"!") {
                let mut some = [0; 64];
                let length = rustix::io::read(&terminal, &mut some).unwrap();
                bytes.extend_from_slice(&some[..length]);
            }
            assert_eq!(bytes, format!("{later}!").as_bytes(), "{typed:?}");
        }
    }
}
