use std::collections::BTreeMap;

use hull_types::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The annotation that holds an entry's name (image-spec, annotations §pre-defined).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The list of images, `index.json` (image-spec, image-index).
///
/// Several entries may lead to one manifest, one for each name; an entry without a name is a *dangling* image. Fields that
/// this version does not know are kept as they came, because other tools write this file too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    schema_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default)]
    pub manifests: Vec<Entry>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// One line of the list: a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            schema_version: 2,
            media_type: Some("application/vnd.oci.image.index.v1+json".to_owned()),
            manifests: Vec::new(),
            rest: BTreeMap::new(),
        }
    }
}

impl Entry {
    /// Makes an entry without a name.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            annotations: BTreeMap::new(),
            rest: BTreeMap::new(),
        }
    }

    /// Returns the name, if the entry has one.
    pub fn name(&self) -> Option<&str> {
        self.annotations.get(REF_NAME).map(String::as_str)
    }
}

impl Index {
    /// Makes `name` mean the manifest of `entry`. Who had the name before keeps its place without it; a nameless entry of the
    /// same manifest gives up its place to the named one.
    pub fn name(&mut self, name: &str, mut entry: Entry) {
        self.unname(name);
        self.manifests
            .retain(|other| other.digest != entry.digest || other.name().is_some());
        entry
            .annotations
            .insert(REF_NAME.to_owned(), name.to_owned());
        self.manifests.push(entry);
    }

    /// Puts a manifest on the list without a name, unless it is there.
    pub fn add(&mut self, mut entry: Entry) {
        if !self
            .manifests
            .iter()
            .any(|known| known.digest == entry.digest)
        {
            entry.annotations.remove(REF_NAME);
            self.manifests.push(entry);
        }
    }

    /// Takes a name away and returns the digest it meant. The manifest stays listed.
    pub fn unname(&mut self, name: &str) -> Option<Digest> {
        let at = self
            .manifests
            .iter()
            .position(|entry| entry.name() == Some(name))?;
        let mut entry = self.manifests.remove(at);
        let digest = entry.digest.clone();
        entry.annotations.remove(REF_NAME);
        self.add(entry);
        Some(digest)
    }

    /// Takes every entry of a manifest off the list; says whether there was one.
    pub fn remove(&mut self, digest: &Digest) -> bool {
        let before = self.manifests.len();
        self.manifests.retain(|entry| entry.digest != *digest);
        self.manifests.len() != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::digest_of;
    use hull_types::Algorithm;

    fn entry(content: &str) -> Entry {
        let digest = digest_of(Algorithm::Sha256, content.as_bytes());
        Entry::new("application/vnd.oci.image.manifest.v1+json", digest, 7)
    }

    fn listed(index: &Index) -> Vec<(Option<&str>, &Digest)> {
        let pair = |entry| {
            let entry: &Entry = entry;
            (entry.name(), &entry.digest)
        };
        index.manifests.iter().map(pair).collect()
    }

    #[test]
    fn a_name_moves_and_leaves_a_dangling_image() {
        let (a, b) = (entry("a"), entry("b"));
        let mut index = Index::default();
        index.add(a.clone());
        index.name("x:1", a.clone());
        assert_eq!(listed(&index), [(Some("x:1"), &a.digest)]);
        index.name("x:1", b.clone());
        assert_eq!(
            listed(&index),
            [(None, &a.digest), (Some("x:1"), &b.digest)]
        );
        index.name("x:2", b.clone());
        assert_eq!(index.unname("x:1"), Some(b.digest.clone()));
        assert_eq!(
            listed(&index),
            [(None, &a.digest), (Some("x:2"), &b.digest)]
        );
        assert_eq!(index.unname("x:1"), None);
        assert!(index.remove(&b.digest));
        assert!(!index.remove(&b.digest));
    }

    #[test]
    fn naming_twice_changes_nothing() {
        let mut index = Index::default();
        index.name("x:1", entry("a"));
        let once = index.clone();
        index.name("x:1", entry("a"));
        assert_eq!(index, once);
    }

    #[test]
    fn fields_of_others_survive() {
        let digest = entry("a").digest;
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"m","digest":"{digest}","size":1,"platform":{{"os":"linux"}},"urls":[]}}],"annotations":{{"a":"b"}}}}"#
        );
        let index: Index = serde_json::from_str(&text).unwrap();
        let value: Value = serde_json::to_value(&index).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
    }
}
