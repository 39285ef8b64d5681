//! Layers of images as directories, and the trees made of them.
//!
//! ```text
//!  tar ──▶ Driver::begin ─▶ Unpacking::write_from ─▶ commit(diff id) ──▶ layers/<diff-id>/{fs/, layer.json, lock}
//!                                                                            │ Driver::open: a descriptor
//!  container: upper/ over fs/ over fs/ … ──▶ changes · write_layer · view · merged · export
//! ```
//!
//! A layer is unpacked without looking at those below it: whiteouts become what overlayfs understands. Nothing is visible
//! under its final name before it is complete and its digest was compared (by the caller, who reads the stream). Layers
//! are handed out as descriptors, never as paths.
//!
//! Concurrency: any number of processes may unpack, open, hold and collect at once; `layers/.lock` orders the moments at
//! which names appear and disappear, and is never held for longer than those.
#![forbid(unsafe_code)]

mod archive;
mod changes;
#[cfg(any(test, feature = "conformance"))]
mod conformance;
mod descent;
mod directories;
mod driver;
mod error;
mod extract;
mod listing;
mod record;
mod stack;

pub use archive::export;
pub use changes::{Change, ChangeKind, changes, write_layer};
#[cfg(any(test, feature = "conformance"))]
pub use conformance::conformance;
pub use directories::Directories;
pub use driver::{Collected, Driver, Hold, Options, Unpacking, WhiteoutMarks};
pub use error::{Refusal, SnapshotError};
pub use hull_fs::overlay::Scratch;
pub use record::{LayerRecord, RootDirectory};
pub use stack::{Layers, merged, view};

#[cfg(test)]
mod tests;
