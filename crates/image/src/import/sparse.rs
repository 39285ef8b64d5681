//! Sparse files in a tar: GNU's PAX format 1.0, which GNU tar, bsdtar, Go and Hull read. The map of the parts that hold data lies
//! in front of them, so that a file of a terabyte with a megabyte in it is a megabyte here too.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
};

use hull_fs::tar::{Entry, Mtime};
use rustix::io::Errno;

/// The size of a tar block.
const BLOCK: u64 = 512;

/// A part of a file that holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    offset: u64,
    length: u64,
}

/// Returns the parts of a file that hold data. A file system that cannot tell says that all of it does.
pub(super) fn segments(file: &File, size: u64) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut position = 0;
    while position < size {
        let start = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(position)) {
            Ok(start) => start,
            // No data behind this position.
            Err(Errno::NXIO) => break,
            Err(errno) => return Err(errno.into()),
        };
        let end = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(start))?.min(size);
        if start >= size || end <= start {
            break;
        }
        segments.push(Segment {
            offset: start,
            length: end - start,
        });
        position = end;
    }
    Ok(segments)
}

/// Writes a file as its segments.
pub(super) fn append(
    out: &mut dyn Write,
    entry: &Entry,
    file: &mut File,
    segments: &[Segment],
) -> io::Result<()> {
    let map = map(segments, entry.size);
    let data: u64 = segments.iter().map(|segment| segment.length).sum();
    let stored = map.len() as u64 + data;
    append_records(out, entry, stored)?;
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(entry.mode & 0o7777);
    for set in [
        tar::Header::set_uid,
        tar::Header::set_gid,
        tar::Header::set_mtime,
    ] {
        // The records have them.
        set(&mut header, 0);
    }
    header.set_size(if stored < 1 << 33 { stored } else { 0 });
    append_header(out, header, b"GNUSparseFile.0/")?;
    out.write_all(&map)?;
    for segment in segments {
        file.seek(SeekFrom::Start(segment.offset))?;
        let copied = io::copy(&mut (&*file).take(segment.length), out)?;
        if copied < segment.length {
            return Err(io::Error::other(
                "the file became shorter while it was read",
            ));
        }
    }
    pad(out, data)
}

/// The number of segments, then offset and length of each, one decimal a line, filled up to a block. A hole at the end needs
/// a segment of nothing there, or readers of the data alone would think the file ends before it.
fn map(segments: &[Segment], size: u64) -> Vec<u8> {
    let end = segments
        .last()
        .map_or(0, |segment| segment.offset + segment.length);
    let mut lines: Vec<u64> = Vec::new();
    for segment in segments {
        lines.extend([segment.offset, segment.length]);
    }
    if end < size {
        lines.extend([size, 0]);
    }
    let mut text = format!("{}\n", lines.len() / 2);
    for line in lines {
        text.push_str(&format!("{line}\n"));
    }
    let mut map = text.into_bytes();
    map.resize(map.len().next_multiple_of(512), 0);
    map
}

fn append_records(out: &mut dyn Write, entry: &Entry, stored: u64) -> io::Result<()> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| records.extend(record(key, value));
    add(b"GNU.sparse.major", b"1");
    add(b"GNU.sparse.minor", b"0");
    add(b"GNU.sparse.name", entry.path.as_bytes());
    add(b"GNU.sparse.realsize", entry.size.to_string().as_bytes());
    add(b"uid", entry.uid.to_string().as_bytes());
    add(b"gid", entry.gid.to_string().as_bytes());
    add(b"mtime", decimal(entry.mtime).as_bytes());
    if stored >= 1 << 33 {
        add(b"size", stored.to_string().as_bytes());
    }
    for xattr in &entry.xattrs {
        add(&[b"SCHILY.xattr.", &xattr.name[..]].concat(), &xattr.value);
    }
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(records.len() as u64);
    append_header(out, header, b"PaxHeaders/sparse")?;
    out.write_all(&records)?;
    pad(out, records.len() as u64)
}

/// Names a header (for readers that do not know the records) and writes it.
fn append_header(out: &mut dyn Write, mut header: tar::Header, name: &[u8]) -> io::Result<()> {
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_cksum();
    out.write_all(header.as_bytes())
}

/// One PAX record: its length counts its own digits too.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// Spells a time: seconds before 1970 count down, the fraction with them.
fn decimal(mtime: Mtime) -> String {
    let nanoseconds = i128::from(mtime.seconds) * 1_000_000_000 + i128::from(mtime.nanoseconds);
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let (seconds, fraction) = (
        nanoseconds.unsigned_abs() / 1_000_000_000,
        nanoseconds.unsigned_abs() % 1_000_000_000,
    );
    format!("{sign}{seconds}.{fraction:09}")
}

fn pad(out: &mut dyn Write, size: u64) -> io::Result<()> {
    let padding = size.next_multiple_of(BLOCK) - size;
    out.write_all(&[0; 512][..usize::try_from(padding).unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_lengths_count_themselves() {
        assert_eq!(record(b"a", b"b"), b"6 a=b\n");
        for (value, length) in [(91, 99), (92, 101), (93, 102)] {
            let record = record(b"key", &vec![b'x'; value]);
            assert_eq!(record.len(), length);
            assert!(record.starts_with(format!("{length} key=").as_bytes()));
        }
    }

    #[test]
    fn times_before_1970_count_down() {
        let text = |seconds, nanoseconds| {
            decimal(Mtime {
                seconds,
                nanoseconds,
            })
        };
        assert_eq!(text(1, 5), "1.000000005");
        assert_eq!(text(-1, 500_000_000), "-0.500000000");
        assert_eq!(text(-2, 0), "-2.000000000");
    }
}
