//! What is known about a container, in docker's field names, as JSON: what `inspect`, `ps --format` and the API show.

use hull_net::PortMap;
use hull_state::Status;
use hull_types::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    Engine, Listed, bundle,
    request::{self, Access, Entrypoint, Mount, SwapLimit, UserNamespace},
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
            "RestartCount": listed.pod.journal.starts[listed.place].saturating_sub(1),
            "Driver": "overlay",
            "Platform": "linux",
            "Pod": listed.pod.id(),
            "Mounts": self.mount_list(listed),
            "Config": self.config_section(listed),
            "HostConfig": self.host_config(listed),
            "NetworkSettings": network_settings(listed),
            "LogPath": self.places().root.join(format!("pods/{}/{}/log", listed.pod.id(), listed.place)),
            "Relaxations": self.relaxations(listed),
        })
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
        let mounts: Vec<String> = config
            .request
            .mounts
            .iter()
            .map(|mount| mount.target().display().to_string())
            .collect();
        json!({
            "ID": container.id,
            "Names": container.name,
            "Image": config.image.name,
            "Command": spelled(&config.args()),
            "CreatedAt": created,
            "RunningFor": format!("{} ago", span(now.since(created))),
            "State": listed.status.word(),
            "Status": status_words(&listed.status, now),
            "Ports": ports(listed).iter().map(port_words).collect::<Vec<_>>().join(", "),
            "Labels": labels.join(","),
            "Mounts": mounts.join(","),
            "Networks": config.request.network.mode.to_string(),
            "LocalVolumes": config.anonymous.len(),
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
        let hostname = self.hostname(listed);
        let ports: Map<String, Value> = image
            .exposed_ports
            .iter()
            .chain(&config.request.network.expose)
            .map(|port| (port.clone(), json!({})))
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
            "Env": config.environment(&hostname),
            "Cmd": config.args().get(entrypoint.len()..).unwrap_or_default(),
            "Entrypoint": if entrypoint.is_empty() { Value::Null } else { json!(entrypoint) },
            "Image": config.image.name,
            "WorkingDir": config.directory(),
            "Labels": config.labels(),
            "ExposedPorts": ports,
            "Volumes": image.volumes.iter().map(|path| (path.clone(), json!({}))).collect::<Map<_, _>>(),
            "StopSignal": config.stop_signal(),
        })
    }

    fn host_config(&self, listed: &Listed) -> Value {
        let request = &listed.config.request;
        let (limits, security, namespaces) =
            (&request.limits, &request.security, &request.namespaces);
        let binds: Vec<String> = request.mounts.iter().filter_map(bind_words).collect();
        json!({
            "Binds": binds,
            "NetworkMode": request.network.mode.to_string(),
            "PortBindings": port_bindings(&ports(listed)),
            "PublishAllPorts": request.network.publish_all,
            "AutoRemove": request.remove,
            "Privileged": security.privileged,
            "ReadonlyRootfs": request.root == Access::ReadOnly,
            "CapAdd": security.add.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "CapDrop": security.drop.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "Capabilities": bundle::capabilities(security),
            "Dns": request.network.dns,
            "DnsSearch": request.network.dns_search,
            "DnsOptions": request.network.dns_options,
            "ExtraHosts": request.network.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
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
            "PidsLimit": match limits.pids {
                Some(request::PidsLimit::Most(most)) => json!(most),
                Some(request::PidsLimit::Unlimited) => json!(-1),
                None => json!(bundle::PIDS),
            },
            "ShmSize": request.shm_size.unwrap_or(bundle::SHM),
            "OomScoreAdj": request.process.oom_score_adj.unwrap_or(0),
            "Init": request.process.init,
            "Sysctls": request.sysctls,
            "CgroupParent": request.cgroup_parent,
            "Annotations": request.annotations,
            "UsernsMode": if self.user_namespace(&listed.config) == UserNamespace::Host { "host" } else { "private" },
            "PidMode": format!("{}", namespaces.pid),
            "IpcMode": format!("{}", namespaces.ipc),
            "UTSMode": format!("{}", namespaces.uts),
            "Devices": request.devices.iter().map(|device| json!({
                "PathOnHost": device.host,
                "PathInContainer": device.container,
                "CgroupPermissions": access_letters(device.access),
            })).collect::<Vec<_>>(),
            "LogConfig": { "Type": "cri", "Config": {} },
            "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 },
        })
    }

    fn mount_list(&self, listed: &Listed) -> Value {
        let request = &listed.config.request;
        let volume = |name: &str, target: &std::path::Path, access: Access| {
            json!({
                "Type": "volume",
                "Name": name,
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
                Mount::Tmpfs(tmpfs) => {
                    Some(json!({ "Type": "tmpfs", "Destination": tmpfs.target, "RW": true }))
                }
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
        "Signal": exit.as_ref().and_then(|exit| exit.signal),
        "Error": exit.as_ref().and_then(|exit| exit.cause.clone()).unwrap_or_default(),
        "StartedAt": run.map_or(NEVER.to_owned(), |run| run.started.to_string()),
        "FinishedAt": exit.map_or(NEVER.to_owned(), |exit| exit.at.to_string()),
    })
}

/// Returns the published ports: those of the run, with the host's ports that were taken.
pub fn ports(listed: &Listed) -> Vec<PortMap> {
    let attachment = listed.status.alive().and_then(|run| run.network.clone());
    attachment
        .and_then(|value| serde_json::from_value::<hull_net::Attachment>(value).ok())
        .map(|attachment| attachment.ports)
        .unwrap_or_default()
}

fn network_settings(listed: &Listed) -> Value {
    let attachment = listed
        .status
        .alive()
        .and_then(|run| run.network.clone())
        .and_then(|value| serde_json::from_value::<hull_net::Attachment>(value).ok());
    let Some(attachment) = attachment else {
        return json!({ "IPAddress": "", "IPPrefixLen": 0, "Gateway": "", "MacAddress": "", "Ports": {}, "Networks": {} });
    };
    let endpoint = json!({
        "IPAddress": attachment.address,
        "IPPrefixLen": attachment.subnet.prefix(),
        "Gateway": attachment.gateway,
        "MacAddress": attachment.mac.to_string(),
    });
    let mut settings = endpoint.clone();
    settings["Ports"] = port_bindings(&attachment.ports);
    settings["Networks"] = json!({ attachment.network.to_string(): endpoint });
    settings
}

fn port_bindings(ports: &[PortMap]) -> Value {
    let mut bindings: Map<String, Value> = Map::new();
    for port in ports {
        let key = format!("{}/{}", port.container_port, port.protocol);
        let binding =
            json!({ "HostIp": port.address().to_string(), "HostPort": port.host_port.to_string() });
        if let Value::Array(list) = bindings.entry(key).or_insert_with(|| json!([])) {
            list.push(binding);
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

fn port_words(port: &PortMap) -> String {
    format!(
        "{}:{}->{}/{}",
        port.address(),
        port.host_port,
        port.container_port,
        port.protocol
    )
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
