//! What this installation is, and what is in it.

use hull_cgroup::Mode;
use rustix::system::uname;
use serde_json::{Value, json};

use crate::{Engine, EngineError};

impl Engine {
    /// Describes the installation, in docker's field names where docker has one.
    pub fn info(&self) -> Result<Value, EngineError> {
        let (listed, unreadable) = self.list()?;
        let count = |words: &[&str]| {
            let states = listed.iter().map(|listed| listed.status.word());
            states.filter(|word| words.contains(word)).count()
        };
        let images = match self.images() {
            Ok(images) if self.places().root.join("images").exists() => images.list()?.images.len(),
            _ => 0,
        };
        let system = uname();
        let platform = hull_types::Platform::host();
        let (mode, controllers) = self.cgroups();
        let memory = rustix::system::sysinfo();
        Ok(json!({
            "Containers": listed.len(),
            "ContainersRunning": count(&["running", "starting"]),
            "ContainersPaused": count(&["paused"]),
            "ContainersStopped": count(&["exited", "created"]),
            "ContainersLost": count(&["lost"]),
            "ContainersUnreadable": unreadable.len(),
            "Images": images,
            "Driver": "overlay",
            "LoggingDriver": "cri",
            "CgroupDriver": "cgroupfs",
            "CgroupVersion": if mode == "2" { "2" } else { "1" },
            "CgroupMode": mode,
            "CgroupControllers": controllers,
            "KernelVersion": system.release().to_string_lossy(),
            "OperatingSystem": operating_system(),
            "OSType": platform.os,
            "Architecture": system.machine().to_string_lossy(),
            "NCPU": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            "MemTotal": memory.totalram as u64 * u64::from(memory.mem_unit),
            "Name": system.nodename().to_string_lossy(),
            "HullRootDir": self.places().root,
            // The same under docker's name, for scripts that look for it.
            "DockerRootDir": self.places().root,
            "HullRunDir": self.places().run,
            "Rootless": !self.caller().is_root(),
            "SecurityOptions": self.security(),
            "ServerVersion": env!("CARGO_PKG_VERSION"),
        }))
    }

    /// Returns which version of cgroups is in use, and the controllers that containers get.
    fn cgroups(&self) -> (&'static str, Vec<String>) {
        let Ok(hierarchies) = self.hierarchies() else {
            return ("none", Vec::new());
        };
        let mode = match hierarchies.mode() {
            Mode::V1 => "1",
            Mode::Hybrid => "1, with 2 beside it",
            Mode::V2 => "2",
        };
        let mut controllers: Vec<String> = hierarchies
            .v1
            .iter()
            .flat_map(|hierarchy| &hierarchy.controllers)
            .map(|controller| controller.v1_name().to_owned())
            .collect();
        if let Some(unified) = &hierarchies.unified {
            let file = unified.base.join("cgroup.controllers");
            let text = std::fs::read_to_string(file).unwrap_or_default();
            controllers.extend(text.split_ascii_whitespace().map(str::to_owned));
        }
        controllers.sort();
        controllers.dedup();
        (mode, controllers)
    }

    fn security(&self) -> Vec<&'static str> {
        let mut list = vec![
            "seccomp: hull's default profile",
            "no-new-privileges: where asked for",
        ];
        list.push(match self.caller().is_root() {
            true => "userns: each container has 65,536 ids of its own",
            false => "userns: root inside is the caller outside",
        });
        list
    }
}

/// Returns what the host calls itself.
fn operating_system() -> String {
    let text = std::fs::read_to_string("/etc/os-release")
        .or_else(|_| std::fs::read_to_string("/usr/lib/os-release"))
        .unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or("Linux", |name| name.trim_matches('"'))
        .to_owned()
}
