//! The program `hull`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    hull_cli::main(std::env::args_os().skip(1))
}
