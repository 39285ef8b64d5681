//! What was tried and what came of it: counts, reasons, the table at the end.

use std::time::{Duration, Instant};

use anyhow::Result;

/// The results of one stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    /// What failed, each with the words to show.
    pub(crate) failed: Vec<Failure>,
    pub(crate) skipped: Vec<Skip>,
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) name: String,
    pub(crate) output: String,
}

/// One thing that could not be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl Tally {
    /// One check that held.
    pub(crate) fn pass() -> Self {
        Self {
            passed: 1,
            ..Self::default()
        }
    }

    /// One check that did not.
    pub(crate) fn fail(name: impl Into<String>, output: impl Into<String>) -> Self {
        let failed = vec![Failure {
            name: name.into(),
            output: output.into(),
        }];
        Self {
            failed,
            ..Self::default()
        }
    }

    /// One thing that was not tried.
    pub(crate) fn skip(name: impl Into<String>, reason: impl Into<String>) -> Self {
        let skipped = vec![Skip {
            name: name.into(),
            reason: reason.into(),
        }];
        Self {
            skipped,
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
    }

    fn line(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed,
            self.failed.len(),
            self.skipped.len()
        )
    }
}

/// One stage that was run.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) stage: String,
    pub(crate) tally: Tally,
    pub(crate) took: Duration,
    pub(crate) budget: Duration,
}

/// A whole run.
#[derive(Debug)]
pub(crate) struct Report {
    began: Instant,
    limit: Duration,
    rows: Vec<Row>,
}

impl Report {
    /// Begins a run that may take as long as this in all.
    pub(crate) fn within(limit: Duration) -> Self {
        Self {
            began: Instant::now(),
            limit,
            rows: Vec::new(),
        }
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn failed(&self) -> bool {
        self.rows.iter().any(|row| !row.tally.failed.is_empty())
    }

    /// Returns how much of the time is left, a minute at least: what began may end.
    pub(crate) fn left(&self) -> Duration {
        self.limit
            .saturating_sub(self.began.elapsed())
            .max(Duration::from_secs(60))
    }

    /// Runs a stage and says how it went. An error of the stage itself is a failure of it.
    pub(crate) fn stage(&mut self, name: &str, minutes: u64, run: impl FnOnce() -> Result<Tally>) {
        let budget = Duration::from_secs(60 * minutes);
        let began = Instant::now();
        let tally = run().unwrap_or_else(|error| Tally::fail(name, format!("{error:#}")));
        self.push(Row {
            stage: name.to_owned(),
            tally,
            took: began.elapsed(),
            budget,
        });
    }

    /// Runs a stage if its budget still fits into the whole; else it is one more thing not tried, and says so.
    pub(crate) fn stage_if_time(
        &mut self,
        name: &str,
        minutes: u64,
        run: impl FnOnce() -> Result<Tally>,
    ) {
        let left = self.limit.saturating_sub(self.began.elapsed());
        if left >= Duration::from_secs(60 * minutes) {
            return self.stage(name, minutes, run);
        }
        let reason = format!(
            "no time: it may take {minutes} minutes and {} are left of {}",
            left.as_secs() / 60,
            self.limit.as_secs() / 60
        );
        self.stage(name, minutes, || Ok(Tally::skip(name, reason)));
    }

    fn push(&mut self, row: Row) {
        let verdict = match (row.tally.failed.is_empty(), row.tally.passed) {
            (false, _) => "FAILED",
            (true, 0) => "skipped",
            (true, _) => "ok",
        };
        let late = if row.took > row.budget {
            ", over its budget"
        } else {
            ""
        };
        println!(
            "{verdict:8}{:22}{:40} {:>4} s of {}{late}",
            row.stage,
            row.tally.line(),
            row.took.as_secs(),
            row.budget.as_secs()
        );
        for failure in &row.tally.failed {
            println!("        FAILED {}", failure.name);
            for line in failure.output.lines() {
                println!("        | {line}");
            }
        }
        self.rows.push(row);
    }

    /// Prints what was not tried, what failed, and the line CI reads, which is the last.
    pub(crate) fn conclude(&self) {
        let mut all = Tally::default();
        println!();
        for row in &self.rows {
            for skip in &row.tally.skipped {
                println!("not run  {}: {}: {}", row.stage, skip.name, skip.reason);
            }
            all.add(row.tally.clone());
        }
        for failure in &all.failed {
            println!("failed   {}", failure.name);
        }
        println!(
            "took {} s of {}",
            self.began.elapsed().as_secs(),
            self.limit.as_secs()
        );
        println!("{}", all.line());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_line_has_the_shape_ci_reads() {
        let mut tally = Tally::pass();
        tally.add(Tally::fail("a", "why"));
        tally.add(Tally::skip("b", "no kernel for it"));
        tally.add(Tally::pass());
        assert_eq!(tally.line(), "2 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn stage_without_time_is_skipped_with_the_reason() {
        let mut report = Report::within(Duration::from_secs(60));
        report.stage_if_time("slow", 5, || panic!("must not run"));
        let skip = &report.rows()[0].tally.skipped[0];
        assert_eq!(
            skip.reason,
            "no time: it may take 5 minutes and 0 are left of 1"
        );
        assert!(!report.failed());
    }
}
