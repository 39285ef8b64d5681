//! `hull ps -a` with 1,000 containers, and `hull --version`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Outcome;
use super::budgets::{Budgets, Verdict};
use super::ground::{Ground, IMAGE};
use super::numbers::{median, milliseconds};
use super::table::Table;
use crate::run;

const CONTAINERS: usize = 1000;
const ROUNDS: usize = 50;

/// Measures `ps -a`.
pub(crate) fn measure(ground: &Ground, budgets: &Budgets) -> Result<Outcome> {
    let mut ids = Vec::new();
    for _ in 0..CONTAINERS {
        ids.push(
            run::checked(
                ground
                    .hull()
                    .args(["create", "--network", "none", IMAGE, "true"]),
            )?
            .trim()
            .to_owned(),
        );
    }
    let listed = run::checked(ground.hull().args(["ps", "-a", "-q"]))?
        .lines()
        .count();
    let wall = timed(ground, &["ps", "-a"]);
    for some in ids.chunks(50) {
        run::checked(ground.hull().arg("rm").args(some))?;
    }
    if listed != CONTAINERS {
        bail!("hull ps -a lists {listed} of {CONTAINERS} containers");
    }
    let wall = wall?;
    let mut table = Table::new("Listing", &["command", "wall ms"]);
    table.row([
        format!("hull ps -a, {CONTAINERS} containers"),
        milliseconds(wall),
    ]);
    table.note(format!("median of {ROUNDS}"));
    let verdict = Verdict::new("ps -a, ms", wall.as_secs_f64() * 1000.0, budgets.ps.ms);
    Ok(Outcome {
        table,
        verdicts: vec![verdict],
    })
}

/// Measures `--version`: what every command pays.
pub(crate) fn startup(ground: &Ground, budgets: &Budgets) -> Result<Outcome> {
    let wall = timed(ground, &["--version"])?;
    let mut table = Table::new("Start of the program", &["command", "wall ms"]);
    table.row(["hull --version".to_owned(), milliseconds(wall)]);
    table.note(format!("median of {ROUNDS}, from fork to exit"));
    let verdict = Verdict::new(
        "hull --version, ms",
        wall.as_secs_f64() * 1000.0,
        budgets.startup.ms,
    );
    Ok(Outcome {
        table,
        verdicts: vec![verdict],
    })
}

fn timed(ground: &Ground, words: &[&str]) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut command = ground.hull();
        command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let began = Instant::now();
        let status = command.status()?;
        times.push(began.elapsed());
        if !status.success() {
            bail!("hull {} ended with {status}", words.join(" "));
        }
    }
    Ok(median(&times))
}
