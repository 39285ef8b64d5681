//! A large image that is the same everywhere: 20,000 files, 400 MB, a tar compressed with gzip.
//!
//! Sizes follow a real distribution's: most files are small, a few large ones hold most of the bytes. Contents are half
//! words, half noise, so that gzip gets to about the ratio of a Debian image.

use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use super::numbers::Random;

pub(crate) const FILES: usize = 20_000;
pub(crate) const BYTES: usize = 400_000_000;
const PER_DIRECTORY: usize = 100;

const WORDS: [&str; 16] = [
    "layer",
    "mount",
    "return",
    "static const ",
    "namespace",
    "{\n",
    "}\n",
    "the ",
    "of ",
    "and ",
    "0x0000",
    "    ",
    "lib/",
    "usr/share/",
    "=",
    ";\n",
];

/// Writes the archive, unless it is there from another time.
pub(crate) fn write(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let partial = path.with_extension("partial");
    let file = std::fs::File::create(&partial)
        .with_context(|| format!("cannot write {}", partial.display()))?;
    let gzip = GzBuilder::new()
        .mtime(0)
        .write(std::io::BufWriter::new(file), Compression::new(6));
    archive(gzip, FILES, BYTES)?.finish()?.flush()?;
    std::fs::rename(&partial, path)?;
    Ok(())
}

fn archive<W: Write>(out: W, files: usize, bytes: usize) -> Result<W> {
    let mut tar = Builder::new(out);
    let mut random = Random::new(7);
    for (index, size) in sizes(files, bytes).into_iter().enumerate() {
        let dir = format!("usr/share/payload/{:04}", index / PER_DIRECTORY);
        if index % PER_DIRECTORY == 0 {
            tar.append_data(
                &mut header(EntryType::Directory, 0)?,
                format!("{dir}/"),
                std::io::empty(),
            )?;
        }
        let contents = contents(size, &mut random);
        let name = format!("{dir}/file-{:05}", index % PER_DIRECTORY);
        tar.append_data(
            &mut header(EntryType::Regular, size)?,
            name,
            contents.as_slice(),
        )?;
    }
    Ok(tar.into_inner()?)
}

/// Splits `bytes` among the files: each tenth of them is about twice as large as the tenth before.
fn sizes(files: usize, bytes: usize) -> Vec<usize> {
    let weight = |index: usize| 1_usize << (index * 10 / files.max(1));
    let total: usize = (0..files).map(weight).sum();
    let mut sizes: Vec<usize> = (0..files)
        .map(|index| bytes * weight(index) / total)
        .collect();
    let rest = bytes - sizes.iter().sum::<usize>();
    if let Some(last) = sizes.last_mut() {
        *last += rest;
    }
    Random::new(11).shuffle(&mut sizes);
    sizes
}

fn contents(size: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 16);
    while bytes.len() < size {
        match random.below(5) {
            0 => bytes.extend(random.next().to_le_bytes()),
            _ => bytes.extend(WORDS[random.below(WORDS.len())].as_bytes()),
        }
    }
    bytes.truncate(size);
    bytes
}

fn header(kind: EntryType, size: usize) -> Result<Header> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory {
        0o755
    } else {
        0o644
    });
    header.set_size(size.try_into()?);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_are_given_out() {
        let sizes = sizes(FILES, BYTES);
        assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (FILES, BYTES));
        assert!(sizes.iter().filter(|size| **size < 4096).count() > FILES / 4);
    }

    #[test]
    fn archive_is_the_same_each_time() {
        let once = archive(Vec::new(), 50, 20_000).unwrap();
        assert_eq!(once, archive(Vec::new(), 50, 20_000).unwrap());
    }
}
