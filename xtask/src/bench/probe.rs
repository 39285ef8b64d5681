//! One container of Hull's, looked at while it runs: which cgroups it is in, and the bundle it was made from.
//!
//! Hull starts the `hull-monitor` that lies beside it, with its order on standard input. Beside a copy of `hull` lies a
//! stand-in here, which keeps the order in a file and hands it on to the real one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

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
        let stand_in = StandIn::set_up(ground)?;
        let mut hull = Command::new(&stand_in.hull);
        hull.env("HULL_ROOT", ground.root());
        hull.args([
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            NAME,
            IMAGE,
            "sleep",
            "600",
        ]);
        run::checked(&mut hull)?;
        let cgroup = cgroup(ground);
        run::checked(ground.hull().args(["rm", "-f", NAME]))?;
        Ok(Self {
            cgroup: cgroup?,
            spec: stand_in.spec()?,
        })
    }
}

fn cgroup(ground: &Ground) -> Result<String> {
    let pid = run::checked(
        ground
            .hull()
            .args(["inspect", "--format", "{{.State.Pid}}", NAME]),
    )?;
    let path = Path::new("/proc").join(pid.trim()).join("cgroup");
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

struct StandIn {
    hull: PathBuf,
    order: PathBuf,
}

impl StandIn {
    fn set_up(ground: &Ground) -> Result<Self> {
        let dir = ground.directory("probe")?;
        let (hull, order, monitor) = (
            dir.join("hull"),
            dir.join("order"),
            dir.join("hull-monitor"),
        );
        std::fs::copy(ground.program(), &hull)?;
        let real = ground.program().with_file_name("hull-monitor");
        let order_text = order.display();
        let script = format!(
            "#!/bin/sh\n/bin/cat > '{order_text}'\nexec '{}' < '{order_text}'\n",
            real.display()
        );
        std::fs::write(&monitor, script)?;
        std::fs::set_permissions(&monitor, std::fs::Permissions::from_mode(0o755))?;
        Ok(Self { hull, order })
    }

    fn spec(&self) -> Result<Value> {
        let text = std::fs::read_to_string(&self.order)
            .context("the monitor was not started with an order")?;
        let order: Value =
            serde_json::from_str(&text).context("the monitor's order is not JSON")?;
        order
            .get("spec")
            .cloned()
            .context("the monitor's order has no bundle")
    }
}
