use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{InvalidRequest, serde_through_text};
use crate::near::near;

/// What the container may do to the kernel and the host. The default is Hull's tight one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    pub add: Vec<CapabilityChoice>,
    pub drop: Vec<CapabilityChoice>,
    pub seccomp: Seccomp,
    /// Whether set-user-id programs gain nothing. `None` leaves Hull's default.
    pub no_new_privileges: Option<bool>,
    pub system_paths: SystemPaths,
    pub privileged: bool,
}

/// Which system calls are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seccomp {
    /// Docker's default profile.
    #[default]
    Default,
    Unconfined,
    /// A profile in docker's JSON format.
    Profile(PathBuf),
}

/// Whether parts of `/proc` and `/sys` are hidden or read-only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SystemPaths {
    #[default]
    Masked,
    Unmasked,
}

/// One `--security-opt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecurityOption {
    Seccomp(Seccomp),
    NoNewPrivileges(bool),
    SystemPaths(SystemPaths),
    /// Asks for what is the case anyway; says why.
    Ignored(&'static str),
}

impl FromStr for SecurityOption {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let (name, value) = match text.split_once(['=', ':']) {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        match (name, value) {
            ("seccomp", Some("unconfined")) => Ok(Self::Seccomp(Seccomp::Unconfined)),
            ("seccomp", Some("builtin" | "default")) => Ok(Self::Seccomp(Seccomp::Default)),
            ("seccomp", Some(path)) if !path.is_empty() => {
                Ok(Self::Seccomp(Seccomp::Profile(Path::new(path).to_owned())))
            }
            ("no-new-privileges", None | Some("true")) => Ok(Self::NoNewPrivileges(true)),
            ("no-new-privileges", Some("false")) => Ok(Self::NoNewPrivileges(false)),
            ("systempaths", Some("unconfined")) => Ok(Self::SystemPaths(SystemPaths::Unmasked)),
            ("apparmor", Some("unconfined")) => Ok(Self::Ignored("Hull sets no AppArmor profile")),
            ("label", Some("disable")) => Ok(Self::Ignored("Hull sets no SELinux label")),
            ("apparmor", _) => Err(InvalidRequest::NotSupported {
                what: "AppArmor profiles",
                word: text.to_owned(),
                instead: "leave it out: the user namespace and seccomp still hold",
            }),
            ("label", _) => Err(InvalidRequest::NotSupported {
                what: "SELinux labels",
                word: text.to_owned(),
                instead: "leave it out: the user namespace and seccomp still hold",
            }),
            _ => Err(InvalidRequest::NoSuch {
                what: "security option",
                word: text.to_owned(),
                known: "seccomp=FILE, seccomp=unconfined, no-new-privileges, systempaths=unconfined",
                near: near(name, ["seccomp", "no-new-privileges", "systempaths"]),
            }),
        }
    }
}

/// One capability, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CapabilityChoice {
    All,
    One(Capability),
}

/// A capability by its number in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Capability(u8);

/// The names in capabilities(7), by number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

impl Capability {
    /// Returns every capability this Hull knows.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..NAMES.len()).filter_map(|number| u8::try_from(number).ok().map(Self))
    }

    /// Returns the kernel's number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl FromStr for Capability {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let number = NAMES.iter().position(|known| *known == name);
        number
            .and_then(|number| u8::try_from(number).ok().map(Self))
            .ok_or_else(|| InvalidRequest::NoSuch {
                what: "capability",
                word: text.to_owned(),
                known: "ALL and the names in capabilities(7), such as NET_ADMIN",
                near: near(name, NAMES),
            })
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CAP_{}", NAMES[usize::from(self.0)])
    }
}

impl FromStr for CapabilityChoice {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        if text.eq_ignore_ascii_case("all") || text.eq_ignore_ascii_case("cap_all") {
            return Ok(Self::All);
        }
        text.parse().map(Self::One)
    }
}

impl fmt::Display for CapabilityChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("ALL"),
            Self::One(capability) => capability.fmt(f),
        }
    }
}

serde_through_text!(Capability, CapabilityChoice);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_with_and_without_their_prefix() {
        for (text, number) in [
            ("NET_ADMIN", 12),
            ("cap_net_admin", 12),
            ("CAP_CHOWN", 0),
            ("checkpoint_restore", 40),
        ] {
            assert_eq!(text.parse::<Capability>().unwrap().number(), number);
        }
        assert_eq!(
            "all".parse::<CapabilityChoice>().unwrap(),
            CapabilityChoice::All
        );
        assert!(Capability::all().all(|cap| cap.to_string().parse::<Capability>().unwrap() == cap));
        let error = "NET_ADMN".parse::<CapabilityChoice>().unwrap_err();
        assert_eq!(error.hint().unwrap(), "did you mean `NET_ADMIN`?");
    }

    #[test]
    fn security_options_are_taken_ignored_or_refused() {
        for (text, option) in [
            (
                "seccomp=unconfined",
                SecurityOption::Seccomp(Seccomp::Unconfined),
            ),
            (
                "seccomp=/etc/p.json",
                SecurityOption::Seccomp(Seccomp::Profile("/etc/p.json".into())),
            ),
            ("seccomp:builtin", SecurityOption::Seccomp(Seccomp::Default)),
            ("no-new-privileges", SecurityOption::NoNewPrivileges(true)),
            (
                "no-new-privileges:true",
                SecurityOption::NoNewPrivileges(true),
            ),
            (
                "no-new-privileges=false",
                SecurityOption::NoNewPrivileges(false),
            ),
            (
                "systempaths=unconfined",
                SecurityOption::SystemPaths(SystemPaths::Unmasked),
            ),
            (
                "label=disable",
                SecurityOption::Ignored("Hull sets no SELinux label"),
            ),
        ] {
            assert_eq!(text.parse::<SecurityOption>().unwrap(), option);
        }
        for bad in [
            "",
            "seccomp",
            "seccomp=",
            "no-new-privileges=x",
            "apparmor=docker",
            "label=type:x",
            "x",
        ] {
            assert!(bad.parse::<SecurityOption>().is_err(), "{bad}");
        }
    }
}
