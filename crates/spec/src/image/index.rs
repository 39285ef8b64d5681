//! Indexes: several manifests under one name, and the choice between them.

use std::collections::{BTreeMap, BTreeSet};

use hull_types::Platform;
use serde::{Deserialize, Serialize};

use super::manifest::{check_header, refuse_fields, refuse_schema1};
use super::{Descriptor, DocumentError, MAX_DOCUMENT_BYTES, MAX_MANIFESTS, MediaType, keys, parse};
use crate::json::{self, SameKey};

/// A list of manifests, one for each platform; also `index.json` of an OCI layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Written even when empty: the standard requires the field.
    #[serde(default, deserialize_with = "json::or_default")]
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(
        default,
        deserialize_with = "json::or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Default for Index {
    /// An index without manifests, as a new layout has.
    fn default() -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::Index(super::Family::Oci)),
            artifact_type: None,
            manifests: Vec::new(),
            subject: None,
            annotations: BTreeMap::new(),
        }
    }
}

const INDEX: &str = "index";

impl Index {
    /// Reads an index, refusing what could also be read as a manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        Self::parse_within(bytes, MAX_DOCUMENT_BYTES)
    }

    pub(super) fn parse_within(bytes: &[u8], limit: usize) -> Result<Self, DocumentError> {
        let fields = keys(INDEX, bytes, limit, SameKey::IgnoringCase)?;
        refuse_schema1(&fields)?;
        Self::parse_with(&fields, bytes)
    }

    pub(super) fn parse_with(
        fields: &BTreeSet<String>,
        bytes: &[u8],
    ) -> Result<Self, DocumentError> {
        refuse_fields(INDEX, fields, &["layers", "config"])?;
        let index: Self = parse(INDEX, bytes)?;
        check_header(
            INDEX,
            index.schema_version,
            index.media_type.as_ref(),
            MediaType::is_index,
        )?;
        if index.manifests.len() > MAX_MANIFESTS {
            return Err(DocumentError::TooMany {
                document: INDEX,
                count: index.manifests.len(),
                limit: MAX_MANIFESTS,
            });
        }
        Ok(index)
    }

    /// Returns the entry that runs on `wanted`: the best variant, the first of equals. It may be an index again.
    ///
    /// An index whose only image names no platform (an OCI layout made by hand) gives that one; its configuration tells.
    pub fn select(&self, wanted: &Platform) -> Result<&Descriptor, DocumentError> {
        let wanted = normal(wanted);
        let fits = |entry: &&Descriptor| {
            let offered = normal(&Platform::from(entry.platform.as_ref()?));
            (offered.os == wanted.os && offered.architecture == wanted.architecture)
                .then(|| distance(&wanted, &offered))
                .flatten()
        };
        // `min_by_key` keeps the first of equals.
        let best = self
            .images()
            .filter_map(|entry| Some((fits(&entry)?, entry)))
            .min_by_key(|(rank, _)| *rank);
        if let Some((_, entry)) = best {
            return Ok(entry);
        }
        let mut unnamed = self.images().filter(|entry| entry.platform.is_none());
        match (unnamed.next(), unnamed.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(DocumentError::NoPlatform {
                wanted,
                available: self.platforms(),
            }),
        }
    }

    /// Returns the entries that are images (or indexes of them): attestations and other artifacts are left out.
    pub fn images(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|entry| {
            (entry.media_type.is_manifest() || entry.media_type.is_index())
                && !entry.is_attestation()
        })
    }

    /// Returns the platforms it has images for, as people write them.
    pub fn platforms(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .images()
            .filter_map(|entry| Some(normal(&Platform::from(entry.platform.as_ref()?)).to_string()))
            .collect();
        names.dedup();
        names
    }

    /// Writes the document as compact JSON. Only for indexes that Hull makes: fetched ones are kept as they came.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("all map keys are strings and no serializer here fails")
    }
}

/// One spelling for each platform: the variant every processor of that architecture has is left out.
fn normal(platform: &Platform) -> Platform {
    let architecture = match platform.architecture.to_ascii_lowercase().as_str() {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        "i386" | "i686" => "386".to_owned(),
        other => other.to_owned(),
    };
    let variant = platform.variant.as_deref().map(str::to_ascii_lowercase);
    let variant = match (architecture.as_str(), variant.as_deref()) {
        ("amd64", Some("v1")) | ("arm64", Some("v8" | "8" | "v8.0")) => None,
        // image-spec, image-index §platform variants: 32-bit ARM without a variant is v7.
        ("arm", None | Some("" | "7")) => Some("v7".to_owned()),
        (_, Some("")) => None,
        _ => variant,
    };
    Platform {
        os: platform.os.to_ascii_lowercase(),
        architecture,
        variant,
    }
}

/// How far below the wanted variant the offered one lies; `None` if it needs more than was asked for. A processor runs
/// what was built for an earlier one: amd64/v3 runs v2, arm/v7 runs v6.
fn distance(wanted: &Platform, offered: &Platform) -> Option<u32> {
    if wanted.variant == offered.variant {
        return Some(0);
    }
    let base = if wanted.architecture == "arm64" {
        80
    } else {
        10
    };
    let level = |platform: &Platform| match &platform.variant {
        None => Some(base),
        Some(text) => level(text),
    };
    level(wanted)?.checked_sub(level(offered)?)
}

/// Reads `v8.2` as 82 and `v3` as 30.
fn level(variant: &str) -> Option<u32> {
    let digits = variant.strip_prefix('v')?;
    let (major, minor) = digits.split_once('.').unwrap_or((digits, "0"));
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    (minor < 10).then_some(())?;
    major.checked_mul(10)?.checked_add(minor)
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
