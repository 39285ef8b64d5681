//! One container of Hull's, looked at while it runs: which cgroups it is in, and the bundle it was made from.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::ground::{Ground, IMAGE};
use crate::run;

const NAME: &str = "bench-probe";

/// What was seen.
#[derive(Debug)]
pub(crate) struct Probe {
    /// `/proc/PID/cgroup` of its init.
    pub(crate) cgroup: String,
    /// The `config.json` Hull made for it.
    pub(crate) spec: Value,
}

impl Probe {
    pub(crate) fn take(ground: &Ground) -> Result<Self> {
        run::checked(ground.hull().args([
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            NAME,
            IMAGE,
            "sleep",
            "600",
        ]))?;
        let seen = look(ground);
        run::checked(ground.hull().args(["rm", "-f", NAME]))?;
        seen
    }
}

fn look(ground: &Ground) -> Result<Probe> {
    let pid = run::checked(
        ground
            .hull()
            .args(["inspect", "--format", "{{.State.Pid}}", NAME]),
    )?;
    let process = Path::new("/proc").join(pid.trim());
    let read = |name: &str| {
        std::fs::read_to_string(process.join(name))
            .with_context(|| format!("cannot read {name} of the container"))
    };
    let status = read("status")?;
    let monitor = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .context("a process has a parent")?;
    Ok(Probe {
        cgroup: read("cgroup")?,
        spec: order(monitor.trim())?,
    })
}

/// The monitor's standard input is the order it was started with, a file in memory.
fn order(monitor: &str) -> Result<Value> {
    let path = format!("/proc/{monitor}/fd/0");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read the monitor's order in {path}"))?;
    let order: Value = serde_json::from_str(&text).context("the monitor's order is not JSON")?;
    order
        .get("spec")
        .cloned()
        .context("the monitor's order has no bundle")
}
