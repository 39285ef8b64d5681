use std::{io, path::Path};

use hull_types::{Digest, Reference};
use serde::Deserialize;

use crate::TrustError;

/// Policy files larger than this are refused.
const MAX_POLICY: u64 = 1 << 20;

/// Which images may be used.
///
/// Without a policy file every image is accepted and recorded. The file `trust/policy.json` narrows that:
///
/// ```json
/// {
///   "version": 1,
///   "rules": [
///     { "prefix": "docker.io/library/debian:12", "pin": "sha256:<64 hex digits>" },
///     { "prefix": "registry.example.org/", "accept": "recorded" }
///   ]
/// }
/// ```
///
/// * `prefix` is the beginning of a full name. `registry.example.org/team/` covers everything below it, `host/repository` that
///   repository with every tag and digest, `host/repository:tag` that tag alone. The longest prefix that covers a name rules.
/// * `pin` admits one digest: that of the manifest, or of the image index through which the manifest was chosen.
/// * `accept` has one value, `recorded`: any digest, each new one noted in the ledger.
///
/// Anything the reader does not know, a short name, or the same prefix twice is an error, and with an unreadable policy no
/// image is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<(String, Rule)>,
}

/// What the policy says of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// This digest and no other.
    Pinned(Digest),
    /// Any digest; the first use of each is written to the ledger.
    AcceptRecorded,
}

impl Rule {
    /// Returns the word the ledger uses.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pinned(_) => "pinned",
            Self::AcceptRecorded => "accept-recorded",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    version: u32,
    #[serde(default)]
    rules: Vec<RuleLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleLine {
    prefix: String,
    pin: Option<Digest>,
    accept: Option<Accept>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Accept {
    Recorded,
}

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPolicy {
    #[error("it is not the JSON that is expected")]
    Json(#[source] serde_json::Error),
    #[error("it has version {0}, and only version 1 is known")]
    UnknownVersion(u32),
    #[error("it has more than {MAX_POLICY} bytes")]
    TooLarge,
    #[error("prefix `{0}` is not the beginning of a full name such as docker.io/library/debian")]
    NotFull(String),
    #[error("prefix `{0}` has two rules")]
    Twice(String),
    #[error("the rule for `{0}` must say either `pin` or `accept`")]
    NotOneRule(String),
}

impl Policy {
    /// Reads the policy file; no file is the policy that accepts and records.
    pub fn read(path: &Path) -> Result<Self, TrustError> {
        use io::Read as _;
        let invalid = |reason| TrustError::Policy {
            path: path.to_owned(),
            reason,
        };
        let failed = |source| TrustError::Read {
            path: path.to_owned(),
            source,
        };
        let file = match std::fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other.map_err(failed)?,
        };
        let mut text = Vec::new();
        file.take(MAX_POLICY + 1)
            .read_to_end(&mut text)
            .map_err(failed)?;
        if text.len() as u64 > MAX_POLICY {
            return Err(invalid(InvalidPolicy::TooLarge));
        }
        Self::parse(&text).map_err(invalid)
    }

    /// Reads the text of a policy.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidPolicy> {
        let file: PolicyFile = serde_json::from_slice(text).map_err(InvalidPolicy::Json)?;
        if file.version != 1 {
            return Err(InvalidPolicy::UnknownVersion(file.version));
        }
        let mut rules: Vec<(String, Rule)> = Vec::new();
        for line in file.rules {
            if !is_full(&line.prefix) {
                return Err(InvalidPolicy::NotFull(line.prefix));
            }
            if rules.iter().any(|(prefix, _)| *prefix == line.prefix) {
                return Err(InvalidPolicy::Twice(line.prefix));
            }
            let rule = match (line.pin, line.accept) {
                (Some(digest), None) => Rule::Pinned(digest),
                (None, Some(Accept::Recorded)) => Rule::AcceptRecorded,
                _ => return Err(InvalidPolicy::NotOneRule(line.prefix)),
            };
            rules.push((line.prefix, rule));
        }
        rules.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(Self { rules })
    }

    /// Returns the rule for a name, and for content that has none.
    pub fn rule(&self, reference: Option<&Reference>) -> &Rule {
        let Some(reference) = reference else {
            return &Rule::AcceptRecorded;
        };
        let name = reference.to_string();
        let covering = self.rules.iter().find(|(prefix, _)| covers(prefix, &name));
        covering.map_or(&Rule::AcceptRecorded, |(_, rule)| rule)
    }
}

/// A short name would look like a rule and never match anything: it must be spelled as names are printed.
fn is_full(prefix: &str) -> bool {
    let parse = |text: &str| text.parse::<Reference>();
    if prefix.ends_with('/') {
        parse(&format!("{prefix}x")).is_ok_and(|name| name.to_string().starts_with(prefix))
    } else {
        parse(prefix).is_ok_and(|name| name.to_string() == prefix)
    }
}

fn covers(prefix: &str, name: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| {
        prefix.ends_with('/') || rest.is_empty() || rest.starts_with([':', '@'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: &str) -> String {
        format!("sha256:{}", digit.repeat(64))
    }

    #[test]
    fn the_longest_prefix_rules_and_ends_at_a_boundary() {
        let text = format!(
            r#"{{"version":1,"rules":[
                {{"prefix":"example.org/","pin":"{}"}},
                {{"prefix":"example.org/team/app","accept":"recorded"}},
                {{"prefix":"example.org/team/app:1","pin":"{}"}}]}}"#,
            digest("a"),
            digest("b")
        );
        let policy = Policy::parse(text.as_bytes()).unwrap();
        for (name, expected) in [
            ("example.org/x:1", Some("a")),
            ("example.org/team/app:2", None),
            ("example.org/team/app:1", Some("b")),
            ("example.org/team/app:12", None),
            ("example.org/team/apple:1", Some("a")),
            ("example.org/team/app/part:1", Some("a")),
            ("example.org.evil/x:1", None),
            ("x:1", None),
        ] {
            let expected = expected.map_or(Rule::AcceptRecorded, |digit| {
                Rule::Pinned(digest(digit).parse().unwrap())
            });
            let reference = name.parse().unwrap();
            assert_eq!(*policy.rule(Some(&reference)), expected, "{name}");
        }
        assert_eq!(*policy.rule(None), Rule::AcceptRecorded);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let pin = digest("a");
        for text in [
            String::new(),
            "{}".to_owned(),
            r#"{"version":2}"#.to_owned(),
            r#"{"version":1,"default":"refuse"}"#.to_owned(),
            r#"{"version":1,"rules":[{"prefix":"example.org/x"}]}"#.to_owned(),
            r#"{"version":1,"rules":[{"prefix":"example.org/x","accept":"always"}]}"#.to_owned(),
            format!(
                r#"{{"version":1,"rules":[{{"prefix":"example.org/x","accept":"recorded","pin":"{pin}"}}]}}"#
            ),
            format!(
                r#"{{"version":1,"rules":[{{"prefix":"example.org/x","pin":"{pin}","signed":1}}]}}"#
            ),
            format!(r#"{{"version":1,"rules":[{{"prefix":"debian","pin":"{pin}"}}]}}"#),
            format!(r#"{{"version":1,"rules":[{{"prefix":"library/","pin":"{pin}"}}]}}"#),
            format!(r#"{{"version":1,"rules":[{{"prefix":"docker.io/debian","pin":"{pin}"}}]}}"#),
            format!(r#"{{"version":1,"rules":[{{"prefix":"","pin":"{pin}"}}]}}"#),
            r#"{"version":1,"rules":[{"prefix":"example.org/x","pin":"sha256:12"}]}"#.to_owned(),
            r#"{"version":1,"rules":[{"prefix":"example.org/x","accept":"recorded"},{"prefix":"example.org/x","accept":"recorded"}]}"#.to_owned(),
        ] {
            assert!(Policy::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Policy::parse(br#"{"version":1}"#).is_ok());
        let whole = br#"{"version":1,"rules":[{"prefix":"docker.io/","accept":"recorded"}]}"#;
        assert!(Policy::parse(whole).is_ok());
    }
}
