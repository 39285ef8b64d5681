use std::{fmt, str::FromStr};

use crate::{Digest, InvalidDigest};

/// An image's full name: `registry/repository:tag@digest`.
///
/// The grammar is that of the distribution specification and of docker's reference package: a repository is lower-case path
/// components joined by `/`, separated inside by `.`, `_`, `__` or dashes; a tag is at most 128 of `[A-Za-z0-9_.-]`; the first
/// component is a registry if it has a `.` or a `:` or is `localhost`.
///
/// ```
/// # use hull_types::Reference;
/// let name: Reference = "debian:12".parse()?;
/// assert_eq!(name.to_string(), "docker.io/library/debian:12");
/// # Ok::<(), hull_types::InvalidReference>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

/// A tag: a word people move from one manifest to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

/// What names without a registry mean. The default is docker's: `debian` is `docker.io/library/debian`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortNames {
    /// The registry put in front of a name that has none.
    pub registry: String,
    /// The path put in front of a name of one component in that registry, if any.
    pub namespace: Option<String>,
}

impl Default for ShortNames {
    fn default() -> Self {
        Self {
            registry: "docker.io".to_owned(),
            namespace: Some("library".to_owned()),
        }
    }
}

/// Why a text is no image name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    #[error("an image name cannot be empty")]
    Empty,
    #[error("image name `{0}` has more than 255 characters before the tag")]
    TooLong(String),
    #[error("image name `{0}` has capital letters: repository names are lower case")]
    UpperCase(String),
    #[error(
        "image name `{name}` has a bad component `{component}`: use a-z, 0-9 and single `.`, `_`, `-` between them"
    )]
    BadComponent { name: String, component: String },
    #[error("image name `{name}` has a bad registry `{registry}`")]
    BadRegistry { name: String, registry: String },
    #[error(
        "image name `{name}` has a bad tag `{tag}`: at most 128 of letters, digits, `_`, `.`, `-`, not starting with `.` or `-`"
    )]
    BadTag { name: String, tag: String },
    #[error("image name `{name}` has a bad digest")]
    BadDigest { name: String, source: InvalidDigest },
    #[error("`{0}` is a digest or an image id, not a name")]
    IsId(String),
}

impl Reference {
    /// Reads what a person typed, completing short names by the rule given. Neither tag nor digest: no tag is added here; ask
    /// [`Self::or_latest`].
    pub fn parse(text: &str, short: &ShortNames) -> Result<Self, InvalidReference> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let bad = |source| InvalidReference::BadDigest {
                    name: text.to_owned(),
                    source,
                };
                (rest, Some(digest.parse().map_err(bad)?))
            }
            None => (text, None),
        };
        if rest.is_empty() {
            return Err(InvalidReference::Empty);
        }
        let last_slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (path, tag) = match rest[last_slash..].find(':') {
            Some(colon) => {
                let (path, tag) = rest.split_at(last_slash + colon);
                let bad = |_| InvalidReference::BadTag {
                    name: text.to_owned(),
                    tag: tag[1..].to_owned(),
                };
                (path, Some(tag[1..].parse().map_err(bad)?))
            }
            None => (rest, None),
        };
        let (registry, repository) = split_registry(path, short, text)?;
        if registry.len() + repository.len() > 255 {
            return Err(InvalidReference::TooLong(text.to_owned()));
        }
        check_repository(&repository, text)?;
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
        })
    }

    /// Returns the registry's host and, if given, port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the path in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag, if there is one.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// Returns the digest, if there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns the name with `:latest` if it has neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(Tag("latest".to_owned()));
        }
        self
    }

    /// Returns the name without tag and digest: `docker.io/library/debian`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns the same repository at this digest and no tag.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            tag: None,
            ..self.clone()
        }
    }

    /// Returns the name as short as the rule allows, as lists show it: `debian:12`.
    pub fn familiar(&self, short: &ShortNames) -> String {
        let full = self.to_string();
        let Some(rest) = full.strip_prefix(&format!("{}/", short.registry)) else {
            return full;
        };
        let namespace = short.namespace.as_ref();
        let alone = namespace.and_then(|name| rest.strip_prefix(name.as_str())?.strip_prefix('/'));
        // Some would be read back as another name: `a.b/c` begins with a registry.
        let means_this = |text: &&str| Self::parse(text, short).as_ref() == Ok(self);
        let shorter = [alone, Some(rest)].into_iter().flatten().find(means_this);
        shorter.unwrap_or(&full).to_owned()
    }
}

/// Takes the registry off the front, or puts the rule's registry there.
fn split_registry(
    path: &str,
    short: &ShortNames,
    text: &str,
) -> Result<(String, String), InvalidReference> {
    if let Some((first, rest)) = path.split_once('/')
        && (first.contains(['.', ':']) || first == "localhost" || first.starts_with('['))
    {
        if !is_registry(first) {
            return Err(InvalidReference::BadRegistry {
                name: text.to_owned(),
                registry: first.to_owned(),
            });
        }
        // Docker's old name for its own registry.
        let registry = if first == "index.docker.io" {
            "docker.io"
        } else {
            first
        };
        return Ok((registry.to_owned(), repository(registry, rest, short)));
    }
    let looks_like_id = path.len() == 64 && path.bytes().all(|b| b.is_ascii_hexdigit());
    if looks_like_id {
        return Err(InvalidReference::IsId(text.to_owned()));
    }
    let registry = short.registry.clone();
    let repository = repository(&registry, path, short);
    Ok((registry, repository))
}

/// Completes a path of one component. On docker's registry it lies in `library`, whatever else short names mean here.
fn repository(registry: &str, path: &str, short: &ShortNames) -> String {
    let namespace = match &short.namespace {
        Some(namespace) if registry == short.registry => Some(namespace.as_str()),
        _ if registry == "docker.io" => Some("library"),
        _ => None,
    };
    match namespace {
        Some(namespace) if !path.contains('/') => format!("{namespace}/{path}"),
        _ => path.to_owned(),
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (address, None),
            Some((address, port)) => match port.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None => return false,
            },
            None => return false,
        },
        None => text
            .split_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let host_is_good = if text.starts_with('[') {
        host.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        host.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
    };
    host_is_good
        && port.is_none_or(|port| {
            port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with('+')
        })
}

fn check_repository(repository: &str, text: &str) -> Result<(), InvalidReference> {
    for component in repository.split('/') {
        if component.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidReference::UpperCase(text.to_owned()));
        }
        if !is_component(component) {
            return Err(InvalidReference::BadComponent {
                name: text.to_owned(),
                component: component.to_owned(),
            });
        }
    }
    Ok(())
}

/// Alphanumeric runs with one separator between them: `.`, `_`, `__` or any number of dashes.
fn is_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    if !alphanumeric(*first) || !alphanumeric(*last) {
        return false;
    }
    bytes.split(|b| alphanumeric(*b)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

impl FromStr for Reference {
    type Err = InvalidReference;
    /// Reads a full name, or a short one by docker's rule.
    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        Self::parse(text, &ShortNames::default())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest
            .as_ref()
            .map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl Tag {
    /// Returns the tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = InvalidReference;
    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        match text.as_bytes() {
            [first, ..]
                if text.len() <= 128 && !b".-".contains(first) && text.bytes().all(good) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidReference::BadTag {
                name: text.to_owned(),
                tag: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::serde_through_text!(Reference, Tag);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_completed_as_docker_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, full) in [
            ("debian", "docker.io/library/debian"),
            ("debian:12", "docker.io/library/debian:12"),
            ("grafana/loki", "docker.io/grafana/loki"),
            ("docker.io/debian", "docker.io/library/debian"),
            ("index.docker.io/debian", "docker.io/library/debian"),
            ("localhost/x", "localhost/x"),
            ("localhost:5000/x:y", "localhost:5000/x:y"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b"),
            ("[::1]:5000/a", "[::1]:5000/a"),
            ("ghcr.io/a/b__c/d-e:v1.0_x", "ghcr.io/a/b__c/d-e:v1.0_x"),
            (
                &format!("debian:12@{digest}"),
                &format!("docker.io/library/debian:12@{digest}"),
            ),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), full);
        }
    }

    #[test]
    fn bad_names_say_what_is_bad() {
        for bad in [
            "",
            ":tag",
            "@sha256:",
            "Debian",
            "a//b",
            "/a",
            "a/",
            "a b",
            "a:b:c",
            "a:",
            "a:-x",
            "../x",
            "a/../b",
            "a..b",
            "a___b",
            "a_-b",
            "-a",
            "host.name:0/x",
            "host.name:99999/x",
            "host..name/x",
            "a@sha256:123",
            "a\n",
            "[::1/x",
            &"a".repeat(64),
            &format!("a/{}", "b".repeat(255)),
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn familiar_names_read_back_as_the_same() {
        let short = ShortNames::default();
        for text in [
            "debian:12",
            "grafana/loki",
            "ghcr.io/a/b:c",
            "docker.io/library/a/b",
            // What begins like a registry, or is as long as an id, stays in full.
            "docker.io/a.b/c",
            "docker.io/localhost/x",
            "docker.io/library/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            let reference: Reference = text.parse().unwrap();
            let familiar = reference.familiar(&short);
            assert_eq!(
                familiar.parse::<Reference>().unwrap(),
                reference,
                "{familiar}"
            );
        }
        assert_eq!(
            "debian:12".parse::<Reference>().unwrap().familiar(&short),
            "debian:12"
        );
    }

    #[test]
    fn full_names_mean_the_same_under_every_rule() {
        let lan = ShortNames {
            registry: "registry.lan".to_owned(),
            namespace: None,
        };
        let name = Reference::parse("docker.io/debian", &lan).unwrap();
        assert_eq!(name.to_string(), "docker.io/library/debian");
        assert_eq!(name, "debian".parse().unwrap());
    }

    proptest! {
        #[test]
        fn full_names_round_trip(text in "([a-z]{1,5}\\.[a-z]{2}(:[1-9][0-9]{0,3})?/)?[a-z0-9]{1,8}([._-][a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,5}){0,3}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,10})?") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference));
            }
        }
        #[test]
        fn any_text_is_a_name_or_an_error(text in ".{0,80}") {
            drop(text.parse::<Reference>());
        }
    }
}
