//! The caller's end of a container's streams.
//!
//! ```text
//! caller's terminal ── raw mode, detach keys ──▶ relay ──▶ a monitor's socket, or the terminal of an `exec`
//!        ▲                                         │
//!        └───────────── output ◀───────────────────┘
//! ```

mod detach;
mod far;
mod raw;
mod relay;
mod signals;

pub use detach::{Detach, Fed};
pub(crate) use far::{Far, Monitor, Pty};
pub use raw::{RawMode, size};
pub(crate) use relay::{Near, Outcome, callers_size, relay};
pub(crate) use signals::{Passing, Signals, Wish};
