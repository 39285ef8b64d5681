use std::{fmt, str::FromStr};

use super::{InvalidRequest, serde_through_text};

/// The keys that leave a terminal without ending the container: docker's `ctrl-p,ctrl-q`. Empty: no keys do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

impl DetachKeys {
    /// Returns the bytes a terminal sends for the keys.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Default for DetachKeys {
    fn default() -> Self {
        const CTRL_P: u8 = 16;
        const CTRL_Q: u8 = 17;
        Self(vec![CTRL_P, CTRL_Q])
    }
}

impl FromStr for DetachKeys {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        keys.map(Self).ok_or_else(|| InvalidRequest::Malformed {
            what: "a sequence of keys",
            word: text.to_owned(),
            example: "keys between commas, each a character or ctrl- and one of a-z @ [ \\ ] ^ _, such as ctrl-p,ctrl-q",
        })
    }
}

/// Returns the byte of one key. A control key clears the two high bits of its letter.
fn key(word: &str) -> Option<u8> {
    if let [byte @ 0x20..=0x7e] = word.as_bytes() {
        return Some(*byte);
    }
    if word.eq_ignore_ascii_case("del") {
        return Some(0x7f);
    }
    let (control, letter) = word.split_at_checked(5)?;
    match letter.to_ascii_uppercase().as_bytes() {
        [byte @ b'@'..=b'_'] if control.eq_ignore_ascii_case("ctrl-") => Some(byte & 0x1f),
        _ => None,
    }
}

impl fmt::Display for DetachKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match byte {
                0x7f => write!(f, "{comma}DEL")?,
                0..0x20 => {
                    let letter = char::from(byte | 0x40).to_ascii_lowercase();
                    write!(f, "{comma}ctrl-{letter}")?;
                }
                _ => write!(f, "{comma}{}", char::from(*byte))?,
            }
        }
        Ok(())
    }
}

serde_through_text!(DetachKeys);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_docker_writes_them() {
        for (text, bytes) in [
            ("", &[][..]),
            ("ctrl-p,ctrl-q", &[16, 17]),
            (
                "ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_",
                &[0, 27, 28, 29, 30, 31],
            ),
            ("a,b", b"ab"),
            ("Ctrl-A,x", &[1, b'x']),
            ("DEL", &[127]),
        ] {
            let keys: DetachKeys = text.parse().unwrap();
            assert_eq!(keys.bytes(), bytes, "{text}");
            assert_eq!(keys.to_string().parse::<DetachKeys>().unwrap(), keys);
        }
        assert_eq!(DetachKeys::default().to_string(), "ctrl-p,ctrl-q");
        for bad in ["ctrl-", "ctrl-1", "ab", ",", "a,", "é", "ctrl-é", "\n"] {
            assert!(bad.parse::<DetachKeys>().is_err(), "{bad:?}");
        }
    }
}
