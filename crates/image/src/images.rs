//! What is here, under which names, and taking it away.

use std::{collections::HashSet, fmt, path::Path};

use hull_content::{Entry, Index, Store};
use hull_snapshot::{Directories, Driver, Options};
use hull_spec::image::{Document, ImageConfig, Manifest, MediaType};
use hull_trust::Trust;
use hull_types::{DiffId, Digest, Platform, Reference, ShortNames};

use crate::{Image, ImageError, Limits, model::name_of};

/// The largest configuration, manifest or index that is read.
pub(crate) const MAX_DOCUMENT: u64 = hull_spec::image::MAX_DOCUMENT_BYTES as u64;

/// The annotation of a listed manifest with the digest of the image index through which it was chosen, if there was one.
/// Registries show the digest of the index, so people ask for it and pin it. The index lies beside, as a blob.
pub(crate) const CHOSEN_FROM: &str = "io.hull.image.index";

/// What that annotation says of a manifest that was not chosen from any index, where one is listed in its place (see
/// [`Images::entry`]).
pub(crate) const FROM_NONE: &str = "none";

/// Says which layers containers stand on; nothing, if that cannot be told.
pub type LayersInUse = dyn Fn() -> Option<HashSet<DiffId>> + Send + Sync;

/// The images of one installation.
pub struct Images {
    pub(crate) content: Store,
    pub(crate) layers: Box<dyn Driver>,
    layers_in_use: Box<LayersInUse>,
    pub(crate) trust: Trust,
    pub(crate) short: ShortNames,
    pub(crate) limits: Limits,
}

/// The images that are here, and what is listed but cannot be read.
#[derive(Debug, Default)]
pub struct Listing {
    pub images: Vec<Image>,
    pub broken: Vec<(Digest, ImageError)>,
}

/// A reason to refuse the removal of an image, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Refuse to take away what a container uses and what has several names.
    No,
    /// Take the names away all the same; what a container uses stays as a dangling image.
    Yes,
}

/// What a removal or collection took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub untagged: Vec<Reference>,
    /// The ids of images that are gone.
    pub images: Vec<Digest>,
    pub blobs: Vec<Digest>,
    /// What the disk got back: blobs and unpacked layers, in whole blocks.
    pub bytes: u64,
    pub layers: Vec<DiffId>,
}

impl Images {
    /// Opens the images of the installation at `root`, which exists.
    pub fn open(root: &Path, short: ShortNames, options: Options) -> Result<Self, ImageError> {
        Ok(Self {
            content: Store::open(&root.join("images"))?,
            layers: Box::new(Directories::open(root, options)?),
            layers_in_use: Box::new(|| Some(HashSet::new())),
            trust: Trust::open(root)?,
            short,
            limits: Limits::default(),
        })
    }

    /// Sets other limits than the default ones.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Learns how to find out which layers containers stand on. A container may stand on layers of an image that is not
    /// listed any more; they stay as long as its record names them.
    #[must_use]
    pub fn with_layers_in_use(mut self, layers_in_use: Box<LayersInUse>) -> Self {
        self.layers_in_use = layers_in_use;
        self
    }

    /// Returns the blobs.
    pub fn content(&self) -> &Store {
        &self.content
    }

    /// Returns the unpacked layers.
    pub fn layers(&self) -> &dyn Driver {
        &*self.layers
    }

    /// Returns what short names mean here.
    pub fn short_names(&self) -> &ShortNames {
        &self.short
    }

    /// Reads a name as a person types it, completed by the rule of this installation.
    pub fn reference(&self, text: &str) -> Result<Reference, ImageError> {
        Ok(Reference::parse(text, &self.short)?.or_latest())
    }

    /// Returns all images, newest first.
    pub fn list(&self) -> Result<Listing, ImageError> {
        let mut listing = self.listing(&self.content.index()?);
        listing
            .images
            .sort_by_key(|image| std::cmp::Reverse(image.created()));
        Ok(listing)
    }

    fn listing(&self, index: &Index) -> Listing {
        let mut listing = Listing::default();
        let mut seen = HashSet::new();
        for entry in &index.manifests {
            if !seen.insert(&entry.digest) {
                continue;
            }
            match self.read(index, entry) {
                Ok(image) => listing.images.push(image),
                Err(error) => listing.broken.push((entry.digest.clone(), error)),
            }
        }
        listing
    }

    /// Reads the image an entry of the list leads to.
    pub(crate) fn read(&self, index: &Index, entry: &Entry) -> Result<Image, ImageError> {
        let same = index
            .manifests
            .iter()
            .filter(|other| other.digest == entry.digest);
        let mut names: Vec<Reference> = same
            .filter_map(|other| name_of(other, &self.short))
            .collect();
        names.sort();
        names.dedup();
        let (digest, chosen_from, manifest, manifest_bytes) = self.manifest(entry)?;
        let config = self.config(&manifest)?;
        let layers: u64 = manifest.layers.iter().map(|layer| layer.size).sum();
        Ok(Image {
            names,
            size: entry.size + manifest.config.size + layers,
            id: manifest.config.digest.clone(),
            listed: entry.digest.clone(),
            digest,
            index: chosen_from,
            manifest,
            manifest_bytes,
            config,
        })
    }

    /// Returns the manifest of an entry: its digest, that of the index it was chosen from, what it says, and its bytes. An index
    /// in the list was put there by another tool, or stands for a manifest of docker's type.
    fn manifest(
        &self,
        entry: &Entry,
    ) -> Result<(Digest, Option<Digest>, Manifest, Vec<u8>), ImageError> {
        let chosen_from = entry.annotations.get(CHOSEN_FROM);
        let announced = MediaType::parse(&entry.media_type);
        let index = match self.document(&entry.digest, Some(&announced))? {
            (Document::Manifest(manifest), bytes) => {
                let chosen_from = chosen_from.and_then(|text| text.parse().ok());
                return Ok((entry.digest.clone(), chosen_from, manifest, bytes));
            }
            (Document::Index(index), _) => index,
        };
        let selected = index
            .select(&Platform::host())
            .map_err(|source| unusable(&entry.digest, source))?;
        let (document, bytes) = self.document(&selected.digest, Some(&selected.media_type))?;
        let Document::Manifest(manifest) = document else {
            return Err(ImageError::Nested {
                digest: selected.digest.clone(),
                media_type: selected.media_type.clone(),
            });
        };
        let chosen_from = match chosen_from.map(String::as_str) {
            None => Some(entry.digest.clone()),
            Some(FROM_NONE) => None,
            Some(text) => text.parse().ok(),
        };
        Ok((selected.digest.clone(), chosen_from, manifest, bytes))
    }

    fn document(
        &self,
        digest: &Digest,
        announced: Option<&MediaType>,
    ) -> Result<(Document, Vec<u8>), ImageError> {
        let bytes = self.content.read(digest, MAX_DOCUMENT)?;
        let document =
            Document::parse(&bytes, announced).map_err(|source| unusable(digest, source))?;
        Ok((document, bytes))
    }

    fn config(&self, manifest: &Manifest) -> Result<ImageConfig, ImageError> {
        let digest = &manifest.config.digest;
        if !manifest.is_image() {
            return Err(ImageError::NotAnImage {
                digest: digest.clone(),
                kind: manifest.config.media_type.to_string(),
            });
        }
        let bytes = self.content.read(digest, MAX_DOCUMENT)?;
        let config = ImageConfig::parse(&bytes).map_err(|source| unusable(digest, source))?;
        manifest
            .agrees_with(&config)
            .map_err(|source| unusable(digest, source))?;
        Ok(config)
    }

    /// Makes `name` another name of an image.
    pub fn tag(&self, asked: &str, name: &Reference) -> Result<(), ImageError> {
        if name.digest().is_some() {
            return Err(ImageError::NameWithDigest(name.clone()));
        }
        let name = name.clone().or_latest();
        self.content.update_index(|index| {
            let image = self.find(index, asked)?;
            let entries = &index.manifests;
            let entry = entries.iter().find(|entry| entry.digest == image.listed);
            let mut entry = entry.cloned().ok_or_else(|| not_found(asked, Vec::new()))?;
            entry
                .annotations
                .remove(hull_spec::image::layout::IMAGE_NAME);
            self.put_name(index, &name, entry);
            Ok(())
        })
    }

    /// Puts a name on the list in its canonical form, in place of other spellings of it.
    pub(crate) fn put_name(&self, index: &mut Index, name: &Reference, entry: Entry) {
        self.take_name(index, name);
        index.name(&name.to_string(), entry);
    }

    /// Takes every spelling of a name off the list.
    fn take_name(&self, index: &mut Index, name: &Reference) {
        let spellings: Vec<String> = index
            .manifests
            .iter()
            .filter(|entry| name_of(entry, &self.short).as_ref() == Some(name))
            .filter_map(|entry| entry.name().map(str::to_owned))
            .collect();
        for spelling in spellings {
            index.unname(&spelling);
        }
    }

    /// Takes an image away: a name if `asked` is one and the image has others, else the image with its blobs and layers that
    /// nobody else needs. `in_use` has the digests (of manifest or configuration) of the images that containers use.
    pub fn remove(
        &self,
        asked: &str,
        in_use: &HashSet<Digest>,
        force: Force,
    ) -> Result<Removed, ImageError> {
        let mut removed = self.content.update_index(|index| {
            let image = match self.find(index, asked) {
                Ok(image) => image,
                Err(error) => return self.remove_broken(index, asked, in_use, force).ok_or(error),
            };
            let by_name = self.asked_by_name(asked, &image);
            // Two manifests of one configuration are one image to who asks by id.
            let same = match &by_name {
                Some(_) => vec![image],
                None if asked == image.digest.to_string() => vec![image],
                None => self
                    .listing(index)
                    .images
                    .into_iter()
                    .filter(|other| other.id == image.id)
                    .collect(),
            };
            let all_names = || same.iter().flat_map(|image| &image.names);
            let names: Vec<Reference> = match &by_name {
                Some(name) => vec![name.clone()],
                None => all_names().cloned().collect(),
            };
            let is_last = by_name.is_none() || all_names().count() <= 1;
            let is_used =
                |image: &Image| in_use.contains(&image.digest) || in_use.contains(&image.id);
            if force == Force::No {
                if by_name.is_none() && names.len() > 1 {
                    return Err(ImageError::SeveralNames {
                        asked: asked.to_owned(),
                        names: names
                            .iter()
                            .map(|name| name.familiar(&self.short))
                            .collect(),
                    });
                }
                if is_last && same.iter().any(is_used) {
                    return Err(ImageError::InUse {
                        asked: asked.to_owned(),
                    });
                }
            }
            for name in &names {
                self.take_name(index, name);
            }
            let mut removed = Removed {
                untagged: names,
                ..Removed::default()
            };
            if is_last {
                for image in same.iter().filter(|image| !is_used(image)) {
                    index.remove(&image.listed);
                    removed.images.push(image.id.clone());
                }
                removed.images.dedup();
            }
            Ok(removed)
        })?;
        removed.add(self.collect()?);
        Ok(removed)
    }

    /// Takes what cannot be read off the list: its name, or its digest or the beginning of it, is all that is known.
    fn remove_broken(
        &self,
        index: &mut Index,
        asked: &str,
        in_use: &HashSet<Digest>,
        force: Force,
    ) -> Option<Removed> {
        let name = Reference::parse(asked, &self.short).map(Reference::or_latest);
        let digits = asked.strip_prefix("sha256:").unwrap_or(asked);
        let is_meant = |entry: &&Entry| {
            let own = name_of(entry, &self.short);
            let is_named = own.is_some() && own.as_ref() == name.as_ref().ok();
            is_named || (digits.len() >= 12 && entry.digest.hex().starts_with(digits))
        };
        let entry = index.manifests.iter().find(is_meant)?.clone();
        let is_broken = self.read(index, &entry).is_err();
        if !is_broken || (in_use.contains(&entry.digest) && force == Force::No) {
            return None;
        }
        let same = index
            .manifests
            .iter()
            .filter(|other| other.digest == entry.digest);
        let untagged = same
            .filter_map(|other| name_of(other, &self.short))
            .collect();
        index.remove(&entry.digest);
        Some(Removed {
            untagged,
            images: vec![entry.digest],
            ..Removed::default()
        })
    }

    /// Returns the name by which an image was asked for, if it was by a name and not by id or digest.
    pub(crate) fn asked_by_name(&self, asked: &str, image: &Image) -> Option<Reference> {
        let name = Reference::parse(asked, &self.short).ok()?.or_latest();
        image.names.contains(&name).then_some(name)
    }

    /// Takes images away that nobody uses: dangling ones, or with `all` also those that have names.
    pub fn prune(&self, in_use: &HashSet<Digest>, all: bool) -> Result<Removed, ImageError> {
        let mut removed = Removed::default();
        self.content.update_index(|index| {
            for image in self.listing(index).images {
                let is_used = in_use.contains(&image.digest) || in_use.contains(&image.id);
                if is_used || !(all || image.names.is_empty()) {
                    continue;
                }
                index.remove(&image.listed);
                removed.untagged.extend(image.names);
                removed.images.push(image.id);
            }
            Ok::<_, ImageError>(())
        })?;
        removed.add(self.collect()?);
        Ok(removed)
    }

    /// Removes the blobs and layers that no listed image needs and no living session or container holds, and what killed ones
    /// left.
    pub fn collect(&self) -> Result<Removed, ImageError> {
        let mut removed = Removed::default();
        let collected = self.content.collect(|index, _held| {
            let (blobs, layers) = self.live(index)?;
            // Under the store's lock: nobody can list an image between the answer and this.
            let collected = self.layers.collect_unused(&layers, &*self.layers_in_use)?;
            removed.layers = collected.layers;
            removed.bytes = collected.bytes;
            Ok::<_, ImageError>(blobs)
        })?;
        removed.blobs = collected.blobs;
        removed.bytes += collected.bytes;
        Ok(removed)
    }

    /// Returns the blobs and layers that the listed images need. What cannot be read might need anything, so it stops the
    /// collection; what is not there needs nothing.
    fn live(&self, index: &Index) -> Result<(HashSet<Digest>, HashSet<DiffId>), ImageError> {
        let (mut blobs, mut layers) = (HashSet::new(), HashSet::new());
        let mut documents: Vec<Digest> = Vec::new();
        for entry in &index.manifests {
            documents.push(entry.digest.clone());
            // The index itself is kept; of what it lists only what was chosen is here.
            let chosen_from = entry.annotations.get(CHOSEN_FROM);
            blobs.extend(chosen_from.and_then(|text| text.parse().ok()));
        }
        while let Some(digest) = documents.pop() {
            if !self.content.contains(&digest)? || !blobs.insert(digest.clone()) {
                continue;
            }
            match self.document(&digest, None)?.0 {
                Document::Index(index) => {
                    documents.extend(index.manifests.into_iter().map(|entry| entry.digest));
                }
                Document::Manifest(manifest) => {
                    blobs.insert(manifest.config.digest.clone());
                    if manifest.is_image() && self.content.contains(&manifest.config.digest)? {
                        layers.extend(self.config(&manifest)?.rootfs.diff_ids);
                    }
                    blobs.extend(manifest.layers.into_iter().map(|layer| layer.digest));
                }
            }
        }
        Ok((blobs, layers))
    }

    /// Returns the pairs of layer blob and diff ID that the images here vouch for.
    pub(crate) fn known_pairs(&self) -> Result<HashSet<(Digest, DiffId)>, ImageError> {
        let listing = self.listing(&self.content.index()?);
        let pairs = listing.images.into_iter().flat_map(|image| {
            let blobs = image.manifest.layers.into_iter().map(|layer| layer.digest);
            blobs.zip(image.config.rootfs.diff_ids).collect::<Vec<_>>()
        });
        Ok(pairs.collect())
    }
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images")
            .field("content", &self.content)
            .field("layers", &self.layers)
            .field("trust", &self.trust)
            .field("short", &self.short)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Removed {
    fn add(&mut self, collected: Self) {
        self.blobs.extend(collected.blobs);
        self.bytes += collected.bytes;
        self.layers.extend(collected.layers);
    }
}

pub(crate) fn unusable(digest: &Digest, source: hull_spec::image::DocumentError) -> ImageError {
    ImageError::Document {
        digest: digest.clone(),
        source: Box::new(source),
    }
}

pub(crate) fn not_found(asked: &str, near: Vec<String>) -> ImageError {
    ImageError::NotFound {
        asked: asked.to_owned(),
        near,
    }
}
