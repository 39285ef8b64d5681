//! Names that delete: `.wh.NAME` hides NAME of the layers below, `.wh..wh..opq` all that is in its directory there
//! (image-spec, layer §whiteouts). Every other name that begins with `.wh.` is refused, wherever in a path it stands.

use hull_fs::tar::{Entry, Kind};

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use super::{Extraction, fail};
use crate::descent::Found;
use crate::{Refusal, SnapshotError};

const PREFIX: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What an entry means by its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// Itself.
    Plain,
    /// `name` in `parent` is deleted.
    Whiteout { parent: &'a [u8], name: &'a [u8] },
    /// `directory` shows nothing of the layers below.
    Opaque { directory: &'a [u8] },
}

pub(super) fn meaning(entry: &Entry) -> Result<Meaning<'_>, Refusal> {
    let Some((parent, last)) = entry.path.parts() else {
        return Ok(Meaning::Plain);
    };
    if parent
        .split(|byte| *byte == b'/')
        .any(|name| name.starts_with(PREFIX))
    {
        return Err(Refusal::WhiteoutName);
    }
    let Some(name) = last.strip_prefix(PREFIX) else {
        return Ok(Meaning::Plain);
    };
    // Old layers made with aufs store them as links to one empty file; the name is all that counts.
    if !matches!(entry.kind, Kind::File | Kind::HardLink(_)) {
        return Err(Refusal::WhiteoutKind(entry.kind.word()));
    }
    if last == OPAQUE {
        return Ok(Meaning::Opaque { directory: parent });
    }
    if matches!(name, b"" | b"." | b"..") || name.starts_with(PREFIX) {
        return Err(Refusal::WhiteoutName);
    }
    Ok(Meaning::Whiteout { parent, name })
}

impl Extraction<'_> {
    /// Hides a name of the layers below. What this layer itself has under that name stays: it only replaces.
    pub(super) fn white_out(
        &mut self,
        entry: &Entry,
        parent: &[u8],
        name: &[u8],
    ) -> Result<(), SnapshotError> {
        self.enter(entry, parent)?;
        let dir = self.tree.current();
        let made = rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0);
        match made {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(source) => return Err(fail("create whiteout", entry.path.as_bytes(), source)),
        }
        // A directory would merge with the one below it, which this entry deletes.
        let path = if parent.is_empty() {
            name.to_vec()
        } else {
            [parent, b"/", name].concat()
        };
        let found = self
            .tree
            .look(name)
            .map_err(|source| fail("inspect", &path, source))?;
        if found == Some(Found::Directory)
            && let Some(pending) = self.pending.get_mut(&path)
        {
            pending.opaque = true;
        }
        Ok(())
    }

    /// Hides everything in the directory's counterparts below, whatever order the entries come in.
    pub(super) fn make_opaque(
        &mut self,
        entry: &Entry,
        directory: &[u8],
    ) -> Result<(), SnapshotError> {
        if directory.is_empty() {
            let refusal = Refusal::OpaqueRoot;
            return Err(SnapshotError::Refused {
                path: entry.path.clone(),
                refusal,
            });
        }
        self.enter(entry, directory)?;
        if let Some(pending) = self.pending.get_mut(directory) {
            pending.opaque = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_fs::tar::EntryPath;

    fn entry(path: &str) -> Entry {
        Entry::new(EntryPath::parse(path.as_bytes()).unwrap(), Kind::File)
    }

    #[test]
    fn names_mean_what_the_specification_says() {
        let whiteout = |parent, name| Ok(Meaning::Whiteout { parent, name });
        for (path, expected) in [
            ("a", Ok(Meaning::Plain)),
            ("a.wh.b", Ok(Meaning::Plain)),
            (".wha", Ok(Meaning::Plain)),
            (".wh.a", whiteout(&b""[..], &b"a"[..])),
            ("d/.wh.a", whiteout(b"d", b"a")),
            ("d/.wh....", whiteout(b"d", b"...")),
            ("d/.wh..hidden", whiteout(b"d", b".hidden")),
            ("d/.wh..wh..opq", Ok(Meaning::Opaque { directory: b"d" })),
            (".wh..wh..opq", Ok(Meaning::Opaque { directory: b"" })),
        ] {
            assert_eq!(meaning(&entry(path)), expected, "{path}");
        }
    }

    #[test]
    fn names_that_mean_nothing_are_refused() {
        for path in [
            "d/.wh.",
            "d/.wh..",
            "d/.wh...",
            "d/.wh.../x",
            "d/.wh.x/y",
            "d/.wh..wh.plnk",
            "d/.wh..wh.aufs",
            "d/.wh..wh..opq/x",
            "d/.wh..wh.",
        ] {
            assert_eq!(meaning(&entry(path)), Err(Refusal::WhiteoutName), "{path}");
        }
        for kind in [Kind::Directory, Kind::Fifo, Kind::Symlink(b"x".to_vec())] {
            let mut entry = entry("d/.wh.a");
            entry.kind = kind;
            assert!(matches!(meaning(&entry), Err(Refusal::WhiteoutKind(_))));
        }
    }
}
