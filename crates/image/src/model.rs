use hull_content::Entry;
use hull_spec::image::{ImageConfig, Manifest, layout};
use hull_types::{DiffId, Digest, Platform, Reference, ShortNames, Timestamp};

/// An image that is here.
#[derive(Clone, Debug)]
pub struct Image {
    /// The names that mean it, sorted; none for a dangling image.
    pub names: Vec<Reference>,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The digest under which it is on the list: the manifest's, unless the list has an index for it.
    pub(crate) listed: Digest,
    /// The digest of its configuration: what docker shows as the image's id.
    pub id: Digest,
    /// The digest of the image index through which the manifest was chosen, if there was one.
    pub index: Option<Digest>,
    /// Bytes of manifest, configuration and layers as they are stored.
    pub size: u64,
    pub manifest: Manifest,
    /// The manifest as it is stored.
    pub(crate) manifest_bytes: Vec<u8>,
    pub config: ImageConfig,
}

impl Image {
    /// Returns the layers, lowest first.
    pub fn layers(&self) -> &[DiffId] {
        &self.config.rootfs.diff_ids
    }

    /// Returns when it was made, if it says so.
    pub fn created(&self) -> Option<Timestamp> {
        self.config.created_at()
    }

    /// Returns what it runs on.
    pub fn platform(&self) -> Platform {
        self.config.platform()
    }

    /// Returns the digest a registry shows for it: the index's, or its own.
    pub fn registry_digest(&self) -> &Digest {
        self.index.as_ref().unwrap_or(&self.digest)
    }

    /// Returns whether a digest is one of its own: manifest's, configuration's or index's.
    pub fn has_digest(&self, digest: &Digest) -> bool {
        *digest == self.digest || *digest == self.id || self.index.as_ref() == Some(digest)
    }
}

/// Returns the name of a listed manifest, if it has one that can be read. Other tools write short names into the list.
pub(crate) fn name_of(entry: &Entry, short: &ShortNames) -> Option<Reference> {
    let text = entry
        .annotations
        .get(layout::IMAGE_NAME)
        .map(String::as_str)
        .or(entry.name())?;
    Reference::parse(text, short).ok().map(Reference::or_latest)
}
