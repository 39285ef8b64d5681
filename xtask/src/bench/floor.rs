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
    pub(crate) fn prepare(ground: &Ground, groups: &[(String, PathBuf)]) -> Result<Self> {
        let scratch = ground.directory("floor")?;
        let filter = scratch.with_file_name("filter");
        std::fs::write(&filter, default_filter()?)?;
        let groups: Vec<_> = groups
            .iter()
            .map(|(name, place)| (name.clone(), place.join("hull-floor").join("one")))
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

/// Finds the hierarchies a container has a group of its own in: the places in `/proc/PID/cgroup` below `/hull/`.
pub(crate) fn groups_of(proc_cgroup: &str, mountinfo: &str) -> Vec<(String, PathBuf)> {
    let mounted = hierarchies(mountinfo);
    proc_cgroup
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (name, path) = (parts.next()?, Path::new(parts.next()?));
            path.starts_with("/hull").then_some(name)
        })
        .filter_map(|name| mounted.iter().find(|(mounted, _)| mounted == name).cloned())
        .collect()
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
        let own = "4:memory:/hull/x\n2:cpuacct:/hull-bench-1\n0::/hull/x\n";
        assert_eq!(
            groups_of(own, mounts),
            [
                ("memory".to_owned(), "/sys/fs/cgroup/memory".into()),
                (String::new(), "/sys/fs/cgroup/unified".into()),
            ]
        );
    }
}
