//! A terminal with a command on it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::{Hull, Ran};

/// A command that has a terminal of its own, and the person in front of it.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    child: std::process::Child,
    seen: String,
}

const PATIENCE: Duration = Duration::from_secs(20);

impl Terminal {
    /// Starts a line of shell on a terminal of 24 rows and 80 columns.
    pub fn start(hull: &Hull, line: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("the machine has terminals");
        grantpt(&master).expect("the terminal is new");
        unlockpt(&master).expect("the terminal is new");
        let name = ptsname(&master, Vec::new()).expect("the terminal has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = open(name, flags, Mode::empty()).expect("the terminal can be opened");
        let end = || -> Stdio { slave.try_clone().expect("descriptors are left").into() };
        let child = hull
            .command("setsid")
            .args(["--ctty", "--wait", "bash", "-c", line])
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("util-linux is installed");
        let mut terminal = Self {
            master: File::from(master),
            child,
            seen: String::new(),
        };
        terminal.resize(24, 80);
        terminal
    }

    /// Changes its size, as a window manager does.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.master, size).expect("a terminal has a size");
    }

    /// Types.
    pub fn send(&mut self, text: &str) {
        self.master
            .write_all(text.as_bytes())
            .expect("somebody reads the terminal");
    }

    /// Reads until this text was seen since the last call; returns all that was read.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            assert!(
                Instant::now() < until && self.read(),
                "`{text}` is not on the terminal: {:?}",
                self.seen
            );
        }
    }

    /// Waits for the command's end; its output is the rest of what was shown.
    #[track_caller]
    pub fn wait(mut self) -> Ran {
        let began = Instant::now();
        while self.read() {
            assert!(
                began.elapsed() < PATIENCE,
                "does not end; the terminal shows {:?}",
                self.seen
            );
        }
        let status = self.child.wait().expect("it is our child");
        Ran {
            code: Ran::code_of(status),
            out: std::mem::take(&mut self.seen),
            err: String::new(),
            took: began.elapsed(),
        }
    }

    /// Kills the command (start it with `exec`): whoever has the terminal has no time to say goodbye.
    pub fn kill(mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Reads what is there, waiting a moment; `false` once the command has ended and nothing is left.
    fn read(&mut self) -> bool {
        let ended = self.child.try_wait().is_ok_and(|status| status.is_some());
        let timeout = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 20_000_000,
        };
        let mut polled = [PollFd::new(&self.master, PollFlags::IN)];
        if !poll(&mut polled, Some(&timeout)).is_ok_and(|count| count > 0) {
            return !ended;
        }
        let mut bytes = [0; 4096];
        match self.master.read(&mut bytes) {
            Ok(count) if count > 0 => {
                self.seen
                    .push_str(&String::from_utf8_lossy(&bytes[..count]));
                true
            }
            // EIO: nobody has the terminal open at this moment.
            _ => {
                std::thread::sleep(Duration::from_millis(10));
                !ended
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
