//! The distribution protocol as a client: manifests and blobs from OCI and Docker registries.
//!
//! ```text
//!   Client ── manifest(&Reference) ──▶ FetchedManifest     bytes, digest checked
//!          ── blob(&Reference, &Descriptor) ──▶ Blob       impl Read, length checked
//! ```
//! The protocol is decided by values: `url`, `challenge`, `auth`, `redirect`, `answer`, `dns` do no I/O and are
//! tested by tables. `transport` carries one question to one server, `client` strings them together.
//!
//! What a registry may not make Hull do: send a login anywhere but to the registry itself and, over an encrypted
//! connection, to the token server it names; leave an encrypted connection for a plain one; read more than was announced;
//! print its words raw. Plain HTTP is for this machine and for hosts that were named.
//!
//! Synchronous; a [`Client`] can be shared by threads. Nothing is retried and nothing is kept on disk.
#![forbid(unsafe_code)]

mod answer;
mod auth;
mod blob;
mod challenge;
mod client;
mod credentials;
mod dns;
mod error;
mod redirect;
mod resolver;
mod transport;
mod url;

pub use blob::Blob;
pub use client::{Client, FetchedManifest, Options};
pub use credentials::{Credential, Credentials, InvalidAuthFile};
pub use error::RegistryError;
pub use resolver::ResolveError;
pub use transport::Timeouts;
pub use url::InvalidUrl;
