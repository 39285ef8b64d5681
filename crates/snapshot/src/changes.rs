//! What a container changed, as `docker diff` tells it, and those changes as a layer.
//!
//! The container's upper directory says *where* something changed; what it looks like now and what it looked like before
//! is read from two read-only overlay mounts, with and without the upper directory. So the kernel itself resolves what
//! is hard to resolve by hand: directories that were renamed and whose contents lie elsewhere (`redirect`), files of
//! which only the metadata were copied up (`metacopy`), deletions (character device 0:0) and replaced directories
//! (`opaque`). Comparing two whole mounted trees instead would read every directory of the image.
//!
//! ```text
//!  upper   b/      b/new          walk: only what the container touched
//!  view    a b/    b/new b/old    look: what is there now            (upper over lowers)
//!  before  a b/    b/old          compare: what was there before     (lowers)
//! ```
//! A directory that is new, opaque or redirected has nothing to do with the one that had its name: from there on the
//! view is walked instead of the upper directory.

use std::fmt;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_fs::tar::EntryPath;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::archive::{Archiver, DEEPEST, xattrs};
use crate::descent::Descent;
use crate::stack::{Layers, open_root, view};
use crate::{SnapshotError, WhiteoutMarks, listing};

/// One path at which a container differs from its image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Where. Never the root.
    pub path: EntryPath,
    /// How.
    pub kind: ChangeKind,
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is there now and was not.
    Added,
    /// It was replaced or changed, or something below it was.
    Modified,
    /// It was there and is not.
    Deleted,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "A",
            Self::Modified => "C",
            Self::Deleted => "D",
        })
    }
}

/// Returns what a container changed, sorted by path. Directories above a change are changed too; one that was only
/// looked into is not.
pub fn changes(layers: &Layers<'_>) -> Result<Vec<Change>, SnapshotError> {
    let root = EntryPath::root();
    let open = |tree: BorrowedFd<'_>| open_root(tree).map_err(|source| fail("open", &root, source));
    let now = layers.view()?;
    let before = view(layers.lowers, layers.marks)?;
    let mut walk = Walk {
        changes: Vec::new(),
        marks: layers.marks,
    };
    let trees = Trees {
        upper: open(layers.upper)?,
        now: open(now.as_fd())?,
        before: Some(open(before.as_fd())?),
    };
    walk.touched(&trees, &root, 0)?;
    walk.changes.sort();
    Ok(walk.changes)
}

/// Writes changes as an OCI layer, in their order; `changes` are those [`changes`] returned, or some of them.
///
/// Deletions become `.wh.` files. A replaced directory is written as one deletion for each thing it no longer has.
pub fn write_layer<W: Write>(
    layers: &Layers<'_>,
    changes: &[Change],
    out: W,
) -> Result<W, SnapshotError> {
    let now = layers.view()?;
    let mut tree = Descent::new(now.as_fd());
    let mut archiver = Archiver::new(out);
    for change in changes {
        let Some((parent, name)) = change.path.parts() else {
            continue;
        };
        if change.kind == ChangeKind::Deleted {
            archiver.put_empty(whiteout(parent, name)?)?;
            continue;
        }
        match tree.go_to(parent) {
            Ok(()) => archiver.put(tree.current(), name, &change.path).map(drop)?,
            // The container removed it after the changes were read.
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(source) => return Err(fail("open the directory of", &change.path, source)),
        }
    }
    archiver.finish()
}

fn whiteout(parent: &[u8], name: &[u8]) -> Result<EntryPath, SnapshotError> {
    let parent = if parent.is_empty() {
        EntryPath::root()
    } else {
        plain(parent)
    };
    let path = parent.join(&[b".wh.", name].concat());
    if name.len() > 255 - 4 {
        // The specification has no other way to say it.
        return Err(fail(
            "express the deletion of",
            &parent.join(name),
            Errno::NAMETOOLONG,
        ));
    }
    Ok(path)
}

fn plain(path: &[u8]) -> EntryPath {
    EntryPath::parse(path).unwrap_or_default()
}

fn fail(action: &'static str, path: &EntryPath, source: Errno) -> SnapshotError {
    SnapshotError::Entry {
        action,
        path: path.clone(),
        source,
    }
}

/// One directory, three times.
struct Trees {
    upper: OwnedFd,
    now: OwnedFd,
    before: Option<OwnedFd>,
}

struct Walk {
    changes: Vec<Change>,
    marks: WhiteoutMarks,
}

impl Walk {
    fn push(&mut self, path: &EntryPath, kind: ChangeKind) {
        self.changes.push(Change {
            path: path.clone(),
            kind,
        });
    }

    fn check_depth(path: &EntryPath, depth: usize) -> Result<(), SnapshotError> {
        if depth == DEEPEST {
            return Err(SnapshotError::TooDeep {
                path: path.clone(),
                limit: DEEPEST,
            });
        }
        Ok(())
    }

    /// Walks a directory that is merged with the one before: what is not in the upper directory did not change.
    fn touched(
        &mut self,
        trees: &Trees,
        path: &EntryPath,
        depth: usize,
    ) -> Result<(), SnapshotError> {
        Self::check_depth(path, depth)?;
        for name in listing::names(trees.upper.as_fd(), path)? {
            let path = path.join(&name);
            let Some(stat) = listing::look(trees.upper.as_fd(), &name, &path)? else {
                continue;
            };
            let before = look_before(trees.before.as_ref(), &name, &path)?;
            let kind = if before.is_some() {
                ChangeKind::Modified
            } else {
                ChangeKind::Added
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::CharacterDevice if stat.st_rdev == 0 => {
                    if before.is_some() {
                        self.push(&path, ChangeKind::Deleted);
                    }
                }
                FileType::Directory => {
                    self.touched_directory(trees, &name, &path, before.as_ref(), depth)?;
                }
                _ => self.push(&path, kind),
            }
        }
        Ok(())
    }

    fn touched_directory(
        &mut self,
        trees: &Trees,
        name: &[u8],
        path: &EntryPath,
        before_stat: Option<&Stat>,
        depth: usize,
    ) -> Result<(), SnapshotError> {
        let upper = listing::open_directory(trees.upper.as_fd(), name, path)?;
        let now = listing::open_directory(trees.now.as_fd(), name, path)?;
        let (Some(upper), Some(now)) = (upper, now) else {
            return Ok(());
        };
        let before = match &trees.before {
            Some(before) => listing::open_directory(before.as_fd(), name, path)?,
            None => None,
        };
        match before {
            Some(before) if !self.is_detached(&upper, path)? => {
                let count = self.changes.len();
                let changed = metadata_differ(&now, &before, path)?;
                let trees = Trees {
                    upper,
                    now,
                    before: Some(before),
                };
                self.touched(&trees, path, depth + 1)?;
                if changed || self.changes.len() > count {
                    self.push(path, ChangeKind::Modified);
                }
                Ok(())
            }
            before => {
                let was_there = before_stat.is_some();
                let kind = if was_there {
                    ChangeKind::Modified
                } else {
                    ChangeKind::Added
                };
                self.push(path, kind);
                self.replaced(&now, before.as_ref(), path, depth + 1)
            }
        }
    }

    /// Walks a directory that is not the one before of that name: everything in it is new in its place.
    fn replaced(
        &mut self,
        now: &OwnedFd,
        before: Option<&OwnedFd>,
        path: &EntryPath,
        depth: usize,
    ) -> Result<(), SnapshotError> {
        Self::check_depth(path, depth)?;
        for name in listing::names(now.as_fd(), path)? {
            let path = path.join(&name);
            let was_there = look_before(before, &name, &path)?.is_some();
            let kind = if was_there {
                ChangeKind::Modified
            } else {
                ChangeKind::Added
            };
            self.push(&path, kind);
            let Some(below) = listing::open_directory(now.as_fd(), &name, &path)? else {
                continue;
            };
            let before = match before {
                Some(before) => listing::open_directory(before.as_fd(), &name, &path)?,
                None => None,
            };
            self.replaced(&below, before.as_ref(), &path, depth + 1)?;
        }
        let Some(before) = before else { return Ok(()) };
        for name in listing::names(before.as_fd(), path)? {
            let path = path.join(&name);
            if listing::look(now.as_fd(), &name, &path)?.is_none() {
                self.push(&path, ChangeKind::Deleted);
            }
        }
        Ok(())
    }

    /// Says whether overlayfs shows something else below this directory than what lies under its name.
    fn is_detached(&self, upper: &OwnedFd, path: &EntryPath) -> Result<bool, SnapshotError> {
        let namespace = match self.marks {
            WhiteoutMarks::Trusted => "trusted",
            WhiteoutMarks::User => "user",
        };
        for (mark, meaning) in [("opaque", Some(&b"y"[..])), ("redirect", None)] {
            let mut value = [0; 4096];
            let name = format!("{namespace}.overlay.{mark}");
            match rustix::fs::fgetxattr(upper, name, &mut value[..]) {
                Ok(length) if meaning.is_none_or(|meaning| value[..length] == *meaning) => {
                    return Ok(true);
                }
                Ok(_) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(source) => return Err(fail("read the attributes of", path, source)),
            }
        }
        Ok(false)
    }
}

fn look_before(
    before: Option<&OwnedFd>,
    name: &[u8],
    path: &EntryPath,
) -> Result<Option<Stat>, SnapshotError> {
    match before {
        Some(before) => listing::look(before.as_fd(), name, path),
        None => Ok(None),
    }
}

/// Compares what a layer can say about a directory.
fn metadata_differ(
    now: &OwnedFd,
    before: &OwnedFd,
    path: &EntryPath,
) -> Result<bool, SnapshotError> {
    let stat = |dir: &OwnedFd| {
        let stat = rustix::fs::fstat(dir).map_err(|source| fail("inspect", path, source))?;
        let time = (stat.st_mtime, stat.st_mtime_nsec);
        Ok::<_, SnapshotError>((stat.st_mode, stat.st_uid, stat.st_gid, time))
    };
    Ok(stat(now)? != stat(before)? || xattrs(now, path)? != xattrs(before, path)?)
}
