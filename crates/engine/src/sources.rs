//! What is mounted or handed into a container, looked up on the host.

use std::{
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use hull_spec::runtime::{Device, DeviceKind};

use crate::{
    AnonymousVolume, Config, Engine, EngineError,
    bundle::Bind,
    request::{
        DeviceRequest, IdMapping, MissingSource, Mount, Propagation, Recursion, UserNamespace,
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
                    access: crate::request::Access::ReadWrite,
                    propagation: Propagation::RPrivate,
                    recursion: Recursion::Single,
                    mapped: own_ids,
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

    /// Returns the devices asked for with `--device`, or all of the host's for `--privileged`.
    pub(crate) fn devices(&self, config: &Config) -> Result<Vec<Device>, EngineError> {
        let mut devices: Vec<Device> = config
            .request
            .devices
            .iter()
            .map(device)
            .collect::<Result<_, _>>()?;
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
fn host_devices(directory: &Path, devices: &mut Vec<Device>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let known = devices.iter().any(|device| device.path == path);
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if known || OWN_DEVICES.iter().any(|own| path == Path::new(own)) {
            continue;
        }
        if kind.is_dir() {
            host_devices(&path, devices);
        } else if kind.is_char_device() || kind.is_block_device() {
            let access = crate::request::DeviceAccess::ALL;
            let asked = DeviceRequest {
                host: path.clone(),
                container: path,
                access,
            };
            devices.extend(device(&asked).ok());
        }
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

fn device(asked: &DeviceRequest) -> Result<Device, EngineError> {
    let metadata = std::fs::metadata(&asked.host).map_err(|error| EngineError::File {
        what: "look at the device",
        path: asked.host.clone(),
        source: rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
    })?;
    let kind = match metadata.file_type() {
        kind if kind.is_char_device() => DeviceKind::Char,
        kind if kind.is_block_device() => DeviceKind::Block,
        _ => return Err(EngineError::NotADevice(asked.host.clone())),
    };
    Ok(Device {
        path: asked.container.clone(),
        kind,
        major: Some(rustix::fs::major(metadata.rdev())),
        minor: Some(rustix::fs::minor(metadata.rdev())),
        file_mode: Some(metadata.mode() & 0o777),
        uid: Some(0),
        gid: Some(0),
    })
}
