//! Images: from what people name to layers that can be mounted, and from archives and directories to images.
//!
//! ```text
//! load ─┐                        ┌▶ content  blobs, index.json
//! pull ─┼▶ install: verify, judge┤
//! import┘   (Source)             └▶ snapshot unpacked layers
//!                      resolve ▶ Image ▶ trusted ▶ ensure_unpacked ▶ [Layer] held
//! ```
//!
//! Every blob is verified while it streams, and every layer twice: the digest of its compressed bytes and, as the diff ID, that
//! of its uncompressed ones. Nothing unverified becomes visible under its final name, no layer becomes visible without a
//! [`Trusted`](hull_trust::Trusted) manifest, and a failure leaves nothing behind. A name in an archive never becomes a path.
//!
//! Names live in the list of the content store, one entry a name; an entry without one is a *dangling* image. The id of an
//! image is the digest of its configuration, as docker shows it.
#![forbid(unsafe_code)]

mod add;
mod compression;
mod error;
mod images;
mod import;
mod inspect;
mod install;
mod layer;
mod limits;
mod load;
mod model;
mod resolve;
mod save;
mod source;

pub use add::{NewImage, NewLayer, WriteError, WriteTar};
pub use compression::{Compression, decompress};
pub use error::ImageError;
pub use images::{Force, Images, LayersInUse, Listing, Removed};
pub use import::{Import, InvalidChange, apply_changes};
pub use inspect::Inspect;
pub use install::Wanted;
pub use layer::Layer;
pub use limits::Limits;
pub use load::Input;
pub use model::Image;
pub use save::Format;
pub use source::{Offer, Source, SourceError};
