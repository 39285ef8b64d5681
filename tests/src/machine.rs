//! The machine the tests run on: what it has, and waiting for it.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Tells whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Tells the report that this test cannot run here, and why; the test then returns.
///
/// libtest knows no such outcome: `cargo xtask test` counts the line, and without it the reason goes to the test's output.
pub fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("main").to_owned();
    let line = format!("{test}: {reason}\n");
    let file = std::env::var_os("HULL_TEST_SKIPS")
        .and_then(|path| std::fs::OpenOptions::new().append(true).open(path).ok());
    match file {
        Some(mut file) => file
            .write_all(line.as_bytes())
            .expect("the file for reasons can be written"),
        #[expect(clippy::print_stderr, reason = "libtest shows it with the test")]
        None => eprint!("not run: {line}"),
    }
}

/// Returns the first of these programs that is not installed.
pub fn missing<'a>(programs: &[&'a str]) -> Option<&'a str> {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = || path.split(':').chain(["/usr/sbin", "/sbin"]);
    programs
        .iter()
        .find(|program| !places().any(|place| Path::new(place).join(program).is_file()))
        .copied()
}

/// Returns from the test, with the reason told, unless all these programs are installed.
#[macro_export]
macro_rules! require {
    ($($program:literal),+) => {
        if let Some(missing) = $crate::missing(&[$($program),+]) {
            $crate::skip(&format!("{missing} is not installed"));
            return;
        }
    };
}

/// Waits until something is so; panics with its name when it takes longer than 10 seconds.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !so() {
        assert!(Instant::now() < until, "in 10 seconds not so: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
