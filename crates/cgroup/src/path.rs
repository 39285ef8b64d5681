//! Where in every hierarchy a group lies.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A group's place below the hierarchies' base: `hull/<pod>`, of plain components. A leading `/`, as in the OCI `cgroupsPath`, is dropped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupPath(String);

/// The text is no path of plain components.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGroupPath {
    #[error("cgroup path `{0}` must be made of plain names, without `.`, `..` or empty parts")]
    Component(String),
    #[error(
        "cgroup path `{0}` is in systemd's form `slice:prefix:name`, which Hull does not carry out yet"
    )]
    Systemd(String),
}

impl serde::Serialize for GroupPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for GroupPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl GroupPath {
    /// Returns the path, relative.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// Returns the group it lies in, unless that is the hierarchy's own.
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Self(parent.to_owned()))
    }

    /// Returns the groups it lies in, outermost first, itself not included.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = &Path> {
        self.0
            .match_indices('/')
            .map(|(at, _)| Path::new(&self.0[..at]))
    }
}

impl FromStr for GroupPath {
    type Err = InvalidGroupPath;

    fn from_str(text: &str) -> Result<Self, InvalidGroupPath> {
        let path = text.strip_prefix('/').unwrap_or(text);
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..") && part.len() <= 255 && !part.contains(['\0', '\n'])
        };
        if path.split(':').count() == 3 && !path.contains('/') {
            return Err(InvalidGroupPath::Systemd(text.to_owned()));
        }
        if path.split('/').all(plain) {
            Ok(Self(path.to_owned()))
        } else {
            Err(InvalidGroupPath::Component(text.to_owned()))
        }
    }
}

impl fmt::Display for GroupPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_components_are_taken() {
        assert_eq!(
            "/hull/a/b".parse::<GroupPath>().unwrap().to_string(),
            "hull/a/b"
        );
        for bad in [
            "", "/", "//a", "a//b", "a/", "../a", "a/./b", "a/..", "a\nb",
        ] {
            assert!(bad.parse::<GroupPath>().is_err(), "{bad:?}");
        }
        assert!(matches!(
            "system.slice:hull:x".parse::<GroupPath>(),
            Err(InvalidGroupPath::Systemd(_))
        ));
    }

    #[test]
    fn ancestors_come_outermost_first() {
        let path: GroupPath = "a/b/c".parse().unwrap();
        let all: Vec<_> = path.ancestors().collect();
        assert_eq!(all, [Path::new("a"), Path::new("a/b")]);
        let parent = path.parent().unwrap();
        assert_eq!(parent.to_string(), "a/b");
        assert_eq!(parent.parent().unwrap().parent(), None);
    }
}
