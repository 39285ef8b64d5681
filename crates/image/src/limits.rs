use hull_fs::tar;

/// What an archive or layer may ask for before it is refused, so that a small file cannot fill the disk.
///
/// The defaults are far above what honest images have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one uncompressed layer or archive: 256 GiB.
    pub unpacked_bytes: u64,
    /// How many times larger than its compressed form a layer may become, once it is above [`Self::ratio_from`]: 200. Text
    /// reaches 20, an empty disk image 1,000.
    pub ratio: u64,
    /// The uncompressed size below which the ratio does not matter: 4 GiB.
    pub ratio_from: u64,
    /// Members of an image archive: 65,536. (Entries of a layer are bounded by the snapshot driver.)
    pub members: u64,
    /// Path lengths, depth and headers in an image archive.
    pub tar: tar::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked_bytes: 256 << 30,
            ratio: 200,
            ratio_from: 4 << 30,
            members: 65_536,
            tar: tar::Limits::default(),
        }
    }
}
