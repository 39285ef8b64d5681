//! Unpacks one gzip-compressed layer as an import does (decompress, hash both sides, extract, commit), for measuring:
//!
//! ```sh
//! cargo build --release -p hull-snapshot --example unpack
//! time target/…/release/examples/unpack layer.tar.gz /mnt/root [cached]
//! ```
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use hull_fs::Durability;
use hull_snapshot::{Directories, Driver, Options};
use hull_types::{DiffId, Digest};
use sha2::{Digest as _, Sha256};

/// Hashes what is read through it.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(into)?;
        self.hash.update(&into[..length]);
        Ok(length)
    }
}

fn hashing<R>(inner: R) -> Hashing<R> {
    Hashing {
        inner,
        hash: Sha256::new(),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let layer = arguments
        .next()
        .ok_or("usage: unpack LAYER.tar.gz ROOT [cached]")?;
    let root = arguments
        .next()
        .ok_or("usage: unpack LAYER.tar.gz ROOT [cached]")?;
    let durability = match arguments.next() {
        Some(_) => Durability::Cached,
        None => Durability::Synced,
    };
    let options = Options {
        durability,
        ..Options::default()
    };
    let driver = Directories::open(Path::new(&root), options)?;
    let compressed = BufReader::with_capacity(256 << 10, hashing(File::open(layer)?));
    let mut tar = hashing(flate2::bufread::MultiGzDecoder::new(compressed));
    let mut unpacking = driver.begin()?;
    unpacking.write_from(&mut tar)?;
    let id = DiffId(Digest::sha256(&tar.hash.finalize().into()));
    let (record, _hold) = unpacking.commit(&id)?;
    println!(
        "{}: {} entries, {} bytes",
        record.diff_id, record.entries, record.size
    );
    Ok(())
}
