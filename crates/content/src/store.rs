use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use hull_fs::{Durability, Lock};
use hull_types::{Algorithm, Digest};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::{ContentError, Index, Session, Verified};

/// Index files larger than this are refused rather than read into memory: a hundred thousand names fit.
const MAX_INDEX: u64 = 64 << 20;
const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// A directory of blobs that is an OCI image layout.
#[derive(Debug)]
pub struct Store {
    dir: OwnedFd,
    path: PathBuf,
}

impl Store {
    /// Opens the store at `path`, making an empty one if there is none.
    ///
    /// The directory is closed to others (mode 0700): what lies in images may be set-user-id programs with known holes.
    pub fn open(path: &Path) -> Result<Self, ContentError> {
        let dir = match open_dir(CWD, path) {
            Err(rustix::io::Errno::NOENT) => {
                std::fs::create_dir_all(path)
                    .map_err(|source| access("create", path.to_owned(), source))?;
                let dir = open_dir(CWD, path);
                if let Ok(dir) = &dir {
                    rustix::fs::fchmod(dir, Mode::RWXU)
                        .map_err(|e| access("close to others", path.to_owned(), e.into()))?;
                }
                dir
            }
            other => other,
        };
        let dir = dir.map_err(|errno| access("open", path.to_owned(), errno.into()))?;
        let store = Self {
            dir,
            path: path.to_owned(),
        };
        if !store.has_layout()? {
            store.make_layout()?;
        }
        Ok(store)
    }

    fn has_layout(&self) -> Result<bool, ContentError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Layout {
            image_layout_version: String,
        }
        let path = || self.path.join("oci-layout");
        let Some(bytes) = self.read_file("oci-layout", 4096)? else {
            return Ok(false);
        };
        let layout: Layout =
            serde_json::from_slice(&bytes).map_err(|source| ContentError::BadIndex {
                path: path(),
                source,
            })?;
        if layout.image_layout_version != "1.0.0" {
            return Err(ContentError::UnknownLayout {
                path: path(),
                version: layout.image_layout_version,
            });
        }
        Ok(true)
    }

    /// Every step may already have been done by another process, and `oci-layout` comes last: it says that all is there.
    fn make_layout(&self) -> Result<(), ContentError> {
        for name in ["blobs", "blobs/sha256", "blobs/sha512", "ingest"] {
            match rustix::fs::mkdirat(&self.dir, name, Mode::RWXU) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(errno) => return Err(self.access("create", name, errno.into())),
            }
        }
        let _lock = self.lock()?;
        if self.read_file("index.json", MAX_INDEX)?.is_none() {
            self.write_index(&Index::default())?;
        }
        self.replace("oci-layout", LAYOUT.as_bytes())
    }

    /// Returns the directory of the layout.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Returns whether a blob is here.
    pub fn contains(&self, digest: &Digest) -> Result<bool, ContentError> {
        self.size(digest).map(|size| size.is_some())
    }

    /// Returns how many bytes a blob has, if it is here.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>, ContentError> {
        let name = blob_name(digest);
        match rustix::fs::statat(&self.dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(u64::try_from(stat.st_size).unwrap_or(0))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.access("look at", &name, errno.into())),
        }
    }

    /// Opens a blob as it lies on disk. It was verified when it came in; [`Self::verified`] looks again.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, ContentError> {
        let name = blob_name(digest);
        self.open_file(&name)?
            .ok_or_else(|| ContentError::NotFound(digest.clone()))
    }

    /// Opens a blob for reading with verification: the end of it is an error if its bytes are not those its name promises.
    pub fn verified(&self, digest: &Digest) -> Result<Verified<File>, ContentError> {
        let file = self.open_blob(digest)?;
        let size = file
            .metadata()
            .map_err(|source| self.access("look at", &blob_name(digest), source))?
            .len();
        Ok(Verified::new(file, digest.clone(), size))
    }

    /// Reads a small blob whole, verified. Blobs above `cap` bytes are refused.
    pub fn read(&self, digest: &Digest, cap: u64) -> Result<Vec<u8>, ContentError> {
        let blob = self.verified(digest)?;
        if blob.size() > cap {
            return Err(ContentError::TooLong { limit: cap });
        }
        let size = blob.size();
        read_whole(blob, size).map_err(|error| match error.downcast::<ContentError>() {
            Ok(bad) => bad,
            Err(source) => self.access("read", &blob_name(digest), source),
        })
    }

    /// Lists the blobs that are here.
    pub fn blobs(&self) -> Result<Vec<Digest>, ContentError> {
        let mut found = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for name in self.names(&format!("blobs/{}", algorithm.as_str()))? {
                // What has no digest for a name is not ours to judge.
                found.extend(format!("{}:{name}", algorithm.as_str()).parse::<Digest>());
            }
        }
        Ok(found)
    }

    /// Begins to take blobs in. What comes in through the session is safe from [`Self::collect`] as long as it lives.
    pub fn begin(&self) -> Result<Session<'_>, ContentError> {
        Session::begin(self)
    }

    /// Reads the list of images. No lock is taken: the file is replaced whole.
    pub fn index(&self) -> Result<Index, ContentError> {
        let path = || self.path.join("index.json");
        let bytes = self.read_file("index.json", MAX_INDEX)?.unwrap_or_default();
        serde_json::from_slice(&bytes).map_err(|source| ContentError::BadIndex {
            path: path(),
            source,
        })
    }

    /// Changes the list of images: read, change, replace, under the lock. If `change` fails nothing is written.
    pub fn update_index<T, E: From<ContentError>>(
        &self,
        change: impl FnOnce(&mut Index) -> Result<T, E>,
    ) -> Result<T, E> {
        let _lock = self.lock()?;
        let before = self.index()?;
        let mut index = before.clone();
        let outcome = change(&mut index)?;
        if index != before {
            // The names in the list may lead to blobs whose directory entries are not on disk yet.
            self.sync_blobs()?;
            self.write_index(&index)?;
        }
        Ok(outcome)
    }

    fn write_index(&self, index: &Index) -> Result<(), ContentError> {
        let text = serde_json::to_vec(index).map_err(|source| ContentError::BadIndex {
            path: self.path.join("index.json"),
            source,
        })?;
        self.replace("index.json", &text)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), ContentError> {
        let mode = Mode::from(0o600);
        Ok(hull_fs::replace_at(
            &self.dir,
            name,
            bytes,
            mode,
            Durability::Synced,
        )?)
    }

    fn sync_blobs(&self) -> Result<(), ContentError> {
        for name in ["blobs/sha256", "blobs/sha512"] {
            let synced = open_dir(&self.dir, name).and_then(rustix::fs::fsync);
            synced.map_err(|errno| self.access("sync", name, errno.into()))?;
        }
        Ok(())
    }

    /// Takes the one lock of the store. It is held for moments only: to change the list, to begin a session, to note that a
    /// session needs a blob, and to decide what to collect.
    pub(crate) fn lock(&self) -> Result<Lock, ContentError> {
        Ok(Lock::acquire_at(&self.dir, "index.lock")?)
    }

    fn open_file(&self, name: &str) -> Result<Option<File>, ContentError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(&self.dir, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.access("open", name, errno.into())),
        }
    }

    fn read_file(&self, name: &str, cap: u64) -> Result<Option<Vec<u8>>, ContentError> {
        match hull_fs::read_at(&self.dir, name, cap) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Lists the names in a directory of the store.
    pub(crate) fn names(&self, name: &str) -> Result<Vec<String>, ContentError> {
        let dir =
            open_dir(&self.dir, name).map_err(|errno| self.access("open", name, errno.into()))?;
        let names = hull_fs::list(dir)?;
        // A name that is not text is none of ours.
        Ok(names
            .into_iter()
            .flat_map(|name| name.into_string())
            .collect())
    }

    pub(crate) fn access(
        &self,
        action: &'static str,
        name: &str,
        source: io::Error,
    ) -> ContentError {
        access(action, self.path.join(name), source)
    }
}

fn access(action: &'static str, path: PathBuf, source: io::Error) -> ContentError {
    ContentError::Access {
        action,
        path,
        source,
    }
}

/// `size` is what is expected: enough room, so that one call reads it and another finds the end.
fn read_whole(mut from: impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(size + 1).unwrap_or(0));
    from.read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn open_dir(
    dir: impl AsFd,
    name: impl rustix::path::Arg,
) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

/// Returns where a blob lies, relative to the layout. A [`Digest`] holds hexadecimal digits only, so this cannot climb.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}
