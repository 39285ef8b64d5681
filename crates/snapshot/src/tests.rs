//! Tests of the crate as a whole. Most need root, say so in their names, and skip themselves without it.

mod against_gnu_tar;
mod commits;
mod disorder;
mod full;
mod killed;
mod rootless;

use std::path::Path;

use hull_fs::Durability;
use tempfile::TempDir;

use crate::{Directories, Options, conformance};

/// Says whether a test that needs root can run.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

pub(crate) fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn directories(root: &Path) -> Directories {
    // Nobody cuts the power during a test, and syncing waits for whatever else the machine writes.
    let durability = Durability::Cached;
    Directories::open(
        root,
        Options {
            durability,
            ..Options::default()
        },
    )
    .unwrap()
}

#[test]
fn root_directories_conform() {
    if is_root() {
        let home = home();
        conformance::conformance(home.path(), &|root| Box::new(directories(root)));
    }
}
