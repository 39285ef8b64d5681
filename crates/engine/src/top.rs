//! The processes of a container, as `/proc` shows them: no program of the host's or the image's is asked.

use std::{collections::HashMap, path::Path, time::Duration};

use hull_types::Timestamp;
use rustix::fs::{Mode, OFlags};
use serde::Serialize;

use crate::{Engine, EngineError, Listed, stop::not_running};

/// One process, in the words of docker's columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its user as the container sees it: a name of the container's, or a number.
    #[serde(rename = "UID")]
    pub user: String,
    #[serde(rename = "PID")]
    pub pid: i32,
    #[serde(rename = "PPID")]
    pub parent: i32,
    /// Its number inside.
    #[serde(rename = "NSPID")]
    pub inside: i32,
    /// The part of one processor that it had, in percent of the time since it began.
    #[serde(rename = "C")]
    pub cpu: u64,
    #[serde(rename = "STIME")]
    pub started: String,
    #[serde(rename = "TTY")]
    pub terminal: String,
    #[serde(rename = "TIME")]
    pub time: String,
    #[serde(rename = "STAT")]
    pub state: String,
    /// KiB.
    #[serde(rename = "RSS")]
    pub resident: u64,
    /// KiB.
    #[serde(rename = "VSZ")]
    pub size: u64,
    #[serde(rename = "NLWP")]
    pub threads: u64,
    #[serde(rename = "COMM")]
    pub name: String,
    #[serde(rename = "CMD")]
    pub command: String,
}

/// A passwd that is longer is no passwd.
const PASSWD: u64 = 1 << 20;

impl Engine {
    /// Returns the processes of a container that runs, by number.
    pub fn top(&self, listed: &Listed) -> Result<Vec<Process>, EngineError> {
        let Some(run) = listed.status.alive() else {
            return Err(not_running(listed));
        };
        let mut pids: Vec<i32> = match self.group(run)? {
            Some(group) => group
                .processes()?
                .into_iter()
                .map(|pid| pid.as_raw_pid())
                .collect(),
            None => same_namespace(run.pid),
        };
        pids.sort_unstable();
        let users = users(run.pid);
        let clock = Clock::read();
        // One that ends meanwhile is not listed.
        Ok(pids
            .into_iter()
            .filter_map(|pid| process(pid, &users, &clock))
            .collect())
    }
}

/// What times in `/proc` count from, and in.
#[derive(Clone, Copy, Debug)]
struct Clock {
    now: Timestamp,
    /// Since the boot.
    up: Duration,
    ticks: u64,
}

impl Clock {
    fn read() -> Self {
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Self {
            now: Timestamp::now(),
            up: Duration::from_secs(u64::try_from(up.tv_sec).unwrap_or(0)),
            ticks: rustix::param::clock_ticks_per_second().max(1),
        }
    }
}

/// Without a cgroup: those in the pid namespace of the first process.
fn same_namespace(init: i32) -> Vec<i32> {
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid_for_children")).ok();
    let Some(wanted) = namespace(init) else {
        return Vec::new();
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| namespace(*pid).as_ref() == Some(&wanted))
        .collect()
}

/// Reads the container's users, by number inside.
fn users(init: i32) -> HashMap<u32, String> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(format!("/proc/{init}/root"), flags, Mode::empty());
    let text = root.ok().and_then(|root| {
        // The file is the container's: nothing in its path leads outside.
        let root = hull_fs::Root::new(root);
        root.read_to_string_capped(Path::new("/etc/passwd"), PASSWD)
            .ok()
    });
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number = fields.nth(1)?.parse().ok()?;
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic());
        plain.then(|| (number, name.to_owned()))
    };
    let text = text.unwrap_or_default();
    // The first of several names counts.
    text.lines().rev().filter_map(user).collect()
}

fn process(pid: i32, users: &HashMap<u32, String>, clock: &Clock) -> Option<Process> {
    let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).ok();
    let text = |file: &str| Some(String::from_utf8_lossy(&read(file)?).into_owned());
    let mut process = parse(&text("stat")?, &text("status")?, clock)?;
    let map = text("uid_map").unwrap_or_default();
    let outside: u32 = process.user.parse().ok()?;
    process.user = match inside(&map, outside) {
        Some(uid) => users.get(&uid).cloned().unwrap_or_else(|| uid.to_string()),
        None => outside.to_string(),
    };
    let command = read("cmdline")?;
    let words: Vec<String> = command
        .split(|byte| *byte == 0)
        .map(|word| printable(&String::from_utf8_lossy(word)))
        .collect();
    let command = words.join(" ").trim_end().to_owned();
    process.command = match command.is_empty() {
        true => format!("[{}]", process.name),
        false => command,
    };
    Some(process)
}

/// A container's words must not steer the reader's terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Reads `stat` (proc_pid_stat(5)) and `status`; the user is the number that this process sees.
fn parse(stat: &str, status: &str, clock: &Clock) -> Option<Process> {
    // The name may have blanks and brackets in it.
    let (head, rest) = stat.rsplit_once(')')?;
    let (pid, name) = head.split_once(" (")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Fields are numbered from 1 in the manual; the third, the state, is the first here.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let line = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(
            line.split_ascii_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    };
    let pid = pid.parse().ok()?;
    let used = (number(14)? + number(15)?) / clock.ticks;
    let age = clock.up.as_secs().saturating_sub(number(22)? / clock.ticks);
    Some(Process {
        user: line("Uid:")?.first()?.clone(),
        pid,
        parent: fields.get(1)?.parse().ok()?,
        inside: line("NSpid:")
            .and_then(|pids| pids.last()?.parse().ok())
            .unwrap_or(pid),
        cpu: (used * 100).checked_div(age).unwrap_or(0),
        started: started(clock.now, Duration::from_secs(age)),
        terminal: terminal(number(7).unwrap_or(0)),
        time: format!("{:02}:{:02}:{:02}", used / 3600, used / 60 % 60, used % 60),
        state: (*fields.first()?).to_owned(),
        resident: line("VmRSS:")
            .and_then(|words| words.first()?.parse().ok())
            .unwrap_or(0),
        size: number(23).unwrap_or(0) / 1024,
        threads: number(20).unwrap_or(1),
        name: printable(name),
        command: String::new(),
    })
}

/// Writes when a process began: the time, or the day where that was not today.
fn started(now: Timestamp, age: Duration) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let text = now.minus(age).to_string();
    if age < Duration::from_secs(86_400) {
        return text[11..16].to_owned();
    }
    let month = text[5..7].parse::<usize>().unwrap_or(1);
    let month = MONTHS.get(month.saturating_sub(1)).unwrap_or(&"?");
    format!("{month}{}", &text[8..10])
}

/// Names the controlling terminal by its number: minor in bits 0–7 and 20–31, major in 8–15.
fn terminal(number: u64) -> String {
    let (major, minor) = (number >> 8 & 0xff, number & 0xff | number >> 12 & 0xfff00);
    match major {
        0 => "?".to_owned(),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 => format!("tty{minor}"),
        _ => format!("{major}:{minor}"),
    }
}

/// Finds what an id is called inside, in the text of an id map.
fn inside(map: &str, outside: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().map(str::parse::<u32>);
        let (inside, first, count) = (
            fields.next()?.ok()?,
            fields.next()?.ok()?,
            fields.next()?.ok()?,
        );
        let step = outside.checked_sub(first)?;
        (step < count).then(|| inside.saturating_add(step))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_read() {
        let clock = Clock {
            now: "2026-01-31T09:30:00Z".parse().unwrap(),
            up: Duration::from_secs(1000),
            ticks: 100,
        };
        let stat = "4711 (a (b) c) S 4700 4711 4711 34816 4711 0 0 0 0 0 3000 3000 0 0 20 0 3 0 40000 2048000 250 0\n";
        let status =
            "Name:\ta (b) c\nUid:\t524288\t0\t0\t0\nNSpid:\t4711\t1\nVmRSS:\t    1000 kB\n";
        let expected = Process {
            user: "524288".into(),
            pid: 4711,
            parent: 4700,
            inside: 1,
            cpu: 10,
            started: "09:20".into(),
            terminal: "pts/0".into(),
            time: "00:01:00".into(),
            state: "S".into(),
            resident: 1000,
            size: 2000,
            threads: 3,
            name: "a (b) c".into(),
            command: String::new(),
        };
        assert_eq!(parse(stat, status, &clock).unwrap(), expected);
        assert_eq!(parse("", status, &clock), None);
    }

    #[test]
    fn ids_are_found_in_maps() {
        let map = "         0     524288      65536\n     70000       1000          1\n";
        for (outside, expected) in [
            (524_288, Some(0)),
            (525_288, Some(1000)),
            (1000, Some(70_000)),
            (7, None),
        ] {
            assert_eq!(inside(map, outside), expected);
        }
    }

    #[test]
    fn days_are_told_where_it_was_not_today() {
        let now: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
        assert_eq!(started(now, Duration::from_secs(60)), "09:29");
        assert_eq!(started(now, Duration::from_secs(2 * 86_400)), "Jan29");
    }
}
