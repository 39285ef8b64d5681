use std::{
    cell::Cell,
    collections::HashSet,
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
};

use hull_fs::Lock;
use hull_types::{Algorithm, Digest};
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::{
    ContentError, Hasher, Store,
    store::{blob_name, open_dir},
};

/// Blobs being taken in by one process.
///
/// On disk it is a directory `ingest/<random>/` with a `lock` file that this process holds, a list `held` of the digests that
/// must not be collected, and the files being written. When the process ends, however it ends, the kernel drops the lock and
/// the directory is garbage. Dropping the session removes it.
#[derive(Debug)]
pub struct Session<'s> {
    store: &'s Store,
    name: String,
    dir: OwnedFd,
    held: File,
    next: Cell<u32>,
    /// There until the session is dropped.
    lock: Option<Lock>,
}

impl<'s> Session<'s> {
    /// Runs under the store's lock, so that a collector never sees a session that does not hold its own lock yet.
    pub(crate) fn begin(store: &'s Store) -> Result<Self, ContentError> {
        let _store_lock = store.lock()?;
        let name = format!("ingest/{}", hull_fs::random_hex(8)?);
        let failed = |action, errno: rustix::io::Errno| store.access(action, &name, errno.into());
        rustix::fs::mkdirat(store.dir(), &name, Mode::RWXU).map_err(|e| failed("create", e))?;
        let dir = open_dir(store.dir(), &name).map_err(|e| failed("open", e))?;
        let lock = Lock::acquire_at(&dir, "lock")?;
        let held = create(&dir, "held", OFlags::APPEND).map_err(|e| failed("create list in", e))?;
        Ok(Self {
            store,
            dir,
            held: held.into(),
            next: Cell::new(0),
            lock: Some(lock),
            name,
        })
    }

    /// Keeps a digest (a blob's, or a layer's diff ID) from being collected while the session lives, and says whether a blob
    /// with this digest is here. The answer stays true: this is the way to rely on a blob that some other image brought.
    pub fn hold(&self, digest: &Digest) -> Result<bool, ContentError> {
        let _store_lock = self.store.lock()?;
        (&self.held)
            .write_all(format!("{digest}\n").as_bytes())
            .map_err(|source| self.access("write the list of", source))?;
        self.store.contains(digest)
    }

    /// Starts a blob of which nothing is known but the most it may have.
    pub fn ingest(&self, algorithm: Algorithm, limit: u64) -> Result<Ingest<'_>, ContentError> {
        self.start(None, algorithm, limit)
    }

    /// Starts a blob whose digest and size are known.
    pub fn ingest_expecting(&self, digest: &Digest, size: u64) -> Result<Ingest<'_>, ContentError> {
        self.start(Some((digest.clone(), size)), digest.algorithm(), size)
    }

    /// Takes in bytes at hand.
    pub fn put(&self, bytes: &[u8]) -> Result<Blob, ContentError> {
        let mut ingest = self.ingest(Algorithm::Sha256, bytes.len() as u64)?;
        ingest.take(bytes)?;
        ingest.finish()?.commit()
    }

    fn start(
        &self,
        expected: Option<(Digest, u64)>,
        algorithm: Algorithm,
        limit: u64,
    ) -> Result<Ingest<'_>, ContentError> {
        let name = self.next.get().to_string();
        self.next.set(self.next.get() + 1);
        let file = create(&self.dir, &name, OFlags::empty())
            .map_err(|errno| self.access("create a file in", errno.into()))?;
        Ok(Ingest {
            file: file.into(),
            temporary: Temporary {
                session: self,
                name,
            },
            hasher: Hasher::new(algorithm),
            expected,
            size: 0,
            limit,
        })
    }

    fn access(&self, action: &'static str, source: io::Error) -> ContentError {
        self.store.access(action, &self.name, source)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        discard(self.store, &self.name);
        // Released, not only closed: a child forked by another thread may have a copy of the descriptor until its exec. What
        // could not be removed is garbage from here on, so that nothing need be said of failures.
        if let Some(lock) = self.lock.take() {
            lock.release().ok();
        }
    }
}

/// A blob being written. Dropping it removes what was written.
#[derive(Debug)]
pub struct Ingest<'s> {
    file: File,
    temporary: Temporary<'s>,
    hasher: Hasher,
    expected: Option<(Digest, u64)>,
    size: u64,
    limit: u64,
}

impl<'s> Ingest<'s> {
    /// Returns the algorithm of the digest it will have.
    pub fn algorithm(&self) -> Algorithm {
        self.hasher.algorithm()
    }

    /// Returns whether digest and size are known beforehand.
    pub fn is_promised(&self) -> bool {
        self.expected.is_some()
    }

    /// Takes the next bytes: into the hash and into the file.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), ContentError> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Err(ContentError::TooLong { limit: self.limit });
        }
        self.hasher.update(bytes);
        self.file
            .write_all(bytes)
            .map_err(|source| self.temporary.session.access("write a blob in", source))
    }

    /// Takes everything a reader has; the inner error is the reader's, the outer one the store's.
    pub fn take_all(&mut self, from: &mut dyn Read) -> Result<io::Result<()>, ContentError> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(Ok(())),
                Ok(count) => self.take(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Ends the blob and verifies what was promised of it. It is not visible yet.
    pub fn finish(self) -> Result<Staged<'s>, ContentError> {
        let digest = self.hasher.finish();
        if let Some((expected, size)) = self.expected {
            if self.size < size {
                return Err(ContentError::TooShort {
                    expected: size,
                    actual: self.size,
                });
            }
            if digest != expected {
                return Err(ContentError::WrongDigest {
                    expected,
                    actual: digest,
                });
            }
        }
        Ok(Staged {
            blob: Blob {
                digest,
                size: self.size,
            },
            temporary: self.temporary,
        })
    }
}

impl Write for Ingest<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A digest and the number of bytes it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Blob {
    pub digest: Digest,
    pub size: u64,
}

/// A whole blob under a temporary name. Dropping it removes it.
#[derive(Debug)]
pub struct Staged<'s> {
    blob: Blob,
    temporary: Temporary<'s>,
}

impl Staged<'_> {
    /// Returns digest and size.
    pub fn blob(&self) -> &Blob {
        &self.blob
    }

    /// Compares it with what was promised of it.
    pub fn expect(self, digest: &Digest, size: u64) -> Result<Self, ContentError> {
        if self.blob.digest != *digest {
            return Err(ContentError::WrongDigest {
                expected: digest.clone(),
                actual: self.blob.digest.clone(),
            });
        }
        match self.blob.size {
            actual if actual < size => Err(ContentError::TooShort {
                expected: size,
                actual,
            }),
            actual if actual > size => Err(ContentError::TooLong { limit: size }),
            _ => Ok(self),
        }
    }

    /// Opens it for reading.
    pub fn open(&self) -> Result<File, ContentError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let session = self.temporary.session;
        rustix::fs::openat(&session.dir, &self.temporary.name, flags, Mode::empty())
            .map(File::from)
            .map_err(|errno| session.access("open a blob in", errno.into()))
    }

    /// Makes it visible under its digest. The session holds it from collection.
    ///
    /// The bytes reach the disk before the name does: after a power cut a blob is whole or absent.
    pub fn commit(self) -> Result<Blob, ContentError> {
        let session = self.temporary.session;
        if !session.hold(&self.blob.digest)? {
            let failed =
                |action| move |errno: rustix::io::Errno| session.access(action, errno.into());
            rustix::fs::fdatasync(self.open()?).map_err(failed("sync a blob in"))?;
            let name = blob_name(&self.blob.digest);
            rustix::fs::renameat(
                &session.dir,
                &self.temporary.name,
                session.store.dir(),
                name,
            )
            .map_err(failed("publish a blob of"))?;
        }
        Ok(self.blob.clone())
    }
}

/// A file in a session, unlinked when dropped. After a commit the name is gone already.
#[derive(Debug)]
struct Temporary<'s> {
    session: &'s Session<'s>,
    name: String,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        let _ = rustix::fs::unlinkat(&self.session.dir, &self.name, AtFlags::empty());
    }
}

/// What [`Store::collect`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub blobs: Vec<Digest>,
    /// What the disk got back, in whole blocks: also of what dead sessions left.
    pub bytes: u64,
}

impl Store {
    /// Removes every blob that is neither in the set `live` returns nor held by a living session, and what dead sessions left.
    ///
    /// `live` is handed the list of images and the digests held by sessions. It runs under the store's lock, so that nothing
    /// can be listed or held between its answer and the removal; the slow part, giving the space back, comes after it.
    pub fn collect<E: From<ContentError>>(
        &self,
        live: impl FnOnce(&crate::Index, &HashSet<Digest>) -> Result<HashSet<Digest>, E>,
    ) -> Result<Collected, E> {
        let lock = self.lock()?;
        let (held, mut garbage) = self.sessions()?;
        let live = live(&self.index()?, &held)?;
        let mut collected = Collected::default();
        let mut grave = None;
        for digest in self.blobs()? {
            if live.contains(&digest) || held.contains(&digest) {
                continue;
            }
            let grave = match &mut grave {
                Some(grave) => grave,
                none => none.insert(self.make_grave(&mut garbage)?),
            };
            let name = blob_name(&digest);
            rustix::fs::renameat(self.dir(), &name, &*grave, digest.hex())
                .map_err(|errno| self.access("collect", &name, errno.into()))?;
            collected.blobs.push(digest);
        }
        // Every replacement happens under the lock, so what is here of one was left by a crash.
        for name in self
            .names(".")?
            .iter()
            .filter(|name| name.starts_with(".tmp-"))
        {
            let _ = rustix::fs::unlinkat(self.dir(), name, AtFlags::empty());
        }
        drop(lock);
        for name in garbage {
            collected.bytes += discard(self, &name);
        }
        Ok(collected)
    }

    /// Returns the digests that living sessions hold and the directories of dead ones.
    fn sessions(&self) -> Result<(HashSet<Digest>, Vec<String>), ContentError> {
        let (mut held, mut dead) = (HashSet::new(), Vec::new());
        for name in self.names("ingest")? {
            let name = format!("ingest/{name}");
            match self.held_by(&name)? {
                Some(list) => held.extend(list.lines().flat_map(str::parse::<Digest>)),
                None => dead.push(name),
            }
        }
        Ok((held, dead))
    }

    /// Returns the list of a session, or `None` if nobody holds its lock any more.
    fn held_by(&self, name: &str) -> Result<Option<String>, ContentError> {
        // A session can end, and remove itself, at any moment.
        let Ok(dir) = open_dir(self.dir(), name) else {
            return Ok(None);
        };
        if !Lock::held_by_someone(&dir, "lock")? {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let Ok(file) = rustix::fs::openat(&dir, "held", flags, Mode::empty()) else {
            return Ok(None);
        };
        let mut list = String::new();
        File::from(file)
            .read_to_string(&mut list)
            .map_err(|source| self.access("read the list of", name, source))?;
        Ok(Some(list))
    }

    /// Makes a directory that looks like a dead session: if this process dies, the next collection finishes its work.
    fn make_grave(&self, garbage: &mut Vec<String>) -> Result<OwnedFd, ContentError> {
        let name = format!("ingest/{}", hull_fs::random_hex(8)?);
        let failed = |errno: rustix::io::Errno| self.access("create", &name, errno.into());
        rustix::fs::mkdirat(self.dir(), &name, Mode::RWXU).map_err(failed)?;
        let dir = open_dir(self.dir(), &name).map_err(failed)?;
        garbage.push(name);
        Ok(dir)
    }
}

/// Removes a flat directory of the store as far as possible. Another process may be doing the same, and whatever stays is
/// found again by the next collection, so failures are not told. Returns how many bytes its files took.
fn discard(store: &Store, name: &str) -> u64 {
    let Ok(dir) = open_dir(store.dir(), name) else {
        return 0;
    };
    let mut bytes = 0;
    for file in store.names(name).unwrap_or_default() {
        let taken = rustix::fs::statat(&dir, &file, AtFlags::SYMLINK_NOFOLLOW)
            .map_or(0, |stat| u64::try_from(stat.st_blocks).unwrap_or(0) * 512);
        if rustix::fs::unlinkat(&dir, file, AtFlags::empty()).is_ok() {
            bytes += taken;
        }
    }
    let _ = rustix::fs::unlinkat(store.dir(), name, AtFlags::REMOVEDIR);
    bytes
}

fn create(dir: &OwnedFd, name: &str, flags: OFlags) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = flags | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::from(0o600))
}
