//! The profile format of `docker run --security-opt seccomp=FILE`, which podman shares: an OCI document whose rules can
//! depend on capabilities, architecture and kernel, and whose architectures can be written as a map.
//!
//! A field that is not known is refused: `arg` for `args` would turn a narrow rule into a wide one.

use std::fmt;
use std::str::FromStr;

use hull_spec::runtime::{
    Seccomp, SeccompAction, SeccompArch, SeccompArg, SeccompFlag, SeccompRule,
};
use hull_types::ErrorKind;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::compiler::Abi;

/// What the conditions in a profile are held against.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    pub native: Abi,
    pub kernel: KernelVersion,
    /// The container's bounding set, by name (`CAP_CHOWN`).
    pub bounding: &'a [String],
}

/// A kernel's version as far as profiles ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    pub major: u32,
    pub minor: u32,
}

impl FromStr for KernelVersion {
    type Err = InvalidProfile;

    /// Reads the start of a release: `4.8`, `6.18.44-fc`, `6.1.0-56-cloud-amd64`.
    fn from_str(text: &str) -> Result<Self, InvalidProfile> {
        let refuse = || InvalidProfile::KernelVersion(text.to_owned());
        let (major, rest) = text.split_once('.').ok_or_else(refuse)?;
        let end = rest.find(|c: char| !c.is_ascii_digit());
        let minor = &rest[..end.unwrap_or(rest.len())];
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| plain).ok_or_else(refuse)
        };
        Ok(Self {
            major: number(major)?,
            minor: number(minor)?,
        })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why a file is not a profile.
#[derive(Debug, thiserror::Error)]
pub enum InvalidProfile {
    #[error("the seccomp profile is not of docker's format")]
    Json(#[source] serde_json::Error),
    #[error("the seccomp profile has both `architectures` and `archMap`")]
    TwoArchitectureLists,
    #[error("a rule of the seccomp profile has both `name` and `names` (`{name}`)")]
    TwoNameLists { name: String },
    #[error("a rule of the seccomp profile names no system call")]
    Nameless,
    #[error("`{0}` is not a kernel version such as 4.8")]
    KernelVersion(String),
}

impl InvalidProfile {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    default_action: SeccompAction,
    default_errno_ret: Option<u32>,
    /// podman's second spelling of `defaultErrnoRet`, by name.
    #[serde(rename = "defaultErrno")]
    _default_errno: Option<IgnoredAny>,
    architectures: Option<Vec<SeccompArch>>,
    arch_map: Option<Vec<Family>>,
    flags: Option<Vec<SeccompFlag>>,
    listener_path: Option<std::path::PathBuf>,
    listener_metadata: Option<String>,
    syscalls: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Family {
    architecture: SeccompArch,
    sub_architectures: Option<Vec<SeccompArch>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: SeccompAction,
    errno_ret: Option<u32>,
    /// podman's second spelling of `errnoRet`, by name.
    #[serde(rename = "errno")]
    _errno: Option<IgnoredAny>,
    args: Option<Vec<Argument>>,
    #[serde(rename = "comment")]
    _comment: Option<IgnoredAny>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Argument {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: hull_spec::runtime::SeccompOp,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    arches: Option<Vec<String>>,
    caps: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Reads a profile and keeps the rules that apply on `host`.
pub fn parse_profile(json: &[u8], host: &Host<'_>) -> Result<Seccomp, InvalidProfile> {
    let profile: Profile = serde_json::from_slice(json).map_err(InvalidProfile::Json)?;
    let mut syscalls = Vec::new();
    for entry in profile.syscalls.unwrap_or_default() {
        if applies(&entry, host)? {
            syscalls.push(rule(entry)?);
        }
    }
    Ok(Seccomp {
        default_action: profile.default_action,
        default_errno_ret: profile.default_errno_ret,
        architectures: architectures(profile.architectures, profile.arch_map, host.native)?,
        flags: profile.flags.unwrap_or_default(),
        listener_path: profile.listener_path,
        listener_metadata: profile.listener_metadata,
        syscalls,
    })
}

fn architectures(
    list: Option<Vec<SeccompArch>>,
    map: Option<Vec<Family>>,
    native: Abi,
) -> Result<Vec<SeccompArch>, InvalidProfile> {
    let (list, map) = (list.unwrap_or_default(), map.unwrap_or_default());
    if !list.is_empty() && !map.is_empty() {
        return Err(InvalidProfile::TwoArchitectureLists);
    }
    let native = match native {
        Abi::Aarch64 => SeccompArch::Aarch64,
        Abi::X86_64 | Abi::X32 | Abi::I386 => SeccompArch::X86_64,
    };
    let family = map.into_iter().find(|family| family.architecture == native);
    Ok(match family {
        Some(family) => [
            vec![family.architecture],
            family.sub_architectures.unwrap_or_default(),
        ]
        .concat(),
        None => list,
    })
}

fn rule(entry: Entry) -> Result<SeccompRule, InvalidProfile> {
    let names = match (entry.name, entry.names.unwrap_or_default()) {
        (None, names) if names.is_empty() => return Err(InvalidProfile::Nameless),
        (None, names) => names,
        (Some(name), names) if names.is_empty() => vec![name],
        (Some(name), _) => return Err(InvalidProfile::TwoNameLists { name }),
    };
    let args = entry.args.unwrap_or_default().into_iter();
    let arg = |arg: Argument| SeccompArg {
        index: arg.index,
        value: arg.value,
        value_two: arg.value_two,
        op: arg.op,
    };
    Ok(SeccompRule {
        names,
        action: entry.action,
        errno_ret: entry.errno_ret,
        args: args.map(arg).collect(),
    })
}

/// A rule stays if all its inclusions hold and none of its exclusions does.
fn applies(entry: &Entry, host: &Host<'_>) -> Result<bool, InvalidProfile> {
    let has = |name: &String| host.bounding.contains(name);
    if let Some(Filter {
        arches,
        caps,
        min_kernel,
    }) = &entry.includes
    {
        let arch = arches
            .as_deref()
            .is_none_or(|list| list.is_empty() || names_native(list, host));
        let caps = caps.iter().flatten().all(has);
        if !arch || !caps || !is_at_least(host, min_kernel.as_deref())?.unwrap_or(true) {
            return Ok(false);
        }
    }
    if let Some(Filter {
        arches,
        caps,
        min_kernel,
    }) = &entry.excludes
    {
        let arch = names_native(arches.as_deref().unwrap_or_default(), host);
        let caps = caps.iter().flatten().any(has);
        if arch || caps || is_at_least(host, min_kernel.as_deref())?.unwrap_or(false) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn names_native(arches: &[String], host: &Host<'_>) -> bool {
    let native = match host.native {
        Abi::Aarch64 => "arm64",
        Abi::X86_64 | Abi::X32 | Abi::I386 => "amd64",
    };
    arches.iter().any(|arch| arch == native)
}

fn is_at_least(host: &Host<'_>, version: Option<&str>) -> Result<Option<bool>, InvalidProfile> {
    let version: Option<KernelVersion> = version.map(str::parse).transpose()?;
    Ok(version.map(|version| host.kernel >= version))
}
