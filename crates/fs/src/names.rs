//! Names nobody can guess, and so nobody can prepare a trap under.

use crate::FsError;
use rustix::rand::{GetRandomFlags, getrandom};
use std::fmt::Write as _;

/// How the name of something that is not finished begins.
pub(crate) const UNFINISHED: &str = ".tmp-";

/// Returns `bytes` random bytes (at most 256) in hex.
pub fn random_hex(bytes: usize) -> Result<String, FsError> {
    let mut random = [0_u8; 256];
    let random = &mut random[..bytes.min(256)];
    // Up to 256 bytes come at once and are not interrupted.
    getrandom(&mut *random, GetRandomFlags::empty()).map_err(FsError::Random)?;
    let mut text = String::with_capacity(2 * random.len());
    for byte in random {
        write!(text, "{byte:02x}").expect("a String takes everything");
    }
    Ok(text)
}

/// Returns a name for something that is not finished: `.tmp-` and 128 random bits. [`remove_unfinished`](crate::remove_unfinished)
/// knows it by the prefix.
pub fn temp_name() -> Result<String, FsError> {
    Ok(format!("{UNFINISHED}{}", random_hex(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_are_known_by_their_prefix() {
        let (one, other) = (temp_name().unwrap(), temp_name().unwrap());
        assert!(one.starts_with(".tmp-") && one.len() == 5 + 32);
        assert_ne!(one, other);
        assert_eq!(random_hex(300).unwrap().len(), 512);
        assert_eq!(random_hex(0).unwrap(), "");
    }
}
