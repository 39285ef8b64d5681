//! From a request and an image to an OCI runtime bundle's `config.json`. Pure: the longest table of the project.

use std::{collections::BTreeMap, path::PathBuf};

use hull_spec::runtime::{
    Capabilities, Cpu, Device, DeviceAccess, DeviceRule, DeviceRuleKind, IdMapping, Linux, Memory,
    Mount, Namespace, NamespaceKind, OCI_VERSION, Pids, Process, Resources, Rlimit, RlimitKind,
    Root, Seccomp, Spec, User,
};

use crate::{
    Config,
    request::{
        self, Access, CapabilityChoice, CgroupNamespace, Execution, IpcNamespace, Limits,
        NetworkMode, PidsLimit, Propagation, Recursion, Security, SwapLimit, SystemPaths, Tmpfs,
        Ulimit, UserNamespace,
    },
};

/// Everything the plan needs beside the container's configuration, looked up before.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The first host id of the pod's range; none: no user namespace of its own, or a single id.
    pub ids: Option<u32>,
    /// Whether the caller is an ordinary user: one id, no range.
    pub single_id: Option<(u32, u32)>,
    pub hostname: String,
    /// The container's cgroup below each hierarchy's root.
    pub cgroup: Option<String>,
    /// Binds, volumes and tmpfs, sources opened or made, in the order of their targets.
    pub mounts: Vec<Bind>,
    /// Devices that were asked for, looked up on the host.
    pub devices: Vec<Given>,
    /// The seccomp profile, if there is to be one.
    pub seccomp: Option<Seccomp>,
    /// Whether the host shows its message queues at /dev/mqueue.
    pub host_queues: bool,
    /// The most open files that this caller can allow a process: what nobody asked for is not asked of the kernel in vain.
    pub most_files: Option<u64>,
}

/// A device, and what the container may do with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    pub device: Device,
    pub access: DeviceAccess,
}

/// A mount whose source is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    Path {
        source: PathBuf,
        target: PathBuf,
        access: Access,
        propagation: Propagation,
        recursion: Recursion,
        mapped: bool,
    },
    Tmpfs(Tmpfs),
}

/// docker's default capabilities.
pub const CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];
/// How many ids a pod has.
pub const ID_RANGE: u32 = 65_536;
/// The hard limit on open files unless it says otherwise; the soft one is 1024.
const OPEN_FILES: u64 = 524_288;
/// The processes and threads a container may have unless it says otherwise.
pub const PIDS: i64 = 4096;
/// `/dev/shm` unless it says otherwise: docker's 64 MiB.
pub const SHM: u64 = 64 << 20;

const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Returns the container in OCI's words.
pub fn plan(config: &Config, facts: &Facts) -> Spec {
    let request = &config.request;
    Spec {
        oci_version: OCI_VERSION.to_owned(),
        process: Some(process(config, facts)),
        root: Some(Root {
            path: "rootfs".into(),
            readonly: request.root == Access::ReadOnly,
        }),
        hostname: has_own_uts(config).then(|| facts.hostname.clone()),
        domainname: request.network.domainname.clone(),
        mounts: mounts(config, facts),
        hooks: None,
        linux: Some(Linux {
            uid_mappings: id_map(facts, |(uid, _)| uid),
            gid_mappings: id_map(facts, |(_, gid)| gid),
            sysctl: sysctls(config, facts),
            resources: Some(resources(&request.limits, device_rules(config, facts))),
            cgroups_path: facts.cgroup.clone(),
            namespaces: namespaces(config, facts),
            devices: facts
                .devices
                .iter()
                .map(|given| given.device.clone())
                .collect(),
            seccomp: facts.seccomp.clone(),
            masked_paths: masked_paths(&request.security),
            readonly_paths: readonly_paths(&request.security),
            ..Linux::default()
        }),
        annotations: request.annotations.clone(),
    }
}

/// Returns the paths that are hidden.
pub(crate) fn masked_paths(security: &Security) -> Vec<PathBuf> {
    unless_open(security, &MASKED)
}

/// Returns the paths that cannot be written.
pub(crate) fn readonly_paths(security: &Security) -> Vec<PathBuf> {
    unless_open(security, &READ_ONLY)
}

fn unless_open(security: &Security, paths: &[&str]) -> Vec<PathBuf> {
    match security.privileged || security.system_paths == SystemPaths::Unmasked {
        true => Vec::new(),
        false => paths.iter().map(PathBuf::from).collect(),
    }
}

fn id_map(facts: &Facts, own: fn((u32, u32)) -> u32) -> Vec<IdMapping> {
    let map = |host_id, size| {
        vec![IdMapping {
            container_id: 0,
            host_id,
            size,
        }]
    };
    match (facts.ids, facts.single_id) {
        (Some(base), _) => map(base, ID_RANGE),
        (None, Some(ids)) => map(own(ids), 1),
        (None, None) => Vec::new(),
    }
}

/// Returns the app's process.
pub fn process(config: &Config, facts: &Facts) -> Process {
    let asked = &config.request.process;
    let capabilities = capabilities(&config.request.security);
    Process {
        terminal: asked.terminal,
        user: User::default(),
        args: config.args(),
        env: config.environment(&facts.hostname),
        cwd: config.directory(),
        capabilities: Some(Capabilities {
            bounding: capabilities.clone(),
            effective: capabilities.clone(),
            permitted: capabilities,
            // CVE-2022-24769: what is inheritable survives an exec that should drop it.
            inheritable: Vec::new(),
            ambient: Vec::new(),
        }),
        rlimits: rlimits(&asked.ulimits, facts.most_files),
        no_new_privileges: config.request.security.no_new_privileges.unwrap_or(false),
        oom_score_adj: asked.oom_score_adj.map(i32::from),
        ..Process::default()
    }
}

/// Returns the capabilities by name, in the kernel's order: the default set, or all for `--privileged`, without those dropped
/// and with those added. Adding wins, as in docker.
pub fn capabilities(security: &Security) -> Vec<String> {
    let named = |choices: &[CapabilityChoice], name: &str| {
        choices.iter().any(|choice| match choice {
            CapabilityChoice::All => true,
            CapabilityChoice::One(one) => one.to_string() == format!("CAP_{name}"),
        })
    };
    let explicitly = |choices: &[CapabilityChoice], name: &str| {
        choices.iter().any(|choice| matches!(choice, CapabilityChoice::One(one) if one.to_string() == format!("CAP_{name}")))
    };
    request::Capability::all()
        .map(|capability| capability.to_string())
        .filter(|full| {
            let name = full.trim_start_matches("CAP_");
            if security.privileged {
                return true;
            }
            let default = CAPABILITIES.contains(&name);
            explicitly(&security.add, name)
                || (default || named(&security.add, name)) && !named(&security.drop, name)
        })
        .collect()
}

/// Soft and hard limits on open files keep old programs from looping over a billion descriptors.
fn rlimits(asked: &[Ulimit], most_files: Option<u64>) -> Vec<Rlimit> {
    let mut limits: Vec<Rlimit> = asked
        .iter()
        .filter_map(|ulimit| {
            let name = serde_json::Value::String(ulimit.limit.oci_name());
            let kind: RlimitKind = serde_json::from_value(name).ok()?;
            Some(Rlimit {
                kind,
                soft: ulimit.soft,
                hard: ulimit.hard,
            })
        })
        .collect();
    if !limits.iter().any(|limit| limit.kind == RlimitKind::Nofile) {
        let hard = most_files.map_or(OPEN_FILES, |most| most.min(OPEN_FILES));
        limits.push(Rlimit {
            kind: RlimitKind::Nofile,
            soft: hard.min(1024),
            hard,
        });
    }
    limits
}

fn has_own_uts(config: &Config) -> bool {
    config.request.namespaces.uts == request::Namespace::Private
}

/// Docker's two settings for a network of the container's own, where nobody needs protecting from its users: every port is
/// free to all, and so is `ping`.
fn sysctls(config: &Config, facts: &Facts) -> BTreeMap<String, String> {
    let mut sysctls = config.request.sysctls.clone();
    let mode = &config.request.network.mode;
    if matches!(mode, NetworkMode::Bridge | NetworkMode::Named(_)) {
        // The kernel takes groups only that exist in the container.
        let last_group = match facts.ids {
            Some(_) => ID_RANGE - 1,
            None => i32::MAX.unsigned_abs(),
        };
        for (name, value) in [
            ("net.ipv4.ip_unprivileged_port_start", "0".to_owned()),
            ("net.ipv4.ping_group_range", format!("0 {last_group}")),
        ] {
            sysctls.entry(name.to_owned()).or_insert(value);
        }
    }
    sysctls
}

fn namespaces(config: &Config, facts: &Facts) -> Vec<Namespace> {
    use request::Namespace::{Path, Private};
    let request = &config.request;
    let asked = &request.namespaces;
    let own = |kind| Some(Namespace { kind, path: None });
    let shared = |kind, asked: &request::Namespace| match asked {
        Private => own(kind),
        Path(path) => at(kind, path),
        _ => None,
    };
    let user_is_host = asked.user == Some(UserNamespace::Host);
    [
        own(NamespaceKind::Mount),
        own(NamespaceKind::User)
            .filter(|_| facts.ids.is_some() || facts.single_id.is_some() && !user_is_host),
        shared(NamespaceKind::Pid, &asked.pid),
        match &asked.ipc {
            IpcNamespace::Private | IpcNamespace::None => own(NamespaceKind::Ipc),
            IpcNamespace::Path(path) => at(NamespaceKind::Ipc, path),
            IpcNamespace::Host | IpcNamespace::Container(_) => None,
        },
        shared(NamespaceKind::Uts, &asked.uts),
        match &request.network.mode {
            NetworkMode::Host | NetworkMode::Container(_) => None,
            NetworkMode::Path(path) => at(NamespaceKind::Network, path),
            _ => own(NamespaceKind::Network),
        },
        own(NamespaceKind::Cgroup).filter(|_| asked.cgroup == CgroupNamespace::Private),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Returns a namespace of somebody else's.
fn at(kind: NamespaceKind, path: &std::path::Path) -> Option<Namespace> {
    let path = Some(path.to_owned());
    Some(Namespace { kind, path })
}

fn mounts(config: &Config, facts: &Facts) -> Vec<Mount> {
    let request = &config.request;
    let privileged = request.security.privileged;
    let shm = format!("size={}", request.shm_size.unwrap_or(SHM));
    let system = if privileged { "rw" } else { "ro" };
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        mount(
            "/sys",
            "sysfs",
            "sysfs",
            &["nosuid", "noexec", "nodev", system],
        ),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", system],
        ),
    ];
    let shared = ["rbind", "nosuid", "noexec", "nodev"];
    if request.namespaces.ipc != IpcNamespace::Host {
        let options = ["nosuid", "noexec", "nodev"];
        mounts.push(mount("/dev/mqueue", "mqueue", "mqueue", &options));
    } else if facts.host_queues {
        mounts.push(mount("/dev/mqueue", "bind", "/dev/mqueue", &shared));
    }
    match request.namespaces.ipc {
        IpcNamespace::None => {}
        IpcNamespace::Host => {
            mounts.push(mount("/dev/shm", "bind", "/dev/shm", &shared));
        }
        IpcNamespace::Private | IpcNamespace::Container(_) | IpcNamespace::Path(_) => {
            let options = ["nosuid", "noexec", "nodev", "mode=1777", shm.as_str()];
            mounts.push(mount("/dev/shm", "tmpfs", "shm", &options));
        }
    }
    for bind in &facts.mounts {
        let (target, planned) = match bind {
            Bind::Path { target, .. } => (target, bound(bind)),
            Bind::Tmpfs(tmpfs) => (&tmpfs.target, temporary(tmpfs)),
        };
        // What is asked for at a standard place replaces what would be there.
        mounts.retain(|mount| mount.destination != *target);
        mounts.push(planned);
    }
    mounts
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.into(),
        kind: Some(kind.to_owned()),
        source: Some(source.into()),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..Mount::default()
    }
}

fn bound(bind: &Bind) -> Mount {
    let Bind::Path {
        source,
        target,
        access,
        propagation,
        recursion,
        mapped,
    } = bind
    else {
        return Mount::default();
    };
    let recursive = *recursion == Recursion::Recursive;
    let mut options = vec![
        if recursive { "rbind" } else { "bind" }.to_owned(),
        propagation_option(*propagation).to_owned(),
    ];
    options.push(match (access, recursive) {
        (Access::ReadWrite, _) => "rw".to_owned(),
        // Read-only all the way down: a mount below the source is no hole.
        (Access::ReadOnly, true) => "rro".to_owned(),
        (Access::ReadOnly, false) => "ro".to_owned(),
    });
    if *mapped {
        options.push("idmap".to_owned());
    }
    Mount {
        destination: target.clone(),
        kind: Some("bind".to_owned()),
        source: Some(source.clone()),
        options,
        ..Mount::default()
    }
}

pub(crate) fn propagation_option(propagation: Propagation) -> &'static str {
    match propagation {
        Propagation::Private => "private",
        Propagation::RPrivate => "rprivate",
        Propagation::Slave => "slave",
        Propagation::RSlave => "rslave",
        Propagation::Shared => "shared",
        Propagation::RShared => "rshared",
    }
}

fn temporary(tmpfs: &Tmpfs) -> Mount {
    Mount {
        destination: tmpfs.target.clone(),
        kind: Some("tmpfs".to_owned()),
        source: Some("tmpfs".into()),
        options: tmpfs_options(tmpfs),
        ..Mount::default()
    }
}

pub(crate) fn tmpfs_options(tmpfs: &Tmpfs) -> Vec<String> {
    let refused = [
        (tmpfs.set_user_id, "nosuid"),
        (tmpfs.devices, "nodev"),
        (tmpfs.execution, "noexec"),
    ];
    let refused = refused
        .into_iter()
        .filter(|(it, _)| *it == Execution::Refused);
    let mut options: Vec<String> = refused.map(|(_, option)| option.to_owned()).collect();
    if tmpfs.access == Access::ReadOnly {
        options.push("ro".to_owned());
    }
    options.extend(tmpfs.size.map(|bytes| format!("size={bytes}")));
    options.push(format!("mode={:o}", tmpfs.mode.unwrap_or(0o1777)));
    options.extend(tmpfs.inodes.map(|inodes| format!("nr_inodes={inodes}")));
    options.extend(tmpfs.uid.map(|uid| format!("uid={uid}")));
    options.extend(tmpfs.gid.map(|gid| format!("gid={gid}")));
    options
}

fn resources(limits: &Limits, devices: Vec<DeviceRule>) -> Resources {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let memory = Memory {
        limit: limits.memory.map(signed),
        reservation: limits.memory_reservation.map(signed),
        swap: match (limits.memory_swap, limits.memory) {
            (Some(SwapLimit::Bytes(bytes)), _) => Some(signed(bytes)),
            (Some(SwapLimit::Unlimited), _) => Some(-1),
            // docker: as much swap as memory.
            (None, Some(memory)) => Some(signed(memory.saturating_mul(2))),
            (None, None) => None,
        },
        ..Memory::default()
    };
    let period = 100_000;
    let cpu = Cpu {
        shares: limits.cpu_shares,
        quota: limits
            .cpus
            .map(|cpus| signed(cpus.nanos / (1_000_000_000 / period))),
        period: limits.cpus.map(|_| period),
        cpus: limits
            .cpuset_cpus
            .as_ref()
            .map(|set| set.as_str().to_owned()),
        mems: limits
            .cpuset_mems
            .as_ref()
            .map(|set| set.as_str().to_owned()),
        ..Cpu::default()
    };
    let pids = match limits.pids {
        Some(PidsLimit::Most(most)) => signed(most),
        Some(PidsLimit::Unlimited) => -1,
        None => PIDS,
    };
    Resources {
        devices,
        memory: Some(memory).filter(|memory| *memory != Memory::default()),
        cpu: Some(cpu).filter(|cpu| *cpu != Cpu::default()),
        pids: Some(Pids { limit: Some(pids) }),
        ..Resources::default()
    }
}

/// In a pod's own user namespace the kernel refuses `mknod` of devices, and the file system the standard nodes are on is
/// Hull's own: rules are needed only once somebody is handed a device beyond them, or has no user namespace.
fn device_rules(config: &Config, facts: &Facts) -> Vec<DeviceRule> {
    let own_ids = facts.ids.is_some() || facts.single_id.is_some();
    if config.request.security.privileged || own_ids && facts.devices.is_empty() {
        return Vec::new();
    }
    let rule = |given: &Given| DeviceRule {
        allow: true,
        kind: match given.device.kind {
            hull_spec::runtime::DeviceKind::Block => DeviceRuleKind::Block,
            _ => DeviceRuleKind::Char,
        },
        major: given.device.major,
        minor: given.device.minor,
        access: Some(given.access),
    };
    hull_cgroup::devices::default_rules()
        .into_iter()
        .chain(facts.devices.iter().map(rule))
        .collect()
}

/// Returns the name a container calls itself by.
pub fn hostname(config: &Config, short_id: &str, host: &str) -> String {
    match &config.request.network {
        network if network.hostname.is_some() => network.hostname.clone().unwrap_or_default(),
        network if network.mode == NetworkMode::Host || !has_own_uts(config) => host.to_owned(),
        _ => short_id.to_owned(),
    }
}
