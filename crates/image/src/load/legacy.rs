//! What `docker save` wrote before docker 1.10, and nothing else: `repositories` leads from names to layers, and each layer's
//! `json` to the one below it. The configuration is made from the topmost layer's description, as docker did when it moved its
//! own images.

use std::collections::BTreeMap;

use hull_content::{Hasher, Session};
use hull_spec::image::{Descriptor, Family, ImageConfig, MAX_LAYERS, MediaType};
use hull_types::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    docker::{layer_descriptor, made, make_manifest},
    docker_name,
    layout::Listed,
    spool::Spool,
};
use crate::{ImageError, Limits, images::MAX_DOCUMENT, layer::uncompressed};

const FILE: &str = "repositories";

/// Repository to tag to the id of the topmost layer.
type Repositories = BTreeMap<String, BTreeMap<String, String>>;

/// What a layer's description says that is not copied.
#[derive(Deserialize)]
struct Described {
    parent: Option<String>,
    created: Option<Value>,
    author: Option<Value>,
    container_config: Option<ContainerConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerConfig {
    cmd: Option<Vec<String>>,
}

/// Fields of a layer's description that have no place in a configuration.
const DROPPED: [&str; 6] = ["id", "parent", "Size", "parent_id", "layer_id", "throwaway"];

pub(super) fn list<'s>(
    session: &'s Session<'_>,
    spool: &mut Spool<'s>,
    limits: &Limits,
) -> Result<Vec<Listed>, ImageError> {
    let bytes = spool.contents(FILE, MAX_DOCUMENT, "the archive")?;
    let repositories: Repositories = read(FILE, &bytes)?;
    let mut listed: Vec<Listed> = Vec::new();
    for (repository, tags) in repositories {
        for (tag, top) in tags {
            let name = docker_name(&format!("{repository}:{tag}"))?;
            let root = image(session, spool, &top, limits)?;
            match listed
                .iter_mut()
                .find(|image| image.root.digest == root.digest)
            {
                Some(image) => image.names.push(name),
                None => listed.push(Listed {
                    root,
                    names: vec![name],
                }),
            }
        }
    }
    Ok(listed)
}

fn image<'s>(
    session: &'s Session<'_>,
    spool: &mut Spool<'s>,
    top: &str,
    limits: &Limits,
) -> Result<Descriptor, ImageError> {
    let chain = chain(spool, top)?;
    let (mut layers, mut diff_ids, mut history) = (Vec::new(), Vec::new(), Vec::new());
    for (id, layer) in &chain {
        let name = format!("{id}/layer.tar");
        let descriptor = layer_descriptor(session, spool, &name, FILE, limits)?;
        diff_ids.push(json!(diff_id(spool, &name, limits)?));
        layers.push(descriptor);
        history.push(layer.history());
    }
    let description = contents(spool, top)?;
    let mut config: Map<String, Value> = read(&description_of(top), &description)?;
    config.retain(|field, _| !DROPPED.contains(&field.as_str()));
    config.insert(
        "rootfs".into(),
        json!({"type": "layers", "diff_ids": diff_ids}),
    );
    config.insert("history".into(), Value::Array(history));
    let bytes = serde_json::to_vec(&config).map_err(|source| ImageError::LegacyLayer {
        member: description_of(top),
        source,
    })?;
    let parsed = ImageConfig::parse(&bytes).map_err(|source| ImageError::File {
        file: description_of(top),
        source: Box::new(source),
    })?;
    let config = made(spool, MediaType::Config(Family::Oci), bytes);
    make_manifest(spool, config, layers, &parsed)
}

/// Follows the parents; lowest layer first.
fn chain(spool: &Spool<'_>, top: &str) -> Result<Vec<(String, Described)>, ImageError> {
    let mut chain = Vec::new();
    let mut next = Some(top.to_owned());
    while let Some(id) = next {
        // An id is a name in the archive and nothing else, but it should look like one.
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ImageError::Member {
                member: FILE.to_owned(),
                problem: format!(
                    "names a layer `{}`, which is no layer id",
                    id.escape_debug()
                ),
            });
        }
        if chain.len() == MAX_LAYERS {
            return Err(ImageError::EndlessParents(top.to_owned()));
        }
        let described: Described = read(&description_of(&id), &contents(spool, &id)?)?;
        next = described.parent.clone().filter(|parent| !parent.is_empty());
        chain.push((id, described));
    }
    chain.reverse();
    Ok(chain)
}

impl Described {
    fn history(&self) -> Value {
        let mut entry = Map::new();
        let command = self.container_config.as_ref().and_then(|c| c.cmd.as_ref());
        let fields = [
            ("created", self.created.clone()),
            ("author", self.author.clone()),
            ("created_by", command.map(|words| json!(words.join(" ")))),
        ];
        for (name, value) in fields {
            entry.extend(value.map(|value| (name.to_owned(), value)));
        }
        Value::Object(entry)
    }
}

fn description_of(id: &str) -> String {
    format!("{id}/json")
}

fn contents(spool: &Spool<'_>, id: &str) -> Result<Vec<u8>, ImageError> {
    spool.contents(&description_of(id), MAX_DOCUMENT, FILE)
}

fn read<T: serde::de::DeserializeOwned>(member: &str, bytes: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes).map_err(|source| ImageError::LegacyLayer {
        member: member.to_owned(),
        source,
    })
}

/// These archives promise nothing about their layers, so the diff ID is what the layer has.
fn diff_id(spool: &Spool<'_>, name: &str, limits: &Limits) -> Result<String, ImageError> {
    let mut file = spool.member(name, FILE)?.open()?;
    let mut meter = uncompressed(name, &mut file, limits)?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let outcome = hasher.take_all(&mut meter);
    if let Some(failure) = meter.failure.take() {
        return Err(failure);
    }
    outcome.map_err(|source| ImageError::Input { source })?;
    Ok(hasher.finish().to_string())
}
