//! What a container's record keeps: what was asked for, and what the image said when it was made.

use hull_spec::image::ImageConfig;
use hull_types::{DiffId, Digest, Signal};
use serde::{Deserialize, Serialize};

use crate::request::{Entrypoint, NetworkMode, RunRequest};

/// The engine's part of a container's record. The image's words are kept in full, so that a container starts again as it was
/// although its image's name has moved on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    pub request: RunRequest,
    pub image: ImageUse,
    /// Volumes made for this container alone, by target; they go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anonymous: Vec<AnonymousVolume>,
}

/// A volume that nobody named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnonymousVolume {
    pub target: std::path::PathBuf,
    pub name: String,
}

/// What a container stands on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImageUse {
    /// The name it was asked for by, as lists show it.
    pub name: String,
    /// The manifest and the image's id; none for `@host`.
    pub source: Option<ImageSource>,
    /// The layers, bottom first.
    pub layers: Vec<DiffId>,
    pub config: ImageConfig,
}

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSource {
    pub manifest: Digest,
    /// The digest of its configuration, docker's image id.
    pub id: Digest,
}

/// The search path of containers whose image sets none: docker's.
pub const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Config {
    /// Returns the command and its arguments: the entrypoint, then the command.
    pub fn args(&self) -> Vec<String> {
        let (process, image) = (&self.request.process, &self.image.config.config);
        let (mut args, default) = match &process.entrypoint {
            Entrypoint::Image => (image.entrypoint.clone(), &image.cmd[..]),
            // The image's command was meant for the image's entrypoint.
            Entrypoint::Cleared => (Vec::new(), &[][..]),
            Entrypoint::Program(program) => (vec![program.clone()], &[][..]),
        };
        if process.command.is_empty() {
            args.extend_from_slice(default);
        } else {
            args.extend_from_slice(&process.command);
        }
        args
    }

    /// Tells whether it has an address on a network of Hull's.
    pub(crate) fn is_on_bridge(&self) -> bool {
        matches!(
            self.request.network.mode,
            NetworkMode::Bridge | NetworkMode::Named(_)
        )
    }

    /// Returns the environment: the image's, Hull's own, then what was asked for.
    pub fn environment(&self, hostname: &str) -> Vec<String> {
        let image = &self.image.config.config.env;
        let mut base = Vec::with_capacity(image.len() + 3);
        if !image.iter().any(|variable| variable.starts_with("PATH=")) {
            base.push(PATH.to_owned());
        }
        base.push(format!("HOSTNAME={hostname}"));
        if self.request.process.terminal {
            base.push("TERM=xterm".to_owned());
        }
        base.extend_from_slice(image);
        self.request.process.environment.over(&base)
    }

    /// Returns who to be, in docker's words; none is root.
    pub fn user(&self) -> Option<String> {
        let asked = self.request.process.user.as_ref().map(ToString::to_string);
        asked
            .or_else(|| Some(self.image.config.config.user.clone()).filter(|user| !user.is_empty()))
    }

    /// Returns who to be with the groups added to it: the runtime's words, `user:group+added+added`.
    pub fn user_and_groups(&self) -> Option<String> {
        let groups = &self.request.process.groups;
        if groups.is_empty() {
            return self.user();
        }
        let added: String = groups.iter().map(|group| format!("+{group}")).collect();
        Some(self.user().unwrap_or_else(|| "0".to_owned()) + &added)
    }

    /// Returns the directory the app starts in.
    pub fn directory(&self) -> std::path::PathBuf {
        let image = &self.image.config.config.working_dir;
        match &self.request.process.directory {
            Some(directory) => directory.clone(),
            None if image.is_empty() => "/".into(),
            None => std::path::Path::new("/").join(image),
        }
    }

    /// Returns the signal that asks the app to end.
    pub fn stop_signal(&self) -> Signal {
        let image = || {
            self.image
                .config
                .config
                .stop_signal
                .as_ref()
                .and_then(|text| text.parse().ok())
        };
        self.request
            .process
            .stop_signal
            .or_else(image)
            .unwrap_or(Signal::TERM)
    }

    /// Returns the labels: the image's, then those asked for.
    pub fn labels(&self) -> std::collections::BTreeMap<String, String> {
        let mut labels = self.image.config.config.labels.clone();
        labels.extend(self.request.labels.clone());
        labels
    }
}
