//! `hull cp`: files between a container and the host, or an archive on a standard stream.
//!
//! ```text
//!  a tree ──▶ Walk ──┐                 ┌──▶ Place ──▶ a tree
//!                    ├── Entry, bytes ─┤
//!  a tar ──▶ Reader ─┘                 └──▶ Writer ──▶ a tar
//! ```
//!
//! A container is a stranger's program that may change its files at every moment. Its names are resolved by the kernel
//! inside its root (CVE-2018-15664 was a path checked first and used later), nothing of it is loaded or run
//! (CVE-2019-14271 was a library of the container's loaded by the copying program), and what is copied to the host is made
//! below the target directory without following any link there.

mod contents;
mod decide;
mod error;
mod owners;
mod place;
mod walk;

use std::{
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use hull_fs::{
    FsError, Root,
    tar::{Entry, EntryPath, Kind, Limits, Reader, Writer},
};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, fstat, statat},
    io::Errno,
};

use crate::{Engine, EngineError, request::Access, tree::Tree};
use decide::{Landing, Refusal, Spelled, There, decide};

pub use error::CopyError;
pub(crate) use {
    contents::Contents,
    owners::IdMaps,
    place::{Made, Owners, Place, Top},
    walk::Walk,
};

/// Where files come from, on the host's side.
pub enum From<'a> {
    Path(&'a Path),
    /// A tar archive, compressed or not.
    Archive(&'a mut dyn Read),
}

/// Where files go, on the host's side.
pub enum To<'a> {
    Path(&'a Path),
    /// A tar archive.
    Archive(&'a mut dyn Write),
}

/// How files are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Keep owners, set-id bits and all attributes. Otherwise files belong to root inside, to the caller outside. Archives
    /// say themselves whose their files are.
    pub keep_owners: bool,
    /// If the source is a symbolic link, copy what it leads to.
    pub follow: bool,
}

/// What a copy came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files, directories and whatever else.
    pub files: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// Device nodes: they are not made outside the container they were meant for, nor inside another.
    pub left_out: Vec<PathBuf>,
}

impl fmt::Debug for From<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Archive(_) => f.write_str("archive"),
        }
    }
}

impl fmt::Debug for To<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Archive(_) => f.write_str("archive"),
        }
    }
}

/// One end of a copy, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Side<'a> {
    /// None is the host.
    pub(crate) container: Option<&'a str>,
    pub(crate) base: PathBuf,
    /// Whether the first component of an entry's path is the name that the base has on the other side.
    is_renamed: bool,
}

impl<'a> Side<'a> {
    pub(crate) fn new(container: Option<&'a str>, base: &Path) -> Self {
        Self {
            container,
            base: base.to_owned(),
            is_renamed: false,
        }
    }

    /// Names what is at a path below, as people do: `web:/etc/passwd`.
    pub(crate) fn at(&self, path: &EntryPath) -> String {
        let mut path = path.as_bytes();
        if self.is_renamed {
            let end = path.iter().position(|byte| *byte == b'/');
            path = end.map_or(&[][..], |end| &path[end + 1..]);
        }
        self.at_bytes(path)
    }

    pub(crate) fn at_bytes(&self, path: &[u8]) -> String {
        let path = if path.is_empty() {
            self.base.clone()
        } else {
            self.base.join(std::ffi::OsStr::from_bytes(path))
        };
        match self.container {
            Some(container) => format!("{container}:{}", path.display()),
            None => path.display().to_string(),
        }
    }

    fn here(&self) -> String {
        self.at_bytes(b"")
    }
}

/// A tree in which one end of a copy lies.
struct End<'a> {
    root: &'a Root,
    ids: &'a IdMaps,
    container: Option<&'a str>,
    spelled: Spelled,
}

impl Engine {
    /// Copies out of a container.
    pub fn copy_from(
        &self,
        container: &str,
        path: &Path,
        to: To<'_>,
        manner: Manner,
    ) -> Result<Copied, EngineError> {
        let listed = self.find(container)?;
        let name = listed.container().name.to_string();
        let tree = self.tree(&listed, Access::ReadOnly)?;
        let from = End {
            root: &tree.root,
            ids: &tree.ids,
            container: Some(&name),
            spelled: Spelled::new(Path::new("/"), path),
        };
        let made = match to {
            To::Archive(out) => from.write_archive(out, manner)?,
            To::Path(path) => {
                let (root, ids) = (host_root()?, IdMaps::identity());
                let to = End {
                    root: &root,
                    ids: &ids,
                    container: None,
                    spelled: on_host(path)?,
                };
                let caller = self.caller();
                let owners = Owners::All {
                    user: caller.uid,
                    group: caller.gid,
                };
                copy(&from, &to, owners, manner)?
            }
        };
        Ok(made.into())
    }

    /// Copies into a container.
    pub fn copy_to(
        &self,
        from: From<'_>,
        container: &str,
        path: &Path,
        manner: Manner,
    ) -> Result<Copied, EngineError> {
        let listed = self.find(container)?;
        let name = listed.container().name.to_string();
        let tree = self.tree(&listed, Access::ReadWrite)?;
        let Tree { root, ids, .. } = &tree;
        let to = End {
            root,
            ids,
            container: Some(&name),
            spelled: Spelled::new(Path::new("/"), path),
        };
        let made = match from {
            From::Archive(archive) => to.read_archive(archive)?,
            From::Path(path) => {
                let (root, ids) = (host_root()?, IdMaps::identity());
                let from = End {
                    root: &root,
                    ids: &ids,
                    container: None,
                    spelled: on_host(path)?,
                };
                copy(&from, &to, Owners::All { user: 0, group: 0 }, manner)?
            }
        };
        Ok(made.into())
    }
}

fn host_root() -> Result<Root, CopyError> {
    Ok(Root::open_path(Path::new("/"))?)
}

fn on_host(path: &Path) -> Result<Spelled, EngineError> {
    let here = std::env::current_dir().map_err(crate::request::InvalidRequest::NoDirectory)?;
    Ok(Spelled::new(&here, path))
}

/// Copies one thing and all that is in it.
fn copy(from: &End<'_>, to: &End<'_>, owners: Owners, manner: Manner) -> Result<Made, CopyError> {
    let source = from.source(manner)?;
    let target = to.target()?;
    let landing = decide(
        from.spelled.name(),
        source.is_directory,
        &to.spelled,
        target.there,
    );
    let landing = landing.map_err(|refusal| to.refused(refusal))?;
    let (directory, base, top) = match landing {
        Landing::Within(name) => (target.directory()?, &to.spelled.path, Some(name)),
        Landing::Spread => (target.directory()?, &to.spelled.path, None),
        Landing::As => (target.parent, &target.above, Some(target.name)),
    };
    let top = match top {
        Some(name) => EntryPath::root().join(name.as_bytes()),
        None => EntryPath::root(),
    };
    let mut place = Place {
        root: directory.as_fd(),
        within: None,
        ids: to.ids,
        owners: if manner.keep_owners {
            Owners::Kept
        } else {
            owners
        },
        top: Top::Stays,
        side: Side::new(to.container, base),
        progress: Made::default(),
    };
    let side = Side {
        is_renamed: !top.is_root(),
        ..from.side()
    };
    let mut visit = |entry: Entry, contents: Option<&File>| {
        let contents = contents.map_or(Contents::Nothing, Contents::File);
        place.put(entry, contents)
    };
    Walk::new(from.ids, &side, &mut visit).tree(&source.node, top)?;
    place.finish()
}

/// Something to be copied.
struct Source {
    node: OwnedFd,
    is_directory: bool,
}

/// A place to copy to.
struct Target {
    there: There,
    /// The directory itself, if there is one.
    directory: Option<OwnedFd>,
    /// The directory above, and the last name: of what a last symbolic link leads to, if there is one.
    parent: OwnedFd,
    above: PathBuf,
    name: OsString,
}

impl Target {
    fn directory(&self) -> Result<OwnedFd, CopyError> {
        let directory = self.directory.as_ref().unwrap_or(&self.parent);
        rustix::io::fcntl_dupfd_cloexec(directory, 3).map_err(|source| CopyError::Access {
            action: "open",
            path: self.above.display().to_string(),
            source,
        })
    }
}

/// How many links behind one another are followed, as in the kernel.
const MOST_LINKS: usize = 40;

impl End<'_> {
    fn side(&self) -> Side<'_> {
        Side::new(self.container, &self.spelled.path)
    }

    fn refused(&self, refusal: Refusal) -> CopyError {
        let here = self.side().here();
        match refusal {
            Refusal::DirectoryOntoFile => CopyError::DirectoryOntoFile(here),
            Refusal::NoSuchDirectory => CopyError::NoSuchDirectory(here),
            Refusal::NotADirectory => CopyError::NotADirectory(here),
        }
    }

    fn failed(&self, error: FsError) -> CopyError {
        match error.errno() {
            Some(Errno::NOENT) => CopyError::NotThere(self.side().here()),
            Some(Errno::NOTDIR) => CopyError::NotADirectory(self.side().here()),
            Some(source) => CopyError::Access {
                action: "open",
                path: self.side().here(),
                source,
            },
            None => error.into(),
        }
    }

    /// Finds what is to be copied.
    fn source(&self, manner: Manner) -> Result<Source, CopyError> {
        let mut flags = OFlags::PATH;
        if self.spelled.is_directory {
            flags |= OFlags::DIRECTORY;
        } else if !manner.follow {
            flags |= OFlags::NOFOLLOW;
        }
        let node = self
            .root
            .open(&self.spelled.path, flags, Mode::empty())
            .map_err(|error| self.failed(error))?;
        let stat = fstat(&node).map_err(|source| CopyError::Access {
            action: "look at",
            path: self.side().here(),
            source,
        })?;
        Ok(Source {
            is_directory: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            node,
        })
    }

    /// Finds where to copy to, following a last symbolic link to what it leads to, be it there or not.
    fn target(&self) -> Result<Target, CopyError> {
        let mut path = self.spelled.path.clone();
        let directory = OFlags::PATH | OFlags::DIRECTORY;
        if let Ok(found) = self.root.open(&path, directory, Mode::empty()) {
            let parent = found;
            let directory = rustix::io::fcntl_dupfd_cloexec(&parent, 3);
            return Ok(Target {
                there: There::Directory,
                directory: directory.ok(),
                parent,
                above: path,
                name: OsString::new(),
            });
        }
        for _ in 0..MOST_LINKS {
            let (parent, name) = self.root.parent_of(&path).map_err(|error| {
                let above = path.parent().unwrap_or(&path);
                Self {
                    spelled: Spelled::new(Path::new("/"), above),
                    ..*self
                }
                .failed(error)
            })?;
            let stat = statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW);
            let above = path.parent().unwrap_or(Path::new("/")).to_owned();
            let there = match stat {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                    let text = rustix::fs::readlinkat(&parent, &name, Vec::new());
                    let text = text.map_err(|source| {
                        self.failed(FsError::Read {
                            path: path.clone(),
                            source,
                        })
                    })?;
                    path = above.join(std::ffi::OsStr::from_bytes(text.as_bytes()));
                    continue;
                }
                Ok(_) => There::Other,
                Err(_) => There::Nothing,
            };
            return Ok(Target {
                there,
                directory: None,
                parent,
                above,
                name,
            });
        }
        Err(self.failed(FsError::Open {
            path,
            source: Errno::LOOP,
        }))
    }

    /// Writes what is here as an archive.
    fn write_archive(&self, out: &mut dyn Write, manner: Manner) -> Result<Made, CopyError> {
        let source = self.source(manner)?;
        let top = match self.spelled.name() {
            Some(name) => EntryPath::root().join(name.as_bytes()),
            None => EntryPath::root(),
        };
        let mut out = io::BufWriter::with_capacity(256 << 10, out);
        let mut writer = Writer::new(&mut out);
        let mut made = Made::default();
        let mut visit = |entry: Entry, contents: Option<&File>| {
            made.files += 1;
            made.bytes += entry.size;
            let written = match contents {
                // Filled up where it became shorter meanwhile.
                Some(file) => writer.append_file(&entry, file.chain(io::repeat(0))),
                None => writer.append(&entry),
            };
            written.map_err(CopyError::Write)
        };
        let side = Side {
            is_renamed: !top.is_root(),
            ..self.side()
        };
        Walk::new(self.ids, &side, &mut visit).tree(&source.node, top)?;
        writer.finish().map_err(CopyError::Write)?;
        out.flush()
            .map_err(|source| CopyError::Write(hull_fs::tar::TarError::Write { source }))?;
        Ok(made)
    }

    /// Unpacks an archive into the directory that is here. Links that lead to directories are followed inside the
    /// container, as its own tar would: `bin/tool` goes to `usr/bin` where `bin` leads there.
    fn read_archive(&self, archive: &mut dyn Read) -> Result<Made, CopyError> {
        let directory = self
            .root
            .open_dir(&self.spelled.path)
            .map_err(|error| self.failed(error))?;
        let mut place = Place {
            root: directory.as_fd(),
            within: Some((self.root, self.spelled.path.clone())),
            ids: self.ids,
            owners: Owners::Kept,
            top: Top::Stays,
            side: self.side(),
            progress: Made::default(),
        };
        let archive = hull_image::decompress(archive).map_err(CopyError::Decompress)?;
        let mut reader = Reader::new(archive, Limits::default());
        while let Some(entry) = reader.next_entry().map_err(CopyError::Archive)? {
            let contents = match entry.kind {
                Kind::File => Contents::Archive(&mut reader),
                _ => Contents::Nothing,
            };
            place.put(entry, contents)?;
        }
        if !reader.end_was_marked() {
            return Err(CopyError::CutOff);
        }
        // Whoever writes it is not cut off in the middle of its padding.
        reader.finish().map_err(CopyError::Archive)?;
        place.finish()
    }
}

impl std::convert::From<Made> for Copied {
    fn from(made: Made) -> Self {
        Self {
            files: made.files,
            bytes: made.bytes,
            left_out: made.left_out,
        }
    }
}
