//! What is known about a container, in docker's field names, as JSON: what `inspect`, `ps --format` and the API show.

use std::{collections::BTreeSet, path::PathBuf};

use hull_net::{ExposedPort, PortMap};
use hull_state::{LOG, Status, UPPER, part_of};
use hull_types::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    Engine, Listed, bundle,
    request::{
        self, Access, CgroupNamespace, Entrypoint, Grace, LogDriver, LogOptions, Mount,
        NetworkMode, Seccomp, Security, SwapLimit, SystemPaths, UserNamespace,
    },
};

/// docker's word for "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Engine {
    /// Returns everything about a container.
    pub fn inspect(&self, listed: &Listed) -> Value {
        let (container, config) = (listed.container(), &listed.config);
        let args = config.args();
        let image = config
            .image
            .source
            .as_ref()
            .map_or("@host".to_owned(), |source| source.id.to_string());
        json!({
            "Id": container.id,
            "Created": listed.pod.journal.record.created,
            "Path": args.first().cloned().unwrap_or_default(),
            "Args": args.get(1..).unwrap_or_default(),
            "State": state(listed),
            "Image": image,
            "Name": format!("/{}", container.name),
            // Docker counts what a restart policy did, and there is none yet.
            "RestartCount": 0,
            "Driver": "overlay",
            "GraphDriver": { "Name": "overlay", "Data": { "UpperDir": self.part(listed, UPPER) } },
            "AppArmorProfile": "",
            "MountLabel": "",
            "ProcessLabel": "",
            "ExecIDs": null,
            "Platform": "linux",
            "Pod": listed.pod.id(),
            "Mounts": self.mount_list(listed),
            "Config": self.config_section(listed),
            "HostConfig": self.host_config(listed),
            "NetworkSettings": network_settings(listed),
            "LogPath": self.part(listed, LOG),
            "Relaxations": self.relaxations(listed),
        })
    }

    /// Returns where a part of a container lies.
    pub(crate) fn part(&self, listed: &Listed, part: &str) -> PathBuf {
        let part = part_of(listed.place, part);
        let path = format!("pods/{}/{part}", listed.pod.id());
        self.places().root.join(path)
    }

    /// Returns a container as a row of a list.
    pub fn row(&self, listed: &Listed, now: Timestamp) -> Value {
        let (container, config) = (listed.container(), &listed.config);
        let created = listed.pod.journal.record.created;
        let labels: Vec<String> = config
            .labels()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let (mounts, volumes) = mount_names(config);
        json!({
            "ID": container.id,
            "Names": container.name,
            "Image": config.image.name,
            "Command": spelled(&config.args()),
            "CreatedAt": created,
            "RunningFor": format!("{} ago", span(now.since(created))),
            "State": listed.status.word(),
            "Status": status_words(&listed.status, now),
            "Ports": port_words(listed),
            "Labels": labels.join(","),
            "Mounts": mounts.join(","),
            "Networks": config.request.network.mode.to_string(),
            // A text, as docker has it.
            "LocalVolumes": volumes.to_string(),
        })
    }

    /// Returns what of Hull's safe defaults a container goes without, whether asked for or implied: nothing is relaxed silently.
    pub fn relaxations(&self, listed: &Listed) -> Vec<String> {
        let request = &listed.config.request;
        let mut list = Vec::new();
        let mut say = |given: bool, words: &str| {
            if given {
                list.push(words.to_owned());
            }
        };
        let security = &request.security;
        say(
            security.privileged,
            "privileged: all capabilities, no seccomp filter, no masked paths, all devices",
        );
        say(
            self.caller().is_root() && self.user_namespace(&listed.config) == UserNamespace::Host,
            "userns host: root in the container is root outside",
        );
        say(
            request.network.mode == request::NetworkMode::Host,
            "network host: the host's interfaces and ports",
        );
        say(
            request.namespaces.pid == request::Namespace::Host,
            "pid host: sees and may signal the host's processes",
        );
        say(
            request.namespaces.ipc == request::IpcNamespace::Host,
            "ipc host: the host's shared memory",
        );
        say(
            request.namespaces.uts == request::Namespace::Host,
            "uts host: the host's name",
        );
        say(
            request.namespaces.cgroup == request::CgroupNamespace::Host,
            "cgroupns host: sees the host's cgroup tree",
        );
        say(
            security.seccomp == request::Seccomp::Unconfined,
            "seccomp unconfined",
        );
        say(
            security.system_paths == request::SystemPaths::Unmasked,
            "systempaths unconfined: /proc and /sys unmasked",
        );
        say(
            request.limits.pids == Some(request::PidsLimit::Unlimited),
            "no limit on processes",
        );
        for added in &security.add {
            list.push(format!("capability added: {added}"));
        }
        for device in &request.devices {
            list.push(format!("device: {}", device.host.display()));
        }
        list
    }

    fn config_section(&self, listed: &Listed) -> Value {
        let (config, image) = (&listed.config, &listed.config.image.config.config);
        let process = &config.request.process;
        let entrypoint = match &process.entrypoint {
            Entrypoint::Image => image.entrypoint.clone(),
            Entrypoint::Cleared => Vec::new(),
            Entrypoint::Program(program) => vec![program.clone()],
        };
        let hostname = self.hostname(config, &listed.container().id);
        let ports: Map<String, Value> = open_ports(config)
            .into_iter()
            .map(|port| (port.to_string(), json!({})))
            .collect();
        json!({
            "Hostname": hostname,
            "Domainname": config.request.network.domainname.clone().unwrap_or_default(),
            "User": config.user().unwrap_or_default(),
            "AttachStdin": process.interactive,
            "AttachStdout": true,
            "AttachStderr": true,
            "Tty": process.terminal,
            "OpenStdin": process.interactive,
            "StdinOnce": process.interactive,
            "Env": config.environment(&hostname),
            "Cmd": config.args().get(entrypoint.len()..).unwrap_or_default(),
            "Entrypoint": if entrypoint.is_empty() { Value::Null } else { json!(entrypoint) },
            "Image": config.image.name,
            "WorkingDir": config.directory(),
            "Labels": config.labels(),
            "ExposedPorts": ports,
            "Volumes": image.volumes.iter().map(|path| (path.clone(), json!({}))).collect::<Map<_, _>>(),
            "StopSignal": config.stop_signal(),
            "StopTimeout": match process.stop_grace {
                Some(Grace::Seconds(seconds)) => json!(seconds),
                Some(Grace::Forever) => json!(-1),
                None => Value::Null,
            },
            "OnBuild": null,
        })
    }

    fn host_config(&self, listed: &Listed) -> Value {
        let request = &listed.config.request;
        let (network, namespaces) = (&request.network, &request.namespaces);
        let mut section = json!({
            "Binds": request.mounts.iter().filter_map(bind_words).collect::<Vec<_>>(),
            "NetworkMode": network.mode.to_string(),
            "PortBindings": asked_bindings(&network.ports),
            "PublishAllPorts": network.publish_all,
            "AutoRemove": request.remove,
            "ReadonlyRootfs": request.root == Access::ReadOnly,
            "GroupAdd": words(&request.process.groups),
            "Dns": network.dns,
            "DnsSearch": network.dns_search,
            "DnsOptions": network.dns_options,
            "ExtraHosts": words(&network.hosts),
            "ShmSize": request.shm_size.unwrap_or(bundle::SHM),
            "Init": request.process.init,
            "Sysctls": request.sysctls,
            "CgroupParent": request.cgroup_parent,
            "Annotations": request.annotations,
            "UsernsMode": if self.user_namespace(&listed.config) == UserNamespace::Host { "host" } else { "private" },
            "PidMode": namespaces.pid.to_string(),
            "IpcMode": namespaces.ipc.to_string(),
            "UTSMode": namespaces.uts.to_string(),
            "CgroupnsMode": if namespaces.cgroup == CgroupNamespace::Host { "host" } else { "private" },
            "Tmpfs": tmpfs(&request.mounts),
            "Devices": request.devices.iter().map(|device| json!({
                "PathOnHost": device.host,
                "PathInContainer": device.container,
                "CgroupPermissions": access_letters(device.access),
            })).collect::<Vec<_>>(),
            "LogConfig": log_config(&request.log),
            "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 },
            "Runtime": "hull",
            // What docker has and Hull has not.
            "Links": null,
            "VolumesFrom": null,
            "VolumeDriver": "",
            "Isolation": "",
        });
        for part in [limits_section(request), security_section(&request.security)] {
            if let (Value::Object(section), Value::Object(part)) = (&mut section, part) {
                section.extend(part);
            }
        }
        section
    }

    fn mount_list(&self, listed: &Listed) -> Value {
        let request = &listed.config.request;
        let volume = |name: &str, target: &std::path::Path, access: Access| {
            json!({
                "Type": "volume",
                "Name": name,
                "Driver": "local",
                "Mode": "",
                "Propagation": "",
                "Source": self.places().root.join("volumes").join(name).join("data"),
                "Destination": target,
                "RW": access == Access::ReadWrite,
            })
        };
        let mut list: Vec<Value> = request
            .mounts
            .iter()
            .filter_map(|mount| match mount {
                Mount::Bind {
                    source,
                    target,
                    access,
                    propagation,
                    ..
                } => Some(json!({
                    "Type": "bind",
                    "Name": "",
                    "Driver": "",
                    "Mode": "",
                    "Source": source,
                    "Destination": target,
                    "RW": *access == Access::ReadWrite,
                    "Propagation": bundle::propagation_option(*propagation),
                })),
                Mount::Volume {
                    name: Some(name),
                    target,
                    access,
                    ..
                } => Some(volume(name.as_str(), target, *access)),
                Mount::Volume { name: None, .. } => None,
                Mount::Tmpfs(tmpfs) => Some(json!({
                    "Type": "tmpfs",
                    "Name": "",
                    "Driver": "",
                    "Mode": "",
                    "Source": "",
                    "Destination": tmpfs.target,
                    "RW": tmpfs.access == Access::ReadWrite,
                    "Propagation": "",
                })),
            })
            .collect();
        list.extend(
            listed
                .config
                .anonymous
                .iter()
                .map(|anonymous| volume(&anonymous.name, &anonymous.target, Access::ReadWrite)),
        );
        Value::Array(list)
    }
}

/// Returns what is mounted into a container, volumes by their names and binds by their places on the host, and how many of
/// these are volumes.
fn mount_names(config: &crate::Config) -> (Vec<String>, usize) {
    let mut names = Vec::new();
    let mut volumes = config.anonymous.len();
    for mount in &config.request.mounts {
        match mount {
            Mount::Bind { source, .. } => names.push(source.display().to_string()),
            Mount::Volume { name, .. } => {
                volumes += usize::from(name.is_some());
                names.extend(name.as_ref().map(|name| name.as_str().to_owned()));
            }
            Mount::Tmpfs(_) => {}
        }
    }
    let anonymous = config.anonymous.iter();
    names.extend(anonymous.map(|volume| volume.name.clone()));
    (names, volumes)
}

fn words<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn limits_section(request: &request::RunRequest) -> Value {
    let (limits, process) = (&request.limits, &request.process);
    json!({
        "Memory": limits.memory.unwrap_or(0),
        "MemorySwap": match limits.memory_swap {
            Some(SwapLimit::Unlimited) => json!(-1),
            Some(SwapLimit::Bytes(bytes)) => json!(bytes),
            None => json!(limits.memory.map_or(0, |memory| memory.saturating_mul(2))),
        },
        "MemoryReservation": limits.memory_reservation.unwrap_or(0),
        "NanoCpus": limits.cpus.map_or(0, |cpus| cpus.nanos),
        "CpuShares": limits.cpu_shares.unwrap_or(0),
        "CpusetCpus": limits.cpuset_cpus.as_ref().map_or("", |set| set.as_str()),
        "CpusetMems": limits.cpuset_mems.as_ref().map_or("", |set| set.as_str()),
        "PidsLimit": match limits.pids {
            Some(request::PidsLimit::Most(most)) => json!(most),
            Some(request::PidsLimit::Unlimited) => json!(-1),
            None => json!(bundle::PIDS),
        },
        "OomScoreAdj": process.oom_score_adj.unwrap_or(0),
        "Ulimits": process.ulimits.iter().map(|ulimit| json!({
            "Name": ulimit.limit.name(),
            "Soft": signed(ulimit.soft),
            "Hard": signed(ulimit.hard),
        })).collect::<Vec<_>>(),
        // What docker has and Hull has not.
        "CpuPeriod": 0,
        "CpuQuota": 0,
        "BlkioWeight": 0,
        "OomKillDisable": false,
    })
}

fn security_section(security: &Security) -> Value {
    json!({
        "Privileged": security.privileged,
        "CapAdd": words(&security.add),
        "CapDrop": words(&security.drop),
        "Capabilities": bundle::capabilities(security),
        "SecurityOpt": security_options(security),
        "MaskedPaths": bundle::masked_paths(security),
        "ReadonlyPaths": bundle::readonly_paths(security),
    })
}

fn access_letters(access: request::DeviceAccess) -> String {
    let letters = [(access.read, 'r'), (access.write, 'w'), (access.mknod, 'm')];
    letters
        .iter()
        .filter(|(given, _)| *given)
        .map(|(_, letter)| letter)
        .collect()
}

fn state(listed: &Listed) -> Value {
    let status = &listed.status;
    let exit = status.exit();
    let run = status.run();
    json!({
        "Status": status.word(),
        "Running": matches!(status, Status::Running { .. } | Status::Paused { .. }),
        "Paused": matches!(status, Status::Paused { .. }),
        "Restarting": false,
        "OOMKilled": exit.as_ref().is_some_and(|exit| exit.oom),
        "Dead": matches!(status, Status::Lost { .. }),
        "Pid": status.alive().map_or(0, |run| run.pid),
        "ExitCode": exit.as_ref().map_or(0, |exit| exit.code),
        "Health": null,
        "Signal": exit.as_ref().and_then(|exit| exit.signal),
        "Error": exit.as_ref().and_then(|exit| exit.cause.clone()).unwrap_or_default(),
        "StartedAt": run.map_or(NEVER.to_owned(), |run| run.started.to_string()),
        "FinishedAt": exit.map_or(NEVER.to_owned(), |exit| exit.at.to_string()),
    })
}

/// Returns the published ports: those of the run, with the host's ports that were taken.
pub fn ports(listed: &Listed) -> Vec<PortMap> {
    attachment(listed).map_or_else(Vec::new, |attachment| attachment.ports)
}

/// Returns how a running container is connected, if it has a network of its own.
pub(crate) fn attachment(listed: &Listed) -> Option<hull_net::Attachment> {
    let network = listed.status.alive()?.network.clone()?;
    serde_json::from_value(network).ok()
}

fn network_settings(listed: &Listed) -> Value {
    let attachment = attachment(listed);
    let mode = &listed.config.request.network.mode;
    let network = match (&attachment, mode) {
        (Some(attachment), _) => Some(attachment.network.to_string()),
        (None, NetworkMode::Container(_) | NetworkMode::Path(_)) => None,
        (None, mode) => Some(mode.to_string()),
    };
    let endpoint = json!({
        "IPAddress": attachment.as_ref().map(|a| a.address.to_string()).unwrap_or_default(),
        "IPPrefixLen": attachment.as_ref().map_or(0, |a| a.subnet.prefix()),
        "Gateway": attachment.as_ref().map(|a| a.gateway.to_string()).unwrap_or_default(),
        "MacAddress": attachment.as_ref().map(|a| a.mac.to_string()).unwrap_or_default(),
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPv6Gateway": "",
    });
    let mut ports = attachment
        .as_ref()
        .map_or(json!({}), |a| port_bindings(&a.ports));
    if let (Value::Object(ports), Some(_)) = (&mut ports, &attachment) {
        for port in open_ports(&listed.config) {
            // Docker's word for a port that is open and not published.
            ports.entry(port.to_string()).or_insert(Value::Null);
        }
    }
    let sandbox = listed.status.alive().filter(|_| *mode != NetworkMode::Host);
    let mut settings = endpoint.clone();
    settings["Bridge"] = "".into();
    settings["SandboxKey"] = sandbox
        .map(|run| format!("/proc/{}/ns/net", run.pid))
        .unwrap_or_default()
        .into();
    settings["Ports"] = ports;
    settings["Networks"] = network.map_or(json!({}), |network| json!({ network: endpoint }));
    settings
}

/// Returns what was asked for with `--security-opt`, as it is written.
fn security_options(security: &Security) -> Vec<String> {
    let mut options = Vec::new();
    match &security.seccomp {
        Seccomp::Default => {}
        Seccomp::Unconfined => options.push("seccomp=unconfined".to_owned()),
        Seccomp::Profile(path) => options.push(format!("seccomp={}", path.display())),
    }
    match security.no_new_privileges {
        Some(true) => options.push("no-new-privileges".to_owned()),
        Some(false) => options.push("no-new-privileges=false".to_owned()),
        None => {}
    }
    if security.system_paths == SystemPaths::Unmasked {
        options.push("systempaths=unconfined".to_owned());
    }
    options
}

fn log_config(log: &LogOptions) -> Value {
    let mut config = Map::new();
    if let Some(size) = log.max_size {
        config.insert("max-size".to_owned(), size.to_string().into());
    }
    if let Some(files) = log.max_files {
        config.insert("max-file".to_owned(), files.to_string().into());
    }
    let driver = match log.driver {
        LogDriver::Files => "cri",
        LogDriver::None => "none",
    };
    json!({ "Type": driver, "Config": config })
}

/// Returns the tmpfs mounts: target, options as `--tmpfs` takes them.
fn tmpfs(mounts: &[Mount]) -> Map<String, Value> {
    let tmpfs = mounts.iter().filter_map(|mount| match mount {
        Mount::Tmpfs(tmpfs) => Some((
            tmpfs.target.display().to_string(),
            bundle::tmpfs_options(tmpfs).join(",").into(),
        )),
        _ => None,
    });
    tmpfs.collect()
}

/// Docker's number for a limit: -1 is none.
fn signed(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(-1)
}

fn port_bindings(ports: &[PortMap]) -> Value {
    by_port(
        ports,
        |port| json!({ "HostIp": port.address().to_string(), "HostPort": port.host_port.to_string() }),
    )
}

/// Returns the bindings that were asked for: an empty port of the host is any free one.
fn asked_bindings(ports: &[PortMap]) -> Value {
    let binding = |port: &PortMap| {
        let host_port = match (port.host_port, port.host_port_last) {
            (0, _) => String::new(),
            (first, Some(last)) => format!("{first}-{last}"),
            (port, None) => port.to_string(),
        };
        let host_ip = port.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
        json!({ "HostIp": host_ip, "HostPort": host_port })
    };
    by_port(ports, binding)
}

fn by_port(ports: &[PortMap], binding: impl Fn(&PortMap) -> Value) -> Value {
    let mut bindings: Map<String, Value> = Map::new();
    for port in ports {
        let key = format!("{}/{}", port.container_port, port.protocol);
        if let Value::Array(list) = bindings.entry(key).or_insert_with(|| json!([])) {
            list.push(binding(port));
        }
    }
    Value::Object(bindings)
}

/// Writes a command as docker's list does: what has a blank in it is quoted.
fn spelled(args: &[String]) -> String {
    let words = args.iter().map(|word| match word.contains(' ') {
        true => format!("'{word}'"),
        false => word.clone(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Returns the ports on which a container says it listens, published or not.
pub(crate) fn open_ports(config: &crate::Config) -> BTreeSet<ExposedPort> {
    let published = config.request.network.ports.iter().map(|map| ExposedPort {
        port: map.container_port,
        protocol: map.protocol,
    });
    // An image may name what is no port; where that matters, it was said.
    let exposed = crate::start::exposed(config).unwrap_or_default();
    exposed.into_iter().chain(published).collect()
}

/// Says a running container's ports as docker's lists do: neighbours together, those that are not published alone.
fn port_words(listed: &Listed) -> String {
    let Some(attachment) = attachment(listed) else {
        return String::new();
    };
    let published = attachment.ports;
    let mut words = Vec::new();
    let mut runs: Vec<(&PortMap, &PortMap)> = Vec::new();
    for port in &published {
        match runs.last_mut() {
            Some((_, last)) if follows(last, port) => *last = port,
            _ => runs.push((port, port)),
        }
    }
    for (first, last) in runs {
        let span = |first: u16, last: u16| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        words.push(format!(
            "{}:{}->{}/{}",
            first.address(),
            span(first.host_port, last.host_port),
            span(first.container_port, last.container_port),
            first.protocol
        ));
    }
    let taken = |open: &ExposedPort| {
        let mut published = published.iter();
        published.any(|map| (map.container_port, map.protocol) == (open.port, open.protocol))
    };
    let open = open_ports(&listed.config).into_iter();
    words.extend(
        open.filter(|port| !taken(port))
            .map(|port| port.to_string()),
    );
    words.join(", ")
}

fn follows(one: &PortMap, next: &PortMap) -> bool {
    one.host_ip == next.host_ip
        && one.protocol == next.protocol
        && one.host_port.checked_add(1) == Some(next.host_port)
        && one.container_port.checked_add(1) == Some(next.container_port)
}

fn bind_words(mount: &Mount) -> Option<String> {
    match mount {
        Mount::Bind {
            source,
            target,
            access,
            ..
        } => {
            let access = if *access == Access::ReadOnly {
                ":ro"
            } else {
                ""
            };
            Some(format!("{}:{}{access}", source.display(), target.display()))
        }
        Mount::Volume {
            name: Some(name),
            target,
            ..
        } => Some(format!("{}:{}", name.as_str(), target.display())),
        _ => None,
    }
}

fn status_words(status: &Status, now: Timestamp) -> String {
    match status {
        Status::Created => "Created".to_owned(),
        Status::Starting => "Starting".to_owned(),
        Status::Running { run } => format!("Up {}", span(now.since(run.started))),
        Status::Paused { run } => format!("Up {} (Paused)", span(now.since(run.started))),
        Status::Lost { .. } => "Lost (its monitor was killed; `hull rm -f` ends it)".to_owned(),
        Status::Stopped { .. } | Status::Vanished { .. } => {
            let exit = status.exit().unwrap_or_default();
            let why = if exit.oom { ", out of memory" } else { "" };
            format!(
                "Exited ({}{why}) {} ago",
                exit.code,
                span(now.since(exit.at))
            )
        }
    }
}

/// Says a span of time as docker does: `About a minute`, `3 hours`.
pub fn span(span: std::time::Duration) -> String {
    let seconds = span.as_secs();
    let minutes = seconds / 60;
    // Docker rounds hours, and only hours, to the nearest.
    let hours = (seconds + 1800) / 3600;
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (.., 1) => "About an hour".to_owned(),
        (.., ..48) => format!("{hours} hours"),
        (.., ..336) => format!("{} days", hours / 24),
        (.., ..1440) => format!("{} weeks", hours / 24 / 7),
        (.., ..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn words_with_blanks_are_quoted_in_lists() {
        let words = ["sh", "-c", "sleep 1"].map(str::to_owned);
        assert_eq!(spelled(&words), "sh -c 'sleep 1'");
    }

    #[test]
    fn spans_are_said_as_docker_says_them() {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 3600;
        const DAY: u64 = 86_400;
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (MINUTE, "About a minute"),
            (2 * MINUTE, "2 minutes"),
            (59 * MINUTE, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + 29 * MINUTE, "About an hour"),
            (HOUR + 30 * MINUTE, "2 hours"),
            (47 * HOUR, "47 hours"),
            (2 * DAY, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (60 * DAY, "2 months"),
            (730 * DAY, "2 years"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text, "{seconds}");
        }
    }
}
