//! Media types: what a blob is.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whose name for the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    Oci,
    Docker,
}

/// How a layer's tar is said to be compressed. The truth is in the first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// What a blob is, by its registered name. Unknown names are kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaType {
    Manifest(Family),
    Index(Family),
    Config(Family),
    Layer(Family, Compression),
    /// A layer that registries were not to hand out ("nondistributable", Docker's "foreign").
    ForeignLayer(Family, Compression),
    /// `{}`: the configuration of an artifact that has none.
    Empty,
    /// Docker's manifest of before 2015.
    Schema1,
    Other(Box<str>),
}

use Compression::{Gzip, None as Plain, Zstd};
use Family::{Docker, Oci};

/// Every known name. The first name of a type is the one that is written.
const NAMES: &[(&str, MediaType)] = &[
    (
        "application/vnd.oci.image.manifest.v1+json",
        MediaType::Manifest(Oci),
    ),
    (
        "application/vnd.oci.image.index.v1+json",
        MediaType::Index(Oci),
    ),
    (
        "application/vnd.oci.image.config.v1+json",
        MediaType::Config(Oci),
    ),
    (
        "application/vnd.oci.image.layer.v1.tar",
        MediaType::Layer(Oci, Plain),
    ),
    (
        "application/vnd.oci.image.layer.v1.tar+gzip",
        MediaType::Layer(Oci, Gzip),
    ),
    (
        "application/vnd.oci.image.layer.v1.tar+zstd",
        MediaType::Layer(Oci, Zstd),
    ),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        MediaType::ForeignLayer(Oci, Plain),
    ),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        MediaType::ForeignLayer(Oci, Gzip),
    ),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        MediaType::ForeignLayer(Oci, Zstd),
    ),
    ("application/vnd.oci.empty.v1+json", MediaType::Empty),
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        MediaType::Manifest(Docker),
    ),
    (
        "application/vnd.docker.distribution.manifest.list.v2+json",
        MediaType::Index(Docker),
    ),
    (
        "application/vnd.docker.container.image.v1+json",
        MediaType::Config(Docker),
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar",
        MediaType::Layer(Docker, Plain),
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        MediaType::Layer(Docker, Gzip),
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        MediaType::Layer(Docker, Zstd),
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        MediaType::ForeignLayer(Docker, Plain),
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        MediaType::ForeignLayer(Docker, Gzip),
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd",
        MediaType::ForeignLayer(Docker, Zstd),
    ),
    (
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        MediaType::Schema1,
    ),
    (
        "application/vnd.docker.distribution.manifest.v1+json",
        MediaType::Schema1,
    ),
];

impl MediaType {
    /// Reads a media type as it stands in a document or in a `Content-Type` header: parameters after `;` are dropped, case
    /// does not matter (RFC 9110 §8.3.1).
    pub fn parse(text: &str) -> Self {
        let name = text
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, known)) => known.clone(),
            None => Self::Other(name.into()),
        }
    }

    /// Returns the registered name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => NAMES
                .iter()
                .find(|(_, other)| other == known)
                .map_or("application/octet-stream", |(name, _)| name),
        }
    }

    /// Tells whether this is a layer of a root file system, as a tar.
    pub fn is_layer(&self) -> bool {
        matches!(self, Self::Layer(..) | Self::ForeignLayer(..))
    }

    /// Tells whether this is the configuration of a container image (and not of some other artifact).
    pub fn is_config(&self) -> bool {
        matches!(self, Self::Config(_))
    }

    /// Tells whether this is an image manifest.
    pub fn is_manifest(&self) -> bool {
        matches!(self, Self::Manifest(_))
    }

    /// Tells whether this is a list of manifests.
    pub fn is_index(&self) -> bool {
        matches!(self, Self::Index(_))
    }

    /// Returns the names to ask a registry for, best first: an `Accept` header's parts.
    pub fn acceptable() -> impl Iterator<Item = &'static str> {
        NAMES
            .iter()
            .filter(|(_, media_type)| media_type.is_manifest() || media_type.is_index())
            .map(|(name, _)| *name)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

impl Serialize for MediaType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_read_and_written_back() {
        for (name, media_type) in NAMES {
            assert_eq!(&MediaType::parse(name), media_type);
            if *media_type != MediaType::Schema1 {
                assert_eq!(media_type.as_str(), *name);
            }
        }
    }

    #[test]
    fn header_parameters_and_case_do_not_matter() {
        assert_eq!(
            MediaType::parse("Application/vnd.OCI.image.index.v1+json; charset=utf-8"),
            MediaType::Index(Oci)
        );
    }

    #[test]
    fn unknown_names_are_kept() {
        let wasm = MediaType::parse("application/wasm");
        assert_eq!(wasm, MediaType::Other("application/wasm".into()));
        assert_eq!(wasm.to_string(), "application/wasm");
        assert!(!wasm.is_layer());
    }
}
