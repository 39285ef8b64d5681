//! What is remembered about an unpacked layer: `layer.json` beside its tree.

use std::collections::BTreeSet;
use std::path::PathBuf;

use hull_types::DiffId;
use serde::{Deserialize, Serialize};

use crate::SnapshotError;
use crate::extract::Summary;

/// The record of an unpacked layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Version of this record.
    pub version: u32,
    /// Digest of the uncompressed archive.
    pub diff_id: DiffId,
    /// Bytes of all its files, holes included, hard links once.
    pub size: u64,
    /// Entries in the archive.
    pub entries: u64,
    /// What the layer says about the root directory itself, if it has an entry for it. A container's upper directory
    /// hides every layer's root: it must be given the topmost of these.
    pub root: Option<RootDirectory>,
    /// Device nodes below /dev, which were left out.
    pub skipped: Vec<String>,
    /// Names of extended attributes that were left out, each once.
    pub dropped_attributes: Vec<String>,
}

/// Owner and mode of the root of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootDirectory {
    /// Permission, set-id and sticky bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl LayerRecord {
    /// The version written, and the newest one read.
    pub const VERSION: u32 = 1;

    pub(crate) fn new(id: &DiffId, summary: &Summary) -> Self {
        let text = |names: &BTreeSet<Vec<u8>>| {
            names
                .iter()
                .map(|name| name.escape_ascii().to_string())
                .collect()
        };
        Self {
            version: Self::VERSION,
            diff_id: id.clone(),
            size: summary.size,
            entries: summary.entries,
            root: summary.root,
            skipped: text(&summary.skipped),
            dropped_attributes: text(&summary.dropped_attributes),
        }
    }

    pub(crate) fn print(&self) -> Vec<u8> {
        let mut text =
            serde_json::to_vec_pretty(self).expect("a record has no maps and no failing parts");
        text.push(b'\n');
        text
    }

    pub(crate) fn parse(bytes: &[u8], path: impl Fn() -> PathBuf) -> Result<Self, SnapshotError> {
        /// All that is read before the version is known.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let damaged = |source| SnapshotError::Damaged {
            path: path(),
            source,
        };
        let Version { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version > Self::VERSION {
            let known = Self::VERSION;
            return Err(SnapshotError::TooNew {
                path: path(),
                version,
                known,
            });
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }
}
