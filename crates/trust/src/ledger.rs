use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use hull_types::{Digest, Timestamp};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{Rule, TrustError};

/// The record of what was accepted: `ledger/ledger.jsonl`, one JSON object a line, only ever appended to.
///
/// The same acceptance is written once: an empty file `ledger/noted/<hash>` remembers each line, so that looking costs one
/// system call however long the ledger is. Lost marks cost a second line, nothing else.
#[derive(Debug)]
pub(crate) struct Ledger {
    dir: PathBuf,
}

#[derive(Serialize)]
struct Line<'a> {
    when: Timestamp,
    /// The user who asked, and the one who logged in, where the kernel keeps that (it survives sudo).
    uid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    digest: &'a Digest,
    rule: &'static str,
}

impl Ledger {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Notes that `rule` admitted this digest under this name, unless that is known.
    pub(crate) fn note(
        &self,
        reference: Option<&str>,
        digest: &Digest,
        rule: &Rule,
    ) -> Result<(), TrustError> {
        let mark = self.dir.join("noted").join(mark(reference, digest, rule));
        if mark.exists() {
            return Ok(());
        }
        let path = self.dir.join("ledger.jsonl");
        let line = Line {
            when: Timestamp::now(),
            uid: rustix::process::getuid().as_raw(),
            login_uid: login_uid(),
            reference,
            digest,
            rule: rule.as_str(),
        };
        self.append(&path, &line, &mark)
            .map_err(|source| TrustError::Ledger { path, source })
    }

    fn append(&self, path: &Path, line: &Line<'_>, mark: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.dir.join("noted"))?;
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        // One write: lines of several processes do not mix.
        file.write_all(&text)?;
        file.sync_data()?;
        File::create(mark).map(drop)
    }
}

fn mark(reference: Option<&str>, digest: &Digest, rule: &Rule) -> String {
    let words = [
        reference.unwrap_or_default(),
        &digest.to_string(),
        rule.as_str(),
    ];
    let hash: [u8; 32] = Sha256::digest(words.join("\0")).into();
    Digest::sha256(&hash).hex().to_owned()
}

/// Returns the audit system's login uid; -1 means that nobody logged in.
fn login_uid() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/self/loginuid").ok()?;
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}
