//! One thing in an archive, with everything about it that can be checked without looking at a file system.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Timespec, Timestamps, UTIME_OMIT};

use super::Problem;

/// One entry of an archive. The reader fills it; whoever writes an archive makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it goes.
    pub path: EntryPath,
    /// What it is.
    pub kind: Kind,
    /// Permission, set-id and sticky bits; nothing else (`& 0o7777`).
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When it was last changed.
    pub mtime: Mtime,
    /// Extended attributes, sorted by name. The reader does not judge them.
    pub xattrs: Vec<Xattr>,
    /// Bytes of contents, holes included; zero for all but files.
    pub size: u64,
    /// Offset of its first header in the archive it was read from; zero in entries made for writing.
    pub offset: u64,
}

impl Entry {
    /// Returns an entry owned by root, changed at the epoch, with the usual permissions of its kind.
    pub fn new(path: EntryPath, kind: Kind) -> Self {
        let mode = match kind {
            Kind::Directory => 0o755,
            Kind::Symlink(_) => 0o777,
            _ => 0o644,
        };
        Self {
            path,
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: Mtime::default(),
            xattrs: Vec::new(),
            size: 0,
            offset: 0,
        }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link and its text, which may point anywhere: it is a value, not a path to follow.
    Symlink(Vec<u8>),
    /// One more name of an entry that came before, named from the same root.
    HardLink(EntryPath),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
}

impl Kind {
    /// Returns the word for this kind in messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink(_) => "symbolic link",
            Self::HardLink(_) => "hard link",
            Self::CharDevice(_) => "character device",
            Self::BlockDevice(_) => "block device",
            Self::Fifo => "named pipe",
        }
    }
}

/// Numbers of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// A modification time: seconds since 1970 (negative before) and nanoseconds after that second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mtime {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// 0..1,000,000,000.
    pub nanoseconds: u32,
}

impl Mtime {
    /// Returns what sets this as the time of the last change, and leaves that of the last access.
    pub fn to_set(self) -> Timestamps {
        Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: self.seconds,
                tv_nsec: i64::from(self.nanoseconds),
            },
        }
    }
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// With its namespace: `user.mime_type`. Never empty, without NUL.
    pub name: Vec<u8>,
    /// Any bytes.
    pub value: Vec<u8>,
}

/// A relative path inside a root, already in its plainest form: no `.`, no `..`, no empty component, no NUL, no slash at
/// either end. The root itself is the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryPath(Vec<u8>);

impl EntryPath {
    /// Returns the root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a name as an archive spells it. `..` is resolved by the text alone and may not pass the root.
    pub fn parse(text: &[u8]) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(Problem::EmptyName);
        }
        if text.contains(&0) {
            return Err(Problem::Nul);
        }
        if text[0] == b'/' {
            return Err(Problem::Absolute);
        }
        let mut path = Vec::with_capacity(text.len());
        for component in text.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    if path.is_empty() {
                        return Err(Problem::Climbs);
                    }
                    let parent = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                    path.truncate(parent);
                }
                _ if component.len() > 255 => return Err(Problem::LongComponent),
                _ => {
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(component);
                }
            }
        }
        Ok(Self(path))
    }

    /// Returns this path with one more component, which must be a plain name as readdir gives it.
    pub fn join(&self, name: &[u8]) -> Self {
        debug_assert!(!name.is_empty() && !name.contains(&b'/') && name != b"." && name != b"..");
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self(path)
    }

    /// Returns whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the path as bytes, `a/b/c`; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path as a path; empty for the root.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Returns the components from the top.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        // Splitting an empty slice would give one empty component.
        self.0
            .split(|byte| *byte == b'/')
            .filter(|component| !component.is_empty())
    }

    /// Returns the path above (empty for a name in the root) and the last component; nothing for the root itself.
    pub fn parts(&self) -> Option<(&[u8], &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        Some(match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (&[], &self.0),
        })
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str(".")
        } else {
            self.0.escape_ascii().fmt(f)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_reduced_to_their_plainest_form() {
        for (text, expected) in [
            ("a", "a"),
            ("./a", "a"),
            ("a/", "a"),
            ("a//b/./c", "a/b/c"),
            ("a/../b", "b"),
            ("a/b/../../c", "c"),
            (".", ""),
            ("./", ""),
            ("a/..", ""),
            ("...", "..."),
            ("..a/b..", "..a/b.."),
        ] {
            let path = EntryPath::parse(text.as_bytes()).unwrap();
            assert_eq!(path.as_bytes(), expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn names_that_leave_the_root_or_are_no_names_are_refused() {
        for (text, expected) in [
            ("", Problem::EmptyName),
            ("/", Problem::Absolute),
            ("/etc/passwd", Problem::Absolute),
            ("..", Problem::Climbs),
            ("../x", Problem::Climbs),
            ("a/../../x", Problem::Climbs),
            ("a/../b/../..", Problem::Climbs),
            ("a\0b", Problem::Nul),
        ] {
            assert_eq!(EntryPath::parse(text.as_bytes()), Err(expected), "{text}");
        }
        assert_eq!(EntryPath::parse(&[b'x'; 256]), Err(Problem::LongComponent));
    }

    #[test]
    fn parts_are_parent_and_name() {
        let path = EntryPath::parse(b"a/b/c").unwrap();
        let (parent, name) = path.parts().unwrap();
        assert_eq!((parent, name), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(EntryPath::parse(parent).unwrap().join(b"c"), path);
        assert_eq!(
            EntryPath::parse(b"a").unwrap().parts(),
            Some((&b""[..], &b"a"[..]))
        );
        assert!(EntryPath::root().parts().is_none());
        assert_eq!(path.components().count(), 3);
        assert_eq!(EntryPath::root().components().count(), 0);
    }
}
