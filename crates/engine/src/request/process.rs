use std::{fmt, path::PathBuf, str::FromStr};

use hull_types::Signal;
use serde::{Deserialize, Serialize};

use super::{Environment, InvalidRequest, serde_through_text};
use crate::near::near;

/// The first process of the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Replaces the image's `Cmd` unless empty.
    pub command: Vec<String>,
    pub entrypoint: Entrypoint,
    pub environment: Environment,
    pub directory: Option<PathBuf>,
    pub user: Option<User>,
    /// Groups besides those the image's files give the user.
    pub groups: Vec<Principal>,
    pub terminal: bool,
    /// Whether standard input stays open.
    pub interactive: bool,
    /// Whether a small init stands before the command to forward signals and reap.
    pub init: bool,
    pub ulimits: Vec<Ulimit>,
    pub oom_score_adj: Option<i16>,
    pub stop_signal: Option<Signal>,
    pub stop_grace: Option<Grace>,
}

/// What to do with the image's `Entrypoint`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entrypoint {
    #[default]
    Image,
    /// Run the command alone (docker's `--entrypoint ""`). The image's `Cmd` goes with its `Entrypoint`.
    Cleared,
    /// One program instead; the image's `Cmd` goes with its `Entrypoint`.
    Program(String),
}

/// A user or group by number or by its name in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    Id(u32),
    Name(String),
}

impl FromStr for Principal {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let malformed = || InvalidRequest::Malformed {
            what: "a user or group",
            word: text.to_owned(),
            example: "a name, or a number up to 4294967294",
        };
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            // The last number means "no id" to the kernel.
            let id = text.parse().ok().filter(|id| *id != u32::MAX);
            return id.map(Self::Id).ok_or_else(malformed);
        }
        let bad = |c: char| c == ':' || c.is_whitespace() || c.is_control();
        if text.is_empty() || text.starts_with(['-', '+']) || text.contains(bad) {
            return Err(malformed());
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Whom to run as: `USER` or `USER:GROUP`, in an image's configuration as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub user: Principal,
    pub group: Option<Principal>,
}

impl FromStr for User {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        Ok(Self {
            user: user.parse()?,
            group: group.map(str::parse).transpose()?,
        })
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => self.user.fmt(f),
        }
    }
}

/// How long a container may take to stop before it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    Seconds(u32),
    Forever,
}

impl FromStr for Grace {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        match (text, text.parse()) {
            ("-1", _) => Ok(Self::Forever),
            (_, Ok(seconds)) => Ok(Self::Seconds(seconds)),
            _ => Err(InvalidRequest::Malformed {
                what: "a number of seconds",
                word: text.to_owned(),
                example: "a whole number, or -1 to wait for ever",
            }),
        }
    }
}

impl fmt::Display for Grace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => seconds.fmt(f),
            Self::Forever => f.write_str("-1"),
        }
    }
}

/// A limit on one process: docker's `NAME=soft[:hard]`. `u64::MAX` is "unlimited", as in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ulimit {
    pub limit: Rlimit,
    pub soft: u64,
    pub hard: u64,
}

/// The resources of setrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rlimit {
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
    As,
}

impl Rlimit {
    const ALL: [(Self, &str); 16] = [
        (Self::Core, "core"),
        (Self::Cpu, "cpu"),
        (Self::Data, "data"),
        (Self::Fsize, "fsize"),
        (Self::Locks, "locks"),
        (Self::Memlock, "memlock"),
        (Self::Msgqueue, "msgqueue"),
        (Self::Nice, "nice"),
        (Self::Nofile, "nofile"),
        (Self::Nproc, "nproc"),
        (Self::Rss, "rss"),
        (Self::Rtprio, "rtprio"),
        (Self::Rttime, "rttime"),
        (Self::Sigpending, "sigpending"),
        (Self::Stack, "stack"),
        (Self::As, "as"),
    ];

    /// Returns docker's name of the resource.
    pub fn name(self) -> &'static str {
        let known = Self::ALL.iter().find(|(limit, _)| *limit == self);
        known.map_or("", |(_, name)| name)
    }

    /// Returns the name in an OCI configuration: `RLIMIT_NOFILE`.
    pub fn oci_name(self) -> String {
        format!("RLIMIT_{}", self.name().to_ascii_uppercase())
    }
}

impl FromStr for Ulimit {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let malformed = || InvalidRequest::Malformed {
            what: "a limit",
            word: text.to_owned(),
            example: "NAME=soft or NAME=soft:hard, such as nofile=1024:524288; -1 is unlimited",
        };
        let (name, values) = text.split_once('=').ok_or_else(malformed)?;
        let Some((limit, _)) = Rlimit::ALL.iter().find(|(_, known)| *known == name) else {
            let names = Rlimit::ALL.iter().map(|(_, name)| *name);
            return Err(InvalidRequest::NoSuch {
                what: "limit",
                word: name.to_owned(),
                known: "core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack, as",
                near: near(name, names),
            });
        };
        let value = |text: &str| match text {
            "-1" | "unlimited" => Ok(u64::MAX),
            _ => text.parse().map_err(|_| malformed()),
        };
        let (soft, hard) = match values.split_once(':') {
            Some((soft, hard)) => (value(soft)?, value(hard)?),
            None => (value(values)?, value(values)?),
        };
        if soft > hard {
            return Err(InvalidRequest::SoftAboveHard {
                name: name.to_owned(),
                soft,
                hard,
            });
        }
        Ok(Self {
            limit: *limit,
            soft,
            hard,
        })
    }
}

impl fmt::Display for Ulimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value| match value {
            u64::MAX => "-1".to_owned(),
            value => value.to_string(),
        };
        write!(
            f,
            "{}={}:{}",
            self.limit.name(),
            value(self.soft),
            value(self.hard)
        )
    }
}

serde_through_text!(Principal, User, Grace, Ulimit);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers_or_names() {
        for text in ["0", "1000:1000", "nobody", "www-data:33", "4294967294"] {
            assert_eq!(text.parse::<User>().unwrap().to_string(), text);
        }
        assert_eq!("7".parse::<User>().unwrap().user, Principal::Id(7));
        for bad in [
            "",
            ":",
            "a:",
            ":0",
            "a:b:c",
            "4294967295",
            "-1",
            "a b",
            "99999999999",
        ] {
            assert!(bad.parse::<User>().is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_are_read_as_docker_writes_them() {
        for (text, printed) in [
            ("nofile=1024", "nofile=1024:1024"),
            ("nofile=1024:524288", "nofile=1024:524288"),
            ("core=0:-1", "core=0:-1"),
            ("memlock=unlimited", "memlock=-1:-1"),
        ] {
            let limit: Ulimit = text.parse().unwrap();
            assert_eq!(limit.to_string(), printed);
            assert_eq!(printed.parse::<Ulimit>().unwrap(), limit);
        }
        assert_eq!(Rlimit::Nofile.oci_name(), "RLIMIT_NOFILE");
        for (bad, error) in [
            ("nofile", "`nofile` is not a limit"),
            ("nofiles=1", "`nofiles` is no limit"),
            ("nofile=x", "`nofile=x` is not a limit"),
            (
                "nofile=2:1",
                "limit `nofile` has a soft value above the hard one: 2 > 1",
            ),
            (
                "nofile=-1:5",
                "limit `nofile` has a soft value above the hard one: 18446744073709551615 > 5",
            ),
        ] {
            assert_eq!(bad.parse::<Ulimit>().unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn graces_are_seconds_or_for_ever() {
        assert_eq!("-1".parse::<Grace>().unwrap(), Grace::Forever);
        assert_eq!("10".parse::<Grace>().unwrap(), Grace::Seconds(10));
        for bad in ["", "-2", "1.5", "10s"] {
            assert!(bad.parse::<Grace>().is_err(), "{bad}");
        }
    }
}
