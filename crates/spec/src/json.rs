//! Reading JSON the careful way: errors that name the place, unknown fields that are noticed, `null` that means absent.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// What a reader found besides the value: the paths of fields it does not know.
pub(crate) type Ignored = Vec<String>;

/// Where and why a document could not be read.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) path: String,
    pub(crate) source: serde_json::Error,
}

/// Reads `bytes` as one JSON document and lists the fields that were not understood.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Ignored), Fault> {
    let mut ignored = Vec::new();
    let mut note = |path: serde_ignored::Path<'_>| ignored.push(path.to_string());
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let noting = serde_ignored::Deserializer::new(&mut json, &mut note);
    let value = serde_path_to_error::deserialize(noting).map_err(|error| Fault {
        path: error.path().to_string(),
        source: error.into_inner(),
    })?;
    json.end().map_err(|source| Fault {
        path: ".".to_owned(),
        source,
    })?;
    Ok((value, ignored))
}

/// Reads `null` as the default: Go programs write nil slices and maps that way.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// For `skip_serializing_if` on booleans that are absent when false.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}
