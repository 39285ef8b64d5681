//! benches/budgets.toml: what may not be exceeded, and which peers may be missing.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::workspace;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budgets {
    pub(crate) floor: Floor,
    pub(crate) calls: Calls,
    pub(crate) start: Start,
    pub(crate) import: Import,
    pub(crate) memory: Memory,
    pub(crate) ps: Milliseconds,
    pub(crate) startup: Milliseconds,
    /// Each with the reason why it may be missing, or an empty one: it must be there.
    pub(crate) peers: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Floor {
    pub(crate) lines: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calls {
    /// System calls of one start, all processes together.
    pub(crate) start: u64,
    /// Instructions of `hull` in user mode, up to the exec into the monitor.
    pub(crate) instructions: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    pub(crate) cpu_ms_above_floor: f64,
    /// Peers that Hull must stay below, in CPU and in wall, busy and idle.
    pub(crate) below: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Import {
    pub(crate) times_igzip_tar: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Memory {
    pub(crate) kib_per_container: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Milliseconds {
    pub(crate) ms: f64,
}

impl Budgets {
    pub(crate) fn read() -> Result<Self> {
        let path = workspace::root().join("benches/budgets.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("cannot understand {}", path.display()))
    }
}

/// What was measured against what was allowed: one line of a check.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) allowed: f64,
}

impl Verdict {
    pub(crate) fn new(what: impl Into<String>, measured: f64, allowed: f64) -> Self {
        Self {
            what: what.into(),
            measured,
            allowed,
        }
    }

    pub(crate) fn holds(&self) -> bool {
        self.measured <= self.allowed
    }

    pub(crate) fn line(&self) -> String {
        let sign = if self.holds() { "<=" } else { "> " };
        format!(
            "{}: {:.2} {sign} {:.2}",
            self.what, self.measured, self.allowed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_understood() {
        let budgets = Budgets::read().unwrap();
        assert!(budgets.floor.lines <= 300);
        assert!(
            budgets
                .start
                .below
                .iter()
                .all(|peer| budgets.peers.contains_key(peer))
        );
    }

    #[test]
    fn verdict_says_both_numbers() {
        assert_eq!(Verdict::new("a", 2.0, 1.0).line(), "a: 2.00 >  1.00");
        assert!(Verdict::new("a", 1.0, 1.0).holds());
    }
}
