//! OCI verbs as a library: from a specification to a running process in its own namespaces.
//!
//! ```text
//!   Launch ── create ──▶ Created ── start ──▶ Running          a container
//!   Exec ── exec ──▶ Running                                   one more process in it
//! ```
//! | where | what |
//! |---|---|
//! | [`launch`] | what is asked: everything decided before |
//! | `plan` | the start, decided: pure |
//! | `create` | the parent's story: clone, maps, parts |
//! | `init` | the child's story: mounts, pivot, user, exec |
//! | `rootfs/` | overlay, `/dev`, mounts, masks, `@host` |
//! | `locked` | how they come together for a container that may mount |
//! | `process`, `user`, `lookup` | who the app is, with which powers; finding it; why it cannot be run |
//! | `reaper` | the small init of `--init` |
//! | `exec` | the same for a process in a running container |
//! | `channel`, [`StartError`] | how the child's errors reach the parent with their errno |
//! | [`seccomp`] | system call filters |
//!
//! The caller is single-threaded, because `clone` copies one thread and `setns` moves one. Nothing here is asynchronous,
//! takes locks, or keeps state: what exists is held by the descriptors in [`Created`] and [`Running`]. The order of system
//! calls and its reasons are measured in the reference *start-path*.
#![forbid(unsafe_code)]

mod channel;
mod create;
mod error;
mod exec;
mod init;
pub mod launch;
mod locked;
mod lookup;
mod namespaces;
mod plan;
mod process;
mod reaper;
mod rootfs;
pub mod seccomp;
mod signal;
mod streams;
mod sysctl;
mod user;

pub use create::{Created, Running, create, create_with_init, run};
pub use error::{Failure, Stage, StartError, Step, Warning};
pub use exec::{Exec, exec};
pub use launch::{Directories, Filter, Join, Launch, RootFs, Stdio, Target, TerminalSize};
pub use lookup::{CommandError, Problem};
pub use signal::signal;
