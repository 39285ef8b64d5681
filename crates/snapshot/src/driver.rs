//! What a way of keeping layers has to offer.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use hull_fs::tar::Limits;
use hull_fs::{Durability, Lock};
use hull_types::DiffId;

use crate::{LayerRecord, SnapshotError};

/// A way of keeping unpacked layers.
pub trait Driver: fmt::Debug + Send + Sync {
    /// Returns the driver's name, as `hull info` shows it.
    fn name(&self) -> &'static str;

    /// Begins to unpack a layer. Its diff ID need not be known before its last byte is.
    fn begin(&self) -> Result<Box<dyn Unpacking + '_>, SnapshotError>;

    /// Returns whether a layer is unpacked.
    fn contains(&self, id: &DiffId) -> Result<bool, SnapshotError>;

    /// Returns what is known about a layer.
    fn record(&self, id: &DiffId) -> Result<LayerRecord, SnapshotError>;

    /// Returns a layer's root directory (`O_PATH`; it may be given to overlayfs or cloned as a mount).
    fn open(&self, id: &DiffId) -> Result<OwnedFd, SnapshotError>;

    /// Returns where a layer's root directory is, below Hull's root directory. Whether it is there is not looked at.
    fn path(&self, id: &DiffId) -> PathBuf;

    /// Returns where the lowest layer of all containers is, below Hull's root directory; makes it if it is missing. It has,
    /// empty, the places that something is mounted on in every container, so that they need not be made in each.
    fn mount_points(&self) -> Result<PathBuf, SnapshotError>;

    /// Opens the same.
    fn open_mount_points(&self) -> Result<OwnedFd, SnapshotError>;

    /// Keeps a layer from being removed or collected until the hold is dropped: from the moment a container's record is
    /// being made until it names the layer.
    fn hold(&self, id: &DiffId) -> Result<Hold, SnapshotError>;

    /// Returns the layers, in order of their diff IDs.
    fn list(&self) -> Result<Vec<DiffId>, SnapshotError>;

    /// Removes a layer that nobody holds.
    fn remove(&self, id: &DiffId) -> Result<(), SnapshotError>;

    /// Removes every layer that is not `live`, not held and not in use, and what killed unpackings left behind.
    ///
    /// Whoever makes a container holds its layers until a record names them. `in_use` reads those records, and is asked
    /// once, when it is known which layers nobody holds and nobody can hold any more: asked earlier, it could miss a
    /// record that is written before its holder lets go. Where it cannot tell (`None`) no layer is removed.
    fn collect_unused(
        &self,
        live: &HashSet<DiffId>,
        in_use: &dyn Fn() -> Option<HashSet<DiffId>>,
    ) -> Result<Collected, SnapshotError>;

    /// Removes every layer that is not `live` and not held: for who knows that no record names another.
    fn collect(&self, live: &HashSet<DiffId>) -> Result<Collected, SnapshotError> {
        self.collect_unused(live, &|| Some(HashSet::new()))
    }
}

/// A layer being unpacked. Dropped before [`commit`](Self::commit), it leaves nothing.
pub trait Unpacking: fmt::Debug {
    /// Unpacks an uncompressed archive and reads its stream to the very end. To be called once.
    ///
    /// The stream is not hashed here: the caller compares digests before calling [`commit`](Self::commit).
    fn write_from(&mut self, tar: &mut dyn Read) -> Result<(), SnapshotError>;

    /// Returns whether the archive had an end mark. Without one it may have been cut off between two entries, which
    /// whoever has no digest to compare should refuse.
    fn end_was_marked(&self) -> bool;

    /// Makes the layer visible under its diff ID, held. If somebody else did so meanwhile, theirs stays.
    fn commit(self: Box<Self>, id: &DiffId) -> Result<(LayerRecord, Hold), SnapshotError>;
}

/// Keeps a layer while it exists; it goes with the process, too.
#[derive(Debug)]
pub struct Hold {
    /// A shared lock on the layer's lock file.
    _lock: Lock,
}

impl Hold {
    pub(crate) fn new(lock: Lock) -> Self {
        Self { _lock: lock }
    }
}

/// What a collection removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Layers nobody named.
    pub layers: Vec<DiffId>,
    /// Unpackings whose process is gone.
    pub unfinished: usize,
    /// What the disk got back, in whole blocks.
    pub bytes: u64,
    /// Things in the store that are not Hull's, left alone.
    pub foreign: Vec<String>,
}

/// How layers are unpacked.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What an archive may ask for.
    pub limits: Limits,
    /// How opaque directories are marked.
    pub marks: WhiteoutMarks,
    /// Whether a layer is on disk before it is visible. Layers that are not may be empty files after a power failure.
    pub durability: Durability,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            marks: WhiteoutMarks::default(),
            durability: Durability::Synced,
        }
    }
}

/// Under which attributes overlayfs keeps its marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhiteoutMarks {
    /// `trusted.overlay.*`: the initial user namespace's root.
    #[default]
    Trusted,
    /// `user.overlay.*`, for mounts with `userxattr`: everyone else.
    User,
}
