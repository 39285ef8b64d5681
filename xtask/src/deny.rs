//! `cargo xtask deny`: the rules of deny.toml on licences, bans and sources, over `cargo metadata`.
//!
//! The file is cargo-deny's; `--all` runs cargo-deny itself too where it is installed, for its list of advisories. CI cannot
//! build that in its time, so the rules that need no database are carried out here.

mod licence;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use semver::{Version, VersionReq};
use serde::Deserialize;

use self::licence::Expression;
use crate::workspace::{self, Metadata, Package};

pub(crate) fn command(words: &[String]) -> Result<ExitCode> {
    crate::options::Options::new(words).rest()?;
    let complaints = check()?;
    for complaint in &complaints {
        eprintln!("error: {complaint}");
    }
    if complaints.is_empty() {
        println!("the dependencies keep to deny.toml");
    }
    Ok(ExitCode::from(u8::from(!complaints.is_empty())))
}

/// Returns what is against the rules, in words.
pub(crate) fn check() -> Result<Vec<String>> {
    let path = workspace::root().join("deny.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let rules: Rules =
        toml::from_str(&text).with_context(|| format!("cannot understand {}", path.display()))?;
    Ok(rules.complaints(&Metadata::read()?))
}

/// The part of cargo-deny's file that is carried out here.
#[derive(Debug, Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

/// A licence one package may have and no other.
#[derive(Debug, Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    package: Selection,
    allow: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Bans {
    #[serde(default)]
    multiple_versions: Level,
    #[serde(default)]
    deny: Vec<Ban>,
    #[serde(default)]
    skip: Vec<Skip>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Level {
    Deny,
    #[default]
    Warn,
    Allow,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    package: Selection,
    #[serde(default)]
    reason: String,
    /// Who may use it all the same, directly.
    #[serde(default)]
    wrappers: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    package: Selection,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: BTreeSet<String>,
    #[serde(default)]
    allow_git: BTreeSet<String>,
}

/// `name`, or `name:requirement`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Selection {
    name: String,
    versions: VersionReq,
}

impl TryFrom<String> for Selection {
    type Error = semver::Error;

    fn try_from(text: String) -> Result<Self, semver::Error> {
        let (name, versions) = text.split_once([':', '@']).unwrap_or((&text, "*"));
        Ok(Self {
            name: name.to_owned(),
            versions: VersionReq::parse(versions)?,
        })
    }
}

impl Selection {
    fn selects(&self, package: &Package) -> bool {
        let version = Version::parse(&package.version);
        self.name == package.name && version.is_ok_and(|version| self.versions.matches(&version))
    }
}

impl Rules {
    fn complaints(&self, metadata: &Metadata) -> Vec<String> {
        let used = used(metadata);
        let mut complaints = Vec::new();
        for package in &used {
            complaints.extend(self.licence(package));
            complaints.extend(self.banned(package, metadata));
            complaints.extend(self.source(package));
        }
        complaints.extend(self.twice(&used));
        complaints
    }

    fn licence(&self, package: &Package) -> Option<String> {
        let name = format!("{} {}", package.name, package.version);
        let Some(text) = &package.license else {
            return Some(format!("{name} names no licence"));
        };
        let Some(expression) = Expression::parse(text) else {
            return Some(format!(
                "{name} has the licence `{text}`, which is no SPDX expression"
            ));
        };
        let own = self
            .licenses
            .exceptions
            .iter()
            .filter(|exception| exception.package.selects(package));
        let mut allowed = self.licenses.allow.clone();
        allowed.extend(own.flat_map(|exception| exception.allow.clone()));
        (!expression.is_met_by(&allowed))
            .then(|| format!("{name} has the licence `{text}`, which deny.toml does not allow"))
    }

    fn banned(&self, package: &Package, metadata: &Metadata) -> Option<String> {
        let ban = self
            .bans
            .deny
            .iter()
            .find(|ban| ban.package.selects(package))?;
        let users = users(package, metadata);
        if !ban.wrappers.is_empty() && users.iter().all(|user| ban.wrappers.contains(*user)) {
            return None;
        }
        let users = users.join(", ");
        Some(format!(
            "{} {} is banned ({}); used by {users}",
            package.name, package.version, ban.reason
        ))
    }

    fn source(&self, package: &Package) -> Option<String> {
        let source = package.source.as_deref()?;
        let allowed = match source.split_once('+') {
            Some(("registry" | "sparse", url)) => self.sources.allow_registry.contains(url),
            Some(("git", url)) => self
                .sources
                .allow_git
                .iter()
                .any(|git| url.starts_with(git.as_str())),
            _ => false,
        };
        (!allowed).then(|| format!("{} {} comes from {source}", package.name, package.version))
    }

    /// Two versions of one package that cargo cannot make one of: each pair is explained in deny.toml, or mended.
    fn twice(&self, used: &[&Package]) -> Vec<String> {
        if self.bans.multiple_versions != Level::Deny {
            return Vec::new();
        }
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for package in used {
            if !self
                .bans
                .skip
                .iter()
                .any(|skip| skip.package.selects(package))
            {
                versions
                    .entry(&package.name)
                    .or_default()
                    .push(&package.version);
            }
        }
        versions
            .into_iter()
            .filter(|(_, versions)| versions.len() > 1)
            .map(|(name, versions)| {
                format!("{name} is there more than once: {}", versions.join(", "))
            })
            .collect()
    }
}

/// Returns the packages that are built for this machine. Cargo lists others too, which lie in the graph and are used by nobody here.
fn used(metadata: &Metadata) -> Vec<&Package> {
    let edges: BTreeMap<&str, Vec<&str>> = metadata
        .resolve
        .iter()
        .flat_map(|resolve| &resolve.nodes)
        .map(|node| {
            (
                node.id.as_str(),
                node.deps.iter().map(|edge| edge.pkg.as_str()).collect(),
            )
        })
        .collect();
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&str> = metadata
        .workspace_members
        .iter()
        .map(String::as_str)
        .collect();
    while let Some(id) = next.pop() {
        if reached.insert(id) {
            next.extend(edges.get(id).into_iter().flatten());
        }
    }
    metadata
        .packages
        .iter()
        .filter(|package| reached.contains(package.id.as_str()))
        .collect()
}

fn users<'m>(package: &Package, metadata: &'m Metadata) -> Vec<&'m str> {
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let ids = nodes
        .filter(|node| node.deps.iter().any(|edge| edge.pkg == package.id))
        .map(|node| &node.id);
    ids.filter_map(|id| metadata.packages.iter().find(|package| package.id == *id))
        .map(|package| package.name.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Edge, Node, Resolve};

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0"]
        exceptions = [{ crate = "roots", allow = ["CDLA-Permissive-2.0"] }]
        [bans]
        multiple-versions = "deny"
        deny = [
            { crate = "tar:<0.4.46", reason = "RUSTSEC-2026-0067" },
            { crate = "tokio", reason = "synchronous", wrappers = ["front-door"] },
        ]
        skip = [{ crate = "old@0.21" }]
        [sources]
        allow-registry = ["https://github.com/rust-lang/crates.io-index"]
    "#;

    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn complaints(packages: &[(&str, &str, &str, &str)]) -> Vec<String> {
        let rules: Rules = toml::from_str(RULES).unwrap();
        let packages: Vec<Package> = packages
            .iter()
            .map(|(name, version, license, source)| Package {
                id: format!("{name}@{version}"),
                name: (*name).to_owned(),
                version: (*version).to_owned(),
                license: (!license.is_empty()).then(|| (*license).to_owned()),
                source: Some((*source).to_owned()),
                ..Package::default()
            })
            .collect();
        // The first is the workspace's, and uses all others.
        let first = packages[0].id.clone();
        let deps = packages[1..]
            .iter()
            .map(|package| Edge {
                pkg: package.id.clone(),
            })
            .collect();
        let resolve = Some(Resolve {
            nodes: vec![Node {
                id: first.clone(),
                deps,
            }],
        });
        rules.complaints(&Metadata {
            packages,
            workspace_members: vec![first],
            resolve,
        })
    }

    #[test]
    fn each_rule_names_what_breaks_it() {
        let said = complaints(&[
            ("hull", "0.1.0", "Apache-2.0", REGISTRY),
            ("roots", "1.0.0", "CDLA-Permissive-2.0", REGISTRY),
            ("stranger", "1.0.0", "CDLA-Permissive-2.0", REGISTRY),
            ("nameless", "1.0.0", "", REGISTRY),
            ("tar", "0.4.45", "MIT OR Apache-2.0", REGISTRY),
            ("tokio", "1.0.0", "MIT", REGISTRY),
            ("fork", "1.0.0", "MIT", "git+https://example.org/fork"),
            ("old", "0.21.3", "MIT", REGISTRY),
            ("old", "0.22.0", "MIT", REGISTRY),
            ("two", "1.0.0", "MIT", REGISTRY),
            ("two", "2.0.0", "MIT", REGISTRY),
        ]);
        assert_eq!(
            said,
            [
                "stranger 1.0.0 has the licence `CDLA-Permissive-2.0`, which deny.toml does not allow",
                "nameless 1.0.0 names no licence",
                "tar 0.4.45 is banned (RUSTSEC-2026-0067); used by hull",
                "tokio 1.0.0 is banned (synchronous); used by hull",
                "fork 1.0.0 comes from git+https://example.org/fork",
                "two is there more than once: 1.0.0, 2.0.0",
            ]
        );
    }

    #[test]
    fn lawful_tree_has_no_complaint() {
        let said = complaints(&[
            ("front-door", "0.1.0", "Apache-2.0", REGISTRY),
            ("tar", "0.4.46", "MIT/Apache-2.0", REGISTRY),
            ("tokio", "1.0.0", "MIT", REGISTRY),
        ]);
        assert_eq!(said, Vec::<String>::new());
    }
}
