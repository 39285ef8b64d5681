//! Records of pods and containers on disk: who exists, what happened to them, who holds them.
//!
//! ```text
//! <root>/VERSION              1
//! <root>/names/<name>         a symbolic link whose text is the pod's id: symlink(2) is exclusive, so a name has one owner
//! <root>/pods/<pod id>/       one directory a pod
//!     journal                 everything known about the pod, one JSON line an event; its lock says who supervises
//!     <n>.{upper,work,log}    files of the pod's n-th container
//! <root>/garbage/<…>          renamed here when removed, deleted when somebody has time
//! ```
//!
//! The **journal** is the record: its first line says what the pod is, each later line what happened (started, exited,
//! renamed). It is only ever appended to, by whoever holds the lock on it (an open-file-description lock, which a monitor
//! inherits with the descriptor). So one file is created, one is read, and a crash can tear at most the last line, which
//! readers ignore. A pod without a first line does not exist yet, or its maker died.
//!
//! **No reader takes a lock.** `F_GETLK` asks the kernel whether somebody supervises the pod; [`Status`] is worked out from
//! that answer, the journal and the cgroup, and is never written down.
#![forbid(unsafe_code)]

mod error;
mod journal;
mod lifecycle;
mod pod;
mod random_name;
mod status;
mod store;

pub use error::StateError;
pub use journal::{Container, Entry, Journal, PodRecord};
pub use lifecycle::{Event, Exit, Lifecycle, Refused, Run};
pub use pod::{Held, LOG, Pod, Reserved, RootDirectory, UPPER, WORK, Watched, part_of};
pub use random_name::random_name;
pub use status::{Observed, Status};
pub use store::{Found, Store, Swept};
