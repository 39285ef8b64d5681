//! Volumes that containers of this engine use.

use std::{
    collections::HashSet,
    fs::File,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use hull_fs::{
    Root,
    tar::{Entry, EntryPath},
};
use hull_snapshot::WhiteoutMarks;
use hull_types::PodId;
use hull_volume::{Volume, VolumeError, Volumes};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use crate::{
    AnonymousVolume, Config, CopyError, Engine, EngineError, Listed, Swept,
    copy::{Contents, IdMaps, Made, Owners, Place, Side, Top, Walk},
    request::{CopyUp, Mount},
};

impl Engine {
    pub(crate) fn volumes(&self) -> Result<Volumes, EngineError> {
        if self.caller().is_root() {
            Ok(Volumes::new(&self.places().root))
        } else {
            Err(EngineError::NeedsRoot {
                what: "use volumes",
                hint: crate::error::HOST_ONLY,
            })
        }
    }

    /// Returns all volumes, and for each whether a container has it.
    pub fn volume_list(&self) -> Result<Vec<(Volume, bool)>, EngineError> {
        let used: HashSet<String> = self.list()?.0.iter().flat_map(volume_names).collect();
        let volumes = self.volumes()?.list()?.into_iter();
        Ok(volumes
            .map(|volume| {
                let used = used.contains(&volume.name);
                (volume, used)
            })
            .collect())
    }

    /// Makes a volume, unless there is one of that name.
    pub fn create_volume(&self, name: &str) -> Result<(), EngineError> {
        self.volumes()?.create(name)?;
        Ok(())
    }

    /// Returns where a volume's files are.
    pub fn volume_data(&self, name: &str) -> Result<std::path::PathBuf, EngineError> {
        Ok(self.volumes()?.data(name)?)
    }

    /// Removes a volume that no container has.
    pub fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let listed = self.list()?.0;
        let user = listed
            .iter()
            .find(|listed| volume_names(listed).any(|used| used == name));
        if let Some(user) = user {
            return Err(EngineError::VolumeInUse {
                volume: name.to_owned(),
                container: user.container().name.to_string(),
            });
        }
        Ok(self.volumes()?.remove(name)?)
    }

    /// Removes the volumes that no container has: those that nobody named, and with `all` every one. Says which, and how much
    /// they held.
    pub fn prune_volumes(&self, all: bool) -> Result<Swept, EngineError> {
        let mut swept = Swept::default();
        for (volume, used) in self.volume_list()? {
            if used || (volume.pod.is_none() && !all) {
                continue;
            }
            let data = self.volumes()?.data(&volume.name).ok();
            let bytes =
                data.and_then(|data| hull_fs::disk_usage(std::fs::File::open(data).ok()?).ok());
            self.volumes()?.remove(&volume.name)?;
            swept.bytes += bytes.map_or(0, |usage| usage.bytes);
            swept.removed.push(volume.name);
        }
        Ok(swept)
    }

    /// Makes the volumes that a new container needs: those named that do not exist yet, and one of its own for each place that
    /// it, or its image, wants kept without naming it. A new volume begins with what the image has at its place.
    pub(crate) fn make_volumes(&self, config: &mut Config, pod: PodId) -> Result<(), EngineError> {
        let asked = config.request.mounts.clone();
        for mount in &asked {
            if let Mount::Volume {
                name, target, copy, ..
            } = mount
            {
                let name = match name {
                    Some(name) => name.as_str().to_owned(),
                    None => self.name_anonymous(config, target)?,
                };
                let owner = config
                    .anonymous
                    .iter()
                    .any(|volume| volume.name == name)
                    .then_some(pod);
                self.volumes()?.ensure(&name, owner, |data| {
                    self.copy_up(config, target, data, *copy)
                })?;
            }
        }
        let wanted: Vec<std::path::PathBuf> = config
            .image
            .config
            .config
            .volumes
            .iter()
            .map(Into::into)
            .collect();
        for target in wanted {
            if asked.iter().any(|mount| mount.target() == target) {
                continue;
            }
            let name = self.name_anonymous(config, &target)?;
            self.volumes()?.ensure(&name, Some(pod), |data| {
                self.copy_up(config, &target, data, CopyUp::Copy)
            })?;
        }
        Ok(())
    }

    fn name_anonymous(
        &self,
        config: &mut Config,
        target: &std::path::Path,
    ) -> Result<String, EngineError> {
        let name = hull_fs::random_hex(32).map_err(VolumeError::from)?;
        config.anonymous.push(AnonymousVolume {
            target: target.to_owned(),
            name: name.clone(),
        });
        Ok(name)
    }

    /// Copies what the image has at a volume's place into the new volume, and makes the volume's own directory like the one
    /// there. The place is looked up inside the image, links and all (CVE-2022-23648 was a link to the host).
    fn copy_up(
        &self,
        config: &Config,
        target: &Path,
        data: &Path,
        copy: CopyUp,
    ) -> Result<(), EngineError> {
        if copy == CopyUp::Leave || config.image.layers.is_empty() {
            return Ok(());
        }
        self.copy_image(config, target, data)?;
        make_places(target, data)
    }

    fn copy_image(&self, config: &Config, target: &Path, data: &Path) -> Result<(), EngineError> {
        let layers = self.images()?.layers();
        let top_first = config.image.layers.iter().rev();
        let opened = top_first.map(|layer| layers.open(layer));
        let opened: Vec<OwnedFd> = opened.collect::<Result<_, _>>()?;
        let lowers: Vec<_> = opened.iter().map(AsFd::as_fd).collect();
        let image = Root::new(hull_snapshot::view(&lowers, WhiteoutMarks::Trusted)?);
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let source = match image.open(target, flags, Mode::empty()) {
            Ok(source) => source,
            // The image has nothing there, or nothing that could be a volume.
            Err(error) if matches!(error.errno(), Some(Errno::NOENT | Errno::NOTDIR)) => {
                return Ok(());
            }
            Err(error) => return Err(CopyError::from(error).into()),
        };
        let volume = Root::open_path(data).map_err(CopyError::from)?;
        let ids = IdMaps::identity();
        let mut place = Place {
            root: volume.as_fd(),
            within: None,
            ids: &ids,
            owners: Owners::Kept,
            top: Top::Takes,
            side: Side::new(None, data),
            progress: Made::default(),
        };
        let mut visit = |entry: Entry, contents: Option<&File>| {
            place.put(entry, contents.map_or(Contents::Nothing, Contents::File))
        };
        let side = Side::new(Some(&config.image.name), target);
        Walk::new(&ids, &side, &mut visit).tree(&source, EntryPath::root())?;
        place.finish()?;
        Ok(())
    }
}

/// Makes places for the files that every container gets over its own: in a volume that is mounted read-only nobody else can.
fn make_places(target: &Path, data: &Path) -> Result<(), EngineError> {
    let volume = Root::open_path(data).map_err(CopyError::from)?;
    for file in crate::files::OWN {
        let Ok(inside) = Path::new(file).strip_prefix(target) else {
            continue;
        };
        let parent = inside.parent().unwrap_or(Path::new(""));
        let parent = Path::new("/").join(parent);
        volume
            .create_dir_all(&parent, Mode::from_raw_mode(0o755))
            .map_err(CopyError::from)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        match volume.open(inside, flags, Mode::from_raw_mode(0o644)) {
            Ok(_) => {}
            // A file or a link: as the image has it.
            Err(error) if error.errno() == Some(Errno::EXIST) => {}
            Err(error) => return Err(CopyError::from(error).into()),
        }
    }
    Ok(())
}

/// Returns the volumes that a container has, named by somebody or not.
fn volume_names(listed: &Listed) -> impl Iterator<Item = String> {
    let mounts = listed.config.request.mounts.iter();
    let named = mounts.filter_map(|mount| match mount {
        Mount::Volume { name, .. } => name.as_ref().map(|name| name.as_str().to_owned()),
        _ => None,
    });
    let anonymous = listed.config.anonymous.iter();
    let anonymous = anonymous.map(|volume| volume.name.clone());
    named.chain(anonymous).collect::<Vec<_>>().into_iter()
}
