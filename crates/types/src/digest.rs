use std::{fmt, str::FromStr};

use crate::hex::hex;

/// A hash algorithm that the OCI image specification registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    /// Returns the name that stands before the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Returns how many hexadecimal digits a digest of this algorithm has.
    pub fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// A digest `algorithm:hex` (image-spec, descriptor §digests): exactly as many lower-case hexadecimal digits as the
/// algorithm makes, so that it can become a path without a second look.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

/// Why a text is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    #[error("digest `{0}` has no `algorithm:` in front")]
    NoAlgorithm(String),
    #[error("digest algorithm `{0}` is not supported: sha256 and sha512 are")]
    UnknownAlgorithm(String),
    #[error("digest `{digest}` must have {expected} lower-case hexadecimal digits after the colon")]
    BadHex { digest: String, expected: usize },
}

impl Digest {
    /// Makes a digest from the bytes that SHA-256 gave.
    pub fn sha256(hash: &[u8; 32]) -> Self {
        Self {
            algorithm: Algorithm::Sha256,
            hex: hex(hash).into(),
        }
    }

    /// Makes a digest from the bytes that SHA-512 gave.
    pub fn sha512(hash: &[u8; 64]) -> Self {
        Self {
            algorithm: Algorithm::Sha512,
            hex: hex(hash).into(),
        }
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// Returns the first twelve hexadecimal digits, as lists show them.
    pub fn short(&self) -> &str {
        &self.hex[..12]
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;
    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let (name, hex) = text
            .split_once(':')
            .ok_or_else(|| InvalidDigest::NoAlgorithm(text.to_owned()))?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(InvalidDigest::UnknownAlgorithm(name.to_owned())),
        };
        let expected = algorithm.hex_length();
        if hex.len() != expected || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(InvalidDigest::BadHex {
                digest: text.to_owned(),
                expected,
            });
        }
        Ok(Self {
            algorithm,
            hex: hex.into(),
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The digest of a layer's *uncompressed* tar (image-spec, config §rootfs): what names an unpacked layer on disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DiffId(pub Digest);

impl FromStr for DiffId {
    type Err = InvalidDigest;
    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        text.parse().map(Self)
    }
}

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

crate::serde_through_text!(Digest, DiffId);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digests_that_could_become_paths_are_refused() {
        let hex = "0123456789abcdef".repeat(4);
        assert!(format!("sha256:{hex}").parse::<Digest>().is_ok());
        for bad in [
            "",
            "sha256",
            "sha256:",
            ":",
            "sha256:../../etc/passwd",
            &format!("sha256:{}", hex.to_uppercase()),
            &format!("SHA256:{hex}"),
            &format!("sha256:{hex}0"),
            &format!("sha512:{hex}"),
            &format!("md5:{hex}"),
            &format!("sha256:{}/", &hex[1..]),
            &format!(" sha256:{hex}"),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn digests_round_trip(hash: [u8; 32]) {
            let digest = Digest::sha256(&hash);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }
}
