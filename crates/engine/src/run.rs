//! Making a container: resolve, fetch, trust, unpack, reserve.

use hull_image::{Image, ImageError, Layer};
use hull_spec::image::ImageConfig;
use hull_state::{Container, Held, Reserved, RootDirectory, Status, WORK};
use hull_types::{ContainerId, ContainerName, DiffId, Timestamp};
use rustix::io::Errno;

use crate::{
    Config, Engine, EngineError, ImageSource, ImageUse, Listed, parents,
    pull::runs_on,
    request::{
        ContainerText, ImageName, IpcNamespace, Limits, LogMode, Namespace, NetworkMode,
        PullPolicy, RunRequest, UserNamespace,
    },
};

/// A container that was made and is not started; whoever has this holds its pod.
#[derive(Debug)]
pub struct Created {
    pub held: Held,
    pub id: ContainerId,
    pub name: ContainerName,
    pub config: Config,
    /// What was asked for and has no effect.
    pub notes: Vec<String>,
}

impl Engine {
    /// Makes a container. Until the last line nothing of it can be seen, and what was begun is undone by leaving.
    pub fn create(&self, mut request: RunRequest) -> Result<Created, EngineError> {
        if request.log.mode == LogMode::NonBlocking {
            return Err(EngineError::Unsupported {
                given: "--log-opt mode=non-blocking".to_owned(),
                hint: "leave it out: logs are written to the page cache, and the app waits only when the disk does",
            });
        }
        if let Some(parent) = &request.cgroup_parent
            && !parents::is_allowed(parent)
        {
            return Err(EngineError::Unsupported {
                given: format!("--cgroup-parent {}", parent.display()),
                hint: "Hull's own pods lie there: choose a group with another name",
            });
        }
        processors_exist(&request.limits)?;
        let notes = self.settle(&mut request)?;
        let (image, _held) = self.image_to_run(&request)?;
        let name = request.name.take();
        let mut config = Config {
            request,
            image,
            anonymous: Vec::new(),
        };
        if config.args().is_empty() {
            return Err(EngineError::NoCommand {
                image: config.image.name.clone(),
            });
        }
        let (reserved, id, name) = self.store().reserve(name.as_ref())?;
        match self.furnish(reserved, &mut config, id, &name) {
            Ok(held) => Ok(Created {
                held,
                id,
                name,
                config,
                notes,
            }),
            Err(error) => {
                for volume in &config.anonymous {
                    self.volumes()?.remove(&volume.name).ok();
                }
                Err(error)
            }
        }
    }

    /// Gives a pod that was reserved its directories and volumes, and last its record.
    fn furnish(
        &self,
        reserved: Reserved<'_>,
        config: &mut Config,
        id: ContainerId,
        name: &ContainerName,
    ) -> Result<Held, EngineError> {
        reserved.make_container(0, self.root_directory(&config.image.layers)?)?;
        self.make_volumes(config, reserved.id())?;
        self.write_cidfile(config, &id)?;
        let layers: Vec<DiffId> = config.image.layers.iter().rev().cloned().collect();
        let raw =
            serde_json::value::to_raw_value(&config).map_err(|source| EngineError::Config {
                name: name.to_string(),
                source,
            })?;
        let container = Container {
            id,
            name: name.clone(),
            layers,
            config: raw,
        };
        Ok(reserved.publish(Timestamp::now(), config.request.remove, vec![container])?)
    }

    /// Decides what the words left open, and refuses what this caller or this host cannot do before anything is fetched or
    /// made. Returns what will have no effect.
    fn settle(&self, request: &mut RunRequest) -> Result<Vec<String>, EngineError> {
        const SHARE: &str = "`--network host` shares this host's network and its ports";
        let needs_root = |what, hint| Err(EngineError::NeedsRoot { what, hint });
        let root = self.caller().is_root();
        let mut notes = Vec::new();
        let publishes = request.network.publishes();
        match &mut request.network.mode {
            NetworkMode::Default if publishes && !root => {
                return needs_root("publish ports", SHARE);
            }
            mode @ NetworkMode::Default => {
                // `@host` has loopback only unless it is asked for more, and publishing asks.
                let bridge = root && (publishes || !request.image.is_host());
                *mode = match bridge {
                    true => NetworkMode::Bridge,
                    false => NetworkMode::None,
                };
            }
            NetworkMode::Bridge | NetworkMode::Named(_) if !root => {
                return needs_root("connect a container to a bridge", SHARE);
            }
            NetworkMode::Named(name) => {
                self.networks()?.find(name)?;
            }
            mode @ (NetworkMode::None | NetworkMode::Host) if publishes => {
                notes.push(format!(
                    "no port is published: `--network {mode}` has no ports of its own"
                ));
            }
            NetworkMode::Container(container) => *container = self.by_id(container)?,
            NetworkMode::Bridge | NetworkMode::None | NetworkMode::Host | NetworkMode::Path(_) => {}
        }
        let namespaces = &mut request.namespaces;
        if let IpcNamespace::Container(container) = &mut namespaces.ipc {
            *container = self.by_id(container)?;
        }
        for namespace in [&mut namespaces.pid, &mut namespaces.uts] {
            if let Namespace::Container(container) = namespace {
                *container = self.by_id(container)?;
            }
        }
        if !root {
            if namespaces.user == Some(UserNamespace::Host) {
                return needs_root(
                    "share the host's user namespace",
                    "leave it out: root in the container is you outside",
                );
            }
            if request.limits != Limits::default() || request.cgroup_parent.is_some() {
                notes
                    .push("the limits are not set: an ordinary user has no cgroup here".to_owned());
            }
        }
        Ok(notes)
    }

    /// Returns a container's id in place of what it was called: its name may go to another before this one starts.
    fn by_id(&self, asked: &ContainerText) -> Result<ContainerText, EngineError> {
        let id = self.find(asked.as_str())?.container().id;
        Ok(id.to_string().parse()?)
    }

    /// Takes up a container that was made before and is not running, to start it: `start`, and the second half of `restart`.
    pub fn take_up(&self, asked: &str) -> Result<Created, EngineError> {
        let listed = self.find(asked)?;
        match &listed.status {
            Status::Running { .. } | Status::Paused { .. } | Status::Starting => {
                return Err(EngineError::WrongState {
                    name: listed.container().name.to_string(),
                    is: "running already",
                    hint: "`hull restart` ends it first",
                });
            }
            Status::Lost { .. }
            | Status::Created
            | Status::Stopped { .. }
            | Status::Vanished { .. } => {}
        }
        let held = self.hold(listed.pod.id())?;
        self.clear(&held, &listed)?;
        if listed.config.request.remove {
            self.forget_volatile(&listed)?;
        }
        let container = listed.container();
        Ok(Created {
            held,
            id: container.id,
            name: container.name.clone(),
            config: listed.config.clone(),
            notes: Vec::new(),
        })
    }

    /// Takes away the mark by which overlayfs knows that a layer was never synced, and refuses to mount it again: what a
    /// container with `--rm` wrote is not promised to outlive the host's crash.
    fn forget_volatile(&self, listed: &Listed) -> Result<(), EngineError> {
        use rustix::fs::{Mode, OFlags};
        let path = self.part(listed, WORK);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let work = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(work) => work,
            // Never started, or another kind of root.
            Err(Errno::NOENT) => return Ok(()),
            Err(source) => {
                return Err(EngineError::File {
                    what: "open",
                    path,
                    source,
                });
            }
        };
        Ok(hull_fs::remove_tree(work, "work")?)
    }

    /// Finds the image, or fetches it as the policy on pulling says; asks whether it may be trusted, unpacks it, and holds its
    /// layers until the record names them.
    fn image_to_run(&self, request: &RunRequest) -> Result<(ImageUse, Vec<Layer>), EngineError> {
        if request.image.is_host() {
            let config = ImageConfig::default();
            let host = ImageUse {
                name: ImageName::HOST.to_owned(),
                source: None,
                layers: Vec::new(),
                config,
            };
            return Ok((host, Vec::new()));
        }
        let asked = request.image.as_str();
        let images = self.images()?;
        let here = match request.pull {
            PullPolicy::Always => None,
            PullPolicy::Missing | PullPolicy::Never => match images.resolve(asked) {
                // One for another platform is not the one that was asked for.
                Ok(image)
                    if request.pull == PullPolicy::Missing
                        && request
                            .platform
                            .as_ref()
                            .is_some_and(|platform| !runs_on(&image, platform)) =>
                {
                    None
                }
                Ok(image) => Some(image),
                Err(ImageError::NotFound { near, .. }) if request.pull == PullPolicy::Never => {
                    return Err(EngineError::ImageMissing {
                        image: asked.to_owned(),
                        near,
                    });
                }
                Err(ImageError::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            },
        };
        let image = match here {
            Some(image) => image,
            None => self.pull(asked, request.platform.as_ref())?.image,
        };
        let name = images
            .reference(asked)
            .ok()
            .filter(|name| image.names.contains(name));
        let trusted = images.trusted(&image, name.as_ref())?;
        let layers = images.ensure_unpacked(&trusted, &image.config)?;
        Ok((image_use(asked, image), layers))
    }

    /// Returns what the image says of its `/`: the topmost layer that says something.
    fn root_directory(&self, layers: &[DiffId]) -> Result<RootDirectory, EngineError> {
        for layer in layers.iter().rev() {
            if let Some(root) = self.images()?.layers().record(layer)?.root {
                return Ok(RootDirectory {
                    mode: root.mode,
                    uid: root.uid,
                    gid: root.gid,
                });
            }
        }
        Ok(RootDirectory::default())
    }

    fn write_cidfile(&self, config: &Config, id: &ContainerId) -> Result<(), EngineError> {
        use rustix::fs::{Mode, OFlags};
        let Some(path) = &config.request.session.cidfile else {
            return Ok(());
        };
        let failed = |source| EngineError::CidFile {
            path: path.clone(),
            source,
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o644)).map_err(failed)?;
        rustix::io::write(&file, id.to_string().as_bytes()).map_err(failed)?;
        Ok(())
    }
}

fn image_use(asked: &str, image: Image) -> ImageUse {
    ImageUse {
        name: asked.to_owned(),
        source: Some(ImageSource {
            manifest: image.digest,
            id: image.id,
        }),
        layers: image.config.rootfs.diff_ids.clone(),
        config: image.config,
    }
}
/// Refuses processors and memory nodes that are not there. cgroup v1 says only that it will not, v2 takes them and uses others.
fn processors_exist(limits: &Limits) -> Result<(), EngineError> {
    let asked = [
        ("--cpuset-cpus", &limits.cpuset_cpus, "cpu"),
        ("--cpuset-mems", &limits.cpuset_mems, "node"),
    ];
    for (option, asked, kind) in asked {
        let Some(asked) = asked else { continue };
        let online = std::fs::read_to_string(format!("/sys/devices/system/{kind}/online"));
        // A kernel without memory nodes has no such file.
        let Some(there) = online.ok().and_then(|text| text.trim().parse().ok()) else {
            continue;
        };
        if !asked.is_within(&there) {
            return Err(EngineError::NoProcessors {
                option,
                asked: asked.to_string(),
                there: there.to_string(),
            });
        }
    }
    Ok(())
}
