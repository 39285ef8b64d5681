//! Other runtimes and engines, given the same container.
//!
//! Runtimes get the bundle Hull made for its own container, with what the test machine forces on everybody changed: the cgroup
//! lies where it is counted, and limits that cannot be raised here are not. They get a plain directory as root, no overlay: less
//! work than Hull's. The bundle names no seccomp profile (Hull's default one was compiled when Hull was built), so they load none.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::budgets::Budgets;
use super::ground::Ground;
use super::meter::{Meter, Mounts, hierarchies};
use crate::run;

/// One that is measured beside Hull.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) mounts: Mounts,
    /// Where it may leave something.
    pub(crate) directories: Vec<PathBuf>,
    program: String,
    bundle: PathBuf,
    state: PathBuf,
    parent: String,
}

impl Peer {
    /// The `number`th start.
    pub(crate) fn command(&self, number: usize) -> Command {
        let mut command = Command::new(&self.program);
        if self.program == "podman" {
            let parent = format!("--cgroup-parent={}/podman", self.parent);
            command
                .args(["--cgroup-manager", "cgroupfs", "--root"])
                .arg(&self.state);
            command
                .args(["run", "--rm", "--network", "none", &parent, "--rootfs"])
                .arg(self.bundle.join("rootfs"))
                .arg("true");
        } else {
            command
                .arg("--root")
                .arg(&self.state)
                .arg("run")
                .arg("--bundle")
                .arg(&self.bundle);
            command.arg(format!("bench-{number}"));
        }
        command
    }
}

/// Prepares those that are installed; the others are named with the reason from budgets.toml.
pub(crate) fn prepare(
    ground: &Ground,
    meter: &Meter,
    spec: &Value,
    budgets: &Budgets,
) -> Result<(Vec<Peer>, Vec<String>)> {
    let (mut peers, mut missing) = (Vec::new(), Vec::new());
    for (name, reason) in &budgets.peers {
        if !run::is_installed(name) {
            missing.push(
                format!(
                    "{name} is not installed{}",
                    if reason.is_empty() { "" } else { ": " }
                ) + reason,
            );
        } else if name == "docker" {
            missing.push(
                "docker: its daemon was started elsewhere, so its CPU time cannot be counted"
                    .to_owned(),
            );
        } else {
            peers.push(peer(name, ground, meter, spec)?);
        }
    }
    Ok((peers, missing))
}

/// Names the peers that must be there and are not.
pub(crate) fn missing_without_reason(budgets: &Budgets) -> Vec<String> {
    let required = budgets.peers.iter().filter(|(_, reason)| reason.is_empty());
    required
        .map(|(name, _)| name.clone())
        .filter(|name| !run::is_installed(name))
        .collect()
}

fn peer(name: &str, ground: &Ground, meter: &Meter, spec: &Value) -> Result<Peer> {
    let dir = ground.directory(&format!("peers/{name}"))?;
    let rootfs = dir.join("rootfs");
    run::checked(
        Command::new("cp")
            .args(["-a", "--no-target-directory"])
            .arg(ground.layer()?)
            .arg(&rootfs),
    )?;
    let cgroup = format!("{}/{name}", meter.parent());
    std::fs::write(
        dir.join("config.json"),
        serde_json::to_vec(&bundle(spec, &cgroup, open_files()?))?,
    )?;
    let state = ground.directory(&format!("peers/{name}-state"))?;
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo")?;
    let groups = hierarchies(&mountinfo)
        .into_iter()
        .map(|(_, place)| place.join(meter.parent().trim_start_matches('/')));
    Ok(Peer {
        name: name.to_owned(),
        // The hybrid host is what Debian's crun refuses; others take it as it is.
        mounts: if name == "crun" {
            Mounts::WithoutUnified
        } else {
            Mounts::Ours
        },
        directories: groups.chain([state.clone()]).collect(),
        program: name.to_owned(),
        bundle: dir,
        state,
        parent: meter.parent(),
    })
}

/// Changes Hull's bundle into one that every runtime can start on this machine.
fn bundle(spec: &Value, cgroup: &str, most_files: u64) -> Value {
    let mut spec = spec.clone();
    spec["root"]["path"] = json!("rootfs");
    spec["linux"]["cgroupsPath"] = json!(cgroup);
    spec["process"]["args"] = json!(["/bin/true"]);
    for limit in spec["process"]["rlimits"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        for bound in ["soft", "hard"] {
            let value = limit[bound].as_u64().unwrap_or(most_files);
            limit[bound] = json!(value.min(most_files));
        }
    }
    spec
}

/// The hard limit on open files: raising it needs a capability that test machines lack.
fn open_files() -> Result<u64> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    Ok(limit.maximum.unwrap_or(1 << 20))
}

/// Describes the versions, for the table.
pub(crate) fn version(name: &str) -> String {
    let said = run::ended(Command::new(name).arg("--version"));
    said.ok()
        .and_then(|said| said.text.lines().next().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundle_keeps_what_is_hulls() {
        let spec = json!({
            "process": { "args": ["sleep", "600"], "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 1024, "hard": 524_288 }] },
            "root": { "path": "x" },
            "linux": { "maskedPaths": ["/proc/kcore"], "cgroupsPath": "/hull/1" },
        });
        let changed = bundle(&spec, "/hull-bench-1/crun", 20_000);
        assert_eq!(
            changed["linux"]["maskedPaths"],
            spec["linux"]["maskedPaths"]
        );
        assert_eq!(changed["linux"]["cgroupsPath"], "/hull-bench-1/crun");
        assert_eq!(
            changed["process"]["rlimits"][0],
            json!({ "type": "RLIMIT_NOFILE", "soft": 1024, "hard": 20_000 })
        );
        assert_eq!(changed["process"]["args"], json!(["/bin/true"]));
    }
}
