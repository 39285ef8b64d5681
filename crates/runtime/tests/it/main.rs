//! Containers for real. Every case is a process of its own with one thread, as every caller of the runtime is.
//!
//! `cargo test -p hull-runtime --test it [FILTER…]`

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests, and the program that runs them"
)]

mod attacks;
mod basics;
mod cost;
mod entering;
mod host;
mod isolation;
mod process;
mod support;

use std::process::ExitCode;

use hull_suites::{Case, run_cases};

const MODULES: [&[Case]; 6] = [
    basics::CASES,
    isolation::CASES,
    attacks::CASES,
    process::CASES,
    entering::CASES,
    host::CASES,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_none_or(|flag| flag != "--cost") {
        return run_cases(&MODULES);
    }
    let number = |at: usize, default| {
        arguments
            .get(at)
            .map_or(default, |text| text.parse().unwrap())
    };
    let idle = std::time::Duration::from_millis(number(2, 0));
    cost::measure(usize::try_from(number(1, 200)).unwrap(), idle);
    ExitCode::SUCCESS
}
