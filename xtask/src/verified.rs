//! docs/verified.md: what `cargo xtask test --all` found, on which machine, at which commit.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::report::{Report, Row};
use crate::{run, workspace};

/// Writes the file.
pub(crate) fn write(report: &Report) -> Result<()> {
    let path = workspace::root().join("docs/verified.md");
    std::fs::write(
        &path,
        document(report.rows(), &workspace::commit(), &today()?, &machine()?),
    )
    .with_context(|| format!("cannot write {}", path.display()))
}

fn document(rows: &[Row], commit: &str, date: &str, machine: &str) -> String {
    let mut text = format!(
        "# What was verified\n\nWritten by `cargo xtask test --all`; do not edit.\n\n\
         * Date: {date}\n* Commit: {commit}\n* Machine: {machine}\n\n\
         | stage | passed | failed | skipped | seconds |\n|---|---:|---:|---:|---:|\n"
    );
    for Row {
        stage, tally, took, ..
    } in rows
    {
        let (passed, failed, skipped) = (tally.passed, tally.failed.len(), tally.skipped.len());
        let seconds = took.as_secs();
        writeln!(
            text,
            "| {stage} | {passed} | {failed} | {skipped} | {seconds} |"
        )
        .expect("a string takes any text");
    }
    section(
        &mut text,
        "Failed",
        rows.iter()
            .flat_map(|row| &row.tally.failed)
            .map(|failure| failure.name.clone()),
    );
    section(
        &mut text,
        "Not run, and why",
        rows.iter()
            .flat_map(|row| &row.tally.skipped)
            .map(|skip| format!("{}: {}", skip.name, skip.reason)),
    );
    text
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        writeln!(text, "\n## {title}\n").expect("a string takes any text");
    }
    for line in lines {
        writeln!(text, "* {line}").expect("a string takes any text");
    }
}

/// Returns the date, in UTC.
pub(crate) fn today() -> Result<String> {
    Ok(
        run::checked(Command::new("date").args(["-u", "+%Y-%m-%d"]))?
            .trim()
            .to_owned(),
    )
}

/// Describes this machine in a line: processor, memory, kernel, distribution, cgroups.
pub(crate) fn machine() -> Result<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str, sign: char| {
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_once(sign))
            .map(|(_, value)| value.trim().trim_matches('"').to_owned())
    };
    let cpuinfo = read("/proc/cpuinfo");
    let processors = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let model =
        after(&cpuinfo, "model name", ':').unwrap_or_else(|| "unknown processor".to_owned());
    let memory = after(&read("/proc/meminfo"), "MemTotal", ':').and_then(|text| {
        let kib: u64 = text.trim_end_matches("kB").trim().parse().ok()?;
        Some(format!("{} GiB", kib.div_ceil(1 << 20)))
    });
    let system = after(&read("/etc/os-release"), "PRETTY_NAME", '=')
        .unwrap_or_else(|| "unknown system".to_owned());
    let kernel = run::checked(Command::new("uname").arg("-r"))?;
    let cgroups = match (
        Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        Path::new("/sys/fs/cgroup/unified").exists(),
    ) {
        (true, _) => "v2",
        (false, true) => "hybrid",
        (false, false) => "v1",
    };
    let memory = memory.unwrap_or_else(|| "unknown memory".to_owned());
    Ok(format!(
        "{processors} × {model}, {memory}, Linux {}, {system}, cgroups {cgroups}",
        kernel.trim()
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::Tally;

    #[test]
    fn document_names_what_failed_and_what_was_not_run() {
        let mut tally = Tally::fail("net::it publishes", "panicked");
        tally.add(Tally::skip("guest", "no kernel"));
        let row = Row {
            stage: "root suites".into(),
            tally,
            took: Duration::from_secs(7),
            budget: Duration::ZERO,
        };
        let text = document(&[row], "abc", "2026-11-22", "2 × CPU");
        assert!(text.contains("| root suites | 0 | 1 | 1 | 7 |"));
        assert!(text.ends_with(
            "## Failed\n\n* net::it publishes\n\n## Not run, and why\n\n* guest: no kernel\n"
        ));
    }
}
