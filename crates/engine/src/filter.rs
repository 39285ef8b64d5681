//! Which containers are meant: `--filter NAME=VALUE`.

use std::collections::HashSet;

use hull_net::Protocol;
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
    /// Publishes one of these ports, which are the host's: `8080/tcp`.
    Publish(Ports),
    /// Listens on one of these ports of its own, published or not.
    Expose(Ports),
}

/// A span of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
    protocol: Protocol,
}

impl Ports {
    fn contain(&self, port: u16, protocol: Protocol) -> bool {
        self.protocol == protocol && (self.first..=self.last).contains(&port)
    }
}

/// The names of filters, for who mistyped one.
const KNOWN: [&str; 14] = [
    "name", "id", "label", "label!", "status", "exited", "ancestor", "before", "since", "until",
    "volume", "network", "publish", "expose",
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
            "publish" => ContainerFilter::Publish(ports(value)?),
            "expose" => ContainerFilter::Expose(ports(value)?),
            _ => {
                return Err(EngineError::Request(InvalidRequest::NoSuch {
                    what: "filter of containers",
                    word: name.to_owned(),
                    known: "name, id, label, label!, status, exited, ancestor, before, since, until, volume, network, publish, expose",
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

/// Reads `80`, `8000-8080`, `53/udp`.
fn ports(text: &str) -> Result<Ports, InvalidRequest> {
    let malformed = || InvalidRequest::Malformed {
        what: "a port",
        word: text.to_owned(),
        example: "80, 8000-8080 or 53/udp",
    };
    let (span, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = span.split_once('-').unwrap_or((span, span));
    let port = |text: &str| text.parse().map_err(|_| malformed());
    Ok(Ports {
        first: port(first)?,
        last: port(last)?,
        protocol: protocol.parse().map_err(|_| malformed())?,
    })
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
            Self::Publish(asked) => {
                let published = crate::inspect::ports(listed);
                let mut published = published.iter();
                published.any(|map| asked.contain(map.host_port, map.protocol))
            }
            Self::Expose(asked) => {
                let open = crate::inspect::open_ports(config);
                let mut open = open.iter();
                open.any(|port| asked.contain(port.port, port.protocol))
            }
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
    fn ports_are_numbers_spans_and_protocols() {
        for (text, inside, outside) in [
            ("80", (80, Protocol::Tcp), (81, Protocol::Tcp)),
            (
                "8000-8080/tcp",
                (8080, Protocol::Tcp),
                (8081, Protocol::Tcp),
            ),
            ("53/udp", (53, Protocol::Udp), (53, Protocol::Tcp)),
        ] {
            let ports = ports(text).unwrap();
            assert!(ports.contain(inside.0, inside.1), "{text}");
            assert!(!ports.contain(outside.0, outside.1), "{text}");
        }
        for bad in ["", "x", "80/", "99999", "80-"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn states_are_known() {
        assert_eq!(status("Running").unwrap(), "running");
        assert!(status("runing").is_err());
    }
}
