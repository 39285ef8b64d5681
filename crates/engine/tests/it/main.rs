//! The use cases on a root of their own: files into and out of containers, images made of them, volumes, registries.
//!
//! Containers are real: each runs under a monitor that is this program, started again. A monitor has one thread, and so the
//! suite has a `main` of its own; every case is a process of its own.
//!
//! `cargo test -p hull-engine --test it [FILTER…]`
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests, and the program that runs them"
)]

mod attacks;
mod committing;
mod copying;
mod home;
mod images;
mod pulling;
mod volumes;

use std::process::ExitCode;

pub(crate) use hull_suites::{Case, cases};

const MODULES: [&[Case]; 6] = [
    copying::CASES,
    attacks::CASES,
    volumes::CASES,
    committing::CASES,
    images::CASES,
    pulling::CASES,
];

fn main() -> ExitCode {
    home::monitor().unwrap_or_else(|| hull_suites::run_cases(&MODULES))
}
