//! The client against registries that misbehave, and against one that does not.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "what goes wrong here fails the test"
)]

mod logins;
mod manifests;
mod real;
mod server;
mod streams;

use hull_registry::{Client, Credentials, Options, RegistryError, Timeouts};
use hull_types::{Digest, Reference, ShortNames};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

fn reference(text: &str) -> Reference {
    Reference::parse(text, &ShortNames::default()).unwrap()
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::sha256(&Sha256::digest(bytes).into())
}

/// A client that is quick to give up.
fn client(credentials: Credentials) -> Client {
    Client::new(Options {
        credentials,
        timeouts: Timeouts {
            connect: Duration::from_secs(2),
            answer: Duration::from_secs(2),
            idle: Duration::from_millis(500),
        },
        ..Options::default()
    })
    .unwrap()
}

/// The whole story of an error on one line, with its class and hint.
fn told(error: &RegistryError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(" <- {cause}"));
        source = cause.source();
    }
    let hint = error.hint().map(|hint| format!(" | {hint}"));
    format!("{:?}: {text}{}", error.kind(), hint.unwrap_or_default())
}
