//! What is remembered about an unpacked layer: `layer.json` beside its tree.

use hull_types::DiffId;
use serde::{Deserialize, Serialize};

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
    /// Device nodes below /dev, which were left out.
    pub skipped: Vec<String>,
    /// Names of extended attributes that were left out, each once.
    pub dropped_attributes: Vec<String>,
}

impl LayerRecord {
    /// The version written, and the newest one read.
    pub const VERSION: u32 = 1;
}
