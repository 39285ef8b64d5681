//! Pods on a host that is a network namespace, seen from inside, from the host and from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]
#![expect(
    clippy::print_stdout,
    reason = "what was skipped and what was measured"
)]

mod connect;
mod firewall;
mod leftovers;
mod publish;
mod scene;
mod speed;
