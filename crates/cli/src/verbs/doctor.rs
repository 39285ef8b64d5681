use std::process::ExitCode;

use hull_engine::{Check, Verdict};
use serde_json::Value;

use super::Perform;
use crate::{
    Failure,
    args::{Doctor, Globals},
    failure::with_names,
    format::List,
    output,
};

/// What `doctor` prints with a template.
const LIST: List = List {
    fields: &[
        ("Name", "NAME"),
        ("Verdict", "VERDICT"),
        ("Detail", "DETAIL"),
        ("Mend", "MEND"),
    ],
    usual: r"{{.Name}}\t{{.Verdict}}\t{{.Detail}}",
};

impl Perform for Doctor {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let checks: Vec<Check> = engine.doctor().into_iter().map(named).collect();
        let text = match &self.format {
            None => text(&checks),
            Some(format) => {
                let rows: Vec<Value> = checks
                    .iter()
                    .map(|check| serde_json::to_value(check).unwrap_or_default())
                    .collect();
                LIST.text(Some(format), &rows)?
            }
        };
        engine.leave();
        output::print(&text)?;
        let missing = checks.iter().any(|check| check.verdict == Verdict::Missing);
        Ok(match missing {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }
}

/// Calls the kernel's errors by their names.
fn named(check: Check) -> Check {
    Check {
        detail: with_names(check.detail),
        ..check
    }
}

/// Writes a line for each check, and below it what mends it.
fn text(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Degraded => "degraded",
            Verdict::Missing => "missing",
        };
        text.push_str(&format!(
            "{verdict:8}  {:width$}  {}\n",
            check.name, check.detail
        ));
        if let Some(mend) = &check.mend {
            text.push_str(&format!("{:8}  {:width$}  → {mend}\n", "", ""));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_written_as_reviewed() {
        let check = |name, verdict, detail: &str, mend: Option<&str>| {
            named(Check {
                name,
                verdict,
                detail: detail.to_owned(),
                mend: mend.map(str::to_owned),
            })
        };
        insta::assert_snapshot!(text(&[
            check("overlay", Verdict::Ok, "works", None),
            check(
                "user namespaces",
                Verdict::Missing,
                "No space left on device (os error 28)",
                Some("sysctl -w user.max_user_namespaces=15000")
            ),
            check(
                "swap",
                Verdict::Degraded,
                "not counted",
                Some("boot with swapaccount=1")
            ),
        ]));
    }
}
