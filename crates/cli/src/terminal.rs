//! The caller's end of a container's terminal.

mod detach;
mod raw;

pub use detach::{Detach, Fed};
pub use raw::{RawMode, size};
