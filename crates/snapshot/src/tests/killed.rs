//! A process killed while it unpacks leaves what the next collection removes, and nothing else.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::{directories, home, is_root};
use crate::Driver;
use crate::conformance::layer::Layer;

const CHILD: &str = "HULL_SNAPSHOT_TEST_CHILD";

/// Gives an archive and then nothing more, without ending.
struct Stuck {
    archive: Vec<u8>,
    position: usize,
}

impl Read for Stuck {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.archive[self.position..];
        if rest.is_empty() {
            println!("\nstuck");
            loop {
                std::thread::park();
            }
        }
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        self.position += length;
        Ok(length)
    }
}

/// Not a test of its own: the process that `root_killed_unpackings_are_collected` kills.
#[test]
fn root_child_unpacks_until_it_is_killed() {
    let Some(root) = std::env::var_os(CHILD) else {
        return;
    };
    let driver = directories(root.as_ref());
    let archive = (0..1000).fold(Layer::new(), |layer, number| {
        layer.file(&format!("d{}/f{number}", number % 10), "contents")
    });
    let mut stuck = Stuck {
        archive: archive.cut(1000 * 1024),
        position: 0,
    };
    driver.begin().unwrap().write_from(&mut stuck).unwrap();
}

#[test]
fn root_killed_unpackings_are_collected() {
    if !is_root() {
        return;
    }
    let home = home();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "tests::killed::root_child_unpacks_until_it_is_killed",
            "--nocapture",
        ])
        .env(CHILD, home.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map(Result::unwrap).any(|line| line == "stuck"));
    let driver = directories(home.path());
    let nothing = HashSet::new();
    // It is alive: what it has is its own.
    assert_eq!(driver.collect(&nothing).unwrap().unfinished, 0);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(driver.list().unwrap().is_empty());
    assert_eq!(driver.collect(&nothing).unwrap().unfinished, 1);
    let names = |directory: &str| {
        let mut names: Vec<_> = std::fs::read_dir(home.path().join(directory))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("layers"), [".lock"]);
    assert_eq!(names("garbage"), [""; 0]);
}
