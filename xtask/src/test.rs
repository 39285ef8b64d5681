//! `cargo xtask test` and `check`: stages, each with a budget; CI reads the last line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use crate::binaries::{self, Binary, Manner};
use crate::report::{Report, Tally};
use crate::suites::{Kind, Suites, todays};
use crate::{bench, debian, deny, fuzz, layers, options::Options, run, verified, workspace};

/// CI ends a run after 25 minutes; what built xtask and fetched the tree is not in this.
const CI: Duration = Duration::from_secs(23 * 60);
const ALL: Duration = Duration::from_secs(6 * 60 * 60);
/// No single test program may take longer.
const ONE_BINARY: Duration = Duration::from_secs(3 * 60);

/// In CI, slices that try one point after another try each so-many-th, beginning elsewhere each day.
const STRIDE: u32 = 5;

/// What takes longer is named, so that somebody may look at it.
const SLOW: Duration = Duration::from_secs(15);

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Ci,
    All,
}

/// Everything CI runs, or everything there is.
pub(crate) fn test(words: &[String]) -> Result<ExitCode> {
    let mut options = Options::new(words);
    let extent = if options.flag("--all") {
        Extent::All
    } else {
        Extent::Ci
    };
    let install = !options.flag("--no-install");
    let fuzzing = match options.value("--fuzz")? {
        Some(seconds) => Duration::from_secs(seconds.parse().context("--fuzz takes seconds")?),
        None => fuzz::USUAL,
    };
    options.rest()?;
    let mut report = Report::within(if extent == Extent::All { ALL } else { CI });
    let missing = if install {
        debian::install()?
    } else {
        Vec::new()
    };
    if !missing.is_empty() {
        println!(
            "missing packages: {} (suites that need them say so)",
            missing.join(" ")
        );
    }
    checks(&mut report);
    let tests = build_tests(&mut report);
    // The linker of one and the waits of the other go well together on two processors.
    let programs = std::thread::spawn(|| binaries::build_nicely(&RELEASE));
    unit_tests(&mut report, &tests);
    whole_programs(&mut report, extent, programs);
    if extent == Extent::All {
        beyond_ci(&mut report, fuzzing);
        verified::write(&report)?;
    }
    Ok(conclude(&report))
}

/// The quick half.
pub(crate) fn check(words: &[String]) -> Result<ExitCode> {
    Options::new(words).rest()?;
    let mut report = Report::within(CI);
    checks(&mut report);
    let tests = build_tests(&mut report);
    unit_tests(&mut report, &tests);
    Ok(conclude(&report))
}

fn conclude(report: &Report) -> ExitCode {
    report.conclude();
    ExitCode::from(u8::from(report.failed()))
}

fn checks(report: &mut Report) {
    report.stage("format", 1, || {
        cargo("format", &["fmt", "--all", "--", "--check", "-l"])
    });
    report.stage("layers", 1, || Ok(one_check("layers", &layers::check()?)));
    report.stage("dependencies", 1, || {
        Ok(one_check("dependencies", &deny::check()?))
    });
    report.stage("clippy", 5, || {
        cargo(
            "clippy",
            &[
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
        )
    });
}

fn build_tests(report: &mut Report) -> Vec<Binary> {
    let build = [
        "test",
        "--no-run",
        "--workspace",
        "--exclude",
        "hull-suites",
        // Whatever has tests: naming the programs would test those that say they have none.
        "--tests",
    ];
    let mut built = Vec::new();
    report.stage("build tests", 6, || {
        built = binaries::build(&build)?;
        Ok(Tally::pass())
    });
    built
}

/// Unit, property and crate-integration tests: everything but the suites of whole programs.
fn unit_tests(report: &mut Report, tests: &[Binary]) {
    let end = Instant::now() + report.left();
    report.stage("unit tests", 5, || {
        let mut tally = Tally::default();
        for binary in tests.iter().filter(|binary| binary.is_test) {
            let began = Instant::now();
            let left = end
                .saturating_duration_since(began)
                .max(Duration::from_secs(10));
            tally.add(binary.run(&Manner::plain(ONE_BINARY.min(left)))?);
            if began.elapsed() > SLOW {
                println!(
                    "        {} took {} s",
                    binary.name(),
                    began.elapsed().as_secs()
                );
            }
        }
        Ok(tally)
    });
}

/// The suites and measurements that need the programs people run: the release build, which is also what the README builds.
fn whole_programs(report: &mut Report, extent: Extent, programs: JoinHandle<Result<Vec<Binary>>>) {
    let mut hull = None;
    report.stage("build programs", 6, || {
        hull =
            Some(program(programs.join().map_err(|_| {
                anyhow!("the thread that builds panicked")
            })??)?);
        Ok(Tally::pass())
    });
    let Some(hull) = hull else { return };
    let mut suites = None;
    report.stage("build suites", 3, || {
        suites = Some(Suites::build(hull.clone())?);
        Ok(Tally::pass())
    });
    if let Some(suites) = suites {
        let limit = |minutes: u64| Duration::from_secs(60 * minutes);
        report.stage_if_time("root suites", 4, || suites.run(Kind::Root, limit(4)));
        report.stage_if_time("rootless suites", 3, || {
            suites.run(Kind::Rootless, limit(3))
        });
        report.stage_if_time("other suites", 2, || suites.run(Kind::Plain, limit(2)));
        report.stage_if_time("guest suites", 3, || suites.run(Kind::Guest, limit(3)));
        report.stage_if_time("bench --check", 2, || {
            bench::check(&hull, bench::Depth::Counts)
        });
        slices(report, &suites, extent);
    }
}

/// In CI the slice of the day; with `--all` each.
fn slices(report: &mut Report, suites: &Suites, extent: Extent) {
    let slices = suites.slices();
    let minutes = if extent == Extent::All { 30 } else { 3 };
    for (index, slice) in slices.iter().enumerate() {
        if extent == Extent::All || index == todays(slices.len()) {
            let limit = Duration::from_secs(60 * minutes);
            let stride = if extent == Extent::All { 1 } else { STRIDE };
            report.stage_if_time(&slice.target, minutes, || {
                suites.run_slice(slice, limit, stride)
            });
        }
    }
    if slices.is_empty() {
        report.stage("slices", minutes, || {
            Ok(Tally::skip("slices", "there is no slice in tests/ yet"))
        });
    }
}

/// What CI has no time for.
fn beyond_ci(report: &mut Report, fuzzing: Duration) {
    report.stage("build fuzz targets", 20, fuzz::build);
    for target in fuzz::targets() {
        report.stage_if_time(&format!("fuzz {target}"), 4, || {
            fuzz::fuzz(&target, fuzzing)
        });
    }
    report.stage("documents", 10, || {
        let mut command = workspace::cargo();
        command.env("RUSTDOCFLAGS", "-D warnings").args([
            "doc",
            "--quiet",
            "--workspace",
            "--no-deps",
        ]);
        judge("documents", &run::ended(&mut command)?)
    });
    report.stage("doc tests", 10, || {
        cargo("doc tests", &["test", "--quiet", "--workspace", "--doc"])
    });
    report.stage("cargo deny", 10, || {
        if !run::ended(workspace::cargo().args(["deny", "--version"]))?.succeeded() {
            return Ok(Tally::skip(
                "cargo deny",
                "cargo-deny is not installed: advisories were not looked up",
            ));
        }
        cargo("cargo deny", &["deny", "check"])
    });
    report.stage("bench --check --all", 30, || {
        bench::check(&release()?, bench::Depth::Ratios)
    });
}

/// As people build them.
const RELEASE: [&str; 2] = ["build", "--release"];

/// Builds the programs as people do, and returns `hull`; its monitor lies beside it.
pub(crate) fn release() -> Result<PathBuf> {
    program(binaries::build(&RELEASE)?)
}

fn program(built: Vec<Binary>) -> Result<PathBuf> {
    let hull = built.into_iter().find(|binary| binary.target == "hull");
    Ok(hull.context("cargo build made no program `hull`")?.path)
}

fn cargo(name: &str, words: &[&str]) -> Result<Tally> {
    judge(name, &run::ended(workspace::cargo().args(words))?)
}

fn judge(name: &str, ended: &run::Ended) -> Result<Tally> {
    Ok(if ended.succeeded() {
        Tally::pass()
    } else {
        Tally::fail(name, ended.tail(120))
    })
}

fn one_check(name: &str, complaints: &[String]) -> Tally {
    if complaints.is_empty() {
        Tally::pass()
    } else {
        Tally::fail(name, complaints.join("\n"))
    }
}
