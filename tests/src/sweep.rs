//! Killing a program before each of its system calls that changes anything outside it, one call a run.
//!
//! strace stops the process at the kernel's boundary and kills it there, so the program under test is the one people run and no
//! point is forgotten: what lies between two such calls changes nothing that a later command could see.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Hull;

/// System calls by which a process changes the disk, the kernel's state or another process. (What `close` and `exit` change,
/// the death of the process changes as well.)
const CHANGES: &str = "mkdir,mkdirat,rename,renameat,renameat2,symlink,symlinkat,link,linkat,unlink,unlinkat,rmdir,open,openat,\
                       openat2,write,pwrite64,writev,pwritev,truncate,ftruncate,fallocate,copy_file_range,sendfile,sendto,\
                       sendmsg,connect,bind,listen,clone,clone3,fork,vfork,execve,execveat,mount,umount2,move_mount,\
                       mount_setattr,pivot_root,unshare,setns,kill,tgkill,pidfd_send_signal,fcntl,setxattr,\
                       lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr,chown,fchown,lchown,fchownat,chmod,fchmod,\
                       fchmodat,?fchmodat2,utimensat,mknod,mknodat,bpf";

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The command that the story is about.
    Command,
    /// The monitor that it leaves behind, from its first call to its last: its app should end by itself.
    Monitor,
}

/// What is done again and again, in shell.
#[derive(Clone, Copy, Debug)]
pub struct Story<'a> {
    /// What must be there before.
    pub prepare: &'a str,
    /// The command to be killed, or that leaves the monitor behind.
    pub command: &'a str,
    /// What takes away what the command makes besides containers, whether or not it was made.
    pub clean: &'a str,
    pub victim: Victim,
}

/// An installation on which stories are killed; collects what is wrong after each death.
#[derive(Debug)]
pub struct Sweep {
    hull: Hull,
    /// Every file of the installation when it is clean.
    clean: BTreeSet<PathBuf>,
    problems: Vec<String>,
}

impl Sweep {
    /// Makes an installation with the image `busybox`.
    pub fn new() -> Self {
        let mut hull = Hull::with_busybox();
        let programs = hull.dir().join("programs");
        let original = hull.program().to_owned();
        std::fs::create_dir(&programs).expect("the test's own directory is writable");
        for (name, new) in [("hull", "hull"), ("hull-monitor", "monitor")] {
            let (from, to) = (original.with_file_name(name), programs.join(new));
            std::fs::hard_link(&from, &to)
                .or_else(|_| std::fs::copy(&from, &to).map(drop))
                .unwrap_or_else(|error| panic!("no {} beside hull: {error}", from.display()));
        }
        let watched = format!(
            "#!/bin/sh\nread point < {0}/point\n[ \"$point\" ] || exec {1}/monitor\n\
             exec strace -q -o {0}/log $point {1}/monitor\n",
            hull.dir().display(),
            programs.display(),
        );
        let script = hull.write("programs/hull-monitor", watched);
        std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755))
            .expect("the file is ours");
        hull.use_programs_in(&programs);
        Self {
            hull,
            clean: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    /// Returns the installation.
    pub fn hull(&self) -> &Hull {
        &self.hull
    }

    /// Tells a story once to its end, and then with a death at each of its points.
    pub fn over(&mut self, story: Story<'_>) {
        // What is made on first use and kept, such as a network's record, is there from now on.
        self.tell(story, None);
        self.collected(story, "told to its end");
        self.clean = self.files();
        self.problems.clear();
        let calls = self.tell(story, None);
        self.collected(story, "told to its end");
        let points: Vec<Point<'_>> = points(&calls);
        assert!(!points.is_empty(), "{} makes {calls:#?}", story.command);
        let stride = stride();
        for point in points.iter().skip(today() % stride).step_by(stride) {
            self.tell(story, Some(point));
            self.collected(story, &format!("killed before {}", point.call));
        }
    }

    /// Panics if something was wrong after one of the deaths.
    pub fn conclude(self) {
        let count = self.problems.len();
        let some: Vec<&str> = self.problems.iter().take(30).map(String::as_str).collect();
        assert!(count == 0, "{count} problems:\n{}", some.join("\n"));
    }

    /// Tells a story, its victim killed at a point; returns the calls it made.
    fn tell(&mut self, story: Story<'_>, point: Option<&Point<'_>>) -> Vec<String> {
        let hull = &self.hull;
        let log = hull.dir().join("log");
        // The monitors of the preparation are not meant.
        hull.write("point", "\n");
        hull.ok(story.prepare);
        std::fs::remove_file(&log).ok();
        let words = point.map_or_else(|| format!("-e trace={CHANGES}"), Point::words);
        let ran = match story.victim {
            Victim::Command => hull.sh(&format!(
                "exec strace -q -o {} {words} {}",
                log.display(),
                story.command
            )),
            Victim::Monitor => {
                hull.write("point", format!("{words}\n"));
                hull.sh(story.command)
            }
        };
        let ended = || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.lines()
                .last()
                .is_some_and(|line| line.starts_with("+++"))
                .then_some(text)
        };
        let text = within(Duration::from_secs(20), ended)
            .unwrap_or_else(|| panic!("{} never ends: {}", story.command, ran.text()));
        if point.is_none() && (ran.code != 0 || text.contains("killed by")) {
            panic!("{} fails by itself: {}", story.command, ran.text());
        }
        let is_call = |line: &&str| !line.starts_with("---") && !line.starts_with("+++");
        text.lines().filter(is_call).map(str::to_owned).collect()
    }

    /// Collects, and looks: nothing is left but what records name. Then removes those, and nothing at all is left.
    fn collected(&mut self, story: Story<'_>, when: &str) {
        let mut wrong = Vec::new();
        let hull = &self.hull;
        let gc = hull.sh("hull gc");
        if gc.code != 0 {
            wrong.push(format!("gc: {}", gc.text()));
        }
        let listed = hull.sh("hull ps -a --format '{{.Names}} {{.State}}'");
        if listed.code != 0 || !listed.err.is_empty() {
            wrong.push(format!("ps: {}", listed.text()));
        }
        let alive = |line: &str| line.ends_with(" running") || line.ends_with(" paused");
        let lives = listed.out.lines().any(alive);
        let count = listed.out.lines().count();
        if !lives {
            // A monitor that was told to end may take a moment, and what it shares with others is collected after it.
            let left = within(Duration::from_secs(2), || {
                let is_clean = hull.left().0.len() == 2 * count;
                (is_clean || hull.sh("hull gc").code == 0 && hull.left().0.len() == 2 * count)
                    .then_some(())
            });
            if left.is_none() {
                wrong.push(format!(
                    "gc leaves {:#?} of {count} containers",
                    hull.left().0
                ));
            }
        }
        for name in listed.out.lines().filter_map(|line| line.split(' ').next()) {
            let ran = hull.sh(&format!("hull rm -f -v {name}"));
            if ran.code != 0 {
                wrong.push(format!("rm: {}", ran.text()));
            }
        }
        // The groups above those that a container was told to lie in are shared: they are collected, not removed.
        hull.sh(&format!("{}; hull gc", story.clean));
        let gone = within(Duration::from_secs(2), || {
            hull.left().is_empty().then_some(())
        });
        if gone.is_none() {
            wrong.push(format!("rm leaves {:#?}", hull.left().0));
        }
        let more: Vec<PathBuf> = self.files().difference(&self.clean).cloned().collect();
        if !more.is_empty() {
            wrong.push(format!("files too many: {more:?}"));
            self.clean.extend(more);
        }
        let ran = hull.sh("hull run --rm --network none busybox true");
        if ran.code != 0 {
            wrong.push(format!("run: {}", ran.text()));
        }
        let wrong = wrong.into_iter();
        self.problems
            .extend(wrong.map(|wrong| format!("{} {when}: {wrong}", story.command)));
    }

    /// Returns every file of the installation.
    fn files(&self) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        let mut ahead = vec![self.hull.root().to_owned()];
        while let Some(dir) = ahead.pop() {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() && !path.is_symlink() && !is_memory(&path) {
                    ahead.push(path.clone());
                }
                files.insert(path);
            }
        }
        files
    }
}

impl Default for Sweep {
    fn default() -> Self {
        Self::new()
    }
}

/// Asks until there is an answer, or the time is over.
fn within<T>(at_most: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + at_most;
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() > until {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The ledger remembers what it has written, for good.
fn is_memory(path: &Path) -> bool {
    path.ends_with("ledger/noted")
}

/// A call to be killed before.
#[derive(Debug)]
struct Point<'a> {
    /// As strace writes it.
    call: &'a str,
    /// Which of the calls of its name it is, counted from 1: strace counts by name.
    count: usize,
}

impl Point<'_> {
    fn name(&self) -> &str {
        name(self.call)
    }

    /// Returns strace's words for the death.
    fn words(&self) -> String {
        let (name, count) = (self.name(), self.count);
        format!("-e trace={name} -e inject={name}:signal=SIGKILL:when={count}")
    }

    fn changes_something(&self) -> bool {
        match self.name() {
            "open" | "openat" | "openat2" => {
                self.call.contains("O_CREAT") || self.call.contains("O_TRUNC")
            }
            "fcntl" => self.call.contains("F_OFD_SETLK"),
            // Its start is strace's own.
            "execve" => self.count > 1,
            // One that this strace has no name for.
            name => !name.starts_with("syscall_"),
        }
    }
}

fn points(calls: &[String]) -> Vec<Point<'_>> {
    let mut counts = BTreeMap::new();
    let points = calls.iter().map(|call| {
        let count: &mut usize = counts.entry(name(call)).or_default();
        *count += 1;
        Point {
            call,
            count: *count,
        }
    });
    points.filter(Point::changes_something).collect()
}

fn name(call: &str) -> &str {
    call.split('(').next().unwrap_or_default()
}

/// How many points are skipped between two that are tried; `--all` sets none.
fn stride() -> usize {
    let text = std::env::var("HULL_TEST_STRIDE").ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Where a stride begins: every day elsewhere, so that each point has its day.
fn today() -> usize {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    usize::try_from(since.unwrap_or_default().as_secs() / 86_400).unwrap_or(0)
}
