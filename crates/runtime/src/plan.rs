//! Everything about a start that can be decided before it begins. Pure but for reading the host's mount table.
//!
//! The child is a copy of the parent, so it has the plan in its memory: nothing of it is sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hull_spec::runtime::{Device, Linux, Spec};

use crate::error::StartError;
use crate::launch::{Launch, RootFs, Stdio};
use crate::namespaces::Namespaces;
use crate::process::ProcessPlan;
use crate::rootfs::host::HostMounts;
use crate::rootfs::mounts::{self, Kind, Planned};
use crate::sysctl::Sysctl;

/// Which side assembles the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assembly {
    /// The parent, which has power over the host.
    Outside,
    /// The child, in its own namespaces: an ordinary user's container.
    Inside,
}

/// A start, decided.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) assembly: Assembly,
    /// The container may mount: what is mounted for it is locked ([`crate::locked`]).
    pub(crate) locked: bool,
    /// It may mount, and nobody can lock what is.
    pub(crate) unlocked: bool,
    pub(crate) namespaces: Namespaces,
    pub(crate) mounts: Vec<Planned>,
    pub(crate) masked: Vec<PathBuf>,
    pub(crate) frozen: Vec<PathBuf>,
    pub(crate) sysctls: Vec<Sysctl>,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    pub(crate) devices: Vec<Device>,
    pub(crate) host_mounts: HostMounts,
    pub(crate) read_only_root: bool,
    pub(crate) terminal: bool,
    pub(crate) process: ProcessPlan,
}

impl Plan {
    /// Decides. Refuses what this version does not carry out, rather than leaving it out.
    pub(crate) fn of(launch: &Launch<'_>) -> Result<Self, StartError> {
        let spec = launch.spec;
        let linux = spec.linux.as_ref().ok_or_else(no_linux)?;
        refuse_unsupported(spec, linux)?;
        let process = spec
            .process
            .as_ref()
            .ok_or_else(|| StartError::Invalid("config.json has no `process`".into()))?;
        let namespaces = Namespaces::plan(spec, &launch.join)?;
        let assembly = match rustix::process::geteuid().is_root() {
            true => Assembly::Outside,
            false => Assembly::Inside,
        };
        let (masked, host_mounts) = match &launch.root {
            RootFs::HostOverlay { hide } => (
                linux.masked_paths.iter().chain(hide).cloned().collect(),
                HostMounts::read()?,
            ),
            _ => (linux.masked_paths.clone(), HostMounts::default()),
        };
        let may_mount = process.capabilities.as_ref().is_some_and(|sets| {
            // What is not there cannot be had by any other way either.
            sets.bounding.iter().any(|name| name == "CAP_SYS_ADMIN")
        });
        let own_userns = namespaces.maps.is_some();
        Ok(Self {
            assembly,
            // In the host's user namespace nothing is locked.
            locked: may_mount && own_userns && assembly == Assembly::Outside,
            // An ordinary user's can do only what that user can do anyway; but the user may have meant it not to.
            unlocked: may_mount && own_userns && assembly == Assembly::Inside,
            mounts: mounts::plan(spec, &namespaces, &launch.join)?,
            masked,
            frozen: linux.readonly_paths.clone(),
            sysctls: sysctls(&linux.sysctl, &namespaces)?,
            hostname: spec.hostname.clone(),
            domainname: spec.domainname.clone(),
            devices: linux
                .devices
                .iter()
                .chain(&launch.devices)
                .cloned()
                .collect(),
            host_mounts,
            read_only_root: spec.root.as_ref().is_some_and(|root| root.readonly),
            terminal: matches!(launch.stdio, Stdio::Terminal(_)),
            process: ProcessPlan::of(process, launch.user.as_deref())?,
            namespaces,
        })
    }

    /// Returns the size of the `/dev` tmpfs, from the spec's mount of it.
    pub(crate) fn dev_size(&self) -> Option<&str> {
        let dev = self.mounts.iter().find(|mount| mount.kind == Kind::Dev)?;
        let size = dev.options.data.iter().find(|(key, _)| key == "size")?;
        size.1.as_deref()
    }

    /// Returns the spec's mount of the container's cgroups.
    pub(crate) fn cgroup_mount(&self) -> Option<&Planned> {
        self.mounts.iter().find(|mount| mount.kind == Kind::Cgroup)
    }

    /// Returns where devices go that do not lie in `/dev`.
    pub(crate) fn devices_elsewhere(&self) -> impl Iterator<Item = &Path> {
        self.devices
            .iter()
            .map(|device| device.path.as_path())
            .filter(|path| !path.starts_with("/dev"))
    }
}

fn no_linux() -> StartError {
    StartError::Invalid("config.json has no `linux` section".into())
}

fn sysctls(
    asked: &BTreeMap<String, String>,
    namespaces: &Namespaces,
) -> Result<Vec<Sysctl>, StartError> {
    asked
        .iter()
        .map(|(key, value)| Sysctl::parse(key, value, namespaces.new))
        .collect()
}

fn refuse_unsupported(spec: &Spec, linux: &Linux) -> Result<(), StartError> {
    let hooks = spec.hooks.as_ref().is_some_and(|hooks| {
        [
            &hooks.prestart,
            &hooks.create_runtime,
            &hooks.create_container,
            &hooks.start_container,
            &hooks.poststart,
            &hooks.poststop,
        ]
        .iter()
        .any(|list| !list.is_empty())
    });
    let process = spec.process.as_ref();
    let asked = [
        (hooks, "hooks"),
        (linux.intel_rdt.is_some(), "linux.intelRdt"),
        (!linux.net_devices.is_empty(), "linux.netDevices"),
        (!linux.time_offsets.is_empty(), "linux.timeOffsets"),
        (linux.mount_label.is_some(), "linux.mountLabel (SELinux)"),
        (
            linux.rootfs_propagation.is_some_and(|kind| {
                use hull_spec::runtime::Propagation::{Private, Rprivate};
                !matches!(kind, Private | Rprivate)
            }),
            "linux.rootfsPropagation other than private",
        ),
        (
            process.is_some_and(|process| process.selinux_label.is_some()),
            "process.selinuxLabel",
        ),
        (
            process.is_some_and(|process| process.apparmor_profile.is_some()),
            "process.apparmorProfile",
        ),
        (
            process.is_some_and(|process| process.exec_cpu_affinity.is_some()),
            "process.execCPUAffinity",
        ),
    ];
    match asked.into_iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(StartError::Unsupported(what.to_owned())),
        None => Ok(()),
    }
}
