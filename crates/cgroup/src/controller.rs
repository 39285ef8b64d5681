//! The kernel's resource controllers.

use serde::{Deserialize, Serialize};

/// A resource controller, whichever version of cgroups it lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    Cpu,
    /// v1 only: v2 accounts CPU time in every cgroup.
    Cpuacct,
    Cpuset,
    Memory,
    Pids,
    /// `blkio` on v1.
    Io,
    /// v1 only: v2 asks an eBPF program.
    Devices,
    /// v1 only: v2 freezes any cgroup.
    Freezer,
    Hugetlb,
    NetCls,
    NetPrio,
    PerfEvent,
    Rdma,
    Misc,
    /// No controller: files that every v2 group has (`cgroup.max.depth`).
    Core,
}

impl Controller {
    const V1: [(&'static str, Self); 14] = [
        ("cpu", Self::Cpu),
        ("cpuacct", Self::Cpuacct),
        ("cpuset", Self::Cpuset),
        ("memory", Self::Memory),
        ("pids", Self::Pids),
        ("blkio", Self::Io),
        ("devices", Self::Devices),
        ("freezer", Self::Freezer),
        ("hugetlb", Self::Hugetlb),
        ("net_cls", Self::NetCls),
        ("net_prio", Self::NetPrio),
        ("perf_event", Self::PerfEvent),
        ("rdma", Self::Rdma),
        ("misc", Self::Misc),
    ];

    /// Reads the name v1 mounts it under.
    pub fn from_v1(name: &str) -> Option<Self> {
        Self::V1
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, controller)| *controller)
    }

    /// Returns the name v1 mounts it under.
    pub fn v1_name(self) -> &'static str {
        Self::V1
            .iter()
            .find(|(_, other)| *other == self)
            .map_or("cgroup", |(name, _)| *name)
    }

    /// Reads the name `cgroup.controllers` lists it under.
    pub fn from_v2(name: &str) -> Option<Self> {
        if name == "io" {
            Some(Self::Io)
        } else {
            Self::from_v1(name).filter(|found| *found != Self::Io)
        }
    }

    /// Returns the name `cgroup.controllers` lists it under.
    pub fn v2_name(self) -> &'static str {
        if self == Self::Io {
            "io"
        } else {
            self.v1_name()
        }
    }
}
