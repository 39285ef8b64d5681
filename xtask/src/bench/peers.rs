//! Other runtimes, given the same container; [`super::engines`] has the engines.
//!
//! Runtimes get the bundle Hull made for its own container, with what the test machine forces on everybody changed: the cgroup
//! lies where it is counted, and limits that cannot be raised here are not. They get a plain directory as root, no overlay: less
//! work than Hull's. The bundle names no seccomp profile (Hull's default one was compiled when Hull was built), so they load none.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use super::budgets::Budgets;
use super::engines;
use super::ground::Ground;
use super::meter::{Meter, Mounts, hierarchies};
use crate::run;

/// One that is measured beside Hull.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) mounts: Mounts,
    pub(crate) meter: &'static Meter,
    /// Where it may leave something.
    pub(crate) directories: Vec<PathBuf>,
    /// The `number`th start.
    pub(crate) command: Box<dyn Fn(usize) -> Command>,
}

/// Prepares those that are installed; the others are named with the reason from budgets.toml.
pub(crate) fn prepare(
    ground: &Ground,
    spec: &Value,
    budgets: &Budgets,
) -> Result<(Vec<Peer>, Vec<String>)> {
    let (mut peers, mut missing) = (Vec::new(), Vec::new());
    for (name, reason) in &budgets.peers {
        let prepared = match name.as_str() {
            _ if !run::is_installed(name) => Err(anyhow::anyhow!("not installed; {reason}")),
            "podman" => engines::podman(ground),
            "docker" => engines::docker(ground),
            _ => runtime(name, ground, spec),
        };
        match prepared {
            Ok(peer) => peers.push(peer),
            Err(error) => missing.push(format!("{name}: {error:#}")),
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

fn runtime(name: &str, ground: &Ground, spec: &Value) -> Result<Peer> {
    let meter = Meter::lasting(name)?;
    let dir = ground.directory(&format!("peers/{name}"))?;
    run::checked(
        Command::new("cp")
            .args(["-a", "--no-target-directory"])
            .arg(ground.layer()?)
            .arg(dir.join("rootfs")),
    )?;
    let spec = bundle(
        spec,
        &format!("{}/{name}", meter.parent()),
        hard_limit(Resource::Nofile),
    );
    std::fs::write(dir.join("config.json"), serde_json::to_vec(&spec)?)?;
    let state = ground.directory(&format!("peers/{name}-state"))?;
    let (program, root) = (name.to_owned(), state.clone());
    Ok(Peer {
        name: name.to_owned(),
        // The hybrid host is what Debian's crun refuses; others take it as it is.
        mounts: if name == "crun" {
            Mounts::WithoutUnified
        } else {
            Mounts::Ours
        },
        directories: below_parent(meter)?.into_iter().chain([state]).collect(),
        meter,
        command: Box::new(move |number| {
            let mut command = Command::new(&program);
            command
                .arg("--root")
                .arg(&root)
                .arg("run")
                .arg("--bundle")
                .arg(&dir)
                .arg(format!("bench-{number}"));
            command
        }),
    })
}

/// Returns where, in every hierarchy, peers make their cgroups.
pub(crate) fn below_parent(meter: &Meter) -> Result<Vec<PathBuf>> {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo")?;
    let parent = meter.parent();
    Ok(hierarchies(&mountinfo)
        .into_iter()
        .map(|(_, place)| place.join(parent.trim_start_matches('/')))
        .collect())
}

/// Changes Hull's bundle into one that every runtime can start on this machine.
fn bundle(spec: &Value, cgroup: &str, most_files: u64) -> Value {
    let mut spec = spec.clone();
    // What Debian's runtimes know; nothing in the bundle is newer.
    spec["ociVersion"] = json!("1.0.2");
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

/// What a limit cannot be raised beyond: that needs a capability that test machines lack.
pub(crate) fn hard_limit(resource: Resource) -> u64 {
    getrlimit(resource).maximum.unwrap_or(1 << 20)
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
