//! Containers for real. Every case is a process of its own with one thread, as every caller of the runtime is.
//!
//! `cargo test -p hull-runtime --test it [FILTER…]`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
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

use std::process::{Command, ExitCode};

/// A case: its name and what it does. `root_` cases are skipped for others.
type Case = (&'static str, fn());

fn cases() -> impl Iterator<Item = Case> {
    [
        basics::CASES,
        isolation::CASES,
        attacks::CASES,
        process::CASES,
        entering::CASES,
        host::CASES,
    ]
    .concat()
    .into_iter()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = arguments.as_slice()
        && flag == "--case"
    {
        let (_, run) = cases()
            .find(|(known, _)| known == name)
            .expect("the runner names a case it has");
        run();
        return ExitCode::SUCCESS;
    }
    if arguments.first().is_some_and(|flag| flag == "--cost") {
        let number = |at: usize, default| {
            arguments
                .get(at)
                .map_or(default, |text| text.parse().unwrap())
        };
        let idle = std::time::Duration::from_millis(number(2, 0));
        cost::measure(usize::try_from(number(1, 200)).unwrap(), idle);
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = arguments
        .iter()
        .filter(|word| !word.starts_with('-'))
        .collect();
    let chosen = cases().filter(|(name, _)| {
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    });
    run_all(chosen.map(|(name, _)| name))
}

fn run_all(names: impl Iterator<Item = &'static str>) -> ExitCode {
    let root = rustix::process::geteuid().is_root();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for name in names {
        if name.starts_with("root_") && !root {
            eprintln!("test {name} ... ignored, needs root");
            skipped += 1;
            continue;
        }
        let program = std::env::current_exe().expect("this program has a path");
        let output = Command::new("timeout")
            .args(["--kill-after=5", "90"])
            .arg(program)
            .args(["--case", name])
            .output()
            .expect("this program can be started again");
        if output.status.success() {
            println!("test {name} ... ok");
            passed += 1;
        } else {
            println!("test {name} ... FAILED ({})", output.status);
            print!("{}", String::from_utf8_lossy(&output.stdout));
            print!("{}", String::from_utf8_lossy(&output.stderr));
            failed += 1;
        }
    }
    println!("\ntest result: {passed} passed; {failed} failed; {skipped} ignored");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
