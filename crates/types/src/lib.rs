//! The words people and standards use, parsed once: names, ids, digests, references, platforms, sizes, times, signals.
//!
//! Everything here is a value: parse, print, compare. There is no I/O but two readings of the machine, each behind one
//! named function: the clock ([`Timestamp::now`]) and the platform this program was built for ([`Platform::host`]).
//! `FromStr` and serde go through the same constructor, so a value that exists is a value that was checked.
#![forbid(unsafe_code)]

mod digest;
mod error_kind;
mod hex;
mod id;
mod name;
mod near;
mod platform;
mod reference;
mod signal;
mod size;
mod time;

pub use digest::{Algorithm, DiffId, Digest, InvalidDigest};
pub use error_kind::ErrorKind;
pub use id::{ContainerId, InvalidId, PodId};
pub use name::{ContainerName, InvalidName};
pub use near::near;
pub use platform::{InvalidPlatform, Platform};
pub use reference::{InvalidReference, Reference, ShortNames, Tag};
pub use signal::{InvalidSignal, Signal};
pub use size::{ByteSize, InvalidSize};
pub use time::{InvalidTimestamp, Timestamp};

/// Gives parsed types serde through their own `FromStr` and `Display`. The crate that says so needs serde.
#[macro_export]
macro_rules! serde_through_text {
    ($($type:ty),* $(,)?) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
