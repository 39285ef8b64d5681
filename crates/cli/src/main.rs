//! The program `hull`.
#![no_main]

use std::process::ExitCode;

hull_sys::entry!(start);

fn start() -> ExitCode {
    let mut words = std::env::args_os();
    // `cargo run` builds only this program: where no `hull-monitor` lies beside it, it is started under that name.
    if words.next().is_some_and(|name| name == "hull-monitor") {
        return hull_monitor::main();
    }
    hull_cli::main(words)
}
