//! `hull`: arguments in, words out.
//!
//! ```text
//! argv ──▶ front ──▶ verbs ──▶ args (what was typed) ──▶ engine::request (what was meant) ──▶ engine
//!                                                                                              │
//! stdout ◀── output ◀── format (tables, templates, JSON) ◀──────────────────────────────── answers
//! stderr ◀── failure (error, because, hint) ◀── exit (the one table of codes)
//! ```
//!
//! Each verb is two files with its name: `args/<verb>.rs` says what can be typed, `verbs/<verb>.rs` carries it out by calling
//! the engine. Nothing here decides anything about containers.
#![forbid(unsafe_code)]

pub mod args;
mod exit;
mod failure;
pub mod format;
mod front;
mod help;
mod output;
mod progress;
pub mod terminal;
mod usage;
pub mod verbs;

use std::{ffi::OsString, process::ExitCode};

pub use exit::Family;
pub use failure::Failure;
pub use usage::UsageError;

/// Carries out one command: the words after the program's name.
pub fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.collect();
    match front::carry_out(&words) {
        Ok(code) => code,
        Err((failure, family)) => {
            if !matches!(*failure, Failure::NobodyReads) {
                output::complain(&failure.report());
            }
            ExitCode::from(failure.exit_code(family))
        }
    }
}
