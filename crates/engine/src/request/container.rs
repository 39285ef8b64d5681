use std::{fmt, str::FromStr};

use super::{InvalidRequest, serde_through_text};

/// A container as somebody called it: its name, its id, or a start of the id that no other has. Which one that is, the
/// records say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerText(String);

impl ContainerText {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerText {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        // Docker's records keep names with a slash in front, and scripts paste them back.
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.is_empty() {
            return Err(InvalidRequest::Empty("container name or id"));
        }
        let good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if !text.bytes().all(good) {
            return Err(InvalidRequest::Malformed {
                what: "a container name or id",
                word: text.to_owned(),
                example: "letters, digits, `_`, `.` and `-`",
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ContainerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_through_text!(ContainerText);
