//! Is this manifest one the policy accepts?
//!
//! [`Trust::evaluate`] is handed bytes, checks them against their digest, parses them and asks the [`Policy`]. What passes comes
//! out as a [`Trusted`] value; nothing else can make one, and unpacking asks for it, so that forgetting to ask does not compile.
//! There are two rules: a *pinned digest*, and *accept, recorded*, which writes each new name and digest to the ledger.
//!
//! ```text
//! <root>/trust/policy.json     what may be used (see Policy)
//! <root>/ledger/ledger.jsonl   what was accepted, when, by whom, under which rule
//! ```
#![forbid(unsafe_code)]

mod error;
mod ledger;
mod policy;

use std::{
    ops::Deref,
    path::{Path, PathBuf},
};

use hull_spec::image::{Index, Manifest};
use hull_types::{Algorithm, Digest, Reference};
use sha2::{Digest as _, Sha256, Sha512};

use ledger::Ledger;

pub use error::TrustError;
pub use policy::{InvalidPolicy, Policy, Rule};

/// A value that the policy accepted. Only [`Trust`] makes one.
#[derive(Clone, Debug)]
pub struct Trusted<T> {
    value: T,
    digest: Digest,
    rule: Rule,
}

impl<T> Trusted<T> {
    /// Returns the digest that was judged.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns the rule that admitted it.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }
}

impl<T> Deref for Trusted<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A document and the digest it came under.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    pub digest: &'a Digest,
    pub bytes: &'a [u8],
}

impl Document<'_> {
    fn verify(&self) -> Result<(), TrustError> {
        let actual = match self.digest.algorithm() {
            Algorithm::Sha256 => Digest::sha256(&Sha256::digest(self.bytes).into()),
            Algorithm::Sha512 => Digest::sha512(&Sha512::digest(self.bytes).into()),
        };
        if actual == *self.digest {
            return Ok(());
        }
        Err(TrustError::WrongDigest {
            expected: self.digest.clone(),
            actual,
        })
    }

    fn unusable(&self, source: hull_spec::image::DocumentError) -> TrustError {
        TrustError::Document {
            digest: self.digest.clone(),
            source,
        }
    }
}

/// The policy and the ledger of one installation.
#[derive(Debug)]
pub struct Trust {
    policy: Policy,
    policy_path: PathBuf,
    ledger: Ledger,
}

impl Trust {
    /// Reads the policy below `root`.
    pub fn open(root: &Path) -> Result<Self, TrustError> {
        let policy_path = root.join("trust/policy.json");
        Ok(Self {
            policy: Policy::read(&policy_path)?,
            policy_path,
            ledger: Ledger::new(root.join("ledger")),
        })
    }

    /// Judges a manifest under the name by which it was asked for, if any. `index` is the image index through which it was
    /// chosen: a pin may name either, because registries show the digest of the index.
    pub fn evaluate(
        &self,
        reference: Option<&Reference>,
        manifest: Document<'_>,
        index: Option<Document<'_>>,
    ) -> Result<Trusted<Manifest>, TrustError> {
        manifest.verify()?;
        let value = Manifest::parse(manifest.bytes).map_err(|e| manifest.unusable(e))?;
        if let Some(index) = index {
            check_listed(index, manifest.digest)?;
        }
        let rule = self.policy.rule(reference);
        let name = reference.map(Reference::to_string);
        if let Rule::Pinned(pinned) = rule
            && pinned != manifest.digest
            && index.is_none_or(|index| pinned != index.digest)
        {
            return Err(TrustError::NotPinned {
                name: name.unwrap_or_default(),
                pinned: pinned.clone(),
                actual: index.map_or(manifest.digest, |index| index.digest).clone(),
                policy: self.policy_path.clone(),
            });
        }
        self.ledger.note(name.as_deref(), manifest.digest, rule)?;
        Ok(Trusted {
            value,
            digest: manifest.digest.clone(),
            rule: rule.clone(),
        })
    }
}

fn check_listed(index: Document<'_>, manifest: &Digest) -> Result<(), TrustError> {
    index.verify()?;
    let list = Index::parse(index.bytes).map_err(|e| index.unusable(e))?;
    if list.manifests.iter().any(|entry| entry.digest == *manifest) {
        return Ok(());
    }
    Err(TrustError::NotListed {
        index: index.digest.clone(),
        manifest: manifest.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(bytes: &[u8]) -> Digest {
        Digest::sha256(&Sha256::digest(bytes).into())
    }

    fn manifest(config: &str) -> Vec<u8> {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":2}},"layers":[]}}"#,
            digest(config.as_bytes())
        )
        .into_bytes()
    }

    fn index_of(manifest: &[u8]) -> Vec<u8> {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":{}}}]}}"#,
            digest(manifest),
            manifest.len()
        )
        .into_bytes()
    }

    fn home(policy: Option<&str>) -> (tempfile::TempDir, Trust) {
        let home = tempfile::tempdir().unwrap();
        if let Some(policy) = policy {
            std::fs::create_dir(home.path().join("trust")).unwrap();
            let mut file = std::fs::File::create(home.path().join("trust/policy.json")).unwrap();
            std::io::Write::write_all(&mut file, policy.as_bytes()).unwrap();
        }
        let trust = Trust::open(home.path()).unwrap();
        (home, trust)
    }

    fn judge(trust: &Trust, name: Option<&str>, bytes: &[u8]) -> Result<Rule, TrustError> {
        let reference = name.map(|name| name.parse().unwrap());
        let digest = digest(bytes);
        let document = Document {
            digest: &digest,
            bytes,
        };
        let trusted = trust.evaluate(reference.as_ref(), document, None)?;
        assert_eq!(*trusted.digest(), digest);
        Ok(trusted.rule().clone())
    }

    fn ledger(home: &tempfile::TempDir) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(home.path().join("ledger/ledger.jsonl"));
        let line = |line: &str| serde_json::from_str(line).unwrap();
        text.unwrap_or_default().lines().map(line).collect()
    }

    #[test]
    fn without_a_policy_everything_is_accepted_and_recorded_once() {
        let (home, trust) = home(None);
        let bytes = manifest("a");
        for _ in 0..3 {
            let rule = judge(&trust, Some("x:1"), &bytes).unwrap();
            assert_eq!(rule, Rule::AcceptRecorded);
        }
        judge(&trust, None, &bytes).unwrap();
        let lines = ledger(&home);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["reference"], "docker.io/library/x:1");
        assert_eq!(lines[0]["digest"], digest(&bytes).to_string());
        assert_eq!(lines[0]["rule"], "accept-recorded");
        assert_eq!(lines[1].get("reference"), None);
        let when = lines[0]["when"].as_str().unwrap();
        assert!(when.parse::<hull_types::Timestamp>().is_ok());
    }

    #[test]
    fn a_pin_admits_its_digest_and_names_both_otherwise() {
        let (good, bad) = (manifest("good"), manifest("bad"));
        let policy = format!(
            r#"{{"version":1,"rules":[{{"prefix":"docker.io/library/x","pin":"{}"}}]}}"#,
            digest(&good)
        );
        let (home, trust) = home(Some(&policy));
        let rule = judge(&trust, Some("x:1"), &good).unwrap();
        assert_eq!(rule, Rule::Pinned(digest(&good)));
        let error = judge(&trust, Some("x:1"), &bad).unwrap_err();
        assert_eq!(error.kind(), hull_types::ErrorKind::Untrusted);
        let text = error.to_string();
        assert!(text.contains(&digest(&good).to_string()), "{text}");
        assert!(text.contains(&digest(&bad).to_string()), "{text}");
        assert!(error.hint().unwrap().contains("policy.json"));
        judge(&trust, Some("y:1"), &bad).unwrap();
        assert_eq!(ledger(&home).len(), 2);
    }

    #[test]
    fn a_pin_may_name_the_index() {
        let bytes = manifest("a");
        let index = index_of(&bytes);
        let policy = format!(
            r#"{{"version":1,"rules":[{{"prefix":"docker.io/library/x","pin":"{}"}}]}}"#,
            digest(&index)
        );
        let (_home, trust) = home(Some(&policy));
        let reference = "x:1".parse().unwrap();
        let evaluate = |bytes: &[u8], index: &[u8]| {
            let (own, above) = (digest(bytes), digest(index));
            let document = |digest, bytes| Document { digest, bytes };
            let index = Some(document(&above, index));
            trust.evaluate(Some(&reference), document(&own, bytes), index)
        };
        evaluate(&bytes, &index).unwrap();
        let other = manifest("other");
        assert!(matches!(
            evaluate(&other, &index),
            Err(TrustError::NotListed { .. })
        ));
        assert!(matches!(
            evaluate(&other, &index_of(&other)),
            Err(TrustError::NotPinned { .. })
        ));
    }

    #[test]
    fn bytes_must_have_the_digest_they_came_under() {
        let (home, trust) = home(None);
        let (expected, bytes) = (digest(b"other"), manifest("a"));
        let document = Document {
            digest: &expected,
            bytes: &bytes,
        };
        assert!(matches!(
            trust.evaluate(None, document, None),
            Err(TrustError::WrongDigest { .. })
        ));
        assert!(ledger(&home).is_empty());
    }

    #[test]
    fn a_policy_that_cannot_be_read_trusts_nothing() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("trust")).unwrap();
        std::fs::File::create(home.path().join("trust/policy.json")).unwrap();
        let error = Trust::open(home.path()).unwrap_err();
        assert_eq!(error.kind(), hull_types::ErrorKind::Untrusted);
    }
}
