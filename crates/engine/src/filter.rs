//! Which containers are meant: `--filter NAME=VALUE`.

use std::collections::HashSet;

use hull_types::{Timestamp, near};

use crate::{Engine, EngineError, Listed, images::until, request::InvalidRequest};

/// A condition on containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerFilter {
    /// The name has this in it; `^` and `$` stand for its ends.
    Name(String),
    /// The id begins so.
    Id(String),
    Label {
        name: String,
        value: Option<String>,
    },
    NotLabel {
        name: String,
        value: Option<String>,
    },
    Status(String),
    /// Ended with this code.
    Exited(u8),
    /// Made from this image: its name as it was asked for, or its id.
    Ancestor {
        name: String,
        id: Option<String>,
    },
    /// Made before this moment.
    Before(Timestamp),
    /// Made after this moment.
    Since(Timestamp),
    /// Has a volume of this name, or something mounted there.
    Volume(String),
    Network(String),
}

/// The names of filters, for who mistyped one.
const KNOWN: [&str; 12] = [
    "name", "id", "label", "label!", "status", "exited", "ancestor", "before", "since", "until",
    "volume", "network",
];

/// The words of `status`.
const STATUSES: [&str; 8] = [
    "created",
    "starting",
    "running",
    "paused",
    "exited",
    "lost",
    "dead",
    "restarting",
];

impl Engine {
    /// Understands a filter as it was typed.
    pub fn container_filter(
        &self,
        name: &str,
        value: &str,
    ) -> Result<ContainerFilter, EngineError> {
        let made = |container: &str| -> Result<Timestamp, EngineError> {
            Ok(self.find(container)?.pod.journal.record.created)
        };
        let label = || match value.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (value.to_owned(), None),
        };
        Ok(match name {
            "name" => ContainerFilter::Name(value.trim_start_matches('/').to_owned()),
            "id" => ContainerFilter::Id(value.to_ascii_lowercase()),
            "label" => {
                let (name, value) = label();
                ContainerFilter::Label { name, value }
            }
            "label!" => {
                let (name, value) = label();
                ContainerFilter::NotLabel { name, value }
            }
            "status" => ContainerFilter::Status(status(value)?),
            "exited" => {
                ContainerFilter::Exited(value.parse().map_err(|_| InvalidRequest::Malformed {
                    what: "an exit code",
                    word: value.to_owned(),
                    example: "a number from 0 to 255",
                })?)
            }
            "ancestor" => ContainerFilter::Ancestor {
                name: value.to_owned(),
                id: self.image_id(value),
            },
            "before" => ContainerFilter::Before(made(value)?),
            "since" => ContainerFilter::Since(made(value)?),
            "until" => ContainerFilter::Before(until(value)?),
            "volume" => ContainerFilter::Volume(value.to_owned()),
            "network" => ContainerFilter::Network(value.to_owned()),
            _ => {
                return Err(EngineError::Request(InvalidRequest::NoSuch {
                    what: "filter of containers",
                    word: name.to_owned(),
                    known: "name, id, label, label!, status, exited, ancestor, before, since, until, volume, network",
                    near: near(name, KNOWN),
                }));
            }
        })
    }

    /// Returns the id of an image, if it is here.
    fn image_id(&self, asked: &str) -> Option<String> {
        let images = self.images().ok()?;
        Some(images.resolve(asked).ok()?.id.to_string())
    }
}

fn status(word: &str) -> Result<String, InvalidRequest> {
    let word = word.to_ascii_lowercase();
    if STATUSES.contains(&word.as_str()) {
        return Ok(word);
    }
    Err(InvalidRequest::NoSuch {
        what: "status",
        near: near(&word, STATUSES),
        word,
        known: "created, starting, running, paused, exited, lost",
    })
}

impl ContainerFilter {
    /// Says which filters are alternatives to each other: of names, ids and the like one must fit, of labels all.
    fn alternatives(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && !matches!(self, Self::Label { .. } | Self::NotLabel { .. })
    }

    /// Says whether a container is meant by filters together.
    pub fn all_admit(filters: &[Self], listed: &Listed) -> bool {
        filters.iter().all(|filter| {
            let mut alternatives = filters.iter().filter(|other| filter.alternatives(other));
            filter.admits(listed) || alternatives.any(|other| other.admits(listed))
        })
    }

    /// Says whether one of `filters` asks for a state: then the usual choice of running containers is not made.
    pub fn chooses_state(filters: &[Self]) -> bool {
        filters
            .iter()
            .any(|filter| matches!(filter, Self::Status(_) | Self::Exited(_)))
    }

    fn admits(&self, listed: &Listed) -> bool {
        let (container, config) = (listed.container(), &listed.config);
        let created = listed.pod.journal.record.created;
        match self {
            Self::Name(pattern) => fits(pattern, container.name.as_str()),
            Self::Id(start) => container.id.to_string().starts_with(start),
            Self::Label { name, value } => labelled(listed, name, value.as_deref()),
            Self::NotLabel { name, value } => !labelled(listed, name, value.as_deref()),
            Self::Status(word) => listed.status.word() == word,
            Self::Exited(code) => listed.status.exit().is_some_and(|exit| exit.code == *code),
            Self::Ancestor { name, id } => {
                let own = config
                    .image
                    .source
                    .as_ref()
                    .map(|source| source.id.to_string());
                config.image.name == *name
                    || config.image.name == format!("{name}:latest")
                    || (id.is_some() && own == *id)
            }
            Self::Before(moment) => created < *moment,
            Self::Since(moment) => created > *moment,
            Self::Volume(volume) => volumes(listed).contains(volume),
            Self::Network(network) => config.request.network.mode.to_string() == *network,
        }
    }
}

/// Says whether a name has the pattern in it.
fn fits(pattern: &str, name: &str) -> bool {
    let (from_start, pattern) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest.trim_start_matches('/')),
        None => (false, pattern),
    };
    let (to_end, pattern) = match pattern.strip_suffix('$') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    match (from_start, to_end) {
        (true, true) => name == pattern,
        (true, false) => name.starts_with(pattern),
        (false, true) => name.ends_with(pattern),
        (false, false) => name.contains(pattern),
    }
}

fn labelled(listed: &Listed, name: &str, value: Option<&str>) -> bool {
    let labels = listed.config.labels();
    let label = labels.get(name);
    label.is_some_and(|label| value.is_none_or(|value| value == label))
}

fn volumes(listed: &Listed) -> HashSet<String> {
    use crate::request::Mount;
    let config = &listed.config;
    let named = config
        .request
        .mounts
        .iter()
        .filter_map(|mount| match mount {
            Mount::Volume {
                name: Some(name), ..
            } => Some(name.as_str().to_owned()),
            _ => None,
        });
    let anonymous = config.anonymous.iter().map(|volume| volume.name.clone());
    let targets = config
        .request
        .mounts
        .iter()
        .map(|mount| mount.target().display().to_string());
    named.chain(anonymous).chain(targets).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (pattern, name, expected) in [
            ("we", "web", true),
            ("eb", "web", true),
            ("^we", "web", true),
            ("^eb", "web", false),
            ("^/web$", "web", true),
            ("b$", "web", true),
            ("^web$", "web1", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn states_are_known() {
        assert_eq!(status("Running").unwrap(), "running");
        assert!(status("runing").is_err());
    }
}
