//! Archives to test with: honest ones entry by entry, hostile ones header by header.

use hull_fs::tar::{Device, Entry, EntryPath, Kind, Mtime, Writer, Xattr};

/// A layer's archive being written.
#[derive(Debug)]
pub(crate) struct Layer {
    bytes: Vec<u8>,
}

impl Layer {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    pub(crate) fn entry(mut self, entry: &Entry, contents: &[u8]) -> Self {
        let mut writer = Writer::new(&mut self.bytes);
        writer
            .append_file(entry, contents)
            .expect("entries of tests can be written");
        self
    }

    pub(crate) fn file(self, path: &str, contents: &str) -> Self {
        let mut entry = entry(path, Kind::File);
        entry.size = contents.len() as u64;
        self.entry(&entry, contents.as_bytes())
    }

    pub(crate) fn directory(self, path: &str) -> Self {
        self.entry(&entry(path, Kind::Directory), b"")
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(&entry(path, Kind::Symlink(target.into())), b"")
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(&entry(path, Kind::HardLink(entry_path(target))), b"")
    }

    pub(crate) fn char_device(self, path: &str, major: u32, minor: u32) -> Self {
        self.entry(&entry(path, Kind::CharDevice(Device { major, minor })), b"")
    }

    pub(crate) fn block_device(self, path: &str, major: u32, minor: u32) -> Self {
        self.entry(
            &entry(path, Kind::BlockDevice(Device { major, minor })),
            b"",
        )
    }

    pub(crate) fn file_with(self, path: &str, xattrs: &[(&str, &[u8])]) -> Self {
        self.entry(&with_xattrs(entry(path, Kind::File), xattrs), b"")
    }

    /// Adds a header as it is, with a right checksum: what `Writer` would not write.
    pub(crate) fn raw(mut self, kind: u8, name: &[u8], link: &[u8]) -> Self {
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, name);
        put(100, b"0000644\0");
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, b"00000000000\0");
        put(136, b"00000000001\0");
        put(148, b"        ");
        put(156, &[kind]);
        put(157, link);
        put(257, b"ustar\x0000");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&block);
        self
    }

    /// Ends the archive.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 1024]);
        self.bytes
    }

    /// Ends it where it is, without an end mark.
    pub(crate) fn cut(self, length: usize) -> Vec<u8> {
        self.bytes[..length].to_vec()
    }
}

pub(crate) fn entry_path(path: &str) -> EntryPath {
    EntryPath::parse(path.as_bytes()).expect("paths of tests are plain")
}

/// An entry with a time that is not now.
pub(crate) fn entry(path: &str, kind: Kind) -> Entry {
    let mtime = Mtime {
        seconds: 1_000_000_000,
        nanoseconds: 0,
    };
    Entry {
        mtime,
        ..Entry::new(entry_path(path), kind)
    }
}

pub(crate) fn with_xattrs(mut entry: Entry, xattrs: &[(&str, &[u8])]) -> Entry {
    entry.xattrs = xattrs
        .iter()
        .map(|(name, value)| Xattr {
            name: (*name).into(),
            value: (*value).into(),
        })
        .collect();
    entry
}
