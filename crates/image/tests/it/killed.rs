//! A loading process that is killed leaves only what the next collection removes.

use std::{
    io::{self, Read},
    path::Path,
    process::Command,
};

use hull_image::{Images, Import, Input};
use hull_types::Platform;

use crate::home::{Home, Parts, files, gzip, is_root, open};

/// Kills its own process after some bytes.
struct Deadly<'b> {
    bytes: &'b [u8],
    left: usize,
}

impl Read for Deadly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            std::process::abort();
        }
        let count = buffer.len().min(self.left);
        let count = self.bytes.read(&mut buffer[..count])?;
        self.left -= count;
        Ok(count)
    }
}

fn archive() -> Vec<u8> {
    let noise: Vec<u8> = (0u32..50_000)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    Parts::of(&[files(&[("a", &noise)]), files(&[("b", &noise)])]).oci_archive()
}

fn work(images: &Images, verb: &str, left: usize) {
    let bytes = match verb {
        "load" => archive(),
        _ => gzip(&archive()),
    };
    let left = bytes.len() * left / 100;
    let mut stream = Deadly {
        bytes: &bytes,
        left,
    };
    match verb {
        "load" => drop(images.load(Input::Stream(&mut stream), &Platform::host())),
        _ => drop(images.import(Input::Stream(&mut stream), &Import::default())),
    }
}

/// Not a test: what the test below starts and what dies half-way.
#[test]
#[ignore = "started by another test"]
fn child_that_dies() {
    if let (Ok(root), Ok(verb)) = (
        std::env::var("HULL_TEST_ROOT"),
        std::env::var("HULL_TEST_VERB"),
    ) {
        let left = std::env::var("HULL_TEST_LEFT").unwrap().parse().unwrap();
        work(&open(Path::new(&root)), &verb, left);
    }
}

#[test]
fn root_killed_loads_are_collected() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    home.import(&files(&[("kept", b"kept")]), "kept:1").unwrap();
    let before = home.everything();
    for verb in ["load", "import"] {
        for left in [0, 10, 50, 90, 100] {
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "killed::child_that_dies", "--ignored", "-q"])
                .env("HULL_TEST_ROOT", home.dir.path())
                .env("HULL_TEST_VERB", verb)
                .env("HULL_TEST_LEFT", left.to_string())
                .output()
                .unwrap()
                .status;
            assert!(!status.success(), "{verb} {left}");
            home.images.collect().unwrap();
            assert_eq!(home.everything(), before, "{verb} killed at {left} %");
        }
    }
}
