//! `manifest.json` of a `docker save` archive: which member is whose configuration and layer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{DocumentError, MAX_DOCUMENT_BYTES, MAX_LAYERS, MAX_MANIFESTS, read};
use crate::json::{self, SameKey};

/// The name of the document in the archive.
pub const MANIFEST_NAME: &str = "manifest.json";

/// One image of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ArchivedImage {
    pub config: MemberPath,
    /// Written as `null` by Docker for images without a name.
    #[serde(default, deserialize_with = "json::or_default")]
    pub repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "json::or_default")]
    pub layers: Vec<MemberPath>,
}

/// Reads `manifest.json`.
pub fn parse(bytes: &[u8]) -> Result<Vec<ArchivedImage>, DocumentError> {
    const DOCUMENT: &str = "docker archive's manifest.json";
    let too_many = |count, limit| DocumentError::TooMany {
        document: DOCUMENT,
        count,
        limit,
    };
    let images: Vec<ArchivedImage> =
        read(DOCUMENT, bytes, MAX_DOCUMENT_BYTES, SameKey::IgnoringCase)?;
    if images.len() > MAX_MANIFESTS {
        return Err(too_many(images.len(), MAX_MANIFESTS));
    }
    match images.iter().map(|image| image.layers.len()).max() {
        Some(count) if count > MAX_LAYERS => Err(too_many(count, MAX_LAYERS)),
        _ => Ok(images),
    }
}

/// Writes `manifest.json`.
pub fn to_json(images: &[ArchivedImage]) -> Vec<u8> {
    serde_json::to_vec(images).expect("all map keys are strings and no serializer here fails")
}

/// The name of a member of the archive: relative, of plain components, so that it can never lead out of it
/// (the CVE-2014-6407 family).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberPath(String);

/// The text is no plain relative path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a plain path inside the archive")]
pub struct InvalidMemberPath(String);

impl MemberPath {
    /// Returns the path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MemberPath {
    type Err = InvalidMemberPath;

    fn from_str(text: &str) -> Result<Self, InvalidMemberPath> {
        let plain = |part: &str| !matches!(part, "" | "." | "..");
        let inside = text.strip_prefix("./").unwrap_or(text);
        if inside.len() <= 4096 && !inside.contains('\0') && inside.split('/').all(plain) {
            Ok(Self(inside.to_owned()))
        } else {
            Err(InvalidMemberPath(text.to_owned()))
        }
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for MemberPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MemberPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_of_docker_save_are_read() {
        let old =
            br#"[{"Config":"0ab.json","RepoTags":["busybox:latest"],"Layers":["7f/layer.tar"]}]"#;
        let new = br#"[{"Config":"blobs/sha256/0ab","RepoTags":null,"Layers":["blobs/sha256/7f"],"LayerSources":{}}]"#;
        let old = parse(old).unwrap();
        assert_eq!(old[0].config.as_str(), "0ab.json");
        assert_eq!(old[0].repo_tags, ["busybox:latest"]);
        assert_eq!(parse(&to_json(&old)).unwrap(), old);
        assert!(parse(new).unwrap()[0].repo_tags.is_empty());
    }

    #[test]
    fn members_outside_the_archive_are_refused() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "a/.",
            "..",
            "a\0b",
        ] {
            assert!(bad.parse::<MemberPath>().is_err(), "{bad:?}");
            let json = serde_json::json!([{"Config": bad, "Layers": []}]).to_string();
            assert!(parse(json.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!("./a/b".parse::<MemberPath>().unwrap().as_str(), "a/b");
    }
}
