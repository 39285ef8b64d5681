//! Test binaries: built once by cargo, then run one by one with a time limit, as whoever is to run them.
//!
//! A test that finds it cannot run on this machine appends `name: reason` to the file `HULL_TEST_SKIPS` names and returns. It
//! is then counted as skipped, not as passed; libtest has no word for that.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::report::{Failure, Skip, Tally};
use crate::{run, workspace};

/// One program cargo built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binary {
    pub(crate) package: String,
    /// Its target: `it`, `processes`, or the library's own name.
    pub(crate) target: String,
    pub(crate) path: PathBuf,
    /// The package's directory, where its tests expect to be.
    pub(crate) dir: PathBuf,
    /// Made to be run by us; cargo makes the programs that integration tests start as well.
    pub(crate) is_test: bool,
}

/// A line of cargo's messages.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    target: Option<workspace::Target>,
    #[serde(default)]
    executable: Option<PathBuf>,
    #[serde(default)]
    profile: Profile,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    out_dir: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
struct Profile {
    #[serde(default)]
    test: bool,
}

/// Runs a cargo command that builds, and returns the programs it made.
pub(crate) fn build(words: &[&str]) -> Result<Vec<Binary>> {
    let text = messages(workspace::cargo().args(words))?;
    Ok(text.lines().filter_map(binary).collect())
}

/// The same while something more urgent is going on.
pub(crate) fn build_nicely(words: &[&str]) -> Result<Vec<Binary>> {
    let cargo = workspace::cargo();
    let mut nice = Command::new("nice");
    nice.args(["-n", "10"]).arg(cargo.get_program()).args(words);
    let text = messages(nice.current_dir(workspace::root()))?;
    Ok(text.lines().filter_map(binary).collect())
}

/// Returns the directory a package's build script wrote to.
pub(crate) fn out_dir(package: &str) -> Result<PathBuf> {
    let text = messages(workspace::cargo().args(["check", "--package", package]))?;
    let dirs = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok());
    dirs.filter(|message| message.reason == "build-script-executed")
        .filter(|message| {
            let path = message.package_id.split('#').next().unwrap_or_default();
            path.ends_with(package.trim_start_matches("hull-"))
        })
        .find_map(|message| message.out_dir)
        .with_context(|| format!("{package} has no build script"))
}

fn messages(command: &mut Command) -> Result<String> {
    let output = command
        .args(["--quiet", "--message-format=json-render-diagnostics"])
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().collect();
        bail!(
            "{command:?} failed:\n{}",
            lines[lines.len().saturating_sub(120)..].join("\n")
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn binary(line: &str) -> Option<Binary> {
    let message: Message = serde_json::from_str(line).ok()?;
    let dir = message.manifest_path.parent()?.to_owned();
    Some(Binary {
        package: dir.file_name()?.to_string_lossy().into_owned(),
        target: message.target?.name,
        path: message.executable?,
        dir,
        is_test: message.profile.test,
    })
}

/// Who runs a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Whoever runs xtask.
    Same,
    /// An ordinary user, by name, with this home.
    Ordinary { name: String, home: PathBuf },
}

/// How to run tests.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) user: User,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) limit: Duration,
    /// How many at once, for those that must not share the machine with each other.
    pub(crate) threads: Option<usize>,
    /// Words for the test program, such as a filter.
    pub(crate) words: Vec<String>,
}

impl Manner {
    pub(crate) fn plain(limit: Duration) -> Self {
        Self {
            user: User::Same,
            environment: Vec::new(),
            limit,
            threads: None,
            words: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }
}

impl Binary {
    /// Runs it.
    pub(crate) fn run(&self, manner: &Manner) -> Result<Tally> {
        let skips = self.skips_file()?;
        let mut command = manner.command(&self.path);
        command.current_dir(match manner.user {
            User::Same => &self.dir,
            // The tree may lie where an ordinary user cannot go.
            User::Ordinary { ref home, .. } => home,
        });
        command
            .env("CARGO_MANIFEST_DIR", &self.dir)
            .env("INSTA_WORKSPACE_ROOT", workspace::root())
            .env("INSTA_UPDATE", "no")
            .env("HULL_TEST_SKIPS", &skips);
        if let Some(threads) = manner.threads {
            command.env("RUST_TEST_THREADS", threads.to_string());
        }
        let ended = run::ended(&mut command)?;
        let reasons = std::fs::read_to_string(&skips).unwrap_or_default();
        std::fs::remove_file(&skips).ok();
        Ok(self.read(&ended, &reasons))
    }

    /// Understands what it wrote: on its outputs, and into the file for reasons.
    pub(crate) fn read(&self, ended: &run::Ended, reasons: &str) -> Tally {
        read(&self.name(), ended, reasons)
    }

    /// Returns its name in the report.
    pub(crate) fn name(&self) -> String {
        format!("{}::{}", self.package, self.target)
    }

    /// Makes the file for reasons, which any user may append to.
    fn skips_file(&self) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let path =
            std::env::temp_dir().join(format!("hull-skips-{}-{}", std::process::id(), self.target));
        std::fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
        Ok(path)
    }
}

impl Manner {
    fn command(&self, program: &Path) -> Command {
        let mut command = run::limited(self.limit, program);
        if let User::Ordinary { name, home } = &self.user {
            let limited = std::mem::replace(&mut command, Command::new("setpriv"));
            command
                .args([
                    "--reuid",
                    name,
                    "--regid",
                    name,
                    "--init-groups",
                    "--inh-caps=-all",
                ])
                .arg(limited.get_program())
                .args(limited.get_args())
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                .env("HOME", home)
                .env("USER", name)
                .env("XDG_RUNTIME_DIR", home.join("run"));
        }
        command
            .args(&self.words)
            .envs(self.environment.iter().cloned());
        // A terminal's interrupt is for xtask to see; the tests' own process groups end with `timeout`.
        command.process_group(0);
        command
    }
}

/// Understands what a test program wrote. One that does not write as libtest does counts as one test.
fn read(name: &str, ended: &run::Ended, reasons: &str) -> Tally {
    let mut tally = Tally::default();
    let mut concluded = false;
    for line in ended.text.lines() {
        let line = line.trim_end();
        if let Some(counts) = line.strip_prefix("test result: ") {
            tally.passed += count(counts, "passed");
            concluded = true;
        } else if let Some(test) = line.strip_prefix("test ") {
            tally.add(outcome(name, test));
        }
    }
    for reason in reasons.lines().filter(|line| !line.trim().is_empty()) {
        let (test, reason) = reason
            .split_once(": ")
            .unwrap_or((reason, "no reason given"));
        tally.skipped.push(Skip {
            name: format!("{name} {test}"),
            reason: reason.to_owned(),
        });
        tally.passed = tally.passed.saturating_sub(1);
    }
    if !concluded && ended.succeeded() {
        tally.passed += u32::from(tally.skipped.is_empty());
    }
    if !ended.succeeded() && (!concluded || tally.failed.is_empty()) {
        let how = if ended.timed_out() {
            "ran out of time"
        } else {
            "ended"
        };
        tally.failed.push(Failure {
            name: format!("{name} ({how}, code {})", ended.code),
            output: String::new(),
        });
    }
    if let Some(first) = tally.failed.first_mut() {
        first.output = failure_text(&ended.text);
    }
    tally
}

/// Returns the end of what was written, without the tests that passed.
fn failure_text(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.ends_with("... ok") && !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(100)..].join("\n")
}

/// Reads `NAME ... FAILED` or `NAME ... ignored, REASON`.
fn outcome(binary: &str, line: &str) -> Tally {
    let Some((test, outcome)) = line.split_once(" ... ") else {
        return Tally::default();
    };
    let name = format!("{binary} {test}");
    match outcome.split_once(", ").unwrap_or((outcome, "")) {
        (failed, _) if failed.starts_with("FAILED") => Tally::fail(name, ""),
        // One half of a test: the other half runs it, in a process of its own.
        ("ignored", "started by another test") => Tally::default(),
        ("ignored", "") => Tally::skip(name, "no reason given"),
        ("ignored", reason) => Tally::skip(name, reason),
        _ => Tally::default(),
    }
}

fn count(counts: &str, what: &str) -> u32 {
    let mut parts = counts.split([';', '.']).map(str::trim);
    let number = parts.find_map(|part| part.strip_suffix(what));
    number
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Ended;

    fn tally(code: i32, text: &str, reasons: &str) -> Tally {
        read(
            "fs::it",
            &Ended {
                code,
                text: text.to_owned(),
            },
            reasons,
        )
    }

    #[test]
    fn libtest_is_understood() {
        let text = "\nrunning 4 tests\ntest a ... ok\ntest b::c ... FAILED\ntest d ... ignored, needs cgroup v2\n\
            test e ... ok\n\ntest result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n";
        let tally = tally(101, text, "e: no loop device\n");
        assert_eq!(tally.passed, 1);
        assert_eq!(tally.failed[0].name, "fs::it b::c");
        assert!(tally.failed[0].output.contains("test b::c ... FAILED"));
        assert!(!tally.failed[0].output.contains("test a ... ok"));
        let skipped: Vec<_> = tally
            .skipped
            .iter()
            .map(|skip| (skip.name.as_str(), skip.reason.as_str()))
            .collect();
        assert_eq!(
            skipped,
            [
                ("fs::it d", "needs cgroup v2"),
                ("fs::it e", "no loop device")
            ]
        );
    }

    #[test]
    fn program_with_its_own_main_is_one_test() {
        assert_eq!(tally(0, "test one ...\ntest two ...\n", ""), Tally::pass());
        let failed = tally(101, "test one ...\npanicked", "");
        assert_eq!((failed.passed, failed.failed.len()), (0, 1));
        assert_eq!(failed.failed[0].name, "fs::it (ended, code 101)");
    }

    #[test]
    fn running_out_of_time_is_a_failure_by_name() {
        let late = tally(124, "running 2 tests\ntest a ... ok\n", "");
        assert_eq!(late.failed[0].name, "fs::it (ran out of time, code 124)");
    }

    #[test]
    fn cargo_messages_name_programs() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///tree/crates/fs#hull-fs@0.1.0","manifest_path":"/tree/crates/fs/Cargo.toml","target":{"kind":["test"],"name":"it"},"profile":{"opt_level":"1","test":true},"executable":"/target/it-1"}"#;
        let binary = binary(line).unwrap();
        assert_eq!(
            (binary.name().as_str(), binary.path.to_str()),
            ("fs::it", Some("/target/it-1"))
        );
        assert_eq!(
            super::binary(r#"{"reason":"build-finished","success":true}"#),
            None
        );
    }
}
