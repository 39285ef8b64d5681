//! Reading JSON the careful way: errors that name the place, unknown fields that are noticed, keys that appear once,
//! `null` that means absent.

use std::borrow::Cow;
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

/// Reads `bytes` as one JSON document. (Keeping track of the place costs more than reading: only a document that is wrong is
/// read again for that.)
pub(crate) fn value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).or_else(|_| read(bytes).map(|(value, _)| value))
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
    let walk = Walk { same };
    if let Ok(keys) = walk.deserialize(&mut serde_json::Deserializer::from_slice(bytes)) {
        return Ok(keys.in_lower_case());
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut track = serde_path_to_error::Track::new();
    let tracking = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    match walk.deserialize(tracking) {
        Ok(keys) => Ok(keys.in_lower_case()),
        Err(source) => Err(Fault {
            path: readable(&track.path()),
            source,
        }),
    }
}

/// The keys of one object. Most have few, and then comparing is cheaper than any order.
#[derive(Debug, Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: BTreeSet<String>,
}

impl<'de> Keys<'de> {
    const FEW: usize = 24;

    /// Adds a key; returns whether it is new.
    fn insert(&mut self, key: Cow<'de, str>, same: SameKey) -> bool {
        let is_there = match same {
            SameKey::Exact => self.few.contains(&key),
            SameKey::IgnoringCase => self
                .few
                .iter()
                .any(|other| other.eq_ignore_ascii_case(&key)),
        };
        if is_there {
            return false;
        }
        if self.few.len() < Self::FEW {
            self.few.push(key);
            return true;
        }
        self.many.insert(match same {
            SameKey::Exact => key.into_owned(),
            SameKey::IgnoringCase => key.to_ascii_lowercase(),
        })
    }

    fn in_lower_case(self) -> BTreeSet<String> {
        let few = self.few.iter().map(|key| key.to_ascii_lowercase());
        few.chain(self.many.iter().map(|key| key.to_ascii_lowercase()))
            .collect()
    }
}

/// A key, borrowed from the document unless it has escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyString;

        impl<'de> Visitor<'de> for AnyString {
            type Value = Key<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_str(AnyString)
    }
}

/// Walks any JSON value; gives its keys, none if it is no object.
#[derive(Clone, Copy)]
struct Walk {
    same: SameKey,
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = Keys<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = Keys<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut keys = Keys::default();
        while let Some(Key(key)) = map.next_key()? {
            let inside = if key == "annotations" {
                SameKey::Exact
            } else {
                self.same
            };
            if !keys.insert(key.clone(), self.same) {
                return Err(de::Error::custom(format_args!("key `{key}` appears twice")));
            }
            map.next_value_seed(Self { same: inside })?;
        }
        Ok(keys)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(Keys::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Keys::default())
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Keys::default())
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Keys::default())
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Keys::default())
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Keys::default())
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Keys::default())
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
