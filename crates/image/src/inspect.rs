//! What `hull image inspect` shows: docker's fields under docker's names, so that scripts written for it find what they look for.

use hull_spec::image::ConfigSection;
use hull_types::{DiffId, Digest, Reference, ShortNames};
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::{Value, json};

use crate::{Image, ImageError, Images};

/// An image as docker's API describes it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspect {
    pub id: Digest,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    pub parent: String,
    pub comment: String,
    pub created: String,
    pub author: String,
    #[serde(serialize_with = "write_whole")]
    pub config: ConfigSection,
    pub architecture: String,
    pub variant: String,
    pub os: String,
    /// Bytes of the unpacked layers.
    pub size: u64,
    pub graph_driver: GraphDriver,
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    /// Hull's addition: the digest of the manifest.
    pub digest: Digest,
}

/// How layers are kept.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GraphDriver {
    pub name: String,
}

/// The layers, lowest first.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RootFs {
    #[serde(rename = "Type")]
    pub kind: &'static str,
    pub layers: Vec<DiffId>,
}

impl Images {
    /// Describes an image.
    pub fn inspect(&self, asked: &str) -> Result<Inspect, ImageError> {
        Ok(self.describe(self.resolve(asked)?))
    }

    /// Returns how many bytes the files of an image have, as far as its layers are unpacked.
    pub fn unpacked_size(&self, image: &Image) -> u64 {
        let records = image.layers().iter().flat_map(|id| self.layers.record(id));
        records.map(|record| record.size).sum()
    }

    fn describe(&self, image: Image) -> Inspect {
        let config = &image.config;
        let last = config
            .history
            .iter()
            .rev()
            .find_map(|entry| entry.comment.clone());
        Inspect {
            repo_tags: repo_tags(&image.names, &self.short),
            repo_digests: repo_digests(&image, &self.short),
            parent: String::new(),
            comment: last.unwrap_or_default(),
            created: config.created.clone().unwrap_or_default(),
            author: config.author.clone().unwrap_or_default(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone().unwrap_or_default(),
            os: config.os.clone(),
            size: self.unpacked_size(&image),
            graph_driver: GraphDriver {
                name: self.layers.name().to_owned(),
            },
            root_fs: RootFs {
                kind: "layers",
                layers: image.layers().to_vec(),
            },
            config: config.config.clone(),
            id: image.id,
            digest: image.digest,
        }
    }
}

/// Writes what is empty as well: a template that asks for an image's `Cmd` is right, though this image has none.
fn write_whole<S: Serializer>(config: &ConfigSection, serializer: S) -> Result<S::Ok, S::Error> {
    let mut whole = json!({
        "User": "",
        "ExposedPorts": {},
        "Env": [],
        "Entrypoint": [],
        "Cmd": [],
        "Volumes": {},
        "WorkingDir": "",
        "Labels": {},
        "StopSignal": "",
        "Healthcheck": null,
        "Shell": [],
        "OnBuild": [],
    });
    let given = serde_json::to_value(config).map_err(S::Error::custom)?;
    if let (Value::Object(whole), Value::Object(given)) = (&mut whole, given) {
        whole.extend(given);
    }
    whole.serialize(serializer)
}

fn repo_tags(names: &[Reference], short: &ShortNames) -> Vec<String> {
    let tagged = names.iter().filter(|name| name.tag().is_some());
    tagged.map(|name| name.familiar(short)).collect()
}

/// The digest a registry would show, once for each repository the image is named in.
fn repo_digests(image: &Image, short: &ShortNames) -> Vec<String> {
    let digest = image.registry_digest();
    let names = image.names.iter();
    let mut found: Vec<String> = names
        .map(|name| name.at(digest.clone()).familiar(short))
        .collect();
    found.dedup();
    found
}
