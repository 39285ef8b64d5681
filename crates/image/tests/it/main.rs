//! Images from outside and back, with the tools that others use: skopeo, tar, the compressors.
//!
//! Everything runs on a root of its own in a temporary directory. Unpacking keeps owners and attributes, so these tests are
//! root's; without it they say so and pass.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "this is a test, helpers and all"
)]

mod directories;
mod formats;
mod home;
mod hostile;
mod killed;
mod layouts;
mod legacy;
mod names;
mod policy;
mod sources;
