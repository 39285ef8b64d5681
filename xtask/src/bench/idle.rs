//! What 100 idle containers cost in memory: all of Hull's processes, their page tables included.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::Outcome;
use super::budgets::{Budgets, Verdict};
use super::ground::{Ground, IMAGE};
use super::table::Table;
use crate::run;

const CONTAINERS: usize = 100;

pub(crate) fn measure(ground: &Ground, budgets: &Budgets) -> Result<Outcome> {
    let result = start_all(ground).and_then(|()| cost(ground.program()));
    for number in 0..CONTAINERS {
        run::checked(ground.hull().args(["rm", "-f", &name(number)])).ok();
    }
    let cost = result?;
    let per_container = cost.kib() / CONTAINERS as f64;
    let mut table = Table::new(
        &format!("{CONTAINERS} idle containers"),
        &[
            "processes of Hull",
            "PSS KiB",
            "page tables KiB",
            "KiB a container",
        ],
    );
    table.row([
        cost.processes.to_string(),
        cost.pss.to_string(),
        cost.page_tables.to_string(),
        format!("{per_container:.1}"),
    ]);
    table.note("`hull run -d IMAGE sleep 1d`, smaps_rollup and VmPTE of every process whose program is Hull's");
    let verdict = Verdict::new(
        "memory, KiB for each idle container",
        per_container,
        budgets.memory.kib_per_container,
    );
    Ok(Outcome {
        table,
        verdicts: vec![verdict],
    })
}

fn name(number: usize) -> String {
    format!("bench-idle-{number}")
}

fn start_all(ground: &Ground) -> Result<()> {
    for number in 0..CONTAINERS {
        let words = [
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            &name(number),
            IMAGE,
            "sleep",
            "1d",
        ];
        run::checked(ground.hull().args(words))?;
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Cost {
    processes: u64,
    pss: u64,
    page_tables: u64,
}

impl Cost {
    #[expect(clippy::cast_precision_loss, reason = "kibibytes of one machine")]
    fn kib(&self) -> f64 {
        (self.pss + self.page_tables) as f64
    }
}

/// Adds up the processes that run Hull's programs: `hull`, or another beside it.
fn cost(hull: &Path) -> Result<Cost> {
    let dir = hull
        .parent()
        .context("a program lies in a directory")?
        .canonicalize()?;
    let mut cost = Cost::default();
    for entry in std::fs::read_dir("/proc")?.filter_map(Result::ok) {
        let path = entry.path();
        if is_hulls(&path, &dir) {
            // A process that ended between the two reads is no cost.
            let Ok(rollup) = std::fs::read_to_string(path.join("smaps_rollup")) else {
                continue;
            };
            let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
            cost.processes += 1;
            cost.pss += field(&rollup, "Pss:").unwrap_or(0);
            cost.page_tables += field(&status, "VmPTE:").unwrap_or(0);
        }
    }
    if cost.processes < CONTAINERS as u64 {
        bail!(
            "only {} processes of Hull run for {CONTAINERS} containers",
            cost.processes
        );
    }
    Ok(cost)
}

fn is_hulls(process: &Path, dir: &Path) -> bool {
    let program: PathBuf = std::fs::read_link(process.join("exe")).unwrap_or_default();
    program.parent() == Some(dir)
}

/// Reads `Name:   123 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_of_proc_are_read() {
        let text = "00400000-7fff [rollup]\nRss:    900 kB\nPss:                 102 kB\nPss_Dirty:  3 kB\n";
        assert_eq!(field(text, "Pss:"), Some(102));
        assert_eq!(field(text, "VmPTE:"), None);
    }
}
