//! What developers and CI run beside cargo itself: `cargo xtask VERB`. One file a verb; `anyhow` is at home here.
//!
//! ```text
//!   test ──▶ packages ─▶ stage × n ─▶ report          check, layers, deny: parts of it alone
//!              (apt)      ├ checks: fmt clippy layers deny
//!                         ├ tests: build once, then run each test binary with a time limit
//!                         └ bench --check
//!   bench ─▶ meter (a cpuacct cgroup) × contestants, interleaved ─▶ table ─▶ budgets
//! ```
//! Nothing here is part of the program people run.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose purpose is its output"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "what xtask writes can be made again by running it again"
)]

mod bench;
mod binaries;
mod debian;
mod deny;
mod fuzz;
mod guest;
mod layers;
mod man;
mod options;
mod order;
mod registry;
mod report;
mod rootfs;
mod run;
mod suites;
mod test;
mod unified;
mod verified;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask VERB

  test [--all [--fuzz SECONDS]] [--no-install]
                                  everything CI runs; --all: everything there is, then docs/verified.md
  check                           the quick half: fmt, clippy, layers, rules on dependencies, unit tests
  layers                          the crate table of ARCHITECTURE.md against the workspace
  deny                            deny.toml's rules on licences, bans and sources
  bench [PART...] [--check] [--write] [--hull PROGRAM]
                                  parts: start import memory ps startup calls floor; default: all
  fuzz [-t SECONDS] [TARGET...]   cargo-fuzz over the targets of fuzz/, or some of them
  order                           crates/cli/start.ld: by what a start runs through, for the linker
  guest [-m MEM] [-t SECONDS] -- COMMAND...
                                  runs a command in a User-Mode Linux guest with cgroup v2
  registry DIR PORT               Debian's docker-registry on 127.0.0.1:PORT, until interrupted
  rootfs OUT.tar[.gz]             a root file system of busybox
  no-unified COMMAND...           runs a command where the unified cgroup hierarchy is not mounted
  debian-source DIR PACKAGE...    unpacks Debian source packages, for the borrowed suites
  man DIR                         manual pages and shell completions, from the program itself
";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let verb = words.next().unwrap_or_default();
    let words: Vec<String> = words.collect();
    let outcome = match verb.as_str() {
        "test" => test::test(&words),
        "check" => test::check(&words),
        "layers" => layers::command(&words),
        "deny" => deny::command(&words),
        "bench" => bench::command(&words),
        "fuzz" => fuzz::command(&words),
        "order" => order::command(&words),
        "guest" => guest::command(&words),
        "registry" => registry::command(&words),
        "rootfs" => rootfs::command(&words),
        "no-unified" => unified::command(&words),
        "debian-source" => debian::source::command(&words),
        "man" => man::command(&words),
        "" | "help" | "-h" | "--help" => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprint!("error: there is no `cargo xtask {verb}`\n\n{USAGE}");
            Ok(ExitCode::from(2))
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        for cause in error.chain().skip(1) {
            eprintln!("  because: {cause}");
        }
        ExitCode::FAILURE
    })
}
