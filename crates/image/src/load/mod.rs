//! Loading images that others made: an OCI layout (a directory or an archive of one) or a docker archive.
//!
//! A directory is read in place. An archive is read once, from front to back, so that a pipe will do; its members may come in
//! any order, so each becomes a staged blob (see [`spool`]) and what it was is decided at the end. All images of an archive come
//! in, or none.

mod docker;
mod layout;
mod legacy;
mod spool;

use std::{fs::File, io::Read, path::Path};

use hull_content::Session;
use hull_types::{Digest, Platform, Reference};

use crate::{Image, ImageError, Images, Source, Wanted, install::Installed, layer::uncompressed};
use layout::{Directory, Listed};
use spool::Spool;

/// Where something to be loaded or imported comes from.
pub enum Input<'a> {
    /// A directory or file.
    Path(&'a Path),
    /// A stream, read once: standard input.
    Stream(&'a mut dyn Read),
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Stream(_) => f.write_str("stream"),
        }
    }
}

impl Input<'_> {
    /// Returns what to call it in messages.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Path(path) => path.display().to_string(),
            Self::Stream(_) => "standard input".to_owned(),
        }
    }
}

/// The digest of what was loaded, and the names it got.
type Loaded = (Digest, Vec<Reference>);

impl Images {
    /// Loads every image of a layout or archive. Of an image for several platforms the one for `platform` is taken. Each is
    /// returned with the names it got now, whatever others it had.
    pub fn load(&self, input: Input<'_>, platform: &Platform) -> Result<Vec<Image>, ImageError> {
        let label = input.label();
        let entries = match input {
            Input::Path(path) if path.is_dir() => {
                let mut directory = Directory::open(path)?;
                let listed = directory.list(&label, &self.short, platform)?;
                self.all_or_nothing(|session| {
                    self.install_listed(session, &listed, platform, &label, &mut directory)
                })
            }
            Input::Path(path) => {
                let mut file = File::open(path).map_err(|source| ImageError::Access {
                    action: "open",
                    path: path.to_owned(),
                    source,
                })?;
                self.load_archive(&mut file, platform, &label)
            }
            Input::Stream(stream) => self.load_archive(stream, platform, &label),
        }?;
        let loaded = entries.into_iter();
        loaded
            .map(|(digest, names)| {
                let image = self.resolve(&digest.to_string())?;
                Ok(Image { names, ..image })
            })
            .collect()
    }

    fn load_archive(
        &self,
        from: &mut dyn Read,
        platform: &Platform,
        label: &str,
    ) -> Result<Vec<Loaded>, ImageError> {
        self.all_or_nothing(|session| {
            let mut spool = self.spool(session, from, label)?;
            let listed = self.listed_in(session, &mut spool, platform, label)?;
            self.install_listed(session, &listed, platform, label, &mut spool)
        })
    }

    /// Reads an archive to its end into staged members.
    fn spool<'s>(
        &self,
        session: &'s Session<'_>,
        from: &mut dyn Read,
        label: &str,
    ) -> Result<Spool<'s>, ImageError> {
        let mut meter = uncompressed(label, from, &self.limits)?;
        let spooled = Spool::read(session, &mut meter, &self.limits);
        match meter.failure.take() {
            Some(failure) => Err(failure),
            None => spooled,
        }
    }

    /// Finds out what an archive is. Docker writes archives that are both; then the OCI half is the better one, because it has
    /// the manifests as they were.
    fn listed_in<'s>(
        &self,
        session: &'s Session<'_>,
        spool: &mut Spool<'s>,
        platform: &Platform,
        label: &str,
    ) -> Result<Vec<Listed>, ImageError> {
        if spool.has("oci-layout") && spool.has("index.json") {
            return layout::list(spool, label, &self.short, platform);
        }
        if spool.has(hull_spec::image::docker_archive::MANIFEST_NAME) {
            return docker::list(session, spool, &self.limits);
        }
        if spool.has("repositories") {
            return legacy::list(session, spool, &self.limits);
        }
        Err(ImageError::NoImageFormat { path: label.into() })
    }

    fn install_listed(
        &self,
        session: &Session<'_>,
        listed: &[Listed],
        platform: &Platform,
        label: &str,
        source: &mut dyn Source,
    ) -> Result<Vec<Loaded>, ImageError> {
        let mut installed: Vec<Installed> = Vec::new();
        let mut other = None;
        for image in listed {
            let wanted = Wanted {
                root: image.root.clone(),
                names: &image.names,
                platform,
            };
            match self.fetch(session, &wanted, source) {
                Ok(image) => installed.push(image),
                // Signatures and the like lie beside images in layouts.
                Err(error @ ImageError::NotAnImage { .. }) => other = Some(error),
                Err(error) => return Err(error),
            }
        }
        if installed.is_empty() {
            return Err(other.unwrap_or_else(|| ImageError::NothingToLoad {
                what: label.to_owned(),
            }));
        }
        let loaded = installed.iter().map(Installed::named).collect();
        self.list_installed(installed)?;
        Ok(loaded)
    }
}

/// Reads a name that docker wrote into an archive: always by docker's own rule for short names.
fn docker_name(text: &str) -> Result<Reference, ImageError> {
    let name: Result<Reference, _> = text.parse();
    name.map(Reference::or_latest)
        .map_err(|source| ImageError::ArchiveName {
            text: text.to_owned(),
            source,
        })
}
