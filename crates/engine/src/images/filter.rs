//! Which images are meant: `--filter NAME=VALUE` and the pattern of `hull images PATTERN`.

use hull_image::Image;
use hull_types::{ShortNames, Timestamp, near};

use crate::{Engine, EngineError, request::InvalidRequest};

/// A condition on images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageFilter {
    /// A name as short as it can be written, with or without its tag; `*`, `?` and `[a-z]` as in a shell.
    Reference(String),
    Label {
        name: String,
        value: Option<String>,
    },
    NotLabel {
        name: String,
        value: Option<String>,
    },
    /// Whether it is an image without a name.
    Dangling(bool),
    /// Made before this moment.
    Before(Timestamp),
    /// Made after this moment.
    Since(Timestamp),
}

/// The names of filters, for who mistyped one.
const KNOWN: [&str; 7] = [
    "reference",
    "label",
    "label!",
    "dangling",
    "before",
    "since",
    "until",
];

impl Engine {
    /// Understands a filter as it was typed.
    pub fn image_filter(&self, name: &str, value: &str) -> Result<ImageFilter, EngineError> {
        let moment_of = |image: &str| -> Result<Timestamp, EngineError> {
            Ok(self.images()?.resolve(image)?.created().unwrap_or_default())
        };
        let label = || match value.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (value.to_owned(), None),
        };
        Ok(match name {
            "reference" => ImageFilter::Reference(value.to_owned()),
            "label" => {
                let (name, value) = label();
                ImageFilter::Label { name, value }
            }
            "label!" => {
                let (name, value) = label();
                ImageFilter::NotLabel { name, value }
            }
            "dangling" => ImageFilter::Dangling(truth(value)?),
            "before" => ImageFilter::Before(moment_of(value)?),
            "since" => ImageFilter::Since(moment_of(value)?),
            "until" => ImageFilter::Before(until(value)?),
            _ => {
                return Err(EngineError::Request(InvalidRequest::NoSuch {
                    what: "filter of images",
                    word: name.to_owned(),
                    known: "reference, label, label!, dangling, before, since, until",
                    near: near(name, KNOWN),
                }));
            }
        })
    }
}

fn truth(text: &str) -> Result<bool, InvalidRequest> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(InvalidRequest::Malformed {
            what: "a truth value",
            word: text.to_owned(),
            example: "true or false",
        }),
    }
}

/// Reads a moment (`2026-01-31T12:00:00Z`), or how long ago it was (`24h`, `1h30m`).
pub(crate) fn until(text: &str) -> Result<Timestamp, InvalidRequest> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let malformed = || InvalidRequest::Malformed {
        what: "a moment",
        word: text.to_owned(),
        example: "how long ago it was, such as 24h, or 2026-01-31T12:00:00Z",
    };
    let (mut seconds, mut number) = (0_u64, String::new());
    for character in text.chars() {
        let unit = match character {
            '0'..='9' => {
                number.push(character);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(malformed()),
        };
        let count: u64 = number.parse().map_err(|_| malformed())?;
        seconds = seconds.saturating_add(count.saturating_mul(unit));
        number.clear();
    }
    if text.is_empty() || !number.is_empty() {
        return Err(malformed());
    }
    Ok(Timestamp::now().minus(std::time::Duration::from_secs(seconds)))
}

impl ImageFilter {
    /// Says whether an image is meant.
    pub fn admits(&self, image: &Image, short: &ShortNames) -> bool {
        let has = |name: &String, value: &Option<String>| {
            let found = image.config.config.labels.get(name);
            match value {
                Some(value) => found == Some(value),
                None => found.is_some(),
            }
        };
        match self {
            Self::Reference(_) => image.names.iter().any(|name| self.admits_name(name, short)),
            Self::Label { name, value } => has(name, value),
            Self::NotLabel { name, value } => !has(name, value),
            Self::Dangling(dangling) => image.names.is_empty() == *dangling,
            Self::Before(moment) => image.created().unwrap_or_default() < *moment,
            Self::Since(moment) => image.created().unwrap_or_default() > *moment,
        }
    }

    /// Says whether one of an image's names is meant; only patterns look at names.
    pub(super) fn admits_name(&self, name: &hull_types::Reference, short: &ShortNames) -> bool {
        let Self::Reference(pattern) = self else {
            return true;
        };
        let (repository, _) = super::split(name, short);
        let full = name.familiar(short);
        [repository.as_str(), &full, &name.name(), &name.to_string()]
            .iter()
            .any(|text| matches(pattern.as_bytes(), text.as_bytes()))
    }
}

/// Matches as a shell matches file names: `*` and `?` do not match a slash.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            let within = text
                .iter()
                .position(|byte| *byte == b'/')
                .unwrap_or(text.len());
            (0..=within).any(|length| matches(rest, &text[length..]))
        }
        ([b'?', rest @ ..], [byte, text @ ..]) => *byte != b'/' && matches(rest, text),
        ([b'[', rest @ ..], [byte, text @ ..]) => match rest.iter().position(|end| *end == b']') {
            Some(end) => is_in(&rest[..end], *byte) && matches(&rest[end + 1..], text),
            None => false,
        },
        ([b'\\', wanted, rest @ ..], [byte, text @ ..]) => wanted == byte && matches(rest, text),
        ([wanted, rest @ ..], [byte, text @ ..]) => wanted == byte && matches(rest, text),
        _ => false,
    }
}

/// Says whether a byte is in a set such as `a-z_`; `^` in front means all others.
fn is_in(set: &[u8], byte: u8) -> bool {
    let (negated, mut set) = match set {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let mut found = false;
    while let [first, rest @ ..] = set {
        set = rest;
        let mut last = *first;
        if let [b'-', end, rest @ ..] = rest {
            last = *end;
            set = rest;
        }
        found |= (*first..=last).contains(&byte);
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("debian", "debian", true),
            ("debian", "debian:12", false),
            ("deb*", "debian:12", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("*:12", "debian:12", true),
            ("debia?", "debian", true),
            ("a?b", "a/b", false),
            ("[a-d]ebian", "debian", true),
            ("[^d]ebian", "debian", false),
            ("[xd]ebian", "debian", true),
            ("[", "[", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("", "", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn moments_are_dates_or_ages() {
        let hour = until("1h30m").unwrap();
        let age = Timestamp::now().since(hour).as_secs();
        assert!((5400..5460).contains(&age), "{age}");
        assert_eq!(
            until("2026-01-31T12:00:00Z").unwrap().seconds(),
            1_769_860_800
        );
        for bad in ["", "h", "10", "1x", "-1h", "soon"] {
            assert!(until(bad).is_err(), "{bad}");
        }
    }
}
