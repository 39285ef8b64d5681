//! Limits, freezing, killing and statistics of a container's processes: one model over cgroup v1, hybrid and v2.
//!
//! ```text
//!  spec::runtime::Resources ──▶ Limits ──▶ v1::plan ─┐             what to write
//!                                     └──▶ v2::plan ─┴▶ Group::apply  the ten lines that write it
//!  /proc/self/{mountinfo,cgroup} ──▶ Hierarchies ──▶ Group::create    the directories
//! ```
//! Planners are pure; on a hybrid machine each write goes to the hierarchy its controller lives in.
//!
//! # Which hierarchies a container gets a directory in
//! The fewest that keep limits, pausing, killing, OOM detection and statistics true (a directory with its join costs about 40 µs a start):
//! * **the unified one wherever it is mounted**, also on hybrid machines where it has no controllers: being born in it is
//!   free (`CLONE_INTO_CGROUP`), and it alone answers *who is in it*, *is it empty* (with an event), *kill all* in one write,
//!   *freeze* in one write, and CPU time used. systemd tracks by it on hybrid machines, so a container leaves its starter's unit.
//! * **memory always**: an OOM kill can only be seen there.
//! * on v1 without a unified hierarchy: **freezer** (to kill without a race, and to pause), **cpuacct** (time used) and
//!   **name=systemd** (else the container would die with its starter's unit).
//! * **every other one only when a limit needs it**, also later (`apply` then moves the processes there).
//!
//! # Joining
//! Never by `cgroup.procs` when starting: the first such write on an idle machine waits 4–27 ms for an RCU grace period. The single-threaded
//! child writes `0` to each of [`Group::tasks_files`], which the parent opened, and is cloned into [`Group::unified_dir`].
//!
//! Nothing here starts threads or takes locks; the kernel's directories are the state.
#![forbid(unsafe_code)]

mod controller;
pub mod devices;
mod error;
mod files;
mod group;
mod hierarchies;
mod kill;
mod limits;
mod mountinfo;
mod path;
mod place;
mod plan;
mod remove;
mod stats;
pub mod v1;
pub mod v2;

pub use controller::Controller;
pub use error::CgroupError;
pub use group::Group;
pub use hierarchies::{Hierarchies, Hierarchy, Mode, Unified};
pub use limits::{
    Bound, CpuLimits, DeviceRate, DeviceWeight, HugepageBound, InvalidLimit, IoLimits, Limits,
    MemoryLimits, NetworkMarks, RdmaLimit,
};
pub use path::{GroupPath, InvalidGroupPath};
pub use plan::{IfAbsent, Plan, Write};
pub use stats::{CpuStats, IoStats, MemoryStats, Stats};
