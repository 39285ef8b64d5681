//! What a group uses and used.

use crate::group::GroupDir;
use crate::place::Place;
use crate::{CgroupError, Controller, Group, files};

/// One look at a group. Parts are `None` where no joined hierarchy can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub cpu: Option<CpuStats>,
    pub memory: Option<MemoryStats>,
    /// Tasks: threads count.
    pub pids: Option<u64>,
    pub pids_limit: Option<u64>,
    /// Empty where the io controller is not joined (v1 without an io limit).
    pub io: Vec<IoStats>,
}

/// Processor time in microseconds, since the group was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuStats {
    pub used: u64,
    pub user: u64,
    pub system: u64,
    /// Periods in which a quota was in force, and in how many it was used up.
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled: u64,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    pub used: u64,
    pub limit: Option<u64>,
    pub peak: Option<u64>,
    pub anonymous: u64,
    /// Page cache.
    pub file: u64,
    /// The part of the page cache that goes first; tools show `used` without it.
    pub inactive_file: u64,
    pub swap: u64,
    pub oom_kills: u64,
}

/// One block device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoStats {
    pub major: u32,
    pub minor: u32,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub read_operations: u64,
    pub write_operations: u64,
}

/// v1 writes "no limit" as the largest multiple of a page below 2⁶³.
const V1_UNLIMITED: u64 = 0x7fff_ffff_ffff_0000;

impl Group {
    /// Reads what the group uses.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        Ok(Stats {
            cpu: self.cpu_stats()?,
            memory: self.memory_stats()?,
            pids: self.task_count()?,
            pids_limit: match self.dir_of(Controller::Pids) {
                Some(dir) => dir.read_number("pids.max")?,
                None => None,
            },
            io: self.io_stats()?,
        })
    }

    /// Returns how many processes the kernel killed for want of memory. On v1 those in groups that the container itself made below are not counted.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let Some(dir) = self.dir_of(Controller::Memory) else {
            return Ok(0);
        };
        let file = if dir.place == Place::Unified {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        let text = dir.read_if_there(file)?.unwrap_or_default();
        Ok(files::value_of(&text, "oom_kill").unwrap_or(0))
    }

    fn cpu_stats(&self) -> Result<Option<CpuStats>, CgroupError> {
        let mut stats = match (self.unified(), self.dir_of(Controller::Cpuacct)) {
            // Every v2 group accounts time, with or without the controller.
            (Some(dir), _) => v2_cpu(&dir.read("cpu.stat")?),
            (None, Some(dir)) => CpuStats {
                used: dir.read_number("cpuacct.usage")?.unwrap_or(0) / 1000,
                // Nanoseconds as well; `cpuacct.stat` would count in ticks.
                user: dir.read_number("cpuacct.usage_user")?.unwrap_or(0) / 1000,
                system: dir.read_number("cpuacct.usage_sys")?.unwrap_or(0) / 1000,
                ..CpuStats::default()
            },
            (None, None) => return Ok(None),
        };
        if let Some(dir) = self
            .dir_of(Controller::Cpu)
            .filter(|dir| dir.place != Place::Unified)
        {
            let text = dir.read("cpu.stat")?;
            let value = |key| files::value_of(&text, key).unwrap_or(0);
            stats.periods = value("nr_periods");
            stats.throttled_periods = value("nr_throttled");
            stats.throttled = value("throttled_time") / 1000;
        }
        Ok(Some(stats))
    }

    fn memory_stats(&self) -> Result<Option<MemoryStats>, CgroupError> {
        let Some(dir) = self.dir_of(Controller::Memory) else {
            return Ok(None);
        };
        let stats = if dir.place == Place::Unified {
            v2_memory(dir)?
        } else {
            Some(v1_memory(dir)?)
        };
        let oom_kills = self.oom_kills()?;
        Ok(stats.map(|stats| MemoryStats { oom_kills, ..stats }))
    }

    fn task_count(&self) -> Result<Option<u64>, CgroupError> {
        if let Some(dir) = self.dir_of(Controller::Pids)
            && let Some(count) = dir.read_number("pids.current")?
        {
            return Ok(Some(count));
        }
        // Without the controller, those of the group itself are counted one by one.
        let (dir, file) = match (self.unified(), self.dirs.first()) {
            (Some(dir), _) => (dir, "cgroup.threads"),
            (None, Some(dir)) => (dir, "tasks"),
            (None, None) => return Ok(None),
        };
        Ok(dir
            .read_if_there(file)?
            .map(|text| text.lines().count() as u64))
    }

    fn io_stats(&self) -> Result<Vec<IoStats>, CgroupError> {
        let Some(dir) = self.dir_of(Controller::Io) else {
            return Ok(Vec::new());
        };
        if dir.place == Place::Unified {
            return Ok(v2_io(&dir.read_if_there("io.stat")?.unwrap_or_default()));
        }
        let read = |file| Ok::<_, CgroupError>(dir.read_if_there(file)?.unwrap_or_default());
        Ok(v1_io(
            &read("blkio.throttle.io_service_bytes_recursive")?,
            &read("blkio.throttle.io_serviced_recursive")?,
        ))
    }
}

fn v2_cpu(text: &str) -> CpuStats {
    let value = |key| files::value_of(text, key).unwrap_or(0);
    CpuStats {
        used: value("usage_usec"),
        user: value("user_usec"),
        system: value("system_usec"),
        periods: value("nr_periods"),
        throttled_periods: value("nr_throttled"),
        throttled: value("throttled_usec"),
    }
}

fn v1_memory(dir: &GroupDir) -> Result<MemoryStats, CgroupError> {
    let text = dir.read("memory.stat")?;
    let value = |key| files::value_of(&text, key).unwrap_or(0);
    Ok(MemoryStats {
        used: dir.read_number("memory.usage_in_bytes")?.unwrap_or(0),
        limit: dir
            .read_number("memory.limit_in_bytes")?
            .filter(|limit| *limit < V1_UNLIMITED),
        peak: dir.read_number("memory.max_usage_in_bytes")?,
        anonymous: value("total_rss"),
        file: value("total_cache"),
        inactive_file: value("total_inactive_file"),
        swap: value("total_swap"),
        oom_kills: 0,
    })
}

/// `None` when the controller was not given to this group.
fn v2_memory(dir: &GroupDir) -> Result<Option<MemoryStats>, CgroupError> {
    let Some(used) = dir.read_number("memory.current")? else {
        return Ok(None);
    };
    let text = dir.read("memory.stat")?;
    let value = |key| files::value_of(&text, key).unwrap_or(0);
    Ok(Some(MemoryStats {
        used,
        limit: dir.read_number("memory.max")?,
        peak: dir.read_number("memory.peak")?,
        anonymous: value("anon"),
        file: value("file"),
        inactive_file: value("inactive_file"),
        swap: dir.read_number("memory.swap.current")?.unwrap_or(0),
        oom_kills: 0,
    }))
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`
fn v2_io(text: &str) -> Vec<IoStats> {
    let read = |line: &str| {
        let mut words = line.split(' ');
        let (major, minor) = words.next()?.split_once(':')?;
        let mut stats = IoStats {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            ..IoStats::default()
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let Ok(value) = value.parse() else { continue };
            match key {
                "rbytes" => stats.read_bytes = value,
                "wbytes" => stats.write_bytes = value,
                "rios" => stats.read_operations = value,
                "wios" => stats.write_operations = value,
                _ => {}
            }
        }
        Some(stats)
    };
    text.lines().filter_map(read).collect()
}

/// `8:0 Read 4096`, in one file bytes and in the other operations.
fn v1_io(bytes: &str, operations: &str) -> Vec<IoStats> {
    let mut all: Vec<IoStats> = Vec::new();
    for (text, counts_bytes) in [(bytes, true), (operations, false)] {
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(device), Some(what), Some(value)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let numbers = device
                .split_once(':')
                .and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
            let (Some((major, minor)), Ok(value)) = (numbers, value.parse()) else {
                continue;
            };
            let at = all
                .iter()
                .position(|one| (one.major, one.minor) == (major, minor));
            let at = at.unwrap_or_else(|| {
                all.push(IoStats {
                    major,
                    minor,
                    ..IoStats::default()
                });
                all.len() - 1
            });
            match (what, counts_bytes) {
                ("Read", true) => all[at].read_bytes = value,
                ("Write", true) => all[at].write_bytes = value,
                ("Read", false) => all[at].read_operations = value,
                ("Write", false) => all[at].write_operations = value,
                _ => {}
            }
        }
    }
    all
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;
