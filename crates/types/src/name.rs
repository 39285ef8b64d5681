use std::{fmt, str::FromStr};

/// A container's name as people type it: starts with a letter or digit, then `[a-zA-Z0-9_.-]`, at most 128 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerName(String);

/// Why a text is no container name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("a container name cannot be empty")]
    Empty,
    #[error("container name `{0}` must start with a letter or a digit")]
    BadStart(String),
    #[error(
        "container name `{name}` contains {character:?}: letters, digits, `_`, `.` and `-` are allowed"
    )]
    BadCharacter { name: String, character: char },
    #[error("a container name has at most {max} characters, this one has {length}")]
    TooLong { length: usize, max: usize },
}

impl ContainerName {
    /// The longest name accepted, in bytes.
    pub const MAX: usize = 128;

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerName {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let head = text.chars().next().ok_or(InvalidName::Empty)?;
        if text.len() > Self::MAX {
            return Err(InvalidName::TooLong {
                length: text.len(),
                max: Self::MAX,
            });
        }
        if !head.is_ascii_alphanumeric() {
            return Err(InvalidName::BadStart(text.to_owned()));
        }
        match text
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || "_.-".contains(*c)))
        {
            Some(character) => Err(InvalidName::BadCharacter {
                name: text.to_owned(),
                character,
            }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::serde_through_text!(ContainerName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_accepted_or_refused_with_the_reason() {
        for good in ["a", "web", "0", "Web_1.x-y"] {
            assert_eq!(good.parse::<ContainerName>().unwrap().as_str(), good);
        }
        assert_eq!("".parse::<ContainerName>(), Err(InvalidName::Empty));
        assert!(matches!(
            "-a".parse::<ContainerName>(),
            Err(InvalidName::BadStart(_))
        ));
        for bad in ["a/b", "a b", "a\0", "aé", "a\n"] {
            assert!(
                matches!(
                    bad.parse::<ContainerName>(),
                    Err(InvalidName::BadCharacter { .. })
                ),
                "{bad:?}"
            );
        }
        assert!(matches!(
            "a".repeat(129).parse::<ContainerName>(),
            Err(InvalidName::TooLong { .. })
        ));
    }
}
