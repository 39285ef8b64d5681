//! The floor program: built from benches/floor/floor.c, and given what Hull would give the kernel.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::ground::Ground;
use super::meter::hierarchies;
use crate::{binaries, run, workspace};

/// The first id of a range that no pod of this machine has (pods' begin at 524288, 65536 apart).
const IDS: &str = "458752";
const SOURCE: &str = "benches/floor/floor.c";

/// The program with all it is told.
#[derive(Debug)]
pub(crate) struct Floor {
    program: PathBuf,
    layer: PathBuf,
    scratch: PathBuf,
    filter: PathBuf,
    /// Name of the hierarchy, directory to make.
    groups: Vec<(String, PathBuf)>,
}

impl Floor {
    /// Builds it, and finds out what Hull uses.
    pub(crate) fn prepare(ground: &Ground, groups: &[Group]) -> Result<Self> {
        let scratch = ground.directory("floor")?;
        let filter = scratch.with_file_name("filter");
        std::fs::write(&filter, default_filter()?)?;
        let groups: Vec<_> = groups
            .iter()
            .map(|group| (group.name.clone(), group.hierarchy.join("hull-floor/one")))
            .collect();
        for (_, group) in &groups {
            std::fs::create_dir_all(group.parent().context("a group has a parent")?)?;
        }
        Ok(Self {
            program: build()?,
            layer: ground.layer()?,
            scratch,
            filter,
            groups,
        })
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(&self.layer)
            .arg(&self.scratch)
            .arg(IDS)
            .arg(&self.filter)
            .arg("/bin/true");
        for (name, group) in &self.groups {
            command.arg(format!("{name}={}", group.display()));
        }
        command
    }

    /// Where it may leave something.
    pub(crate) fn traces(&self) -> Vec<PathBuf> {
        let parents = self
            .groups
            .iter()
            .filter_map(|(_, group)| Some(group.parent()?.to_owned()));
        parents.chain([self.scratch.clone()]).collect()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        for (_, group) in &self.groups {
            std::fs::remove_dir(group).ok();
            std::fs::remove_dir(group.parent().unwrap_or(group)).ok();
        }
    }
}

/// Counts the lines of the program.
pub(crate) fn lines() -> Result<usize> {
    let path = workspace::root().join(SOURCE);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.lines().count())
}

fn build() -> Result<PathBuf> {
    let program = workspace::scratch()?.join("floor");
    let mut gcc = Command::new("gcc");
    gcc.args([
        "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-no-pie", "-o",
    ]);
    run::checked(gcc.arg(&program).arg(workspace::root().join(SOURCE)))?;
    Ok(program)
}

/// Returns the default profile's filter as the kernel takes it: what hull-runtime's build script compiled.
fn default_filter() -> Result<Vec<u8>> {
    let path = binaries::out_dir("hull-runtime")?.join("default_filter.rs");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    instructions(&text).with_context(|| format!("{} is not a list of instructions", path.display()))
}

/// Reads `SockFilter { code: 0x20, jt: 0, jf: 0, k: 0x4 },` lines.
fn instructions(text: &str) -> Result<Vec<u8>> {
    let number = |line: &str, key: &str| -> Result<u32> {
        let value = line.split_once(key).context("a field is missing")?.1;
        let value = value.split([',', ' ', '}']).next().unwrap_or_default();
        let (digits, radix) = value
            .strip_prefix("0x")
            .map_or((value, 10), |digits| (digits, 16));
        u32::from_str_radix(digits, radix).with_context(|| format!("`{value}` is no number"))
    };
    let mut bytes = Vec::new();
    for line in text.lines().filter(|line| line.contains("SockFilter")) {
        bytes.extend(u16::try_from(number(line, "code: ")?)?.to_ne_bytes());
        bytes.push(u8::try_from(number(line, "jt: ")?)?);
        bytes.push(u8::try_from(number(line, "jf: ")?)?);
        bytes.extend(number(line, " k: ")?.to_ne_bytes());
    }
    if bytes.is_empty() {
        bail!("there is no instruction in it");
    }
    Ok(bytes)
}

/// A hierarchy that containers have a group of their own in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its controllers; empty for the unified one.
    pub(crate) name: String,
    pub(crate) hierarchy: PathBuf,
    /// The directory that Hull makes containers' groups in.
    pub(crate) parent: PathBuf,
}

/// Finds those in `/proc/PID/cgroup` of a container: the places below a group of Hull's.
pub(crate) fn groups_of(proc_cgroup: &str, mountinfo: &str) -> Vec<Group> {
    let mounted = hierarchies(mountinfo);
    let group = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (name, path) = (
            parts.next()?,
            Path::new(parts.next()?).strip_prefix("/").ok()?,
        );
        let parent = path
            .parent()
            .filter(|parent| parent.to_string_lossy().starts_with("hull"))?;
        let (_, hierarchy) = mounted.iter().find(|(mounted, _)| mounted == name)?;
        Some(Group {
            name: name.to_owned(),
            hierarchy: hierarchy.clone(),
            parent: hierarchy.join(parent),
        })
    };
    proc_cgroup.lines().filter_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_is_read_from_the_build() {
        let text = "[\n    SockFilter { code: 0x20, jt: 0, jf: 0, k: 0x4 },\n    SockFilter { code: 0x15, jt: 1, jf: 255, k: 0xc000003e },\n]";
        let bytes = instructions(text).unwrap();
        assert_eq!(
            bytes,
            [0x20, 0, 0, 0, 4, 0, 0, 0, 0x15, 0, 1, 255, 0x3e, 0, 0, 0xc0]
        );
        assert!(instructions("[]").is_err());
    }

    #[test]
    fn groups_are_those_below_hulls() {
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            32 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let own = "4:memory:/hull-1-2/x\n2:cpuacct:/hull-bench-1\n0::/hull/x\n";
        let group = |name: &str, hierarchy: &str, parent: &str| Group {
            name: name.to_owned(),
            hierarchy: hierarchy.into(),
            parent: parent.into(),
        };
        assert_eq!(
            groups_of(own, mounts),
            [
                group(
                    "memory",
                    "/sys/fs/cgroup/memory",
                    "/sys/fs/cgroup/memory/hull-1-2"
                ),
                group("", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/hull"),
            ]
        );
    }
}
