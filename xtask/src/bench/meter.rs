//! CPU time of everything a command starts, until nothing of it is left: a cpuacct cgroup, and patience.
//!
//! ```text
//!   worker thread: join ─▶ spawn ─▶ leave ─▶ wait ─────▶ until nothing is left ─▶ read cpuacct.usage
//!                           └ the command and all it starts are born in the cgroup ┘
//! ```
//! The thread joins by its own hand (`0` into `tasks`), which never waits; what it does while inside is counted to everyone
//! alike (some 50 µs). Wall time ends when the command does; CPU time when nothing of it is left, so deferred work counts.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::{unified, workspace};

/// How long what is left may take to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// One measured command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    /// What was still there when patience ended.
    pub(crate) left: Vec<String>,
}

/// A cgroup to count in, of the v1 cpuacct hierarchy.
#[derive(Debug)]
pub(crate) struct Meter {
    hierarchy: PathBuf,
    name: String,
}

impl Meter {
    /// Makes one for the rest of this process's life; [`remove_all`] takes its cgroup away.
    pub(crate) fn lasting(who: &str) -> Result<&'static Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let counts = |name: &str| name.split(',').any(|one| one == "cpuacct");
        let Some((_, hierarchy)) = hierarchies(&mounts)
            .into_iter()
            .find(|(name, _)| counts(name))
        else {
            bail!("there is no cpuacct hierarchy (cgroup v1) to count CPU time in");
        };
        let meter = Self {
            hierarchy,
            name: format!("{}{who}", prefix()),
        };
        std::fs::create_dir_all(meter.dir())
            .context("cannot make a cgroup to count in (this needs root)")?;
        Ok(Box::leak(Box::new(meter)))
    }

    /// Returns where peers shall make their cgroups, so that what they run is counted too.
    pub(crate) fn parent(&self) -> String {
        format!("/{}", self.name)
    }

    /// Starts a command inside.
    pub(crate) fn spawn(&self, command: &mut Command) -> Result<Child> {
        let (mut inside, mut outside) = (tasks(&self.dir())?, tasks(&self.hierarchy)?);
        inside
            .write_all(b"0")
            .context("cannot join the cgroup to count in")?;
        let child = command.spawn();
        outside
            .write_all(b"0")
            .context("cannot leave the cgroup to count in")?;
        child.with_context(|| format!("cannot start {}", command.get_program().display()))
    }

    fn dir(&self) -> PathBuf {
        self.hierarchy.join(&self.name)
    }

    fn usage(&self) -> Result<Duration> {
        let text = std::fs::read_to_string(self.dir().join("cpuacct.usage"))?;
        Ok(Duration::from_nanos(text.trim().parse()?))
    }

    /// Lists the processes in it and in the cgroups below.
    fn processes(&self) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut next = vec![self.dir()];
        while let Some(dir) = next.pop() {
            let text = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            seen.extend(text.lines().map(|pid| format!("process {pid}")));
            next.extend(directories(&dir));
        }
        seen
    }
}

fn tasks(dir: &Path) -> Result<File> {
    let path = dir.join("tasks");
    OpenOptions::new()
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))
}

fn prefix() -> String {
    format!("hull-bench-{}-", std::process::id())
}

/// Removes this process's meters, and the parents that peers made of the same names in other hierarchies; and those of
/// processes that were killed before they could.
pub(crate) fn remove_all() {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = std::process::id();
    let lives = |pid: u32| pid != own && Path::new("/proc").join(pid.to_string()).exists();
    for (_, hierarchy) in hierarchies(&mounts) {
        for dir in directories(&hierarchy) {
            if maker(&dir).is_some_and(|pid| !lives(pid)) {
                remove_tree(&dir);
            }
        }
    }
}

/// Returns the process that made a meter: `hull-bench-PID-WHO`.
fn maker(dir: &Path) -> Option<u32> {
    let name = dir.file_name()?.to_str()?.strip_prefix("hull-bench-")?;
    name.split('-').next()?.parse().ok()
}

fn remove_tree(dir: &Path) {
    directories(dir).iter().for_each(|dir| remove_tree(dir));
    std::fs::remove_dir(dir).ok();
}

/// What one start may leave, beside processes and mounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traces {
    /// Directories that must be as they were.
    pub(crate) directories: Vec<PathBuf>,
}

impl Traces {
    fn look(&self, meter: &Meter) -> BTreeSet<String> {
        let mut seen = meter.processes();
        for dir in &self.directories {
            seen.extend(
                directories(dir)
                    .into_iter()
                    .map(|path| path.display().to_string()),
            );
        }
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
        seen.extend(
            mounts
                .lines()
                .filter_map(|line| line.split(' ').nth(4))
                .map(|place| format!("mount {place}")),
        );
        seen
    }
}

/// A thread that starts commands, in mounts of its own or in ours.
#[derive(Debug)]
pub(crate) struct Worker {
    jobs: Sender<Job>,
}

#[derive(Debug)]
struct Job {
    meter: &'static Meter,
    command: Command,
    traces: Traces,
    answer: Sender<Result<Sample>>,
}

/// Which mounts a worker sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mounts {
    Ours,
    /// For peers that refuse a hybrid host.
    WithoutUnified,
}

impl Worker {
    pub(crate) fn start(mounts: Mounts) -> Result<Self> {
        let (jobs, work) = channel::<Job>();
        let (ready, is_ready) = channel();
        std::thread::spawn(move || {
            let set_up = match mounts {
                Mounts::Ours => Ok(()),
                Mounts::WithoutUnified => unified::leave(),
            };
            let works = set_up.is_ok();
            if ready.send(set_up).is_ok() && works {
                serve(&work);
            }
        });
        is_ready.recv().context("the worker thread ended")??;
        Ok(Self { jobs })
    }

    /// Runs a command and measures it. It must succeed.
    pub(crate) fn measure(
        &self,
        meter: &'static Meter,
        command: Command,
        traces: &Traces,
    ) -> Result<Sample> {
        let (answer, answered) = channel();
        let job = Job {
            meter,
            command,
            traces: traces.clone(),
            answer,
        };
        self.jobs.send(job).context("the worker thread ended")?;
        answered.recv().context("the worker thread ended")?
    }
}

fn serve(work: &Receiver<Job>) {
    for mut job in work {
        let sample = measure(job.meter, &mut job.command, &job.traces);
        if job.answer.send(sample).is_err() {
            return;
        }
    }
}

fn measure(meter: &Meter, command: &mut Command, traces: &Traces) -> Result<Sample> {
    let said = workspace::scratch()?.join("said");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&said)?);
    let before = traces.look(meter);
    let usage = meter.usage()?;
    let began = Instant::now();
    let status = meter.spawn(command)?.wait()?;
    let wall = began.elapsed();
    let left = wait_until_gone(meter, traces, &before);
    let cpu = meter.usage()?.saturating_sub(usage);
    if !status.success() {
        let said = std::fs::read_to_string(&said).unwrap_or_default();
        bail!("{command:?} ended with {status}: {}", said.trim());
    }
    Ok(Sample { cpu, wall, left })
}

fn wait_until_gone(meter: &Meter, traces: &Traces, before: &BTreeSet<String>) -> Vec<String> {
    let began = Instant::now();
    loop {
        let left: Vec<String> = traces.look(meter).difference(before).cloned().collect();
        if left.is_empty() || began.elapsed() > PATIENCE {
            return left;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Lists the cgroup hierarchies that are mounted: controllers or name (empty for the unified one), place.
pub(crate) fn hierarchies(mountinfo: &str) -> Vec<(String, PathBuf)> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let place = PathBuf::from(before.split(' ').nth(4)?);
            let mut after = after.split(' ');
            match after.next()? {
                "cgroup2" => Some((String::new(), place)),
                "cgroup" => {
                    let options = after.nth(1)?;
                    let own = options.split(',').filter(|word| {
                        !["rw", "ro", "xattr", "noprefix", "clone_children"].contains(word)
                    });
                    Some((own.collect::<Vec<_>>().join(","), place))
                }
                _ => None,
            }
        })
        .collect()
}

/// Lists the directories in a directory; none when it does not exist.
pub(crate) fn directories(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters_name_their_makers() {
        assert_eq!(
            maker(Path::new("/sys/fs/cgroup/cpuacct/hull-bench-17-crun")),
            Some(17)
        );
        assert_eq!(
            maker(Path::new("/sys/fs/cgroup/cpuacct/hull-fe00-2100")),
            None
        );
    }

    #[test]
    fn hierarchies_are_named_by_their_controllers() {
        let text = "\
            34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n\
            42 31 0:39 / /proc rw - proc proc rw\n";
        assert_eq!(
            hierarchies(text),
            [
                (
                    "cpu,cpuacct".to_owned(),
                    "/sys/fs/cgroup/cpu,cpuacct".into()
                ),
                ("name=systemd".to_owned(), "/sys/fs/cgroup/systemd".into()),
                (String::new(), "/sys/fs/cgroup/unified".into()),
            ]
        );
    }
}
