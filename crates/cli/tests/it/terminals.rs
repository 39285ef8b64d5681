//! Callers with terminals. These need root and make containers of `@host`, in a store of their own.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

/// A store that is emptied and removed at the end.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        Some(Self(tempfile::tempdir().unwrap()))
    }

    fn hull(&self, words: &[&str]) -> Command {
        let mut hull = Command::new(env!("CARGO_BIN_EXE_hull"));
        hull.args(words).env("HULL_ROOT", self.0.path());
        hull
    }

    fn says(&self, words: &[&str]) -> String {
        let output = self.hull(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Starts a program on a terminal of its own.
    fn on_terminal(&self, words: &[&str]) -> (Child, File) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize {
            ws_row: 33,
            ws_col: 101,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        let terminal: OwnedFd = ioctl_tiocgptpeer(&master, flags).unwrap();
        let stream = || Stdio::from(terminal.try_clone().unwrap());
        let child = self
            .hull(words)
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .unwrap();
        (child, File::from(master))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for name in self.says(&["ps", "-aq"]).lines() {
            self.says(&["rm", "-f", name]);
        }
        self.says(&["gc"]);
    }
}

/// Reads until the text has been seen.
fn until(terminal: &mut File, text: &str) -> String {
    let mut seen = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let count = terminal.read(&mut bytes).unwrap_or(0);
        seen.extend_from_slice(&bytes[..count]);
        let all = String::from_utf8_lossy(&seen).into_owned();
        if all.contains(text) || count == 0 {
            return all;
        }
    }
}

fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const RUN: [&str; 8] = [
    "run",
    "--network",
    "none",
    "--name",
    "t",
    "-it",
    "@host",
    "sh",
];

#[test]
fn root_a_terminal_has_the_callers_size_and_the_apps_code() {
    let Some(home) = Home::new() else { return };
    let (mut hull, mut terminal) = home.on_terminal(&RUN);
    terminal.write_all(b"stty size; exit 7\n").unwrap();
    let seen = until(&mut terminal, "33 101");
    assert!(seen.contains("33 101"), "{seen}");
    assert_eq!(hull.wait().unwrap().code(), Some(7));
}

#[test]
fn root_a_client_may_leave_be_killed_and_come_back() {
    let Some(home) = Home::new() else { return };
    let (mut hull, mut terminal) = home.on_terminal(&RUN);
    terminal.write_all(b"echo he''re\n").unwrap();
    until(&mut terminal, "here");
    terminal.write_all(b"\x10\x11").unwrap();
    assert_eq!(hull.wait().unwrap().code(), Some(0));
    let state = || home.says(&["inspect", "-f", "{{.State.Status}}", "t"]);
    assert_eq!(state(), "running");

    let (mut hull, mut terminal) = home.on_terminal(&["attach", "t"]);
    terminal.write_all(b"echo ag''ain\n").unwrap();
    until(&mut terminal, "again");
    hull.kill().unwrap();
    hull.wait().unwrap();
    assert_eq!(state(), "running");

    let (mut hull, mut terminal) = home.on_terminal(&["attach", "t"]);
    terminal.write_all(b"exit 5\n").unwrap();
    assert_eq!(hull.wait().unwrap().code(), Some(5));
    eventually("the end is written", || state() == "exited");
}

#[test]
fn root_exec_has_its_own_streams_code_and_terminal() {
    let Some(home) = Home::new() else { return };
    home.says(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "t",
        "@host",
        "sleep",
        "100",
    ]);
    let output = home
        .hull(&["exec", "t", "sh", "-c", "echo out; echo err >&2; exit 9"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(9));
    assert_eq!(output.stdout, b"out\n");
    assert!(output.stderr.ends_with(b"err\n"), "{output:?}");
    for (command, code) in [("/nonexistent", 127), ("/etc", 126)] {
        let status = home.hull(&["exec", "t", command]).output().unwrap().status;
        assert_eq!(status.code(), Some(code), "{command}");
    }
    let (mut hull, mut terminal) = home.on_terminal(&["exec", "-it", "t", "sh"]);
    terminal.write_all(b"stty size; exit 3\n").unwrap();
    assert!(until(&mut terminal, "33 101").contains("33 101"));
    assert_eq!(hull.wait().unwrap().code(), Some(3));
}
