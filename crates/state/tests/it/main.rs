//! The life of pods on disk, against a model of it.
//!
//! Some steps are carried out by this program started again, which strace kills at one of its system calls; so the suite has a
//! `main` of its own.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests, and the program that runs them"
)]

mod life;
mod model;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, root, step] = words.as_slice()
        && flag == "--step"
    {
        life::carry_out(root.as_ref(), step);
        return ExitCode::SUCCESS;
    }
    let name = "pods_live_as_the_model_says_whoever_is_killed";
    if words
        .iter()
        .any(|word| !word.starts_with('-') && !name.contains(word.as_str()))
    {
        println!("\ntest result: ok. 0 passed; 0 failed; 0 ignored");
        return ExitCode::SUCCESS;
    }
    let passed = std::panic::catch_unwind(life::pods_live_as_the_model_says).is_ok();
    let (word, verdict) = if passed {
        ("ok", "ok")
    } else {
        ("FAILED", "FAILED")
    };
    println!("test {name} ... {word}");
    let (good, bad) = (u8::from(passed), u8::from(!passed));
    println!("\ntest result: {verdict}. {good} passed; {bad} failed; 0 ignored");
    ExitCode::from(bad)
}
