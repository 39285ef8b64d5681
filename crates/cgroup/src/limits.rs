//! What a container may use, free of any version's file names.

use std::collections::BTreeMap;
use std::fmt;

use hull_spec::runtime::{self, DeviceRule, Resources};

/// A limit that may also be lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Unlimited,
    At(u64),
}

impl Bound {
    /// Reads the OCI convention: negative is no limit.
    fn from_signed(value: i64) -> Self {
        u64::try_from(value).map_or(Self::Unlimited, Self::At)
    }

    /// Reads the OCI convention of zero meaning "say nothing".
    fn unless_zero(value: Option<i64>) -> Option<Self> {
        value.filter(|value| *value != 0).map(Self::from_signed)
    }

    pub(crate) fn v1(self) -> String {
        match self {
            Self::Unlimited => "-1".to_owned(),
            Self::At(value) => value.to_string(),
        }
    }

    pub(crate) fn v2(self) -> String {
        match self {
            Self::Unlimited => "max".to_owned(),
            Self::At(value) => value.to_string(),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.v2())
    }
}

/// Everything that can be limited. `None` and empty say nothing and write nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    pub memory: MemoryLimits,
    pub cpu: CpuLimits,
    pub pids: Option<Bound>,
    pub io: IoLimits,
    pub hugepages: Vec<HugepageBound>,
    pub network: NetworkMarks,
    pub rdma: BTreeMap<String, RdmaLimit>,
    /// cgroup v2 files by name, written last.
    pub unified: BTreeMap<String, String>,
    /// Device access, later rules win; without any, everything that has a node is allowed.
    pub devices: Vec<DeviceRule>,
}

/// Bytes of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryLimits {
    pub limit: Option<Bound>,
    /// What is kept for the container when memory is short.
    pub reservation: Option<Bound>,
    /// Memory and swap together, as OCI, docker and v1 count.
    pub with_swap: Option<Bound>,
    pub swappiness: Option<u8>,
    pub kernel_tcp: Option<Bound>,
    pub oom_killer_off: bool,
    /// Refuse a limit below what is in use now.
    pub check_before_update: bool,
}

/// Processor time; times in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuLimits {
    /// v1's measure: 2 to 262144, 1024 when nothing is said.
    pub shares: Option<u64>,
    pub quota: Option<Bound>,
    pub period: Option<u64>,
    pub burst: Option<u64>,
    pub realtime_runtime: Option<i64>,
    pub realtime_period: Option<u64>,
    /// Lists such as `0-3,7`.
    pub cpus: Option<String>,
    pub mems: Option<String>,
    pub idle: Option<bool>,
}

/// Block devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoLimits {
    /// 10 to 1000.
    pub weight: Option<u16>,
    pub device_weights: Vec<DeviceWeight>,
    pub read_bytes: Vec<DeviceRate>,
    pub write_bytes: Vec<DeviceRate>,
    pub read_operations: Vec<DeviceRate>,
    pub write_operations: Vec<DeviceRate>,
    /// Weights against a group's own children went away with CFQ in Linux 5.0.
    pub leaf_weights: bool,
}

/// A weight on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceWeight {
    pub major: u32,
    pub minor: u32,
    pub weight: u16,
}

/// A ceiling a second on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRate {
    pub major: u32,
    pub minor: u32,
    pub rate: u64,
}

/// Bytes of huge pages of one size (`2MB`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HugepageBound {
    pub page_size: String,
    pub limit: u64,
}

/// Marks on packets, v1 only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkMarks {
    pub class_id: Option<u32>,
    pub priorities: Vec<(String, u32)>,
}

/// What one RDMA device gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RdmaLimit {
    pub handles: Option<u32>,
    pub objects: Option<u32>,
}

/// A value no kernel would take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimit {
    #[error(
        "memory and swap together ({with_swap} bytes) cannot be less than memory alone ({limit} bytes)"
    )]
    SwapBelowMemory { with_swap: u64, limit: u64 },
    #[error("a limit on memory and swap together needs a limit on memory")]
    SwapWithoutMemory,
    #[error("swappiness {0} is not between 0 and 100")]
    Swappiness(u64),
    #[error("io weight {0} is not between 10 and 1000")]
    IoWeight(u16),
    #[error("`{0}` is not a list of processors or memory nodes such as `0-3,7`")]
    NumberList(String),
    #[error("`{0}` is not a size of huge pages such as `2MB`")]
    PageSize(String),
    #[error("cpu idle {0} is neither 0 nor 1")]
    Idle(i64),
    #[error("`{0}` is not a cgroup v2 file that a limit may be written to")]
    UnifiedFile(String),
    #[error("the {what} `{value}` must be one word")]
    Word { what: &'static str, value: String },
}

impl TryFrom<&Resources> for Limits {
    type Error = InvalidLimit;

    fn try_from(resources: &Resources) -> Result<Self, InvalidLimit> {
        Ok(Self {
            memory: resources
                .memory
                .as_ref()
                .map(memory)
                .transpose()?
                .unwrap_or_default(),
            cpu: resources
                .cpu
                .as_ref()
                .map(cpu)
                .transpose()?
                .unwrap_or_default(),
            pids: Bound::unless_zero(resources.pids.as_ref().and_then(|pids| pids.limit)),
            io: resources
                .block_io
                .as_ref()
                .map(io)
                .transpose()?
                .unwrap_or_default(),
            hugepages: resources
                .hugepage_limits
                .iter()
                .map(hugepage)
                .collect::<Result<_, _>>()?,
            network: resources
                .network
                .as_ref()
                .map(network)
                .transpose()?
                .unwrap_or_default(),
            rdma: resources.rdma.iter().map(rdma).collect::<Result<_, _>>()?,
            unified: resources
                .unified
                .iter()
                .map(unified)
                .collect::<Result<_, _>>()?,
            devices: resources.devices.clone(),
        })
    }
}

fn memory(spec: &runtime::Memory) -> Result<MemoryLimits, InvalidLimit> {
    let limit = Bound::unless_zero(spec.limit);
    let with_swap = match (limit, Bound::unless_zero(spec.swap)) {
        (Some(Bound::At(limit)), Some(Bound::At(with_swap))) if with_swap < limit => {
            return Err(InvalidLimit::SwapBelowMemory { with_swap, limit });
        }
        (None, Some(Bound::At(_))) => return Err(InvalidLimit::SwapWithoutMemory),
        // An old bound on both together would keep holding down a lifted memory limit.
        (Some(Bound::Unlimited), None) => Some(Bound::Unlimited),
        (_, with_swap) => with_swap,
    };
    let swappiness = match spec.swappiness {
        None | Some(u64::MAX) => None,
        Some(value) => match u8::try_from(value) {
            Ok(small) if small <= 100 => Some(small),
            _ => return Err(InvalidLimit::Swappiness(value)),
        },
    };
    Ok(MemoryLimits {
        limit,
        reservation: Bound::unless_zero(spec.reservation),
        with_swap,
        swappiness,
        kernel_tcp: Bound::unless_zero(spec.kernel_tcp),
        oom_killer_off: spec.disable_oom_killer == Some(true),
        check_before_update: spec.check_before_update == Some(true),
    })
}

fn cpu(spec: &runtime::Cpu) -> Result<CpuLimits, InvalidLimit> {
    let idle = match spec.idle {
        None => None,
        Some(0) => Some(false),
        Some(1) => Some(true),
        Some(other) => return Err(InvalidLimit::Idle(other)),
    };
    Ok(CpuLimits {
        shares: spec
            .shares
            .filter(|shares| *shares != 0)
            .map(|shares| shares.clamp(2, 262_144)),
        quota: Bound::unless_zero(spec.quota),
        period: spec.period.filter(|period| *period != 0),
        burst: spec.burst,
        realtime_runtime: spec.realtime_runtime.filter(|runtime| *runtime != 0),
        realtime_period: spec.realtime_period.filter(|period| *period != 0),
        cpus: number_list(spec.cpus.as_deref())?,
        mems: number_list(spec.mems.as_deref())?,
        idle,
    })
}

/// Bounded before the kernel sees it: an endless list once cost daemons their memory (CVE-2018-20699).
fn number_list(text: Option<&str>) -> Result<Option<String>, InvalidLimit> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let number = |part: &str| {
        part.parse::<u16>()
            .ok()
            .filter(|_| part.bytes().all(|b| b.is_ascii_digit()))
    };
    let item = |part: &str| match part.split_once('-') {
        None => number(part).is_some(),
        Some((first, last)) => {
            matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last)
        }
    };
    if text.len() <= 4096 && text.split(',').all(item) {
        Ok(Some(text.to_owned()))
    } else {
        Err(InvalidLimit::NumberList(text.to_owned()))
    }
}

fn io(spec: &runtime::BlockIo) -> Result<IoLimits, InvalidLimit> {
    let weight = |weight: u16| match weight {
        10..=1000 => Ok(weight),
        _ => Err(InvalidLimit::IoWeight(weight)),
    };
    let rates = |list: &[runtime::ThrottleDevice]| -> Vec<DeviceRate> {
        list.iter()
            .map(|one| DeviceRate {
                major: one.major,
                minor: one.minor,
                rate: one.rate,
            })
            .collect()
    };
    let device_weights = spec
        .weight_device
        .iter()
        .filter_map(|one| Some((one, one.weight?)))
        .map(|(one, value)| {
            Ok(DeviceWeight {
                major: one.major,
                minor: one.minor,
                weight: weight(value)?,
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(IoLimits {
        weight: spec
            .weight
            .filter(|weight| *weight != 0)
            .map(weight)
            .transpose()?,
        device_weights,
        read_bytes: rates(&spec.throttle_read_bps_device),
        write_bytes: rates(&spec.throttle_write_bps_device),
        read_operations: rates(&spec.throttle_read_iops_device),
        write_operations: rates(&spec.throttle_write_iops_device),
        leaf_weights: spec.leaf_weight.is_some_and(|weight| weight != 0)
            || spec
                .weight_device
                .iter()
                .any(|one| one.leaf_weight.is_some_and(|weight| weight != 0)),
    })
}

/// The size becomes part of a file name.
fn hugepage(spec: &runtime::HugepageLimit) -> Result<HugepageBound, InvalidLimit> {
    let digits = spec
        .page_size
        .trim_end_matches(|letter: char| letter.is_ascii_uppercase());
    let unit = &spec.page_size[digits.len()..];
    let good =
        !digits.is_empty() && digits.len() <= 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if good && matches!(unit, "KB" | "MB" | "GB") {
        Ok(HugepageBound {
            page_size: spec.page_size.clone(),
            limit: spec.limit,
        })
    } else {
        Err(InvalidLimit::PageSize(spec.page_size.clone()))
    }
}

fn network(spec: &runtime::Network) -> Result<NetworkMarks, InvalidLimit> {
    let priorities = spec
        .priorities
        .iter()
        .map(|one| Ok((word("network interface", &one.name)?, one.priority)))
        .collect::<Result<_, _>>()?;
    Ok(NetworkMarks {
        class_id: spec.class_id,
        priorities,
    })
}

fn rdma((device, spec): (&String, &runtime::Rdma)) -> Result<(String, RdmaLimit), InvalidLimit> {
    let limit = RdmaLimit {
        handles: spec.hca_handles,
        objects: spec.hca_objects,
    };
    Ok((word("RDMA device", device)?, limit))
}

/// Refuses what would add further words to a line for the kernel.
fn word(what: &'static str, value: &str) -> Result<String, InvalidLimit> {
    if value.is_empty()
        || value.contains(|letter: char| letter.is_whitespace() || letter.is_control())
    {
        return Err(InvalidLimit::Word {
            what,
            value: value.to_owned(),
        });
    }
    Ok(value.to_owned())
}

/// The key becomes a file name: it must name a limit, not `cgroup.procs` or `../x`.
fn unified((file, value): (&String, &String)) -> Result<(String, String), InvalidLimit> {
    let plain = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
    };
    let allowed = match file.split_once('.') {
        Some(("cgroup", rest)) => matches!(rest, "max.depth" | "max.descendants"),
        Some((controller, rest)) => {
            crate::Controller::from_v2(controller).is_some() && !rest.is_empty() && plain(rest)
        }
        None => false,
    };
    if allowed {
        Ok((file.clone(), value.clone()))
    } else {
        Err(InvalidLimit::UnifiedFile(file.clone()))
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
