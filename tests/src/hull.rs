//! An installation of Hull that belongs to one test.

use std::io::Read;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::left::{self, Left};
use crate::{Ran, machine};

/// A filter of system calls can say all that such a kernel says.
const OLDER: &str = r#"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define EQUAL(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise)
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)
enum { OPEN_TREE_ATTR = 467, SET_FD = 5 };
int main(int argc, char **argv) {
    struct sock_filter filter[] = {
        LOAD(nr),
        EQUAL(OPEN_TREE_ATTR, 4, 0),
        EQUAL(SYS_fsconfig, 0, 2),
        LOAD(args[1]),
        EQUAL(SET_FD, 2, 0),
        ANSWER(SECCOMP_RET_ALLOW),
        ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
        ANSWER(SECCOMP_RET_ERRNO | EOPNOTSUPP),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 99;
    execvp(argv[1], argv + 1);
    return 98;
}
"#;

/// No command of a test takes longer, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(60);

/// A root directory of its own, a shell, and (as root) a network namespace in which nobody else has interfaces or ports.
///
/// Dropped, it ends and removes every container, and panics if something is left of them.
#[derive(Debug)]
pub struct Hull {
    /// The test's own files; commands start here.
    dir: PathBuf,
    root: PathBuf,
    program: PathBuf,
}

impl Hull {
    /// Makes an installation without an image.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let parent = std::env::var_os("HULL_TEST_DIR").map_or_else(usual_place, PathBuf::from);
        let dir = parent.join(format!("hull-test-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&dir)
            .unwrap_or_else(|error| panic!("cannot make {}: {error}", dir.display()));
        let program = std::env::var_os("HULL_BIN")
            .expect("HULL_BIN names the program under test; `cargo xtask test` sets it");
        let hull = Self {
            root: dir.join("root"),
            program: program.into(),
            dir,
        };
        if machine::is_root() {
            own_network();
        }
        hull
    }

    /// Makes an installation with the image `busybox`, which has a shell and every applet.
    pub fn with_busybox() -> Self {
        let hull = Self::new();
        hull.ok("hull import \"$HULL_ROOTFS\" busybox");
        hull
    }

    /// Makes the program `older`, which runs a command as on a kernel before Linux 6.5: overlayfs takes no descriptors, and
    /// `open_tree_attr` is not there.
    pub fn with_older_kernel(self) -> Self {
        self.write("older.c", OLDER);
        self.ok("gcc -O -o older older.c");
        self
    }

    /// Returns Hull's root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the directory for the test's own files, in which its commands start.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the program under test.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Takes other programs for this installation: those in `dir`.
    pub fn use_programs_in(&mut self, dir: &Path) {
        self.program = dir.join("hull");
    }

    /// Writes a file of the test's.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("the test's own directory is writable");
        }
        let mut file = std::fs::File::create(&path).expect("the test's own directory is writable");
        std::io::Write::write_all(&mut file, content.as_ref()).expect("the disk has room");
        path
    }

    /// Returns a command that works on this installation.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let programs = self.program.parent().unwrap_or(Path::new("/"));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .current_dir(&self.dir)
            .env(
                "PATH",
                format!("{}:{path}:/usr/sbin:/sbin", programs.display()),
            )
            .env("HULL_ROOT", &self.root)
            .env("T", &self.dir)
            .env_remove("HULL_BIN")
            .stdin(Stdio::null());
        command
    }

    /// Runs a line of shell to its end.
    pub fn sh(&self, line: &str) -> Ran {
        let mut command = self.command("bash");
        command.args(["-c", line]);
        run(command, line)
    }

    /// Runs a line of shell that must succeed; returns its output without the last newline.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        let ran = self.sh(line);
        assert!(ran.code == 0, "`{line}` failed: {}", ran.text());
        ran.out.trim_end_matches('\n').to_owned()
    }

    /// Runs lines of `hull run --rm --network none`, and compares what each container printed.
    #[track_caller]
    pub fn prints(&self, lines: &[(&str, &str)]) {
        for (words, expected) in lines {
            let line = format!("hull run --rm --network none {words}");
            assert_eq!(self.ok(&line), *expected, "{line}");
        }
    }

    /// Runs a line of shell that must end with this code; returns what it complained.
    #[track_caller]
    pub fn fails(&self, code: i32, line: &str) -> String {
        let ran = self.sh(line);
        assert!(
            ran.code == code,
            "`{line}` should end with {code}: {}",
            ran.text()
        );
        ran.err
    }

    /// Starts a line of shell that goes on beside the test; give it `exec` where its own process matters.
    pub fn spawn(&self, line: &str) -> Child {
        let mut command = self.command("bash");
        command.args(["-c", line]);
        Child::start(command, line)
    }

    /// Returns the host's process id of a container's init.
    #[track_caller]
    pub fn pid(&self, container: &str) -> i32 {
        let pid = self.ok(&format!(
            "hull inspect --format '{{{{.State.Pid}}}}' {container}"
        ));
        pid.parse().expect("a process id")
    }

    /// Returns a container's state in one word.
    #[track_caller]
    pub fn state(&self, container: &str) -> String {
        self.ok(&format!(
            "hull inspect --format '{{{{.State.Status}}}}' {container}"
        ))
    }

    /// Returns the process that supervises a container: the parent of its init.
    #[track_caller]
    pub fn monitor(&self, container: &str) -> i32 {
        let status = format!("/proc/{}/status", self.pid(container));
        let status = std::fs::read_to_string(status).expect("the container runs");
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        let parent = parent.expect("every process has a parent").trim();
        parent.parse().expect("a process id")
    }

    /// Returns what is there besides images.
    pub fn left(&self) -> Left {
        Left::of(&self.root)
    }

    /// Panics if something is left of pods: in the kernel, or on disk. Waits a moment for what ends by itself.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let left = self.left();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "left: {:#?}", left.0);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn remove_everything(&self) {
        if self.root.exists() {
            self.sh("names=$(ls \"$HULL_ROOT/names\"); [ -z \"$names\" ] || hull rm -f -v $names");
        }
    }
}

impl Default for Hull {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Hull {
    fn drop(&mut self) {
        self.remove_everything();
        let mut left = Left::default();
        for _ in 0..100 {
            left = self.left();
            if left.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        if self.root.exists() {
            self.sh("hull gc");
        }
        left.0.extend(left::remove_parents(&self.root));
        let removed = std::fs::remove_dir_all(&self.dir);
        if !std::thread::panicking() {
            assert!(left.is_empty(), "left at the end: {:#?}", left.0);
            removed.expect("the test's directory can be removed");
        }
    }
}

/// A command that goes on beside the test. Dropped, it is killed with its process group.
#[derive(Debug)]
pub struct Child {
    line: String,
    child: std::process::Child,
    out: Option<std::thread::JoinHandle<String>>,
    err: Option<std::thread::JoinHandle<String>>,
    began: Instant,
}

impl Child {
    fn start(mut command: Command, line: &str) -> Self {
        let mut child = command
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start `{line}`: {error}"));
        let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
        Self {
            line: line.to_owned(),
            child,
            out: Some(out),
            err: Some(err),
            began: Instant::now(),
        }
    }

    /// Returns its process id.
    pub fn id(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids are small")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it is our child");
    }

    /// Tells whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Waits for its end, and for the end of its outputs.
    #[track_caller]
    pub fn wait(self) -> Ran {
        self.wait_within(PATIENCE)
    }

    /// The same for what may take longer than a command of Hull's.
    #[track_caller]
    pub fn wait_within(mut self, patience: Duration) -> Ran {
        let until = Instant::now() + patience;
        let status = loop {
            match self.child.try_wait().expect("it is our child") {
                Some(status) => break status,
                None => self.assert_in_time(until, "does not end"),
            }
        };
        self.conclude(status, until)
    }

    fn conclude(&mut self, status: ExitStatus, until: Instant) -> Ran {
        let took = self.began.elapsed();
        let mut texts = [const { String::new() }; 2];
        for (text, thread) in texts.iter_mut().zip([self.out.take(), self.err.take()]) {
            let thread = thread.expect("it is waited for once");
            // Somebody who stayed behind with an output would keep a shell's `$(…)` waiting forever.
            while !thread.is_finished() {
                self.assert_in_time(until, "has ended, but somebody keeps its output open");
            }
            *text = thread.join().expect("reading does not panic");
        }
        let [out, err] = texts;
        Ran {
            code: Ran::code_of(status),
            out,
            err,
            took,
        }
    }

    fn assert_in_time(&mut self, until: Instant, problem: &str) {
        if Instant::now() > until {
            self.kill();
            panic!("`{}` {problem}", self.line);
        }
        std::thread::sleep(Duration::from_millis(2));
    }

    fn kill(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).ok();
        self.child.wait().ok();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.kill();
        }
    }
}

fn run(command: Command, line: &str) -> Ran {
    Child::start(command, line).wait()
}

fn reader(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    let mut stream = stream.expect("a pipe was asked for");
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn usual_place() -> PathBuf {
    if machine::is_root() {
        // Not /tmp, which may be memory: what is tested are file systems on disks.
        "/var/tmp".into()
    } else {
        std::env::var_os("HOME").map_or_else(|| "/var/tmp".into(), PathBuf::from)
    }
}

/// Moves this thread, and what it will start, into a new network namespace, with loopback up.
fn own_network() {
    let mut holder = Command::new("unshare")
        .args(["--net", "sh", "-c", "ip link set lo up && echo && exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("util-linux and iproute2 are installed");
    let mut newline = [0];
    let mut output = holder.stdout.take().expect("a pipe was asked for");
    output
        .read_exact(&mut newline)
        .expect("root can make a network namespace");
    let namespace =
        std::fs::File::open(format!("/proc/{}/ns/net", holder.id())).expect("the holder is alive");
    let network = rustix::thread::LinkNameSpaceType::Network;
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(network))
        .expect("root can enter a network namespace");
    drop(holder.stdin.take());
    holder.wait().expect("it is our child");
}
