use std::{fmt, str::FromStr};

use hull_types::{InvalidReference, Reference};
use serde::{Deserialize, Serialize};

use super::{InvalidRequest, serde_through_text};

/// An image as somebody called it: `@host`, a name, a digest or (the start of) an id. Which image that is, the store says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageName(String);

impl ImageName {
    /// The name that means this host's own files.
    pub const HOST: &str = "@host";

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether this means the running host's own file system under a throw-away layer.
    pub fn is_host(&self) -> bool {
        self.0 == Self::HOST
    }
}

impl FromStr for ImageName {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let id = text.strip_prefix("sha256:");
        let is_id =
            id.is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit()));
        match text.parse::<Reference>() {
            _ if text == Self::HOST || is_id => {}
            Ok(_) | Err(InvalidReference::IsId(_)) => {}
            Err(error) => return Err(InvalidRequest::Image(error)),
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_through_text!(ImageName);

/// When to ask a registry for the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullPolicy {
    Always,
    /// Only when it is not here.
    #[default]
    Missing,
    Never,
}

impl FromStr for PullPolicy {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        match text {
            "always" => Ok(Self::Always),
            "missing" => Ok(Self::Missing),
            "never" => Ok(Self::Never),
            _ => Err(InvalidRequest::NoSuch {
                what: "pull policy",
                word: text.to_owned(),
                known: "always, missing, never",
                near: Vec::new(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_names_ids_or_the_host() {
        for good in [
            "@host",
            "debian",
            "debian:12",
            "localhost:5000/a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "0123abcd",
            "sha256:0123",
        ] {
            assert_eq!(good.parse::<ImageName>().unwrap().as_str(), good);
        }
        assert!("@host".parse::<ImageName>().unwrap().is_host());
        for bad in ["", "Debian", "@other", "a b", "-it", "sha256:"] {
            assert!(bad.parse::<ImageName>().is_err(), "{bad}");
        }
    }
}
