//! Digests, as registries and image layouts write them.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Returns the digest's 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
