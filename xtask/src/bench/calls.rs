//! What one start asks of the kernel and of the processor, counted: the same on a busy machine as on a quiet one.
//!
//! System calls: of all processes of `hull run --rm --network none IMAGE true`, the container's `true` included, under
//! `strace -f`. Instructions: in user mode, of `hull create`, under callgrind, which cannot follow into new namespaces:
//! what it covers is everything up to the order to the monitor.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Outcome;
use super::budgets::{Budgets, Verdict};
use super::ground::{Ground, IMAGE};
use super::table::Table;
use crate::run;

/// A poll more or less is chance; the least of a few is not.
const TRIES: usize = 3;

pub(crate) fn measure(ground: &Ground, budgets: &Budgets) -> Result<Outcome> {
    let mut table = Table::new("Counted, one start", &["what", "count", "budget"]);
    let mut verdicts = Vec::new();
    if run::is_installed("strace") {
        let calls = least(|| system_calls(ground))?;
        table.row([
            "system calls".into(),
            calls.to_string(),
            budgets.calls.start.to_string(),
        ]);
        verdicts.push(verdict(
            "system calls of a start",
            calls,
            budgets.calls.start,
        ));
    } else {
        table.note("not counted: system calls (strace is not installed)");
    }
    if run::is_installed("valgrind") {
        let instructions = least(|| instructions(ground))?;
        table.row([
            "instructions of `hull create`".into(),
            instructions.to_string(),
            budgets.calls.instructions.to_string(),
        ]);
        verdicts.push(verdict(
            "instructions of hull create",
            instructions,
            budgets.calls.instructions,
        ));
    } else {
        table.note("not counted: instructions (valgrind is not installed)");
    }
    Ok(Outcome { table, verdicts })
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn verdict(what: &str, count: u64, budget: u64) -> Verdict {
    Verdict::new(what, count as f64, budget as f64)
}

fn least(count: impl Fn() -> Result<u64>) -> Result<u64> {
    let counts: Vec<u64> = (0..TRIES).map(|_| count()).collect::<Result<_>>()?;
    counts.into_iter().min().context("it was tried")
}

fn system_calls(ground: &Ground) -> Result<u64> {
    let summary = ground.directory("calls")?.join("summary");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-c", "-U", "calls,name", "-o"])
        .arg(&summary)
        .arg(ground.program());
    strace
        .args(["run", "--rm", "--network", "none", IMAGE, "true"])
        .env("HULL_ROOT", ground.root());
    run::checked(&mut strace)?;
    total(&std::fs::read_to_string(&summary)?)
}

/// Adds up strace's table of calls and names.
fn total(summary: &str) -> Result<u64> {
    let counts = summary.lines().filter_map(|line| {
        let mut cells = line.split_whitespace();
        let count: u64 = cells.next()?.parse().ok()?;
        (cells.next()? != "total").then_some(count)
    });
    match counts.sum() {
        0 => bail!("strace counted nothing"),
        sum => Ok(sum),
    }
}

fn instructions(ground: &Ground) -> Result<u64> {
    let out = ground.directory("calls")?.join("callgrind");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(ground.program()).args([
        "create",
        "--name",
        "bench-counted",
        "--network",
        "none",
        IMAGE,
        "true",
    ]);
    run::checked(valgrind.env("HULL_ROOT", ground.root()))?;
    run::checked(ground.hull().args(["rm", "bench-counted"]))?;
    let text = std::fs::read_to_string(&out)?;
    let line = text.lines().find_map(|line| {
        line.strip_prefix("summary: ")
            .or_else(|| line.strip_prefix("totals: "))
    });
    line.and_then(|line| line.trim().parse().ok())
        .context("callgrind wrote no summary")
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn calls_are_added_up_without_the_total() {
        let summary = "    calls syscall\n--------- ----------------\n       12 read\n        3 clone3\n--------- ----------------\n       15 total\n";
        assert_eq!(total(summary).unwrap(), 15);
        assert!(total("nothing").is_err());
    }
}
