//! `hull commit`: an image of what a container has changed.

use std::io::Write;

use hull_cgroup::Group;
use hull_image::{Image, ImageError, NewImage, NewLayer, WriteError, apply_changes};
use hull_spec::image::{History, ImageConfig};
use hull_state::Status;
use hull_types::Timestamp;

use crate::{
    Config, Engine, EngineError, Listed,
    diff::own_changes,
    request::{Entrypoint, Mount},
};

/// How a container becomes an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub name: Option<String>,
    pub author: Option<String>,
    pub message: Option<String>,
    /// Instructions as in a Dockerfile: `CMD ["sh"]`, `ENV A=b`…
    pub changes: Vec<String>,
    /// Whether a running container is frozen while its files are read, so that they agree with each other.
    pub pause: bool,
}

impl Default for Commit {
    fn default() -> Self {
        Self {
            name: None,
            author: None,
            message: None,
            changes: Vec::new(),
            pause: true,
        }
    }
}

impl Engine {
    /// Makes an image: the container's image, one layer of its changes on top, and the configuration it runs with.
    pub fn commit(&self, asked: &str, commit: &Commit) -> Result<Image, EngineError> {
        let listed = self.find(asked)?;
        let parts = self.parts(&listed)?;
        let base = self.base_of(&listed)?;
        let name = commit.name.as_deref().map(|name| self.image_name(name));
        let name = name.transpose()?;
        let (config, history) = describe(&listed.config, commit)?;
        let mut frozen = self.freeze(&listed, commit)?;
        let mut write = |out: &mut dyn Write| -> Result<(), WriteError> {
            parts.with(|layers| {
                let changes = own_changes(layers)?;
                hull_snapshot::write_layer(layers, &changes, out).map(drop)
            })?;
            // All that was wanted of it has been read.
            frozen = Frozen(None);
            Ok(())
        };
        Ok(self.images()?.add(NewImage {
            base: Some(&base),
            layer: NewLayer::Write(&mut write),
            config,
            history,
            name: name.as_ref(),
        })?)
    }

    /// Finds the image a container was made from.
    fn base_of(&self, listed: &Listed) -> Result<Image, EngineError> {
        let image = &listed.config.image;
        let missing = || EngineError::BaseMissing {
            container: listed.container().name.to_string(),
            image: image.name.clone(),
        };
        let source = image.source.as_ref().ok_or_else(missing)?;
        match self.images()?.resolve(&source.manifest.to_string()) {
            Err(ImageError::NotFound { .. }) => Err(missing()),
            other => Ok(other?),
        }
    }

    fn freeze(&self, listed: &Listed, commit: &Commit) -> Result<Frozen, EngineError> {
        let Status::Running { run } = &listed.status else {
            return Ok(Frozen(None));
        };
        let group = self.group(run)?.filter(|_| commit.pause);
        if let Some(group) = &group {
            group.freeze()?;
        }
        Ok(Frozen(group))
    }
}

/// A container that was frozen for a while.
struct Frozen(Option<Group>);

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Some(group) = &self.0 {
            // If it cannot be thawed it has ended, or `hull unpause` says why.
            group.thaw().ok();
        }
    }
}

/// Returns the image's configuration and what is remembered of how its layer was made.
fn describe(config: &Config, commit: &Commit) -> Result<(ImageConfig, History), EngineError> {
    let created = Some(Timestamp::now().to_string());
    let mut image = ImageConfig {
        created: created.clone(),
        author: commit.author.clone(),
        ..config.image.config.clone()
    };
    run_as(&mut image, config).map_err(ImageError::from)?;
    apply_changes(&mut image.config, &commit.changes).map_err(ImageError::from)?;
    let history = History {
        created,
        author: commit.author.clone(),
        created_by: Some(config.args().join(" ")),
        comment: commit.message.clone(),
        ..History::default()
    };
    Ok((image, history))
}

/// Puts into an image's configuration what the container was asked to do differently.
fn run_as(image: &mut ImageConfig, config: &Config) -> Result<(), hull_image::InvalidChange> {
    let (section, request) = (&mut image.config, &config.request);
    let process = &request.process;
    match &process.entrypoint {
        Entrypoint::Image => {}
        Entrypoint::Cleared => {
            section.entrypoint.clear();
            section.cmd.clear();
        }
        Entrypoint::Program(program) => {
            section.entrypoint = vec![program.clone()];
            section.cmd.clear();
        }
    }
    if !process.command.is_empty() {
        section.cmd.clone_from(&process.command);
    }
    section.env = process.environment.over(&section.env);
    section.user = config.user().unwrap_or_default();
    if let Some(directory) = &process.directory {
        section.working_dir = directory.to_string_lossy().into_owned();
    }
    section.labels = config.labels();
    if let Some(signal) = process.stop_signal {
        section.stop_signal = Some(signal.to_string());
    }
    for port in &request.network.expose {
        apply_changes(section, &[format!("EXPOSE {port}")])?;
    }
    for map in &request.network.ports {
        let (port, protocol) = (map.container_port, map.protocol);
        apply_changes(section, &[format!("EXPOSE {port}/{protocol}")])?;
    }
    let unnamed = request.mounts.iter().filter_map(|mount| match mount {
        Mount::Volume {
            name: None, target, ..
        } => Some(target.to_string_lossy().into_owned()),
        _ => None,
    });
    section.volumes.extend(unnamed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageUse, request::RunRequest};

    fn config(change: impl FnOnce(&mut RunRequest)) -> Config {
        let mut request = RunRequest::new("debian".parse().unwrap());
        change(&mut request);
        let mut config = ImageConfig::default();
        config.config.entrypoint = vec!["/entry".into()];
        config.config.cmd = vec!["default".into()];
        config.config.env = vec!["A=1".into(), "PATH=/bin".into()];
        config.config.labels = [("a".into(), "1".into())].into();
        let image = ImageUse {
            name: "debian".into(),
            source: None,
            layers: Vec::new(),
            config,
        };
        Config {
            request,
            image,
            anonymous: Vec::new(),
        }
    }

    #[test]
    fn the_image_runs_as_the_container_did() {
        let config = config(|request| {
            request.process.command = vec!["serve".into(), "--now".into()];
            request.process.user = Some("1000".parse().unwrap());
            request.process.directory = Some("/srv".into());
            request.labels = [("b".into(), "2".into())].into();
            request.network.expose("80").unwrap();
            request.network.publish("8080:81/udp").unwrap();
            request.mounts = vec![
                Mount::parse_volume("/data", || Ok("/".into())).unwrap(),
                Mount::parse_volume("named:/named", || Ok("/".into())).unwrap(),
            ];
        });
        let commit = Commit {
            author: Some("me".into()),
            message: Some("why".into()),
            changes: vec!["ENV B=2".into(), "USER 5".into()],
            ..Commit::default()
        };
        let (image, history) = describe(&config, &commit).unwrap();
        let section = &image.config;
        assert_eq!(section.entrypoint, ["/entry"]);
        assert_eq!(section.cmd, ["serve", "--now"]);
        assert_eq!(section.env, ["A=1", "PATH=/bin", "B=2"]);
        assert_eq!(section.user, "5");
        assert_eq!(section.working_dir, "/srv");
        assert_eq!(section.labels.len(), 2);
        let ports: Vec<_> = section.exposed_ports.iter().collect();
        assert_eq!(ports, ["80/tcp", "81/udp"]);
        let volumes: Vec<_> = section.volumes.iter().collect();
        assert_eq!(volumes, ["/data"]);
        assert_eq!(image.author.as_deref(), Some("me"));
        assert_eq!(history.created_by.as_deref(), Some("/entry serve --now"));
        assert_eq!(history.comment.as_deref(), Some("why"));
        let wrong = Commit {
            changes: vec!["RUN x".into()],
            ..Commit::default()
        };
        assert!(describe(&config, &wrong).is_err());
    }

    #[test]
    fn another_entry_point_takes_the_images_command_away() {
        let other = config(|request| {
            request.process.entrypoint = Entrypoint::Program("/bin/sh".into());
        });
        let (image, _) = describe(&other, &Commit::default()).unwrap();
        assert_eq!(image.config.entrypoint, ["/bin/sh"]);
        assert!(image.config.cmd.is_empty());
    }
}
