//! Manifests: one image for one platform; and telling them from indexes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Descriptor, DocumentError, ImageConfig, Index, MAX_DOCUMENT_BYTES, MAX_LAYERS, MediaType, keys,
    parse,
};
use crate::json::{self, SameKey};

/// One image: its configuration and its layers, lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub config: Descriptor,
    /// Written even when empty: the standard requires the field.
    #[serde(default, deserialize_with = "json::or_default")]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(
        default,
        deserialize_with = "json::or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads a manifest, refusing what could also be read as something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let fields = keys(MANIFEST, bytes, MAX_DOCUMENT_BYTES, SameKey::IgnoringCase)?;
        Self::parse_with(&fields, bytes)
    }

    fn parse_with(fields: &BTreeSet<String>, bytes: &[u8]) -> Result<Self, DocumentError> {
        refuse_fields(MANIFEST, fields, &["manifests"])?;
        refuse_schema1(fields)?;
        let manifest: Self = parse(MANIFEST, bytes)?;
        check_header(
            MANIFEST,
            manifest.schema_version,
            manifest.media_type.as_ref(),
            MediaType::is_manifest,
        )?;
        if manifest.layers.len() > MAX_LAYERS {
            return Err(DocumentError::TooMany {
                document: MANIFEST,
                count: manifest.layers.len(),
                limit: MAX_LAYERS,
            });
        }
        Ok(manifest)
    }

    /// Tells whether this describes a container image, and not another artifact in the same wrapping.
    pub fn is_image(&self) -> bool {
        self.config.media_type.is_config()
            && self.layers.iter().all(|layer| layer.media_type.is_layer())
    }

    /// Checks that manifest and configuration speak of the same number of layers.
    pub fn agrees_with(&self, config: &ImageConfig) -> Result<(), DocumentError> {
        let (layers, diff_ids) = (self.layers.len(), config.rootfs.diff_ids.len());
        if layers == diff_ids {
            Ok(())
        } else {
            Err(DocumentError::LayerCount { layers, diff_ids })
        }
    }

    /// Writes the document as compact JSON. Only for manifests that Hull makes: fetched ones are kept as they came.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("all map keys are strings and no serializer here fails")
    }
}

/// What a registry or layout answered under a name: one image, or a choice of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, never a list"
)]
pub enum Document {
    Manifest(Manifest),
    Index(Index),
}

impl Document {
    /// Reads a manifest or an index by its shape. `announced` is the type from the descriptor or header that led here; when
    /// both are known, the document must say the same.
    pub fn parse(bytes: &[u8], announced: Option<&MediaType>) -> Result<Self, DocumentError> {
        let fields = keys(DOCUMENT, bytes, MAX_DOCUMENT_BYTES, SameKey::IgnoringCase)?;
        refuse_schema1(&fields)?;
        let (document, name, inside, shape) = if fields.contains("manifests") {
            let index = Index::parse_with(&fields, bytes)?;
            let inside = index.media_type.clone();
            (
                Self::Index(index),
                "index",
                inside,
                MediaType::is_index as fn(&MediaType) -> bool,
            )
        } else if fields.contains("layers") || fields.contains("config") {
            let manifest = Manifest::parse_with(&fields, bytes)?;
            let inside = manifest.media_type.clone();
            (
                Self::Manifest(manifest),
                MANIFEST,
                inside,
                MediaType::is_manifest as fn(&MediaType) -> bool,
            )
        } else {
            return Err(DocumentError::Shapeless);
        };
        match (inside, announced) {
            (Some(inside), Some(announced)) if inside != *announced => {
                Err(DocumentError::Announced {
                    document: name,
                    inside,
                    announced: announced.clone(),
                })
            }
            (None, Some(announced)) if !shape(announced) => Err(DocumentError::MediaType {
                document: name,
                stated: announced.clone(),
            }),
            _ => Ok(document),
        }
    }
}

const MANIFEST: &str = "manifest";
const DOCUMENT: &str = "manifest or index";

/// CVE-2021-41190: one digest, two readings.
pub(super) fn refuse_fields(
    document: &'static str,
    fields: &BTreeSet<String>,
    foreign: &[&'static str],
) -> Result<(), DocumentError> {
    match foreign.iter().find(|field| fields.contains(**field)) {
        Some(field) => Err(DocumentError::Ambiguous { document, field }),
        None => Ok(()),
    }
}

/// Schema 1 is told by its own fields, since some registries send it under other types.
pub(super) fn refuse_schema1(fields: &BTreeSet<String>) -> Result<(), DocumentError> {
    if fields.contains("fslayers") {
        Err(DocumentError::Schema1)
    } else {
        Ok(())
    }
}

pub(super) fn check_header(
    document: &'static str,
    version: u64,
    stated: Option<&MediaType>,
    fits: fn(&MediaType) -> bool,
) -> Result<(), DocumentError> {
    match (version, stated) {
        (1, _) | (_, Some(MediaType::Schema1)) => Err(DocumentError::Schema1),
        (2, None) => Ok(()),
        (2, Some(stated)) if fits(stated) => Ok(()),
        (2, Some(stated)) => Err(DocumentError::MediaType {
            document,
            stated: stated.clone(),
        }),
        (version, _) => Err(DocumentError::SchemaVersion { document, version }),
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
