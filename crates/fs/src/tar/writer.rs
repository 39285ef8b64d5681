//! Writing: each entry as one ustar header, after a PAX header only if something about it does not fit.
//!
//! The bytes depend on the entries and nothing else: no clock, no names of users, no device and inode numbers.

use std::io::{Read, Write};

use super::entry::{Device, Entry, EntryPath, Kind, Mtime, Xattr};
use super::error::TarError;
use super::{BLOCK, pax};

/// Writes an archive. Entries come out in the order they are given; directories before what is in them.
#[derive(Debug)]
pub struct Writer<W> {
    inner: W,
    buffer: Box<[u8]>,
}

impl<W: Write> Writer<W> {
    /// Starts an archive.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            buffer: vec![0; 128 << 10].into(),
        }
    }

    /// Writes an entry without contents: anything but a file, or an empty file.
    pub fn append(&mut self, entry: &Entry) -> Result<(), TarError> {
        self.append_file(entry, std::io::empty())
    }

    /// Writes an entry and its contents, which must be exactly `entry.size` bytes long.
    pub fn append_file(&mut self, entry: &Entry, contents: impl Read) -> Result<(), TarError> {
        if entry.kind != Kind::File && entry.size != 0 {
            return Err(inexpressible(entry, "it is no file but has contents"));
        }
        let header = Header::of(entry)?;
        if !header.records.is_empty() {
            self.append_records(entry, &header.records)?;
        }
        self.write(header.block.as_bytes())?;
        self.copy(entry, contents)?;
        self.pad(entry.size)
    }

    /// Ends the archive and returns the stream, not flushed.
    pub fn finish(mut self) -> Result<W, TarError> {
        self.write(&[0; 2 * BLOCK])?;
        Ok(self.inner)
    }

    fn append_records(&mut self, entry: &Entry, records: &[u8]) -> Result<(), TarError> {
        let mut header = tar::Header::new_ustar();
        let name = entry.path.parts().map_or(&b"root"[..], |(_, name)| name);
        let name = [b"PaxHeaders/", &name[..name.len().min(80)]].concat();
        header.as_old_mut().name[..name.len()].copy_from_slice(&name);
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(records.len() as u64);
        header.set_cksum();
        self.write(header.as_bytes())?;
        self.write(records)?;
        self.pad(records.len() as u64)
    }

    fn copy(&mut self, entry: &Entry, mut contents: impl Read) -> Result<(), TarError> {
        let mut left = entry.size;
        while left > 0 {
            let most = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(self.buffer.len());
            let length = match contents.read(&mut self.buffer[..most]) {
                Ok(0) => return Err(inexpressible(entry, "it became shorter while it was read")),
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(TarError::Contents {
                        path: entry.path.clone(),
                        source,
                    });
                }
            };
            self.inner
                .write_all(&self.buffer[..length])
                .map_err(|source| TarError::Write { source })?;
            left -= length as u64;
        }
        Ok(())
    }

    fn pad(&mut self, size: u64) -> Result<(), TarError> {
        let padding = usize::try_from(size.wrapping_neg() % BLOCK as u64).expect("under a block");
        self.write(&[0; BLOCK][..padding])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), TarError> {
        self.inner
            .write_all(bytes)
            .map_err(|source| TarError::Write { source })
    }
}

fn inexpressible(entry: &Entry, reason: &'static str) -> TarError {
    TarError::Inexpressible {
        path: entry.path.clone(),
        reason,
    }
}

/// A header under construction: what fits into the block goes there, the rest into PAX records.
struct Header {
    block: tar::Header,
    records: Vec<u8>,
}

impl Header {
    fn of(entry: &Entry) -> Result<Self, TarError> {
        let mut header = Self {
            block: tar::Header::new_ustar(),
            records: Vec::new(),
        };
        header.set_path(&entry.path, entry.kind == Kind::Directory);
        header.set_kind(entry)?;
        header.block.set_mode(entry.mode & 0o7777);
        header.set_owner(entry.uid, entry.gid);
        header.set_size(entry.size);
        header.set_mtime(entry.mtime);
        header.set_xattrs(&entry.xattrs);
        header.block.set_cksum();
        Ok(header)
    }

    fn set_path(&mut self, path: &EntryPath, directory: bool) {
        let mut name = path.as_bytes().to_vec();
        if path.is_root() {
            name.push(b'.');
        }
        if directory {
            name.push(b'/');
        }
        // An ASCII name of up to 100 bytes means the same to every reader.
        let fits = name.len() <= 100 && name.is_ascii();
        if !fits {
            pax::append(&mut self.records, b"path", &name);
        }
        fill(&mut self.block.as_old_mut().name, &name);
    }

    fn set_link(&mut self, target: &[u8]) {
        if target.len() > 100 || !target.is_ascii() {
            pax::append(&mut self.records, b"linkpath", target);
        }
        fill(&mut self.block.as_old_mut().linkname, target);
    }

    fn set_kind(&mut self, entry: &Entry) -> Result<(), TarError> {
        use tar::EntryType;
        let entry_type = match &entry.kind {
            Kind::File => EntryType::Regular,
            Kind::Directory => EntryType::Directory,
            Kind::Fifo => EntryType::Fifo,
            Kind::Symlink(target) => {
                self.set_link(target);
                EntryType::Symlink
            }
            Kind::HardLink(target) => {
                self.set_link(target.as_bytes());
                EntryType::Link
            }
            Kind::CharDevice(device) => {
                self.set_device(entry, *device)?;
                EntryType::Char
            }
            Kind::BlockDevice(device) => {
                self.set_device(entry, *device)?;
                EntryType::Block
            }
        };
        self.block.set_entry_type(entry_type);
        Ok(())
    }

    fn set_device(&mut self, entry: &Entry, device: Device) -> Result<(), TarError> {
        // Seven octal digits; there is no standard record for more, and no kernel that has them.
        const MOST: u32 = 0o7_777_777;
        if device.major > MOST || device.minor > MOST {
            return Err(inexpressible(
                entry,
                "its device number has more than 21 bits",
            ));
        }
        let ustar = self
            .block
            .as_ustar_mut()
            .expect("the header was made as ustar");
        ustar.set_device_major(device.major);
        ustar.set_device_minor(device.minor);
        Ok(())
    }

    fn set_owner(&mut self, uid: u32, gid: u32) {
        const MOST: u32 = 0o7_777_777;
        if uid > MOST {
            pax::append(&mut self.records, b"uid", uid.to_string().as_bytes());
        }
        if gid > MOST {
            pax::append(&mut self.records, b"gid", gid.to_string().as_bytes());
        }
        self.block
            .set_uid(if uid > MOST { 0 } else { u64::from(uid) });
        self.block
            .set_gid(if gid > MOST { 0 } else { u64::from(gid) });
    }

    fn set_size(&mut self, size: u64) {
        const MOST: u64 = 0o77_777_777_777;
        if size > MOST {
            pax::append(&mut self.records, b"size", size.to_string().as_bytes());
        }
        self.block.set_size(if size > MOST { 0 } else { size });
    }

    fn set_mtime(&mut self, mtime: Mtime) {
        const MOST: u64 = 0o77_777_777_777;
        let whole = u64::try_from(mtime.seconds)
            .ok()
            .filter(|seconds| *seconds <= MOST);
        if mtime.nanoseconds != 0 || whole.is_none() {
            pax::append(&mut self.records, b"mtime", decimal(mtime).as_bytes());
        }
        self.block.set_mtime(whole.unwrap_or(0));
    }

    fn set_xattrs(&mut self, xattrs: &[Xattr]) {
        let mut sorted: Vec<&Xattr> = xattrs.iter().collect();
        sorted.sort();
        for xattr in sorted {
            pax::append_xattr(&mut self.records, xattr);
        }
    }
}

/// Puts as much of a name into a field as fits; readers that know PAX do not look at it if it was too much.
fn fill(field: &mut [u8], name: &[u8]) {
    let length = name.len().min(field.len());
    field[..length].copy_from_slice(&name[..length]);
}

/// Spells a time for PAX: seconds before 1970 count down, the fraction with them.
fn decimal(mtime: Mtime) -> String {
    let Mtime {
        seconds,
        nanoseconds,
    } = mtime;
    let (sign, seconds, nanoseconds) = match (seconds < 0, nanoseconds) {
        (false, _) => ("", seconds.unsigned_abs(), nanoseconds),
        (true, 0) => ("-", seconds.unsigned_abs(), 0),
        (true, _) => ("-", seconds.unsigned_abs() - 1, 1_000_000_000 - nanoseconds),
    };
    if nanoseconds == 0 {
        return format!("{sign}{seconds}");
    }
    let fraction = format!("{nanoseconds:09}");
    format!("{sign}{seconds}.{}", fraction.trim_end_matches('0'))
}
