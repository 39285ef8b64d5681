//! Cases that are a process of their own each: for what asks for a process with one thread, which libtest's are not.
//!
//! A test program without a harness hands its cases to [`run_cases`] from `main`. Started again with `--case NAME` it does that one.

#![expect(clippy::print_stdout, reason = "this is what runs the tests")]

use std::process::{Command, ExitCode};

/// A case: its name and what it does. `root_` cases are skipped for others.
pub type Case = (&'static str, fn());

/// Lists cases under their own names.
#[macro_export]
macro_rules! cases {
    ($($case:ident),* $(,)?) => { &[$((stringify!($case), $case as fn())),*] };
}

/// Runs the case that the command line names with `--case`, or all whose names have one of its words in them.
pub fn run_cases(modules: &[&[Case]]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let cases = || modules.iter().copied().flatten();
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
    run_each(
        cases()
            .map(|(name, _)| *name)
            .filter(|name| is_chosen(name)),
    )
}

fn run_each(names: impl Iterator<Item = &'static str>) -> ExitCode {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for name in names {
        if name.starts_with("root_") && !crate::is_root() {
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
