//! The entries of an archive whose author is hostile.

use std::io::Read;

use hull_fs::tar::{Entry, Kind, Limits, Reader, TarError, Writer};

/// Small enough that no input may take long.
pub(crate) const LIMITS: Limits = Limits {
    entries: 256,
    path_bytes: 4096,
    depth: 64,
    pax_bytes: 64 << 10,
    segments: 256,
    total_bytes: 1 << 20,
};

/// The same bytes are the same archive however they arrive; entries keep what their types promise; and what is written
/// from them is read as them again.
pub fn tar(bytes: &[u8]) {
    also_with_right_checksums(bytes, judge);
}

/// Judges the bytes as they are, and once more with right checksums in what looks like a header: a hostile author writes those,
/// and whoever changes bytes by chance never would.
pub(crate) fn also_with_right_checksums(bytes: &[u8], judge: fn(&[u8])) {
    judge(bytes);
    let mut right = bytes.to_vec();
    for block in right.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    if right != bytes {
        judge(&right);
    }
}

fn judge(bytes: &[u8]) {
    let whole = read(bytes);
    let in_pieces = read(Pieces(bytes));
    match (&whole, &in_pieces) {
        (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces),
        (Err(whole), Err(pieces)) => assert_eq!(whole.to_string(), pieces.to_string()),
        _ => panic!("read at once {whole:?}, in pieces {in_pieces:?}"),
    }
    let files = match whole {
        Ok(files) => files,
        Err(error) => return super::explain(&error),
    };
    let mut again = Vec::new();
    let mut writer = Writer::new(&mut again);
    let mut written = Vec::new();
    for (entry, contents) in &files {
        is_plain(entry);
        match writer.append_file(entry, &contents[..]) {
            Ok(()) => written.push((entry, contents)),
            // Not every archive's values can be written; nothing of such an entry is.
            Err(TarError::Inexpressible { .. }) => {}
            Err(error) => panic!("{entry:?} cannot be written: {error}"),
        }
    }
    writer.finish().expect("memory takes everything");
    let generous = Limits {
        total_bytes: LIMITS.total_bytes * 4,
        entries: LIMITS.entries * 4,
        pax_bytes: LIMITS.pax_bytes * 4,
        ..LIMITS
    };
    let read = read_within(&again[..], generous).expect("what Hull writes, it reads");
    assert_eq!(read.len(), written.len());
    for ((entry, contents), (read, read_contents)) in written.into_iter().zip(&read) {
        let entry = Entry {
            offset: read.offset,
            ..entry.clone()
        };
        assert_eq!((&entry, contents), (read, read_contents));
    }
}

fn is_plain(entry: &Entry) {
    let target = match &entry.kind {
        Kind::HardLink(target) => Some(target),
        _ => None,
    };
    for path in [Some(&entry.path), target].into_iter().flatten() {
        assert!(path.components().count() <= LIMITS.depth);
        for name in path.components() {
            assert!(name != b"." && name != b".." && !name.contains(&0));
        }
    }
    assert_eq!(entry.mode & !0o7777, 0, "more than permissions in a mode");
    assert!(entry.mtime.nanoseconds < 1_000_000_000);
    assert!(entry.size == 0 || entry.kind == Kind::File);
}

fn read(source: impl Read) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    read_within(source, LIMITS)
}

fn read_within(source: impl Read, limits: Limits) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = Reader::new(source, limits);
    let mut files = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut contents = vec![0; usize::try_from(entry.size).expect("limited to a mebibyte")];
        let mut end = 0;
        while let Some(chunk) = reader.chunk()? {
            let at = usize::try_from(chunk.offset).expect("inside the file");
            assert!(
                at >= end && !chunk.bytes.is_empty(),
                "pieces come in order, and there is something in each"
            );
            end = at + chunk.bytes.len();
            contents[at..end].copy_from_slice(chunk.bytes);
        }
        files.push((entry, contents));
    }
    reader.finish()?;
    Ok(files)
}

/// Gives a few bytes at a time, as a pipe may.
struct Pieces<'a>(&'a [u8]);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(73).min(self.0.len());
        self.0.read(&mut buffer[..count])
    }
}
