//! `cargo xtask layers`: the crate table of ARCHITECTURE.md is the law, and this is its court.
//!
//! The table is the first one whose header begins with `crate` and has a column `may use`. A crate may use those its row
//! names, and its row may name only crates above it. Tests may use anything.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::workspace::{self, Metadata, Package};

pub(crate) fn command(words: &[String]) -> Result<ExitCode> {
    crate::options::Options::new(words).rest()?;
    let complaints = check()?;
    for complaint in &complaints {
        eprintln!("error: {complaint}");
    }
    if complaints.is_empty() {
        println!("the crates keep to the table in ARCHITECTURE.md");
    }
    Ok(ExitCode::from(u8::from(!complaints.is_empty())))
}

/// Returns what is against the table, in words.
pub(crate) fn check() -> Result<Vec<String>> {
    let path = workspace::root().join("ARCHITECTURE.md");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read the crate table in {}", path.display()))?;
    let metadata = Metadata::read()?;
    let rows = rows(&text);
    let mut complaints = compare(&rows, &metadata);
    complaints.extend(unsafe_rooms(&metadata)?);
    Ok(complaints)
}

/// One crate of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    name: String,
    may_use: Allowed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    These(BTreeSet<String>),
    AllAboveExcept(BTreeSet<String>),
}

impl Allowed {
    /// Reads a cell: `–`, `types fs`, `all above except sys, monitor`. What is in brackets is a remark.
    fn parse(cell: &str) -> Self {
        let mut words = words(cell).into_iter();
        match words.clone().next().as_deref() {
            Some("all") => Self::AllAboveExcept(
                words
                    .filter(|word| !["all", "above", "except", "and"].contains(&word.as_str()))
                    .collect(),
            ),
            _ => Self::These(words.by_ref().collect()),
        }
    }
}

/// Splits a cell into crate names: without code marks, commas, dashes for "none", and remarks in brackets or after `;`.
fn words(cell: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let plain: String = cell
        .split(';')
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|letter| {
            match letter {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect();
    plain
        .split(|letter: char| letter.is_whitespace() || letter == ',')
        .map(|word| word.trim_matches(['`', '*', '.']))
        .filter(|word| !matches!(*word, "" | "–" | "-" | "—" | "nothing"))
        .map(str::to_owned)
        .collect()
}

/// Finds the table's rows in the document, in its order.
fn rows(document: &str) -> Vec<Row> {
    let cells = |line: &str| -> Vec<String> {
        line.trim()
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let mut lines = document.lines();
    let column = lines.by_ref().find_map(|line| {
        let cells = cells(line);
        let is_table = cells.first().is_some_and(|cell| cell == "crate");
        cells
            .iter()
            .position(|cell| cell == "may use")
            .filter(|_| is_table)
    });
    let Some(column) = column else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for line in lines
        .skip(1)
        .take_while(|line| line.trim_start().starts_with('|'))
    {
        let cells = cells(line);
        let may_use = Allowed::parse(cells.get(column).map_or("", String::as_str));
        for name in words(&cells[0]) {
            rows.push(Row {
                name,
                may_use: may_use.clone(),
            });
        }
    }
    rows
}

fn compare(rows: &[Row], metadata: &Metadata) -> Vec<String> {
    if rows.is_empty() {
        return vec![
            "ARCHITECTURE.md has no table with the columns `crate` and `may use`".to_owned(),
        ];
    }
    let mut complaints = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let above: BTreeSet<&str> = rows[..place].iter().map(|row| row.name.as_str()).collect();
        complaints.extend(look_up_only(row, &above));
        match rooms(metadata).find(|package| room(package) == row.name) {
            None => complaints.push(format!(
                "the table has `{}`, which is not in the workspace",
                row.name
            )),
            Some(package) => complaints.extend(uses(package, row, &above, metadata)),
        }
    }
    for package in rooms(metadata) {
        if !rows.iter().any(|row| row.name == room(package)) {
            complaints.push(format!("`{}` is not in the table", package.name));
        }
    }
    complaints
}

/// A row may name only crates above it: so the table has an order, and the graph no ring.
fn look_up_only(row: &Row, above: &BTreeSet<&str>) -> Vec<String> {
    let (Allowed::These(named) | Allowed::AllAboveExcept(named)) = &row.may_use;
    named
        .iter()
        .filter(|name| !above.contains(name.as_str()))
        .map(|name| {
            format!(
                "the row of `{}` names `{name}`, which is no crate above it",
                row.name
            )
        })
        .collect()
}

fn uses(package: &Package, row: &Row, above: &BTreeSet<&str>, metadata: &Metadata) -> Vec<String> {
    let allowed = |name: &str| match &row.may_use {
        Allowed::These(these) => these.contains(name),
        Allowed::AllAboveExcept(except) => above.contains(name) && !except.contains(name),
    };
    let outside_tests = package
        .dependencies
        .iter()
        .filter(|needed| needed.kind.as_deref() != Some("dev"));
    outside_tests
        .filter_map(|needed| rooms(metadata).find(|package| package.name == needed.name))
        .map(room)
        .filter(|name| !allowed(name))
        .map(|name| format!("`{}` uses `{name}`, which its row does not allow", row.name))
        .collect()
}

/// The crates of the table: those in `crates/`.
fn rooms(metadata: &Metadata) -> impl Iterator<Item = &Package> {
    metadata.members().filter(|package| {
        let in_crates = package.manifest_path.parent().and_then(|dir| dir.parent());
        in_crates.is_some_and(|dir| dir.ends_with("crates"))
    })
}

/// Folders drop the prefix: package `hull-cgroup` is `cgroup`.
fn room(package: &Package) -> &str {
    package
        .manifest_path
        .parent()
        .and_then(|dir| dir.file_name())
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

/// Only `sys` may say `unsafe`: every other crate forbids it in its first lines. A program's `main.rs` may begin by `sys`'s macro
/// instead, which says it in the program's name: its one symbol is all that a program has of its own.
fn unsafe_rooms(metadata: &Metadata) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for package in rooms(metadata).filter(|package| room(package) != "sys") {
        let dir = package
            .manifest_path
            .parent()
            .context("a manifest lies in a directory")?;
        for file in ["src/lib.rs", "src/main.rs"] {
            let path = dir.join(file);
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            let begins_by_sys = file == "src/main.rs" && text.contains("hull_sys::entry!(");
            if !text.contains("#![forbid(unsafe_code)]") && !begins_by_sys {
                complaints.push(format!(
                    "crates/{}/{file} does not say #![forbid(unsafe_code)]",
                    room(package)
                ));
            }
        }
    }
    Ok(complaints)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    const TABLE: &str = "\
# Title

| crate | responsibility | may use |
|---|---|---|
| `types` | words | – |
| `sys` | kernel | – |
| `fs` | files | types sys |
| `engine` | use cases | all above except sys |
| `a`, `b` | front doors (each alone) | types engine (a: more); `main` of more |

| crate | not this table |
";

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Package {
        Package {
            id: name.to_owned(),
            name: format!("hull-{name}"),
            manifest_path: format!("/tree/crates/{name}/Cargo.toml").into(),
            dependencies: uses
                .iter()
                .map(|(name, kind)| Dependency {
                    name: format!("hull-{name}"),
                    kind: kind.map(str::to_owned),
                })
                .collect(),
            ..Package::default()
        }
    }

    fn workspace(packages: Vec<Package>) -> Metadata {
        let workspace_members = packages.iter().map(|package| package.id.clone()).collect();
        Metadata {
            packages,
            workspace_members,
            ..Metadata::default()
        }
    }

    fn lawful() -> Vec<Package> {
        vec![
            package("types", &[]),
            package("sys", &[]),
            package("fs", &[("types", None), ("engine", Some("dev"))]),
            package("engine", &[("fs", None), ("types", None)]),
            package("a", &[("engine", None)]),
            package("b", &[]),
        ]
    }

    #[test]
    fn lawful_workspace_has_no_complaint() {
        assert_eq!(
            compare(&rows(TABLE), &workspace(lawful())),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_way_to_rot_is_named() {
        let mut packages = lawful();
        packages[0] = package("types", &[("fs", None)]);
        packages[3] = package("engine", &[("sys", Some("build"))]);
        packages.remove(5);
        packages.push(package("attic", &[]));
        let said = compare(&rows(TABLE), &workspace(packages));
        assert_eq!(
            said,
            [
                "`types` uses `fs`, which its row does not allow",
                "`engine` uses `sys`, which its row does not allow",
                "the table has `b`, which is not in the workspace",
                "`hull-attic` is not in the table",
            ]
        );
    }

    #[test]
    fn rows_look_up_only() {
        let table = "| crate | may use |\n|---|---|\n| fs | types |\n| types | – |\n";
        let packages = vec![package("fs", &[]), package("types", &[])];
        let said = compare(&rows(table), &workspace(packages));
        assert_eq!(
            said,
            ["the row of `fs` names `types`, which is no crate above it"]
        );
    }

    #[test]
    fn missing_table_is_a_complaint() {
        assert_eq!(compare(&rows("# Nothing\n"), &workspace(lawful())).len(), 1);
    }
}
