use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{ContainerText, InvalidRequest, serde_through_text};

/// Which namespaces a container shares. The network's is [`super::NetworkMode`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// `None` lets the rest of the request decide: `--pid host` and `--privileged` need the host's.
    pub user: Option<UserNamespace>,
    pub pid: Namespace,
    pub ipc: IpcNamespace,
    pub uts: Namespace,
    pub cgroup: CgroupNamespace,
}

/// A namespace of one's own, or somebody else's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespace {
    #[default]
    Private,
    Host,
    Container(ContainerText),
    /// `ns:PATH`, a file such as `/proc/PID/ns/uts` or a bind mount of one.
    Path(PathBuf),
}

/// Shared memory, semaphores and message queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IpcNamespace {
    /// Others may join (docker's `shareable`): in Hull whoever may join the pod may join this.
    #[default]
    Private,
    /// Its own, without `/dev/shm`.
    None,
    Host,
    Container(ContainerText),
    Path(PathBuf),
}

/// Who root in the container is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserNamespace {
    /// Nobody: the pod has a range of ids of its own.
    Private,
    /// Root.
    Host,
}

/// Which part of the cgroup tree the container sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupNamespace {
    #[default]
    Private,
    Host,
}

/// Reads `container:NAME` or `ns:PATH`.
pub(super) fn joined(text: &str) -> Option<Result<Joined, InvalidRequest>> {
    if let Some(name) = text.strip_prefix("container:") {
        return Some(name.parse().map(Joined::Container));
    }
    let path = PathBuf::from(text.strip_prefix("ns:")?);
    Some(if path.is_absolute() {
        Ok(Joined::Path(path))
    } else {
        Err(InvalidRequest::RelativePath(path))
    })
}

/// Somebody else's namespace.
pub(super) enum Joined {
    Container(ContainerText),
    Path(PathBuf),
}

fn unknown(text: &str, known: &'static str) -> InvalidRequest {
    InvalidRequest::NoSuch {
        what: "namespace",
        word: text.to_owned(),
        known,
        near: Vec::new(),
    }
}

impl FromStr for Namespace {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        match (text, joined(text)) {
            ("" | "private", _) => Ok(Self::Private),
            ("host", _) => Ok(Self::Host),
            (_, Some(Ok(Joined::Container(name)))) => Ok(Self::Container(name)),
            (_, Some(Ok(Joined::Path(path)))) => Ok(Self::Path(path)),
            (_, Some(Err(error))) => Err(error),
            (_, None) => Err(unknown(text, "private, host, container:NAME, ns:PATH")),
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("private"),
            Self::Host => f.write_str("host"),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Path(path) => write!(f, "ns:{}", path.display()),
        }
    }
}

impl FromStr for IpcNamespace {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        match (text, joined(text)) {
            ("" | "private" | "shareable", _) => Ok(Self::Private),
            ("none", _) => Ok(Self::None),
            ("host", _) => Ok(Self::Host),
            (_, Some(Ok(Joined::Container(name)))) => Ok(Self::Container(name)),
            (_, Some(Ok(Joined::Path(path)))) => Ok(Self::Path(path)),
            (_, Some(Err(error))) => Err(error),
            (_, None) => Err(unknown(
                text,
                "private, shareable, none, host, container:NAME, ns:PATH",
            )),
        }
    }
}

impl fmt::Display for IpcNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("private"),
            Self::None => f.write_str("none"),
            Self::Host => f.write_str("host"),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Path(path) => write!(f, "ns:{}", path.display()),
        }
    }
}

serde_through_text!(Namespace, IpcNamespace);

impl FromStr for UserNamespace {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        match text {
            "private" | "auto" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            _ => Err(unknown(text, "private, host")),
        }
    }
}

impl FromStr for CgroupNamespace {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        match text {
            "" | "private" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            _ => Err(unknown(text, "private, host")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_round_trip() {
        for text in ["private", "host", "container:web", "ns:/proc/1/ns/pid"] {
            assert_eq!(text.parse::<Namespace>().unwrap().to_string(), text);
            assert_eq!(text.parse::<IpcNamespace>().unwrap().to_string(), text);
        }
        assert_eq!(
            "shareable".parse::<IpcNamespace>().unwrap(),
            IpcNamespace::Private
        );
        for bad in ["hosts", "container:", "ns:rel", "container:a/b", "none"] {
            assert!(bad.parse::<Namespace>().is_err(), "{bad}");
        }
    }
}
