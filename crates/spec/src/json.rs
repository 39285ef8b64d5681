//! Reading JSON the careful way: errors that name the place, unknown fields that are noticed, keys that appear once,
//! `null` that means absent.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
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
    let mut note = |path: serde_ignored::Path<'_>| ignored.push(readable(&path));
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut track = serde_path_to_error::Track::new();
    let tracking = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let value = match T::deserialize(serde_ignored::Deserializer::new(tracking, &mut note)) {
        Ok(value) => value,
        Err(source) => {
            return Err(Fault {
                path: readable(&track.path()),
                source,
            });
        }
    };
    json.end().map_err(|source| Fault {
        path: ".".to_owned(),
        source,
    })?;
    Ok((value, ignored))
}

/// Writes a path as people would: the `?` that marks a passed `Option` says nothing about the document.
fn readable(path: &impl ToString) -> String {
    path.to_string().replace(".?", "")
}

/// Which keys of one object count as the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SameKey {
    Exact,
    /// Go's decoder matches fields whatever their case, so `Layers` beside `layers` is read differently by different tools.
    /// Inside `annotations` the keys are people's own and compared exactly.
    IgnoringCase,
}

/// Refuses a document in which an object has the same key twice (serde and Go keep the last, others the first), and
/// returns the keys of the outermost object, in lower case.
pub(crate) fn keys_are_unique(bytes: &[u8], same: SameKey) -> Result<BTreeSet<String>, Fault> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut track = serde_path_to_error::Track::new();
    let tracking = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    match (Walk { same }).deserialize(tracking) {
        Ok(keys) => Ok(keys
            .into_iter()
            .map(|key| key.to_ascii_lowercase())
            .collect()),
        Err(source) => Err(Fault {
            path: readable(&track.path()),
            source,
        }),
    }
}

/// Walks any JSON value; gives the keys if it is an object.
#[derive(Clone, Copy)]
struct Walk {
    same: SameKey,
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = BTreeSet<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = BTreeSet<String>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let inside = if key == "annotations" {
                SameKey::Exact
            } else {
                self.same
            };
            let folded = match self.same {
                SameKey::Exact => key.clone(),
                SameKey::IgnoringCase => key.to_ascii_lowercase(),
            };
            if !keys.insert(folded) {
                return Err(de::Error::custom(format_args!("key `{key}` appears twice")));
            }
            map.next_value_seed(Self { same: inside })?;
        }
        Ok(keys)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(BTreeSet::new())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(BTreeSet::new())
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(BTreeSet::new())
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(BTreeSet::new())
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(BTreeSet::new())
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(BTreeSet::new())
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(BTreeSet::new())
    }
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
