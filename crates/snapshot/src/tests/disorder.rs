//! Entries in any order, over each other, through links: an error or a layer, never anything outside.

use std::collections::HashSet;
use std::fs::File;

use hull_fs::tar::Kind;
use proptest::prelude::*;

use super::{directories, home, is_root};
use crate::Driver;
use crate::conformance::layer::{Layer, entry, entry_path};
use crate::conformance::{id, tree, try_unpack};

const PATHS: [&str; 14] = [
    "a",
    "b",
    "a/b",
    "a/b/c",
    "b/a",
    "a/.wh.b",
    ".wh.a",
    "a/.wh..wh..opq",
    "a/b/.wh.c",
    "b/c/d",
    "a-b",
    "a/b-c",
    ".",
    "b/.wh.a",
];

fn arbitrary_entry() -> impl Strategy<Value = (usize, Kind)> {
    let target = || prop::sample::select(&["/", "..", "../outside", "a", "b", "/a", "."][..]);
    let kind = prop_oneof![
        3 => Just(Kind::File),
        3 => Just(Kind::Directory),
        2 => target().prop_map(|target| Kind::Symlink(target.into())),
        2 => (0..PATHS.len() - 2).prop_map(|path| Kind::HardLink(entry_path(PATHS[path]))),
        1 => Just(Kind::Fifo),
    ];
    (0..PATHS.len(), kind)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn root_no_order_of_entries_reaches_outside(
        entries in prop::collection::vec(arbitrary_entry(), 1..12),
    ) {
        if !is_root() {
            return Ok(());
        }
        let home = home();
        let outside = home.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        File::create(outside.join("a")).unwrap();
        let guarded = || tree::read(File::open(&outside).unwrap());
        let before = guarded();
        let driver = directories(home.path());
        let archive = entries.iter().fold(Layer::new(), |layer, (path, kind)| {
            layer.entry(&entry(PATHS[*path], kind.clone()), b"")
        });
        match try_unpack(&driver, 1, &archive.end()) {
            // Everything that stands is an entry, or a directory on the way to one, or a whiteout.
            Ok(()) => {
                let tree = tree::read(driver.open(&id(1)).unwrap());
                for path in tree.keys().filter(|path| !path.is_empty()) {
                    let path = String::from_utf8_lossy(path);
                    let is_way_to = |other: &str| {
                        let other = other.replace(".wh.", "");
                        other.strip_prefix(&*path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                    };
                    prop_assert!(entries.iter().any(|(index, _)| is_way_to(PATHS[*index])), "{}", path);
                }
                driver.remove(&id(1)).unwrap();
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
        prop_assert_eq!(guarded(), before);
        let collected = driver.collect(&HashSet::new()).unwrap();
        prop_assert_eq!((collected.layers.len(), collected.unfinished), (0, 0));
        let mut left: Vec<_> = std::fs::read_dir(home.path().join("layers")).unwrap().collect();
        prop_assert_eq!(left.pop().unwrap().unwrap().file_name(), ".lock");
        prop_assert!(left.is_empty());
    }
}
