//! Layers as plain directories: the driver that works everywhere.
//!
//! ```text
//! layers/                              0700: set-id programs of images are nobody's to run on the host (CVE-2021-41091)
//!   .lock                              shared: a name appears; exclusive: names disappear. Held for moments
//!   sha256-<hex>/                      the diff ID with `-` for `:`, which overlayfs options and PATHs split at
//!     fs/                              the tree
//!     layer.json                       its record
//!     lock                             shared by everyone who holds the layer, exclusive while it is unpacked
//!   mount-points/                  what lies below every image: empty dev, proc, sys, etc/hosts, …
//!   .unpacking-<random>/               the same, not finished
//! garbage/layer-<random>               what is being removed
//! ```
//! A layer appears by one rename and disappears by one rename. Whatever is found under `.unpacking-` without a lock was
//! left by a process that died.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hull_fs::{Durability, Lock, disk_usage, list, random_hex, read_at, remove_tree, replace_at};
use hull_types::{DiffId, Digest};
use rustix::fs::{Access, AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::extract::{Summary, extract};
use crate::{Collected, Driver, Hold, LayerRecord, Options, SnapshotError, Unpacking};

const UNPACKING: &str = ".unpacking-";
const GARBAGE: &str = "layer-";
const STORE_LOCK: &str = ".lock";
const LOCK: &str = "lock";
const RECORD: &str = "layer.json";
const TREE: &str = "fs";
const LAYERS: &str = "layers";
const MOUNT_POINTS: &str = "mount-points";
/// Far more than a record with all of /dev in it has.
const RECORD_LIMIT: u64 = 4 << 20;

/// Layers as directories below `<root>/layers`.
#[derive(Debug)]
pub struct Directories {
    layers: OwnedFd,
    garbage: OwnedFd,
    /// For messages.
    path: PathBuf,
    options: Options,
}

impl Directories {
    /// Opens the layers below a Hull root directory, which exists; makes what is missing.
    pub fn open(root: &Path, options: Options) -> Result<Self, SnapshotError> {
        let path = root.join(LAYERS);
        Ok(Self {
            layers: open_or_make(&path)?,
            garbage: open_or_make(&root.join("garbage"))?,
            path,
            options,
        })
    }

    fn lock_store(&self, exclusive: bool) -> Result<Lock, SnapshotError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.layers, STORE_LOCK, flags, Mode::from_raw_mode(0o600))
            .map_err(|source| self.fail("open", STORE_LOCK, source))?;
        Ok(if exclusive {
            Lock::acquire(file)?
        } else {
            Lock::acquire_shared(file)?
        })
    }

    /// Opens the lock file of a layer, finished or not.
    fn lock_file(&self, layer: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = Path::new(layer).join(LOCK);
        rustix::fs::openat(&self.layers, name, flags, Mode::empty())
    }

    /// Says whether somebody holds a layer. The caller holds the store's lock.
    fn is_held(&self, layer: &OsStr) -> Result<bool, SnapshotError> {
        match self.lock_file(layer, OFlags::RDWR) {
            Ok(file) => Ok(Lock::try_acquire(file)?.is_none()),
            Err(Errno::NOENT) => Ok(false),
            Err(source) => Err(self.fail("open the lock of", layer, source)),
        }
    }

    /// Moves a layer, finished or not, out of sight, unless somebody holds it. The caller holds the store's lock.
    fn retire(&self, layer: &OsStr) -> Result<Option<String>, SnapshotError> {
        // Without a lock file it was killed between making the directory and that.
        if self.is_held(layer)? {
            return Ok(None);
        }
        let name = format!("{GARBAGE}{}", random_hex(8)?);
        rustix::fs::renameat(&self.layers, layer, &self.garbage, name.as_str())
            .map_err(|source| self.fail("remove", layer, source))?;
        Ok(Some(name))
    }

    fn fail(&self, action: &'static str, name: impl AsRef<Path>, source: Errno) -> SnapshotError {
        SnapshotError::Store {
            action,
            path: self.path.join(name),
            source,
        }
    }

    fn open_in(&self, name: impl AsRef<Path>, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.layers, name.as_ref(), flags, Mode::empty())
    }

    /// Makes them aside, so that whoever finds the name finds all of them.
    fn make_mount_points(&self) -> Result<(), SnapshotError> {
        let made = self.begin_unpacking()?;
        let tree = made.tree()?;
        let failed =
            |name| move |source| self.fail("create", Path::new(MOUNT_POINTS).join(name), source);
        for name in ["dev", "etc", "proc", "sys"] {
            make(&tree, name, 0o755).map_err(failed(name))?;
        }
        for name in ["etc/hostname", "etc/hosts", "etc/resolv.conf"] {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::EXCL | OFlags::CLOEXEC;
            rustix::fs::openat(&tree, name, flags, Mode::from_raw_mode(0o644))
                .map_err(failed(name))?;
        }
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&made.dir, TREE, &self.layers, MOUNT_POINTS, flags) {
            // Somebody else was faster; ours goes.
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(source) => Err(self.fail("create", MOUNT_POINTS, source)),
        }
    }

    fn begin_unpacking(&self) -> Result<UnpackingDirectory<'_>, SnapshotError> {
        // A collector takes an unlocked directory for an abandoned one: none may look before ours is locked.
        let _store = self.lock_store(false)?;
        let name = format!("{UNPACKING}{}", random_hex(8)?);
        make(&self.layers, &name, 0o700).map_err(|source| self.fail("create", &name, source))?;
        let failed = |action| {
            let name = name.clone();
            move |source| self.fail(action, name, source)
        };
        let dir = self
            .open_in(&name, OFlags::RDONLY)
            .map_err(failed("open"))?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let lock = rustix::fs::openat(&dir, LOCK, flags, Mode::from_raw_mode(0o600))
            .map_err(failed("create the lock of"))?;
        let unpacking = UnpackingDirectory {
            store: self,
            lock: Some(Lock::acquire(lock)?),
            dir,
            name,
            summary: Summary::default(),
        };
        make(&unpacking.dir, TREE, 0o755)
            .map_err(|source| self.fail("create a directory in", &unpacking.name, source))?;
        Ok(unpacking)
    }
}

impl Driver for Directories {
    fn name(&self) -> &'static str {
        "directories"
    }

    fn begin(&self) -> Result<Box<dyn Unpacking + '_>, SnapshotError> {
        Ok(Box::new(self.begin_unpacking()?))
    }

    fn contains(&self, id: &DiffId) -> Result<bool, SnapshotError> {
        let name = directory_name(id);
        match self.open_in(&name, OFlags::PATH) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(source) => Err(self.fail("open", name, source)),
        }
    }

    fn record(&self, id: &DiffId) -> Result<LayerRecord, SnapshotError> {
        let name = directory_name(id);
        let dir = self
            .open_in(&name, OFlags::RDONLY)
            .map_err(|source| match source {
                Errno::NOENT => SnapshotError::NotFound(id.clone()),
                source => self.fail("open", &name, source),
            })?;
        let bytes = read_at(&dir, RECORD, RECORD_LIMIT)?;
        LayerRecord::parse(&bytes, || self.path.join(&name).join(RECORD))
    }

    fn open(&self, id: &DiffId) -> Result<OwnedFd, SnapshotError> {
        let name = Path::new(&directory_name(id)).join(TREE);
        self.open_in(&name, OFlags::PATH)
            .map_err(|source| match source {
                Errno::NOENT => SnapshotError::NotFound(id.clone()),
                source => self.fail("open", &name, source),
            })
    }

    fn path(&self, id: &DiffId) -> PathBuf {
        [LAYERS, &directory_name(id), TREE].iter().collect()
    }

    fn mount_points(&self) -> Result<PathBuf, SnapshotError> {
        let there =
            rustix::fs::accessat(&self.layers, MOUNT_POINTS, Access::EXISTS, AtFlags::empty());
        match there {
            Ok(()) => {}
            Err(Errno::NOENT) => self.make_mount_points()?,
            Err(source) => return Err(self.fail("look at", MOUNT_POINTS, source)),
        }
        Ok(Path::new(LAYERS).join(MOUNT_POINTS))
    }

    fn open_mount_points(&self) -> Result<OwnedFd, SnapshotError> {
        self.mount_points()?;
        self.open_in(MOUNT_POINTS, OFlags::PATH)
            .map_err(|source| self.fail("open", MOUNT_POINTS, source))
    }

    fn hold(&self, id: &DiffId) -> Result<Hold, SnapshotError> {
        let _store = self.lock_store(false)?;
        let name = directory_name(id);
        let file =
            self.lock_file(OsStr::new(&name), OFlags::RDONLY)
                .map_err(|source| match source {
                    Errno::NOENT => SnapshotError::NotFound(id.clone()),
                    source => self.fail("open the lock of", &name, source),
                })?;
        // Nobody has it exclusively: whoever removes the layer needs the store's lock for that.
        Ok(Hold::new(Lock::acquire_shared(file)?))
    }

    fn list(&self) -> Result<Vec<DiffId>, SnapshotError> {
        let mut ids: Vec<DiffId> = list(&self.layers)?.iter().filter_map(diff_id).collect();
        ids.sort();
        Ok(ids)
    }

    fn remove(&self, id: &DiffId) -> Result<(), SnapshotError> {
        if !self.contains(id)? {
            return Err(SnapshotError::NotFound(id.clone()));
        }
        let store = self.lock_store(true)?;
        let retired = self.retire(OsStr::new(&directory_name(id)))?;
        store.release()?;
        let name = retired.ok_or_else(|| SnapshotError::Held(id.clone()))?;
        Ok(remove_tree(&self.garbage, name)?)
    }

    fn collect_unused(
        &self,
        live: &HashSet<DiffId>,
        in_use: &dyn Fn() -> Option<HashSet<DiffId>>,
    ) -> Result<Collected, SnapshotError> {
        let mut collected = Collected::default();
        let store = self.lock_store(true)?;
        let mut unheld = Vec::new();
        for name in list(&self.layers)? {
            match Name::of(&name) {
                Name::Layer(id) if live.contains(&id) => {}
                Name::Layer(id) => {
                    if !self.is_held(&name)? {
                        unheld.push((name, id));
                    }
                }
                Name::Unfinished => {
                    if self.retire(&name)?.is_some() {
                        collected.unfinished += 1;
                    }
                }
                Name::StoreLock | Name::MountPoints => {}
                Name::Foreign => collected.foreign.push(name.to_string_lossy().into_owned()),
            }
        }
        // Not before: holding a layer takes the store's lock, so what was not held just now stays so, and whoever let go
        // of a layer before has written its record.
        if !unheld.is_empty()
            && let Some(in_use) = in_use()
        {
            for (name, id) in unheld {
                if !in_use.contains(&id) && self.retire(&name)?.is_some() {
                    collected.layers.push(id);
                }
            }
        }
        store.release()?;
        collected.layers.sort();
        collected.foreign.sort();
        // With what a killed collector left.
        for name in list(&self.garbage)? {
            if name.as_encoded_bytes().starts_with(GARBAGE.as_bytes()) {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                // Another collector may be removing it as well: then it is counted as far as it is still there.
                let usage = rustix::fs::openat(&self.garbage, &name, flags, Mode::empty())
                    .ok()
                    .and_then(|layer| disk_usage(layer).ok());
                remove_tree(&self.garbage, name)?;
                collected.bytes += usage.map_or(0, |usage| usage.bytes);
            }
        }
        Ok(collected)
    }
}

/// A layer being unpacked into its own directory, under that directory's lock.
#[derive(Debug)]
struct UnpackingDirectory<'a> {
    store: &'a Directories,
    /// There until the layer is committed.
    lock: Option<Lock>,
    dir: OwnedFd,
    name: String,
    summary: Summary,
}

impl Unpacking for UnpackingDirectory<'_> {
    fn write_from(&mut self, tar: &mut dyn Read) -> Result<(), SnapshotError> {
        let tree = self.tree()?;
        self.summary = extract(tree.as_fd(), tar, self.store.options)?;
        Ok(())
    }

    fn end_was_marked(&self) -> bool {
        self.summary.end_was_marked
    }

    fn commit(mut self: Box<Self>, id: &DiffId) -> Result<(LayerRecord, Hold), SnapshotError> {
        let record = LayerRecord::new(id, &self.summary);
        self.write_record(&record)?;
        let name = directory_name(id);
        let store = self.store.lock_store(false)?;
        let layers = &self.store.layers;
        let renamed = rustix::fs::renameat_with(
            layers,
            self.name.as_str(),
            layers,
            name.as_str(),
            RenameFlags::NOREPLACE,
        );
        match renamed {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                // Ours is removed when it is dropped.
                store.release()?;
                return Ok((self.store.record(id)?, self.store.hold(id)?));
            }
            Err(source) => return Err(self.store.fail("create", name, source)),
        }
        let lock = self
            .lock
            .take()
            .expect("only commit takes the lock, and it takes all of self");
        // From exclusive to shared: the layer is finished, others may hold it too.
        let hold = Hold::new(Lock::acquire_shared(lock.into_fd())?);
        store.release()?;
        if self.store.options.durability == Durability::Synced {
            rustix::fs::fsync(layers).map_err(|source| self.store.fail("sync", "", source))?;
        }
        Ok((record, hold))
    }
}

impl UnpackingDirectory<'_> {
    fn tree(&self) -> Result<OwnedFd, SnapshotError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.dir, TREE, flags, Mode::empty())
            .map_err(|source| self.store.fail("open", &self.name, source))
    }

    fn write_record(&self, record: &LayerRecord) -> Result<(), SnapshotError> {
        let mode = Mode::from_raw_mode(0o600);
        if self.store.options.durability == Durability::Synced {
            // All files of the layer at once, and whatever else waits there; one by one they would take minutes.
            rustix::fs::syncfs(&self.dir)
                .map_err(|source| self.store.fail("sync", &self.name, source))?;
        }
        Ok(replace_at(
            &self.dir,
            RECORD,
            &record.print(),
            mode,
            self.store.options.durability,
        )?)
    }
}

impl Drop for UnpackingDirectory<'_> {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // Nobody can be told: what stays is what the next collection removes.
            remove_tree(&self.store.layers, &self.name).ok();
        }
    }
}

/// What a name in `layers/` is.
enum Name {
    Layer(DiffId),
    Unfinished,
    StoreLock,
    MountPoints,
    Foreign,
}

impl Name {
    fn of(name: &OsString) -> Self {
        if let Some(id) = diff_id(name) {
            return Self::Layer(id);
        }
        match name.to_str() {
            Some(STORE_LOCK) => Self::StoreLock,
            Some(MOUNT_POINTS) => Self::MountPoints,
            Some(name) if name.starts_with(UNPACKING) => Self::Unfinished,
            _ => Self::Foreign,
        }
    }
}

fn directory_name(DiffId(digest): &DiffId) -> String {
    format!("{}-{}", digest.algorithm().as_str(), digest.hex())
}

fn diff_id(name: &OsString) -> Option<DiffId> {
    let (algorithm, hex) = name.to_str()?.split_once('-')?;
    format!("{algorithm}:{hex}")
        .parse::<Digest>()
        .ok()
        .map(DiffId)
}

/// Makes a directory with exactly this mode, whatever the umask.
fn make(dir: impl AsFd, name: &str, mode: u32) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(mode);
    rustix::fs::mkdirat(&dir, name, mode)?;
    rustix::fs::chmodat(&dir, name, mode, rustix::fs::AtFlags::empty())
}

fn open_or_make(path: &Path) -> Result<OwnedFd, SnapshotError> {
    let failed = |action| {
        move |source| SnapshotError::Store {
            action,
            path: path.to_owned(),
            source,
        }
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || rustix::fs::open(path, flags, Mode::empty());
    match open() {
        Err(Errno::NOENT) => {}
        opened => return opened.map_err(failed("open")),
    }
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(source) => return Err(failed("create")(source)),
    }
    open().map_err(failed("open"))
}
