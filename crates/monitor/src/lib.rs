//! `hull-monitor`: the parent of one pod's containers.
//!
//! ```text
//!   hull run ──▶ fork, exec hull-monitor ──▶ clone init ──▶ app            detached, or with a terminal
//!   hull run ═══ becomes the monitor ══════▶ clone init ──▶ app            in the foreground
//!                     │
//!                     ├─ holds the lock on the pod's journal: alive means supervised
//!                     ├─ reads the app's streams: log, attached clients, own standard output
//!                     ├─ forwards signals
//!                     └─ writes the end, takes away cgroup, network and, with --rm, the pod
//! ```
//!
//! One thread, one `poll` loop, no allocation while nothing happens. When a monitor is killed its container dies with it
//! (`PR_SET_PDEATHSIG`); processes that outlive it are found in their cgroup by whoever comes next.
#![forbid(unsafe_code)]

pub mod attach;
mod error;
mod handover;
mod log;
pub mod parents;
mod program;
mod streams;
mod supervise;

pub use error::MonitorError;
pub use handover::{
    Descriptors, Failure, Filter, HIERARCHIES, Handover, ID_CLAIMS, JoinKind, JoinNamespace,
    Network, Numbers, Report, Rootfs, exit_code,
};
pub use log::{Line, LogOptions, LogParser, LogWriter, Stream, open_all};
pub use program::{keep_from_programs, main};
pub use supervise::supervise;
