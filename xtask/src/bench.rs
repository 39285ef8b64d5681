//! `cargo xtask bench`: what Hull costs, beside the floor and its peers. benches/README.md says how each number comes about.

mod budgets;
mod calls;
mod engines;
mod floor;
pub(crate) mod ground;
mod idle;
mod import;
mod listing;
mod meter;
mod numbers;
mod payload;
mod peers;
mod probe;
mod start;
mod table;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use self::budgets::{Budgets, Verdict};
use self::ground::Ground;
use self::table::Table;
use crate::options::Options;
use crate::report::Tally;
use crate::{debian, run, test, verified, workspace};

/// A part: what it measured, and how that compares with the budgets.
#[derive(Debug)]
pub(crate) struct Outcome {
    table: Table,
    verdicts: Vec<Verdict>,
}

/// How much of `--check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What can be counted on a busy machine.
    Counts,
    /// Everything.
    Ratios,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Start,
    Import,
    Memory,
    Ps,
    Startup,
    Calls,
    Floor,
}

impl Part {
    const ALL: [(&str, Self); 7] = [
        ("start", Self::Start),
        ("import", Self::Import),
        ("memory", Self::Memory),
        ("ps", Self::Ps),
        ("startup", Self::Startup),
        ("calls", Self::Calls),
        ("floor", Self::Floor),
    ];

    fn parse(word: &str) -> Result<Self> {
        let found = Self::ALL
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, part)| *part);
        found.with_context(|| {
            format!("`{word}` is no part; there are start import memory ps startup calls floor")
        })
    }
}

pub(crate) fn command(words: &[String]) -> Result<ExitCode> {
    let mut options = Options::new(words);
    let (check, write) = (options.flag("--check"), options.flag("--write"));
    let given = options.value("--hull")?;
    let words = options.rest()?;
    let mut parts: Vec<Part> = words
        .iter()
        .filter(|word| *word != "all")
        .map(|word| Part::parse(word))
        .collect::<Result<_>>()?;
    if parts.is_empty() {
        parts.extend(Part::ALL.map(|(_, part)| part));
    }
    let hull = given.map_or_else(test::release, |path| Ok(path.into()))?;
    let outcomes = measure(&hull, &parts, |outcome| {
        println!("{}", outcome.table.markdown())
    })?;
    if write {
        write_document(&outcomes)?;
    }
    let mut broken = false;
    for verdict in outcomes
        .iter()
        .flat_map(|outcome| &outcome.verdicts)
        .filter(|_| check)
    {
        broken |= !verdict.holds();
        println!(
            "{} {}",
            if verdict.holds() { "ok    " } else { "FAILED" },
            verdict.line()
        );
    }
    Ok(ExitCode::from(u8::from(broken)))
}

/// `bench --check` as a stage of the tests.
pub(crate) fn check(hull: &Path, depth: Depth) -> Result<Tally> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Tally::skip("bench --check", "needs root"));
    }
    let parts = match depth {
        Depth::Counts => vec![Part::Floor, Part::Calls],
        Depth::Ratios => Part::ALL.map(|(_, part)| part).to_vec(),
    };
    let outcomes = measure(hull, &parts, |_| {})?;
    if depth == Depth::Ratios {
        write_document(&outcomes)?;
    }
    let mut tally = Tally::default();
    for verdict in outcomes.iter().flat_map(|outcome| &outcome.verdicts) {
        tally.add(if verdict.holds() {
            Tally::pass()
        } else {
            Tally::fail(verdict.line(), "")
        });
    }
    Ok(tally)
}

fn measure(hull: &Path, parts: &[Part], mut done: impl FnMut(&Outcome)) -> Result<Vec<Outcome>> {
    let budgets = Budgets::read()?;
    if parts.contains(&Part::Start) {
        // Those that cannot be installed are named in the table.
        debian::install_engines()?;
    }
    let ground = Ground::lay(hull)?;
    let mut outcomes = Vec::new();
    let result = parts.iter().try_for_each(|part| {
        let outcome = one(*part, &ground, &budgets)?;
        done(&outcome);
        outcomes.push(outcome);
        anyhow::Ok(())
    });
    meter::remove_all();
    ground.leave();
    result.map(|()| outcomes)
}

fn one(part: Part, ground: &Ground, budgets: &Budgets) -> Result<Outcome> {
    match part {
        Part::Start => start::measure(ground, budgets),
        Part::Import => import::measure(ground, budgets),
        Part::Memory => idle::measure(ground, budgets),
        Part::Ps => listing::measure(ground, budgets),
        Part::Startup => listing::startup(ground, budgets),
        Part::Calls => calls::measure(ground, budgets),
        Part::Floor => floor_size(budgets),
    }
}

/// The yardstick must not grow, and no one it is held against may be missing unsaid.
#[expect(clippy::cast_precision_loss, reason = "lines of one file")]
fn floor_size(budgets: &Budgets) -> Result<Outcome> {
    let missing = peers::missing_without_reason(budgets);
    if !missing.is_empty() {
        bail!(
            "missing peers, without a reason in benches/budgets.toml: {}",
            missing.join(", ")
        );
    }
    let lines = floor::lines()?;
    let mut table = Table::new("The floor program", &["what", "lines", "budget"]);
    table.row([
        "benches/floor/floor.c".into(),
        lines.to_string(),
        budgets.floor.lines.to_string(),
    ]);
    let verdict = Verdict::new(
        "lines of the floor program",
        lines as f64,
        budgets.floor.lines as f64,
    );
    Ok(Outcome {
        table,
        verdicts: vec![verdict],
    })
}

/// docs/benchmarks.md: the numbers with their machine and date.
fn write_document(outcomes: &[Outcome]) -> Result<()> {
    let path = workspace::root().join("docs/benchmarks.md");
    let mut text = format!(
        "# Measured\n\nWritten by `cargo xtask bench --write`; benches/README.md says how each number comes about.\n\n\
         * Date: {}\n* Commit: {}\n* Machine: {}\n* Peers: {}\n",
        verified::today()?,
        workspace::commit(),
        verified::machine()?,
        peer_versions(),
    );
    for outcome in outcomes {
        text.push('\n');
        text.push_str(&outcome.table.markdown());
    }
    let verdicts: Vec<&Verdict> = outcomes
        .iter()
        .flat_map(|outcome| &outcome.verdicts)
        .collect();
    text.push_str("\n## Against the budgets\n\n");
    for verdict in verdicts {
        text.push_str(&format!(
            "* {}{}\n",
            if verdict.holds() { "" } else { "**broken** " },
            verdict.line()
        ));
    }
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn peer_versions() -> String {
    let installed = ["crun", "runc", "podman", "docker"]
        .into_iter()
        .filter(|name| run::is_installed(name));
    installed.map(peers::version).collect::<Vec<_>>().join(", ")
}
