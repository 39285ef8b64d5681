//! OCI runtime-spec 1.2 (with the parts of 1.3 that Hull carries out): `config.json` and the state document.
//!
//! The types are the document: public fields under the standard's names, nothing computed. Empty lists and absent ones mean the
//! same and are not written. What Hull does not know, it does not silently drop: [`Spec::parse`] refuses unknown fields by name,
//! because a limit or a mask that is ignored is a hole. The standard asks of a runtime the opposite ("MUST ignore unknown
//! properties"), so [`Spec::parse_tolerant`] gives the names of what was ignored for the caller to log.

mod linux;
mod process;
mod resources;
mod seccomp;
mod state;

use std::collections::BTreeMap;
use std::path::PathBuf;

use hull_types::ErrorKind;
use serde::{Deserialize, Serialize};

pub use linux::*;
pub use process::*;
pub use resources::*;
pub use seccomp::*;
pub use state::*;

use crate::json;

/// The version that documents written by Hull state.
pub const OCI_VERSION: &str = "1.2.1";

/// No bundle needs more; a parser should not be fed without end.
pub const MAX_CONFIG_BYTES: usize = 16 << 20;

/// `config.json` of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    pub oci_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    #[serde(
        default,
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub mounts: Vec<Mount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
    #[serde(
        default,
        deserialize_with = "json::or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// The root file system's place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Root {
    pub path: PathBuf,
    #[serde(default, skip_serializing_if = "json::is_false")]
    pub readonly: bool,
}

/// One mount, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    pub destination: PathBuf,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    #[serde(
        default,
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub options: Vec<String>,
    #[serde(
        default,
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub uid_mappings: Vec<IdMapping>,
    #[serde(
        default,
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub gid_mappings: Vec<IdMapping>,
}

/// Programs to run at points of the life cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hooks {
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub prestart: Vec<Hook>,
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub create_runtime: Vec<Hook>,
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub create_container: Vec<Hook>,
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub start_container: Vec<Hook>,
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub poststart: Vec<Hook>,
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub poststop: Vec<Hook>,
}

/// One hook program. `args` includes the program's name, as for `execv`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    pub path: PathBuf,
    #[serde(
        default,
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub args: Vec<String>,
    #[serde(
        default,
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub env: Vec<String>,
    /// Seconds; the standard requires more than zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

impl Spec {
    /// Reads a `config.json`, refusing every field that is not understood.
    pub fn parse(bytes: &[u8]) -> Result<Self, SpecError> {
        let (spec, ignored) = Self::parse_tolerant(bytes)?;
        match ignored.into_iter().next() {
            Some(path) => Err(SpecError::UnknownField(path)),
            None => Ok(spec),
        }
    }

    /// Reads a `config.json` as the standard asks of a runtime: unknown fields are ignored, and named in the second value.
    pub fn parse_tolerant(bytes: &[u8]) -> Result<(Self, Vec<String>), SpecError> {
        if bytes.len() > MAX_CONFIG_BYTES {
            return Err(SpecError::TooLarge { bytes: bytes.len() });
        }
        let (spec, ignored) = json::read::<Self>(bytes).map_err(|fault| SpecError::Malformed {
            path: fault.path,
            source: fault.source,
        })?;
        spec.version_is_known()?;
        Ok((spec, ignored))
    }

    /// Writes the document as compact JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("all map keys are strings and no serializer here fails")
    }

    fn version_is_known(&self) -> Result<(), SpecError> {
        match self.oci_version.split('.').next() {
            Some("1") => Ok(()),
            _ => Err(SpecError::Version(self.oci_version.clone())),
        }
    }
}

/// Why a `config.json` was refused.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error("`{path}` in config.json is not as the OCI runtime specification says")]
    Malformed {
        path: String,
        source: serde_json::Error,
    },
    #[error("config.json has the field `{0}`, which this version of Hull does not carry out")]
    UnknownField(String),
    #[error("config.json states `ociVersion` `{0}`; Hull reads version 1")]
    Version(String),
    #[error("config.json of {bytes} bytes is larger than {MAX_CONFIG_BYTES}")]
    TooLarge { bytes: usize },
}

impl SpecError {
    /// Returns the class of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { .. } | Self::TooLarge { .. } => ErrorKind::InvalidInput,
            Self::UnknownField(_) | Self::Version(_) => ErrorKind::Unsupported,
        }
    }
}

#[cfg(test)]
mod tests;
