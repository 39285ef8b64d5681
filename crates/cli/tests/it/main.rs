//! The program `hull` beside other people's tools, and on terminals. These need root; a tool that is missing is named.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "what goes wrong here fails the test"
)]

mod archives;
mod files;
mod home;
mod names;
mod registry;
mod terminals;
