//! `cargo xtask no-unified COMMAND…`: where a hybrid host's unified cgroup hierarchy is not mounted.
//!
//! Debian's crun refuses a host that keeps v1 controllers beside a unified hierarchy with controllers of its own. In a mount
//! namespace without that mount it runs.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use hull_sys::clone::CloneFlags;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};

pub(crate) fn command(words: &[String]) -> Result<ExitCode> {
    let Some((program, words)) = words.split_first() else {
        bail!("a command is missing")
    };
    leave()?;
    let failed = Command::new(program).args(words).exec();
    Err(failed).with_context(|| format!("cannot start {program}"))
}

/// Moves the calling thread into a mount namespace of its own, without that hierarchy. On other hosts nothing is missing there.
pub(crate) fn leave() -> Result<()> {
    own_mounts()?;
    let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo")?;
    for place in unified_beside_others(&mounts) {
        unmount(place, UnmountFlags::DETACH).with_context(|| format!("cannot unmount {place}"))?;
    }
    Ok(())
}

/// Gives the calling thread a copy of the mounts; changes stay in it, and end with it and what it starts.
pub(crate) fn own_mounts() -> Result<()> {
    hull_sys::namespaces::unshare(CloneFlags::NEWNS)
        .context("cannot make a mount namespace (this needs root)")?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .context("cannot make mounts private")
}

/// Finds the mounts of cgroup2 on a host that has v1 hierarchies as well.
fn unified_beside_others(mountinfo: &str) -> Vec<&str> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        Some((before.split(' ').nth(4)?, after.split(' ').next()?))
    });
    let mounts: Vec<_> = mounts.collect();
    if !mounts.iter().any(|(_, kind)| *kind == "cgroup") {
        return Vec::new();
    }
    mounts
        .into_iter()
        .filter(|(_, kind)| *kind == "cgroup2")
        .map(|(place, _)| place)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::unified_beside_others;

    #[test]
    fn only_a_hybrid_host_loses_its_unified_mount() {
        let v1 = "33 31 0:30 / /sys/fs/cgroup/cpu rw,relatime shared:1 - cgroup cgroup rw,cpu\n";
        let v2 = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        assert_eq!(
            unified_beside_others(&format!("{v1}{v2}")),
            ["/sys/fs/cgroup/unified"]
        );
        assert!(unified_beside_others(v2).is_empty());
        assert!(unified_beside_others(v1).is_empty());
    }
}
