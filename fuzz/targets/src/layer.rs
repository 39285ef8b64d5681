//! A layer unpacked, whatever its archive says.

use std::collections::HashSet;

use hull_fs::Durability;
use hull_snapshot::{Directories, Driver, Options, SnapshotError};
use hull_types::{DiffId, Digest};

use crate::{
    scratch::{self, Scratch},
    tar::{LIMITS, also_with_right_checksums},
};

/// Nothing outside the store is touched, no device is made, a refused layer leaves nothing, and one that was accepted can be
/// removed.
pub fn layer(bytes: &[u8]) {
    also_with_right_checksums(bytes, judge);
}

fn judge(bytes: &[u8]) {
    let scratch = Scratch::new();
    let root = scratch.root();
    let options = Options {
        limits: LIMITS,
        durability: Durability::Cached,
        ..Options::default()
    };
    let driver = Directories::open(&root, options).expect("an empty root can be opened");
    let id = DiffId(Digest::sha256(&[7; 32]));
    match unpack(&driver, &id, bytes) {
        Ok(()) => {
            // Reading the tree asks each entry what it is.
            let tree = scratch::tree(&root.join("layers"));
            assert!(tree.len() > 4);
            driver.remove(&id).expect("a layer nobody holds goes");
        }
        Err(error) => super::explain(&error),
    }
    scratch.outside_is_untouched();
    let collected = driver
        .collect(&HashSet::new())
        .expect("a store can be collected");
    assert_eq!((collected.layers.len(), collected.unfinished), (0, 0));
    assert_eq!(scratch::names(&root.join("layers")), [".lock"]);
    assert!(scratch::names(&root.join("garbage")).is_empty());
}

fn unpack(driver: &Directories, id: &DiffId, mut bytes: &[u8]) -> Result<(), SnapshotError> {
    let mut unpacking = driver.begin()?;
    unpacking.write_from(&mut bytes)?;
    assert!(bytes.is_empty(), "the stream is read to its very end");
    unpacking.commit(id)?;
    Ok(())
}
