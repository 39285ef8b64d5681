use std::{fmt, str::FromStr};

use crate::hex::{hex, unhex};

/// A pod's identity: a random UUID (version 4), printed as `8-4-4-4-12` lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodId([u8; 16]);

/// A container's identity: 32 random bytes, printed as 64 lower-case hexadecimal digits.
///
/// The first container of a pod takes the pod's sixteen bytes as its first half, so that a container's id leads to its pod's
/// directory without reading any record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId([u8; 32]);

/// Why a text is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    #[error("`{0}` is not a pod id: a pod id looks like 8d3c5b52-6a0e-4f7c-9d1e-0a1b2c3d4e5f")]
    Pod(String),
    #[error("`{0}` is not a container id: a container id has 64 hexadecimal digits")]
    Container(String),
}

impl PodId {
    /// Makes an id from random bytes, setting the six bits that say "version 4, variant 1" (RFC 9562 §5.4).
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// Returns the sixteen bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Returns the id without dashes: 32 hexadecimal digits.
    pub fn simple(&self) -> String {
        hex(&self.0)
    }
}

impl ContainerId {
    /// Makes the id of a pod's first container: the pod's bytes, then random ones.
    pub fn first_of(pod: &PodId, random: [u8; 16]) -> Self {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&pod.0);
        bytes[16..].copy_from_slice(&random);
        Self(bytes)
    }

    /// Makes an id from random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the first twelve digits, as lists show them.
    pub fn short(&self) -> String {
        hex(&self.0[..6])
    }
}

impl fmt::Display for PodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.simple();
        write!(
            f,
            "{}-{}-{}-{}-{}",
            &text[..8],
            &text[8..12],
            &text[12..16],
            &text[16..20],
            &text[20..]
        )
    }
}

impl FromStr for PodId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::Pod(text.to_owned());
        let bytes = text.as_bytes();
        if bytes.len() != 36 || [8, 13, 18, 23].iter().any(|at| bytes[*at] != b'-') {
            return Err(invalid());
        }
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        unhex(&digits).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for ContainerId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        unhex(text)
            .map(Self)
            .ok_or_else(|| InvalidId::Container(text.to_owned()))
    }
}

impl fmt::Debug for PodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PodId({self})")
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContainerId({self})")
    }
}

crate::serde_through_text!(PodId, ContainerId);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pod_id_is_a_version_four_uuid() {
        let id = PodId::from_random([0xff; 16]);
        assert_eq!(id.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            "ffffffff-ffff-4fff-bfff-fffffffffff",
            "FFFFFFFF-ffff-4fff-bfff-ffffffffffff",
            "ffffffffffff-4fff-bfff-ffffffffffff----",
        ] {
            assert!(bad.parse::<PodId>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn ids_round_trip(bytes: [u8; 32], pod: [u8; 16]) {
            let id = ContainerId::from_random(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let pod = PodId::from_random(pod);
            let first = ContainerId::first_of(&pod, [7; 16]);
            prop_assert!(first.to_string().starts_with(&pod.simple()));
            prop_assert!(first.to_string().starts_with(&first.short()));
        }

        #[test]
        fn any_text_is_an_id_or_an_error(text in ".{0,70}") {
            drop(text.parse::<PodId>());
            drop(text.parse::<ContainerId>());
        }
    }
}
