//! `cargo xtask fuzz`: cargo-fuzz over the targets of `fuzz/`, each for a while.
//!
//! CI carries out the same targets over their seeds and fixed mutations, as tests of `hull-fuzz-targets` (docs/adr/0016): to
//! build cargo-fuzz, and Hull with a sanitizer, costs more than CI has. Here cargo-fuzz is installed when it is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::report::Tally;
use crate::{options::Options, run, workspace};

/// The version the targets were tried with.
const CARGO_FUZZ: &str = "0.13.2";

/// How long each target is fuzzed, if nothing is said.
pub(crate) const USUAL: Duration = Duration::from_secs(60);

pub(crate) fn command(words: &[String]) -> Result<ExitCode> {
    let mut options = Options::new(words);
    let time = match options.value("-t")? {
        Some(seconds) => Duration::from_secs(seconds.parse().context("-t takes seconds")?),
        None => USUAL,
    };
    let named = options.rest()?;
    let mut failed = false;
    for target in targets() {
        if !named.is_empty() && !named.contains(&target) {
            continue;
        }
        println!("{target}: {} s", time.as_secs());
        for failure in fuzz(&target, time)?.failed {
            println!("{}", failure.output);
            failed = true;
        }
    }
    Ok(ExitCode::from(u8::from(failed)))
}

/// Returns the names of the targets, in order.
pub(crate) fn targets() -> Vec<String> {
    let dir = workspace::root().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let stem = |path: PathBuf| path.file_stem()?.to_str().map(str::to_owned);
    let mut names: Vec<String> = entries.filter_map(|entry| stem(entry.path())).collect();
    names.sort();
    names
}

/// Builds all targets.
pub(crate) fn build() -> Result<Tally> {
    let ended = run::ended(cargo(&cargo_fuzz()?)?.args(["fuzz", "build"]))?;
    Ok(if ended.succeeded() {
        Tally::pass()
    } else {
        Tally::fail("build fuzz targets", ended.tail(60))
    })
}

/// Fuzzes one target. What it finds new stays in `fuzz/corpus`, what it finds wrong in `fuzz/artifacts`; neither is committed.
pub(crate) fn fuzz(target: &str, time: Duration) -> Result<Tally> {
    let name = format!("fuzz {target}");
    let programs = cargo_fuzz()?;
    let corpus = workspace::root().join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&corpus)
        .with_context(|| format!("cannot make {}", corpus.display()))?;
    let mut command = cargo(&programs)?;
    command
        .args(["fuzz", "run", target])
        .arg(corpus)
        .arg(workspace::root().join("fuzz/seeds").join(target))
        .arg("--")
        .arg(format!("-max_total_time={}", time.as_secs()))
        .args(["-timeout=20", "-rss_limit_mb=2048"]);
    let ended = run::ended(&mut command)?;
    Ok(if ended.succeeded() {
        Tally::pass()
    } else {
        Tally::fail(name, ended.tail(60))
    })
}

/// Returns cargo, which finds cargo-fuzz in `programs`.
fn cargo(programs: &Path) -> Result<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path));
    let mut command = workspace::cargo();
    command
        .env("PATH", std::env::join_paths(path)?)
        // Sanitizers are unstable flags; this toolchain takes them all the same.
        .env("RUSTC_BOOTSTRAP", "1");
    Ok(command)
}

/// Returns the directory cargo-fuzz lies in, which is made and filled when there is none.
fn cargo_fuzz() -> Result<PathBuf> {
    let tools = workspace::scratch()?.join("tools");
    let programs = tools.join("bin");
    if !run::is_installed("cargo-fuzz") && !programs.join("cargo-fuzz").exists() {
        println!("installing cargo-fuzz {CARGO_FUZZ}");
        let mut install = Command::new(workspace::cargo().get_program());
        install
            // Not in the tree, whose flags for linking are Hull's own.
            .current_dir("/")
            .args(["install", "--quiet", "--locked", "cargo-fuzz"])
            .args(["--version", CARGO_FUZZ, "--root"])
            .arg(&tools);
        run::checked(&mut install)?;
    }
    Ok(programs)
}
