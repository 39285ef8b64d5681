//! Content-addressed blobs, kept as an [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md)
//! that other tools read in place (`skopeo inspect oci:/var/lib/hull/images:NAME`).
//!
//! ```text
//! images/
//!   oci-layout             {"imageLayoutVersion":"1.0.0"}
//!   index.json             the list of images: replaced whole, under index.lock
//!   index.lock             the store's one lock (open file description), held for moments
//!   blobs/<algorithm>/<hex>
//!   ingest/<random>/       one process taking blobs in: lock (held while it lives), held (digests it needs), files
//! ```
//!
//! Readers take no lock. A blob appears by one rename, after its digest and size were verified and its bytes are on disk. What a
//! [`Session`] brings in, or says it relies on, is safe from [`Store::collect`] until the session ends; by then `index.json`
//! names it or it is garbage. A process killed at any point leaves only an `ingest` directory that nobody holds and blobs
//! that no list names: the next collection removes both.
//!
//! This crate knows nothing of manifests: the caller says what an image needs.
#![forbid(unsafe_code)]

mod error;
mod hash;
mod index;
mod session;
mod store;
#[cfg(test)]
mod tests;

pub use error::ContentError;
pub use hash::{Hasher, Verified, digest_of};
pub use index::{Entry, Index, REF_NAME};
pub use session::{Blob, Collected, Ingest, Session, Staged};
pub use store::Store;
