//! Tests of the crate as a whole. Most need root, say so in their names, and skip themselves without it.

mod against_gnu_tar;
mod killed;

use std::path::Path;

use tempfile::TempDir;

use crate::{Directories, Options, conformance};

/// Says whether a test that needs root can run.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn directories(root: &Path) -> Directories {
    Directories::open(root, Options::default()).unwrap()
}

#[test]
fn root_directories_conform() {
    if is_root() {
        let home = home();
        conformance::conformance(home.path(), &|root| Box::new(directories(root)));
    }
}
