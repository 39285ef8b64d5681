//! The whole-program suites of `tests/` (package `hull-suites`; tests/README.md says how one is written).
//!
//! The first word of a suite's name says who runs it and where: `root_…`, `rootless_…`, `guest_…`; `slice_…` are the long ones, of
//! which CI runs one a day. Every other one runs as whoever started the tests.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};

use crate::binaries::{self, Binary, Manner, User};
use crate::guest::{self, Guest};
use crate::report::Tally;
use crate::workspace::{self, Metadata};
use crate::{rootfs, run};

const PACKAGE: &str = "hull-suites";
/// Made when the tests run as root, so that the ordinary user's suites run too.
const ORDINARY: &str = "hull-test";

/// Everything the suites need, made once.
#[derive(Debug)]
pub(crate) struct Suites {
    binaries: Vec<Binary>,
    hull: PathBuf,
    rootfs: PathBuf,
}

/// Who runs a suite, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Root,
    Rootless,
    Guest,
    Slice,
}

impl Kind {
    fn of(target: &str) -> Self {
        match target.split_once('_').map(|(first, _)| first) {
            Some("root") => Self::Root,
            Some("rootless") => Self::Rootless,
            Some("guest") => Self::Guest,
            Some("slice") => Self::Slice,
            _ => Self::Plain,
        }
    }
}

impl Suites {
    /// Builds them. `hull` is the program to test.
    pub(crate) fn build(hull: PathBuf) -> Result<Self> {
        let binaries = match Metadata::read()?.member(PACKAGE) {
            Some(_) => binaries::build(&["test", "--no-run", "--package", PACKAGE, "--tests"])?,
            None => Vec::new(),
        };
        let rootfs = workspace::scratch()?.join("busybox.tar");
        if Path::new("/bin/busybox").exists() {
            rootfs::write(&rootfs)?;
        }
        Ok(Self {
            binaries,
            hull,
            rootfs,
        })
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Binary> {
        self.binaries
            .iter()
            .filter(move |binary| Kind::of(&binary.target) == kind)
    }

    /// Runs all of a kind.
    pub(crate) fn run(&self, kind: Kind, limit: Duration) -> Result<Tally> {
        if self.of(kind).next().is_none() {
            return Ok(Tally::skip(
                format!("{kind:?}"),
                "there is no suite of this kind in tests/ yet",
            ));
        }
        match kind {
            Kind::Plain => self.here(kind, limit),
            Kind::Root | Kind::Slice if !is_root() => Ok(self.skip(kind, "needs root")),
            Kind::Root | Kind::Slice => self.here(kind, limit),
            Kind::Rootless => self.ordinary(limit),
            Kind::Guest => self.guest(limit),
        }
    }

    /// Returns the long suites.
    pub(crate) fn slices(&self) -> Vec<Binary> {
        self.of(Kind::Slice).cloned().collect()
    }

    /// Runs one slice. With a `stride` above 1 those that try many points leave out as many.
    pub(crate) fn run_slice(&self, slice: &Binary, limit: Duration, stride: u32) -> Result<Tally> {
        if !is_root() {
            return Ok(Tally::skip(slice.target.clone(), "needs root"));
        }
        let manner = self.manner(limit)?;
        slice.run(&manner.with("HULL_TEST_STRIDE", stride.to_string()))
    }

    fn skip(&self, kind: Kind, reason: &str) -> Tally {
        let mut tally = Tally::default();
        for binary in self.of(kind) {
            tally.add(Tally::skip(binary.name(), reason));
        }
        tally
    }

    fn manner(&self, limit: Duration) -> Result<Manner> {
        Ok(Manner::plain(limit)
            .with("HULL_BIN", &self.hull)
            .with("HULL_ROOTFS", &self.rootfs)
            .with("HULL_XTASK", std::env::current_exe()?))
    }

    fn here(&self, kind: Kind, limit: Duration) -> Result<Tally> {
        let mut tally = Tally::default();
        for binary in self.of(kind) {
            tally.add(binary.run(&self.manner(limit)?)?);
        }
        Ok(tally)
    }

    fn ordinary(&self, limit: Duration) -> Result<Tally> {
        if !is_root() {
            return self.here(Kind::Rootless, limit);
        }
        let Some(home) = ordinary_home() else {
            return Ok(self.skip(
                Kind::Rootless,
                "cannot make the user `hull-test` (useradd, setpriv)",
            ));
        };
        let bench = Bench::lay_out(&home)?;
        let mut tally = Tally::default();
        for binary in self.of(Kind::Rootless) {
            let mut manner = Manner::plain(limit)
                .with("HULL_BIN", bench.copy(&self.hull)?)
                .with("HULL_ROOTFS", bench.copy(&self.rootfs)?)
                .with("HULL_XTASK", bench.copy(&std::env::current_exe()?)?);
            manner.user = User::Ordinary {
                name: ORDINARY.to_owned(),
                home: home.clone(),
            };
            let moved = Binary {
                path: bench.copy(&binary.path)?,
                ..binary.clone()
            };
            tally.add(moved.run(&manner)?);
        }
        Ok(tally)
    }

    fn guest(&self, limit: Duration) -> Result<Tally> {
        if let Some(reason) = guest::missing() {
            return Ok(self.skip(Kind::Guest, &reason));
        }
        if !is_root() {
            return Ok(self.skip(
                Kind::Guest,
                "needs root: the guest's programs see the host's files as we do",
            ));
        }
        let mut tally = Tally::default();
        for binary in self.of(Kind::Guest) {
            tally.add(self.in_guest(binary, limit)?);
        }
        Ok(tally)
    }

    fn in_guest(&self, binary: &Binary, limit: Duration) -> Result<Tally> {
        let dir = workspace::scratch()?.join("guest");
        std::fs::create_dir_all(&dir)?;
        let manner = self.manner(limit)?;
        let skips = dir.join("skips");
        std::fs::write(&skips, "")?;
        let mut environment = manner.environment;
        environment.push(("HULL_TEST_SKIPS".into(), skips.clone().into()));
        environment.push(("CARGO_MANIFEST_DIR".into(), binary.dir.clone().into()));
        let guest = Guest {
            memory: "2G".to_owned(),
            limit,
            dir,
            environment,
        };
        let mut text = String::new();
        // One processor: tests beside each other only wait.
        let command: Vec<OsString> = vec![binary.path.clone().into(), "--test-threads=1".into()];
        let code = guest.run(&command, |line| {
            text.push_str(line);
            text.push('\n');
        })?;
        let ended = run::Ended {
            code: code.unwrap_or(124),
            text,
        };
        let reasons = std::fs::read_to_string(&skips).unwrap_or_default();
        Ok(binary.read(&ended, &reasons))
    }
}

/// Which of `count` slices is today's.
pub(crate) fn todays(count: usize) -> usize {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    usize::try_from(since.as_secs() / 86_400).unwrap_or(0) % count.max(1)
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns the ordinary user's home, making the user when there is none.
fn ordinary_home() -> Option<PathBuf> {
    if !run::is_installed("setpriv") {
        return None;
    }
    let found = || {
        let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
        let line = passwd
            .lines()
            .find(|line| line.starts_with(&format!("{ORDINARY}:")))?;
        Some(PathBuf::from(line.split(':').nth(5)?))
    };
    found().or_else(|| {
        // useradd hands out ranges of subordinate ids as well.
        run::checked(Command::new("useradd").args(["--create-home", ORDINARY])).ok()?;
        found()
    })
}

/// A place where the ordinary user finds the programs: the tree may lie where that user cannot go.
struct Bench {
    dir: PathBuf,
}

impl Bench {
    fn lay_out(home: &Path) -> Result<Self> {
        let dir = home.join(format!("programs-{}", std::process::id()));
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let runtime = home.join("run");
        std::fs::create_dir_all(&runtime)?;
        let owner = format!("{ORDINARY}:{ORDINARY}");
        run::checked(Command::new("chown").args([&owner]).arg(&runtime))?;
        run::checked(Command::new("chmod").arg("0700").arg(&runtime))?;
        Ok(Self { dir })
    }

    /// Copies a file there, and what lies beside `hull` with it.
    fn copy(&self, path: &Path) -> Result<PathBuf> {
        let name = path.file_name().context("a program has a name")?;
        let copy = self.dir.join(name);
        if !copy.exists() {
            std::fs::copy(path, &copy)
                .with_context(|| format!("cannot copy {}", path.display()))?;
        }
        let monitor = path.with_file_name("hull-monitor");
        if name == "hull" && monitor.exists() {
            self.copy(&monitor)?;
        }
        Ok(copy)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_says_who_runs_a_suite() {
        for (name, kind) in [
            ("root_run", Kind::Root),
            ("rootless_run", Kind::Rootless),
            ("guest_cgroups", Kind::Guest),
            ("slice_runc_bats", Kind::Slice),
            ("words", Kind::Plain),
            ("rootfs", Kind::Plain),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }
}
