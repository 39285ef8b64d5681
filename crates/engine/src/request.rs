//! What somebody meant by `run` or `create`: strong types only, no flags, no files, no kernel.
//!
//! ```text
//! words ──▶ cli::args ──▶ RunRequest ──▶ engine::run
//! JSON ───▶ docker-api ──────▲
//! ```
//!
//! Each part of the request reads docker's spelling with `FromStr` (or, where a text needs its caller's directory, with a
//! named constructor) and goes through serde by the same road. What a single word cannot know, whether parts agree with each
//! other, is asked once, by [`RunRequest::agreed`]. Nothing here looks at the image, the host or the disk.

mod container;
mod device;
mod environment;
mod error;
mod image;
mod keys;
mod limits;
mod log;
mod mount;
mod namespace;
mod network;
mod pairs;
mod process;
mod security;

use std::{collections::BTreeMap, path::PathBuf};

use hull_types::{ContainerName, Platform, serde_through_text};
use serde::{Deserialize, Serialize};

pub use container::ContainerText;
pub use device::{DeviceAccess, DeviceRequest};
pub use environment::{Environment, Variable};
pub use error::InvalidRequest;
pub use image::{ImageName, PullPolicy};
pub use keys::DetachKeys;
pub use limits::{CpuSet, Cpus, Limits, PidsLimit, SwapLimit};
pub use log::{LogDriver, LogMode, LogOptions};
pub use mount::{
    Access, CopyUp, Execution, IdMapping, MissingSource, Mount, Propagation, Recursion, Tmpfs,
    VolumeName,
};
pub use namespace::{CgroupNamespace, IpcNamespace, Namespace, Namespaces, UserNamespace};
pub use network::{HostAddress, HostEntry, Network, NetworkMode};
pub use pairs::{Label, Sysctl};
pub use process::{Entrypoint, Grace, Principal, Process, Rlimit, Ulimit, User};
pub use security::{Capability, CapabilityChoice, Seccomp, Security, SecurityOption, SystemPaths};

/// A container somebody wants, as they want it. What is left open here, the image or Hull's defaults decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRequest {
    pub image: ImageName,
    pub pull: PullPolicy,
    pub platform: Option<Platform>,
    pub name: Option<ContainerName>,
    pub process: Process,
    pub mounts: Vec<Mount>,
    /// Whether the root file system can be written.
    pub root: Access,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    pub devices: Vec<DeviceRequest>,
    pub limits: Limits,
    pub cgroup_parent: Option<PathBuf>,
    pub security: Security,
    pub namespaces: Namespaces,
    pub network: Network,
    pub sysctls: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub log: LogOptions,
    /// Whether the container and its anonymous volumes go when it ends.
    pub remove: bool,
    /// What the caller does meanwhile: no property of the container, so no record keeps it.
    #[serde(skip)]
    pub session: Session,
}

/// What the caller of `run` or `start` does while the container runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Leave the container in the background.
    pub detach: bool,
    /// Which streams to stay attached to, if not the usual ones.
    pub attach: Option<Streams>,
    pub detach_keys: Option<DetachKeys>,
    /// Where to write the container's id; must not exist.
    pub cidfile: Option<PathBuf>,
    /// Whether signals sent to the caller go on to the container.
    pub pass_signals: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            detach: false,
            attach: None,
            detach_keys: None,
            cidfile: None,
            pass_signals: true,
        }
    }
}

/// Some of the three standard streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

impl RunRequest {
    /// Returns a request for an image with everything else left open.
    pub fn new(image: ImageName) -> Self {
        Self {
            image,
            pull: PullPolicy::default(),
            platform: None,
            name: None,
            process: Process::default(),
            mounts: Vec::new(),
            root: Access::default(),
            shm_size: None,
            devices: Vec::new(),
            limits: Limits::default(),
            cgroup_parent: None,
            security: Security::default(),
            namespaces: Namespaces::default(),
            network: Network::default(),
            sysctls: BTreeMap::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            log: LogOptions::default(),
            remove: false,
            session: Session::default(),
        }
    }

    /// Returns the request if its parts agree with each other, or says which two do not.
    pub fn agreed(self) -> Result<Self, InvalidRequest> {
        let conflict = |one, other| Err(InvalidRequest::Conflict { one, other });
        if self.session.detach && self.session.attach.is_some() {
            return conflict("--detach", "--attach");
        }
        if let Some(target) = self.repeated_target() {
            return Err(InvalidRequest::RepeatedTarget(target));
        }
        self.limits.agreed()?;
        self.network_agreed()?;
        Ok(self)
    }

    fn repeated_target(&self) -> Option<PathBuf> {
        let mut targets: Vec<_> = self.mounts.iter().map(Mount::target).collect();
        targets.sort();
        let pair = targets.windows(2).find(|pair| pair[0] == pair[1])?;
        Some(pair[0].to_owned())
    }

    fn network_agreed(&self) -> Result<(), InvalidRequest> {
        let network = &self.network;
        let conflict = |one, other| Err(InvalidRequest::Conflict { one, other });
        if self.namespaces.uts == Namespace::Host && network.hostname.is_some() {
            return conflict("--hostname", "--uts host");
        }
        if network.mode == NetworkMode::Host
            && let Some(name) = self.sysctls.keys().find(|name| name.starts_with("net"))
        {
            return Err(InvalidRequest::HostSysctl(name.clone()));
        }
        let joins = matches!(
            network.mode,
            NetworkMode::Container(_) | NetworkMode::Path(_)
        );
        if !joins {
            return Ok(());
        }
        // The other container's files and addresses are already there: nothing can be added to them from here.
        let other = "--network container:… or ns:…";
        match () {
            () if network.hostname.is_some() => conflict("--hostname", other),
            () if network.publishes() => conflict("--publish", other),
            () if !network.hosts.is_empty() => conflict("--add-host", other),
            () if !network.dns.is_empty() => conflict("--dns", other),
            () => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> RunRequest {
        RunRequest::new("debian".parse().unwrap())
    }

    #[test]
    fn an_open_request_agrees_and_survives_serde() {
        let mut request = request().agreed().unwrap();
        request.process.user = Some("1000:staff".parse().unwrap());
        request.mounts = vec![
            Mount::parse_volume("data:/data:ro", || Ok(PathBuf::from("/here"))).unwrap(),
            Mount::parse_tmpfs("/run:size=64m").unwrap(),
        ];
        request.limits.cpus = Some("1.5".parse().unwrap());
        request.security.drop.push(CapabilityChoice::All);
        request.network.mode = "container:web".parse().unwrap();
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<RunRequest>(&text).unwrap(), request);
    }

    #[test]
    fn parts_that_contradict_each_other_are_refused() {
        let told = |change: fn(&mut RunRequest)| {
            let mut request = request();
            change(&mut request);
            request.agreed().unwrap_err().to_string()
        };
        assert_eq!(
            told(|r| {
                r.session.detach = true;
                r.session.attach = Some(Streams::default());
            }),
            "`--detach` and `--attach` cannot go together"
        );
        assert_eq!(
            told(|r| r.mounts = vec![
                Mount::parse_tmpfs("/a").unwrap(),
                Mount::parse_tmpfs("/a/").unwrap()
            ]),
            "two mounts have the target /a"
        );
        assert_eq!(
            told(|r| {
                r.network.mode = NetworkMode::Host;
                r.sysctls.insert("net.core.somaxconn".into(), "9".into());
            }),
            "sysctl `net.core.somaxconn` would change the host's network"
        );
        assert_eq!(
            told(|r| {
                r.network.mode = "container:web".parse().unwrap();
                r.network.publish("80").unwrap();
            }),
            "`--publish` and `--network container:… or ns:…` cannot go together"
        );
    }
}
