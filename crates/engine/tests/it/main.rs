//! The use cases on a root of their own: files into and out of containers, images made of them, volumes, registries.
//!
//! Containers are real: each runs under a monitor that is this program, started again. A monitor has one thread, and so the
//! suite has a `main` of its own; every case is a process of its own.
//!
//! `cargo test -p hull-engine --test it [FILTER…]`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
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

use std::process::{Command, ExitCode};

/// A case: its name and what it does. `root_` cases are skipped for others.
type Case = (&'static str, fn());

/// Lists cases under their own names.
macro_rules! cases {
    ($($case:ident),* $(,)?) => { &[$((stringify!($case), $case as fn())),*] };
}
pub(crate) use cases;

const MODULES: [&[Case]; 6] = [
    copying::CASES,
    attacks::CASES,
    volumes::CASES,
    committing::CASES,
    images::CASES,
    pulling::CASES,
];

fn main() -> ExitCode {
    if let Some(code) = home::monitor() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let cases = || MODULES.iter().copied().flatten();
    if let [flag, name] = arguments.as_slice()
        && flag == "--case"
    {
        let case = cases().find(|(known, _)| known == name);
        case.expect("the runner names a case it has").1();
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = arguments
        .iter()
        .filter(|word| !word.starts_with('-'))
        .collect();
    let is_chosen = |name: &str| {
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    run_all(
        cases()
            .map(|(name, _)| *name)
            .filter(|name| is_chosen(name)),
    )
}

fn run_all(names: impl Iterator<Item = &'static str>) -> ExitCode {
    let root = rustix::process::geteuid().is_root();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for name in names {
        if name.starts_with("root_") && !root {
            println!("test {name} ... ignored, needs root");
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
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed; {skipped} ignored");
    ExitCode::from(u8::from(failed > 0))
}
