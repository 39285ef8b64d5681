//! Images: one model for OCI (image-spec 1.1) and Docker schema 2, which differ in the names of their media types only.
//!
//! ```text
//! Index ──(select a platform)──▶ Manifest ──▶ ImageConfig      rootfs.diff_ids, how to run it
//!                                        └──▶ layers            blobs
//! ```
//!
//! These bytes come from strangers. A document is refused when two tools could read it as two different things: a key twice,
//! `layers` beside `manifests` (CVE-2021-41190), a stated media type unlike the shape. Unknown fields are ignored, as the
//! standard wants; sizes and counts are bounded before anything is allocated for them. Digests are checked
//! for form here and for truth where the bytes are.

mod config;
mod descriptor;
pub mod docker_archive;
mod index;
pub mod layout;
mod manifest;
mod media_type;

use hull_types::ErrorKind;
use serde::de::DeserializeOwned;

pub use config::{ConfigSection, History, ImageConfig, RootFs};
pub use descriptor::{Descriptor, PlatformFields};
pub use index::Index;
pub use manifest::{Document, Manifest};
pub use media_type::{Compression, Family, MediaType};

use crate::json::{self, SameKey};

/// Manifests, indexes and configurations above this are refused: the limit registries have.
pub const MAX_DOCUMENT_BYTES: usize = 4 << 20;

/// More layers than this cannot be mounted.
pub const MAX_LAYERS: usize = 500;

/// Manifests in one index.
pub const MAX_MANIFESTS: usize = 10_000;

/// Why an image document was refused. `document` is what was expected: `manifest`, `index`, `image configuration`…
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("`{path}` in the {document} is not as the image specification says")]
    Malformed {
        document: &'static str,
        path: String,
        source: serde_json::Error,
    },
    #[error("the {document} of {bytes} bytes is larger than {limit}")]
    TooLarge {
        document: &'static str,
        bytes: usize,
        limit: usize,
    },
    #[error("the {document} has {count} entries, more than {limit}")]
    TooMany {
        document: &'static str,
        count: usize,
        limit: usize,
    },
    #[error("the image is in Docker's schema 1, which was given up in 2019")]
    Schema1,
    #[error("the {document} states schemaVersion {version}; only 2 is known")]
    SchemaVersion {
        document: &'static str,
        version: u64,
    },
    #[error(
        "the {document} also has the field `{field}`, so that other tools may read it as something else"
    )]
    Ambiguous {
        document: &'static str,
        field: &'static str,
    },
    #[error("the document has neither `layers` nor `manifests`")]
    Shapeless,
    #[error("the {document} is stated to be `{stated}`")]
    MediaType {
        document: &'static str,
        stated: MediaType,
    },
    #[error("the {document} says it is `{inside}`, but was announced as `{announced}`")]
    Announced {
        document: &'static str,
        inside: MediaType,
        announced: MediaType,
    },
    #[error("the manifest has {layers} layers, but the configuration knows {diff_ids}")]
    LayerCount { layers: usize, diff_ids: usize },
    #[error("the root file system is of type `{0}`; only `layers` is known")]
    RootFsType(String),
    #[error("no image for {wanted} in the index; it has {}", list(.available))]
    NoPlatform {
        wanted: hull_types::Platform,
        available: Vec<String>,
    },
    #[error("the OCI layout has version `{0}`; only 1 is known")]
    LayoutVersion(String),
}

impl DocumentError {
    /// Returns the class of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoPlatform { .. } => ErrorKind::NotFound,
            Self::Schema1
            | Self::SchemaVersion { .. }
            | Self::LayoutVersion(_)
            | Self::RootFsType(_) => ErrorKind::Unsupported,
            _ => ErrorKind::InvalidInput,
        }
    }

    /// Returns what the person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Schema1 => Some("convert it where it is: `skopeo copy --format oci` or push it again with a current tool".to_owned()),
            Self::NoPlatform { available, .. } => {
                let other = available.first()?;
                Some(format!("`--platform {other}` takes another one"))
            }
            _ => None,
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none that names a platform".to_owned()
    } else {
        names.join(", ")
    }
}

/// Reads one document within `limit` bytes and returns with it the lower-case names of its outermost fields.
fn read<T: DeserializeOwned>(
    document: &'static str,
    bytes: &[u8],
    limit: usize,
    same: SameKey,
) -> Result<T, DocumentError> {
    keys(document, bytes, limit, same)?;
    parse(document, bytes)
}

/// Checks size and uniqueness of keys; returns the lower-case names of the outermost fields.
fn keys(
    document: &'static str,
    bytes: &[u8],
    limit: usize,
    same: SameKey,
) -> Result<std::collections::BTreeSet<String>, DocumentError> {
    if bytes.len() > limit {
        return Err(DocumentError::TooLarge {
            document,
            bytes: bytes.len(),
            limit,
        });
    }
    json::keys_are_unique(bytes, same).map_err(|fault| malformed(document, fault))
}

/// Reads the types, once the keys are known to be unique.
fn parse<T: DeserializeOwned>(document: &'static str, bytes: &[u8]) -> Result<T, DocumentError> {
    json::value(bytes).map_err(|fault| malformed(document, fault))
}

fn malformed(document: &'static str, fault: json::Fault) -> DocumentError {
    DocumentError::Malformed {
        document,
        path: fault.path,
        source: fault.source,
    }
}
