//! What is mounted or handed into a container, looked up on the host.

use std::{
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use hull_spec::runtime::{Device, DeviceAccess, DeviceKind};

use crate::{
    AnonymousVolume, Config, Engine, EngineError,
    bundle::{Bind, Given},
    request::{
        Access, DeviceRequest, IdMapping, MissingSource, Mount, Propagation, Recursion,
        UserNamespace,
    },
};

impl Engine {
    /// Returns the mounts with their sources, parents before what lies below them. `-v` makes a missing directory, as in
    /// docker; `--mount` refuses it.
    pub(crate) fn mounts(&self, config: &Config) -> Result<Vec<Bind>, EngineError> {
        let own_ids =
            self.user_namespace(config) == UserNamespace::Private && self.caller().is_root();
        let mut binds = Vec::with_capacity(config.request.mounts.len());
        for mount in &config.request.mounts {
            binds.push(self.bind(config, mount, own_ids)?);
        }
        for volume in &config.anonymous {
            let asked = config
                .request
                .mounts
                .iter()
                .any(|mount| mount.target() == volume.target);
            if !asked {
                binds.push(Bind::Path {
                    source: self.volumes()?.data(&volume.name)?,
                    target: volume.target.clone(),
                    access: Access::ReadWrite,
                    propagation: Propagation::RPrivate,
                    recursion: Recursion::Single,
                    mapped: own_ids,
                });
            }
        }
        if !self.caller().is_root() {
            // Who may make no node can still bind the host's.
            let nodes = config.request.devices.iter().map(nodes);
            for (host, inside) in nodes.collect::<Result<Vec<_>, _>>()?.concat() {
                binds.push(Bind::Path {
                    source: host,
                    target: inside,
                    access: Access::ReadWrite,
                    propagation: Propagation::RPrivate,
                    recursion: Recursion::Single,
                    mapped: false,
                });
            }
        }
        binds.sort_by_key(|bind| match bind {
            Bind::Path { target, .. } => target.components().count(),
            Bind::Tmpfs(tmpfs) => tmpfs.target.components().count(),
        });
        Ok(binds)
    }

    fn bind(&self, config: &Config, mount: &Mount, own_ids: bool) -> Result<Bind, EngineError> {
        Ok(match mount {
            Mount::Bind {
                source,
                target,
                access,
                propagation,
                recursion,
                mapping,
                missing,
            } => {
                find_source(source, *missing)?;
                Bind::Path {
                    source: source.clone(),
                    target: target.clone(),
                    access: *access,
                    propagation: *propagation,
                    recursion: *recursion,
                    mapped: own_ids && *mapping == IdMapping::Mapped,
                }
            }
            Mount::Volume {
                name,
                target,
                access,
                mapping,
                ..
            } => {
                let name = match name {
                    Some(name) => name.as_str().to_owned(),
                    None => anonymous(config, target)?,
                };
                Bind::Path {
                    source: self.volumes()?.data(&name)?,
                    target: target.clone(),
                    access: *access,
                    propagation: Propagation::RPrivate,
                    recursion: Recursion::Single,
                    mapped: own_ids && *mapping == IdMapping::Mapped,
                }
            }
            Mount::Tmpfs(tmpfs) => Bind::Tmpfs(tmpfs.clone()),
        })
    }

    /// Returns the devices asked for with `--device`, and all of the host's for `--privileged`.
    pub(crate) fn devices(&self, config: &Config) -> Result<Vec<Given>, EngineError> {
        let mut devices: Vec<Given> = Vec::new();
        if self.caller().is_root() {
            for asked in &config.request.devices {
                for (host, inside) in nodes(asked)? {
                    devices.push(device(&host, inside, asked.access)?);
                }
            }
        }
        if config.request.security.privileged {
            host_devices(Path::new("/dev"), &mut devices);
        }
        Ok(devices)
    }
}

/// The standard nodes, and directories of other mounts: a container has its own.
const OWN_DEVICES: [&str; 11] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/console",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/shm",
    "/dev/mqueue",
];

/// Adds every device below a directory of the host's that the container does not have already. What cannot be looked at is
/// left out: nobody asked for it by name.
fn host_devices(directory: &Path, devices: &mut Vec<Given>) {
    for node in nodes_below(directory) {
        let known = devices.iter().any(|given| given.device.path == node);
        let own = OWN_DEVICES.iter().any(|own| node.starts_with(own));
        if !known && !own {
            devices.extend(device(&node, node.clone(), crate::request::DeviceAccess::ALL).ok());
        }
    }
}

/// Returns the devices in a directory and below it.
fn nodes_below(directory: &Path) -> Vec<PathBuf> {
    let mut nodes = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => nodes.extend(nodes_below(&entry.path())),
            Ok(kind) if kind.is_char_device() || kind.is_block_device() => nodes.push(entry.path()),
            _ => {}
        }
    }
    nodes
}

/// Returns the nodes that are asked for, by their paths here and inside: one, or all in a directory (`--device /dev/snd`).
fn nodes(asked: &DeviceRequest) -> Result<Vec<(PathBuf, PathBuf)>, EngineError> {
    if !asked.host.is_dir() {
        return Ok(vec![(asked.host.clone(), asked.container.clone())]);
    }
    let pair = |node: PathBuf| {
        let below = node.strip_prefix(&asked.host).unwrap_or(&node);
        let inside = asked.container.join(below);
        (node, inside)
    };
    let nodes: Vec<_> = nodes_below(&asked.host).into_iter().map(pair).collect();
    match nodes.is_empty() {
        true => Err(EngineError::NotADevice(asked.host.clone())),
        false => Ok(nodes),
    }
}

fn anonymous(config: &Config, target: &Path) -> Result<String, EngineError> {
    let find = |volume: &&AnonymousVolume| volume.target == target;
    let volume = config.anonymous.iter().find(find);
    volume
        .map(|volume| volume.name.clone())
        .ok_or_else(|| EngineError::NoVolume(target.display().to_string()))
}

fn find_source(source: &Path, missing: MissingSource) -> Result<(), EngineError> {
    if source.exists() {
        return Ok(());
    }
    match missing {
        MissingSource::Refuse => Err(EngineError::NoSource(source.to_owned())),
        MissingSource::Create => {
            std::fs::create_dir_all(source).map_err(|error| EngineError::File {
                what: "make the mount source",
                path: source.to_owned(),
                source: rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
            })
        }
    }
}

fn device(
    host: &Path,
    inside: PathBuf,
    access: crate::request::DeviceAccess,
) -> Result<Given, EngineError> {
    let metadata = match std::fs::metadata(host) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(EngineError::NoDevice(host.to_owned()));
        }
        Err(error) => {
            return Err(EngineError::File {
                what: "look at the device",
                path: host.to_owned(),
                source: rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
            });
        }
    };
    let kind = match metadata.file_type() {
        kind if kind.is_char_device() => DeviceKind::Char,
        kind if kind.is_block_device() => DeviceKind::Block,
        _ => return Err(EngineError::NotADevice(host.to_owned())),
    };
    let device = Device {
        path: inside,
        kind,
        major: Some(rustix::fs::major(metadata.rdev())),
        minor: Some(rustix::fs::minor(metadata.rdev())),
        file_mode: Some(metadata.mode() & 0o777),
        uid: Some(0),
        gid: Some(0),
    };
    Ok(Given {
        device,
        access: DeviceAccess {
            read: access.read,
            write: access.write,
            mknod: access.mknod,
        },
    })
}
