//! Archives of images and of root file systems: what they are is seen from their bytes.

use std::{io::Read as _, path::Path};

use hull_fs::Durability;
use hull_image::{Compression, ImageError, Images, Import, Input, Limits, decompress};
use hull_snapshot::Options;
use hull_types::{Platform, ShortNames};

use crate::{
    scratch::{self, Scratch},
    tar::{LIMITS, also_with_right_checksums},
};

const MOST: u64 = 1 << 20;

/// What cannot be loaded or imported leaves nothing; what can is there under one of its names, and goes again.
pub fn archive(bytes: &[u8]) {
    also_with_right_checksums(bytes, judge);
}

fn judge(bytes: &[u8]) {
    let mut plain = Vec::new();
    let opened = decompress(bytes).and_then(|stream| stream.take(MOST).read_to_end(&mut plain));
    if Compression::of(bytes) == Compression::None {
        opened.expect("what is not compressed comes out as it is");
        assert!(bytes.starts_with(&plain));
    }
    attempt(bytes, |images, bytes| {
        images.load(Input::Stream(bytes), &Platform::host())
    });
    attempt(bytes, |images, bytes| {
        let image = images.import(Input::Stream(bytes), &Import::default());
        image.map(|image| vec![image])
    });
}

fn attempt<F>(mut bytes: &[u8], bring_in: F)
where
    F: Fn(&Images, &mut &[u8]) -> Result<Vec<hull_image::Image>, ImageError>,
{
    let scratch = Scratch::new();
    let images = open(&scratch.root());
    images.collect().expect("an empty store can be collected");
    let before = contents(&scratch.root());
    match bring_in(&images, &mut bytes) {
        Ok(loaded) => {
            for image in loaded {
                let id = image.digest.to_string();
                images.resolve(&id).expect("what was loaded is there");
            }
        }
        Err(error) => {
            super::explain(&error);
            assert_eq!(contents(&scratch.root()), before, "{error}");
        }
    }
    scratch.outside_is_untouched();
}

fn open(root: &Path) -> Images {
    let options = Options {
        limits: LIMITS,
        durability: Durability::Cached,
        ..Options::default()
    };
    let limits = Limits {
        unpacked_bytes: MOST,
        members: 256,
        tar: LIMITS,
        ..Limits::default()
    };
    Images::open(root, ShortNames::default(), options)
        .expect("an empty root can be opened")
        .with_limits(limits)
}

/// The paths of everything in a root, but for the ledger, which remembers failures too.
fn contents(root: &Path) -> Vec<std::path::PathBuf> {
    let tree = scratch::tree(root);
    let ledger = root.join("ledger");
    tree.into_keys()
        .filter(|path| !path.starts_with(&ledger))
        .collect()
}
