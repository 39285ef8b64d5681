//! Images for front doors: what is listed and how it is described; load, import, tag, remove, save, prune.
//!
//! What must stay because a container needs it is told here: the images that records name, and (see
//! [`Engine::images`]) the layers below their writable parts, whatever became of the image.

mod filter;

use std::io::Write;

use hull_image::{Format, Image, ImageError, Import, Input, Inspect, Removed};
use hull_types::{Digest, Platform, Reference, ShortNames, Timestamp};
use serde::Serialize;

pub use filter::ImageFilter;
pub(crate) use filter::until;

use crate::{Engine, EngineError, Force, span};

/// One line of `hull images`: an image under one of its names, in docker's field names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageRow {
    /// As short as it can be written, without the tag; `<none>` for an image without a name.
    pub repository: String,
    pub tag: String,
    /// The digest of the configuration.
    #[serde(rename = "ID")]
    pub id: Digest,
    /// What a registry shows for it.
    pub digest: Digest,
    /// When it was made, if it says so.
    pub created_at: Option<Timestamp>,
    pub created_since: String,
    /// Bytes of its unpacked layers; of its blobs, where they are not unpacked.
    pub size: u64,
    /// How many containers were made from it.
    pub containers: usize,
}

/// The images that were asked for, and what is listed but cannot be read.
#[derive(Debug, Default)]
pub struct ImageRows {
    pub rows: Vec<ImageRow>,
    pub broken: Vec<(Digest, ImageError)>,
}

/// What stands in place of a name.
const NONE: &str = "<none>";

impl Engine {
    /// Lists images, newest first, each under all its names; those that all `filters` admit.
    pub fn image_rows(&self, filters: &[ImageFilter]) -> Result<ImageRows, EngineError> {
        let images = self.images()?;
        let listing = images.list()?;
        let users = self.image_users()?;
        let (short, now) = (images.short_names(), Timestamp::now());
        let mut rows = Vec::with_capacity(listing.images.len());
        for image in &listing.images {
            if !filters.iter().all(|filter| filter.admits(image, short)) {
                continue;
            }
            let unpacked = images.unpacked_size(image);
            let row = |(repository, tag)| ImageRow {
                repository,
                tag,
                id: image.id.clone(),
                digest: image.registry_digest().clone(),
                created_at: image.created(),
                created_since: image.created().map_or_else(
                    || "N/A".to_owned(),
                    |made| format!("{} ago", span(now.since(made))),
                ),
                size: if unpacked > 0 { unpacked } else { image.size },
                containers: users.iter().filter(|used| **used == image.id).count(),
            };
            rows.extend(shown_names(image, filters, short).into_iter().map(row));
        }
        Ok(ImageRows {
            rows,
            broken: listing.broken,
        })
    }

    /// Returns the image of each container.
    fn image_users(&self) -> Result<Vec<Digest>, EngineError> {
        let sources = self.list()?.0.into_iter();
        let sources = sources.filter_map(|container| container.config.image.source);
        Ok(sources.map(|source| source.id).collect())
    }

    /// Describes an image in docker's words.
    pub fn inspect_image(&self, asked: &str) -> Result<Inspect, EngineError> {
        Ok(self.images()?.inspect(asked)?)
    }

    /// Takes images in from a layout or archive; of an image for several platforms the one for `platform`, or this one.
    pub fn load_images(
        &self,
        input: Input<'_>,
        platform: Option<&Platform>,
    ) -> Result<Vec<Image>, EngineError> {
        let host = Platform::host();
        Ok(self.images()?.load(input, platform.unwrap_or(&host))?)
    }

    /// Makes an image of a bare root file system.
    pub fn import_image(
        &self,
        input: Input<'_>,
        name: Option<&str>,
        import: Import<'_>,
    ) -> Result<Image, EngineError> {
        let name = name.map(|name| self.image_name(name)).transpose()?;
        let import = Import {
            name: name.as_ref(),
            ..import
        };
        Ok(self.images()?.import(input, &import)?)
    }

    /// Reads a name for an image, completed by this installation's rule.
    pub(crate) fn image_name(&self, text: &str) -> Result<Reference, EngineError> {
        let name = self.images()?.reference(text)?;
        match name.digest() {
            None => Ok(name),
            Some(_) => Err(ImageError::NameWithDigest(name).into()),
        }
    }

    /// Gives an image another name.
    pub fn tag_image(&self, asked: &str, name: &str) -> Result<(), EngineError> {
        let name = self.image_name(name)?;
        Ok(self.images()?.tag(asked, &name)?)
    }

    /// Takes away a name, and with its last name the image, unless a container needs it.
    pub fn remove_image(&self, asked: &str, force: Force) -> Result<Removed, EngineError> {
        let in_use = self.images_in_use()?;
        let force = match force {
            Force::No => hull_image::Force::No,
            Force::Yes => hull_image::Force::Yes,
        };
        Ok(self.images()?.remove(asked, &in_use, force)?)
    }

    /// Writes images into one archive.
    pub fn save_images(
        &self,
        asked: &[&str],
        out: &mut dyn Write,
        format: Format,
    ) -> Result<(), EngineError> {
        Ok(self.images()?.save(asked, out, format)?)
    }

    /// Returns the images that [`Self::prune_images`] would remove: those no container uses and all `filters` admit; with
    /// `all` also those that have names.
    pub fn unused_images(
        &self,
        all: bool,
        filters: &[ImageFilter],
    ) -> Result<Vec<Image>, EngineError> {
        let in_use = self.images_in_use()?;
        let images = self.images()?;
        let mut unused = images.list()?.images;
        unused.retain(|image| {
            let is_used = in_use.contains(&image.digest) || in_use.contains(&image.id);
            let admitted = filters
                .iter()
                .all(|filter| filter.admits(image, images.short_names()));
            !is_used && (all || image.names.is_empty()) && admitted
        });
        Ok(unused)
    }

    /// Removes images that no container uses, and what no image needs.
    pub fn prune_images(&self, all: bool, filters: &[ImageFilter]) -> Result<Removed, EngineError> {
        let images = self.images()?;
        if filters.is_empty() {
            return Ok(images.prune(&self.images_in_use()?, all)?);
        }
        let mut removed = Removed::default();
        for image in self.unused_images(all, filters)? {
            let in_use = self.images_in_use()?;
            let asked = image.digest.to_string();
            match images.remove(&asked, &in_use, hull_image::Force::Yes) {
                Ok(one) => {
                    removed.untagged.extend(one.untagged);
                    removed.images.extend(one.images);
                    removed.blobs.extend(one.blobs);
                    removed.bytes += one.bytes;
                    removed.layers.extend(one.layers);
                }
                // Somebody else was faster.
                Err(ImageError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(removed)
    }
}

/// Returns repository and tag of each name to be shown. Names with a digest are shown only where the repository has no tag.
fn shown_names(
    image: &Image,
    filters: &[ImageFilter],
    short: &ShortNames,
) -> Vec<(String, String)> {
    if image.names.is_empty() {
        return vec![(NONE.to_owned(), NONE.to_owned())];
    }
    let has_tag = |name: &Reference| {
        let mut others = image.names.iter();
        others.any(|other| other.tag().is_some() && other.name() == name.name())
    };
    let admitted = |name: &&Reference| filters.iter().all(|filter| filter.admits_name(name, short));
    let names = image.names.iter().filter(admitted);
    let mut shown: Vec<_> = names
        .filter(|name| name.tag().is_some() || !has_tag(name))
        .map(|name| split(name, short))
        .collect();
    shown.dedup();
    shown
}

/// Returns repository and tag as lists show them.
fn split(name: &Reference, short: &ShortNames) -> (String, String) {
    let mut repository = name.familiar(short);
    if let Some(digest) = name.digest() {
        let end = repository
            .len()
            .saturating_sub(digest.to_string().len() + 1);
        repository.truncate(end);
    }
    let tag = name.tag().map_or(NONE, |tag| tag.as_str());
    if let Some(without) = repository.strip_suffix(&format!(":{tag}")) {
        repository.truncate(without.len());
    }
    (repository, tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_repository_and_tag() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (name, repository, tag) in [
            ("debian:12", "debian", "12"),
            ("debian", "debian", "latest"),
            ("team/tool:v1", "team/tool", "v1"),
            ("localhost:5000/a:b", "localhost:5000/a", "b"),
            (&format!("debian@{digest}"), "debian", "<none>"),
        ] {
            let name: Reference = name.parse::<Reference>().unwrap().or_latest();
            let shown = split(&name, &ShortNames::default());
            assert_eq!(shown, (repository.to_owned(), tag.to_owned()));
        }
    }
}
