//! From a source to an image that is here, told in order: document, manifest, configuration, trust, layers, names.

use std::{collections::HashSet, io::Read};

use hull_content::{ContentError, Entry, Session};
use hull_spec::image::{Descriptor, Document, Family, ImageConfig, Index, Manifest, MediaType};
use hull_trust::{Document as Judged, Trusted};
use hull_types::{DiffId, Digest, Platform, Reference};

use crate::{
    Image, ImageError, Images, Layer, Offer, Source,
    images::{CHOSEN_FROM, FROM_NONE, MAX_DOCUMENT, unusable},
    layer::{Bytes, LayerReader, Ready, Unpack, wrong},
};

/// An image to be installed: what a registry or an archive says of it.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Its manifest, or the image index in which to look for one.
    pub root: Descriptor,
    /// The names it gets.
    pub names: &'a [Reference],
    pub platform: &'a Platform,
}

/// An image whose documents and layers are here, visible and held, and which is not listed yet.
#[derive(Debug)]
pub(crate) struct Installed {
    names: Vec<Reference>,
    entry: Entry,
    _layers: Vec<Layer>,
}

impl Installed {
    pub(crate) fn new(names: Vec<Reference>, entry: Entry, layers: Vec<Layer>) -> Self {
        Self {
            names,
            entry,
            _layers: layers,
        }
    }

    /// Returns the digest and the names under which it will be listed.
    pub(crate) fn named(&self) -> (Digest, Vec<Reference>) {
        (self.entry.digest.clone(), self.names.clone())
    }
}

/// A document of the image with its bytes, verified.
struct Fetched {
    descriptor: Descriptor,
    bytes: Vec<u8>,
}

impl Fetched {
    fn judged(&self) -> Judged<'_> {
        Judged {
            digest: &self.descriptor.digest,
            bytes: &self.bytes,
        }
    }
}

impl Images {
    /// Installs one image: everything it needs is taken from `source` unless it is here, verified, unpacked and listed.
    /// If anything fails, nothing of it stays.
    pub fn install(
        &self,
        wanted: &Wanted<'_>,
        source: &mut dyn Source,
    ) -> Result<Image, ImageError> {
        let digest = self.all_or_nothing(|session| {
            let installed = self.fetch(session, wanted, source)?;
            let digest = installed.entry.digest.clone();
            self.list_installed([installed])?;
            Ok(digest)
        })?;
        self.resolve(&digest.to_string())
    }

    /// Runs `work` in a session. If it fails, what it made visible and nobody lists is removed again.
    pub(crate) fn all_or_nothing<T>(
        &self,
        work: impl FnOnce(&Session<'_>) -> Result<T, ImageError>,
    ) -> Result<T, ImageError> {
        let session = self.content.begin()?;
        let outcome = work(&session);
        drop(session);
        if outcome.is_err() {
            // The failure is what counts; what cannot be collected now is at the next collection.
            self.collect().ok();
        }
        outcome
    }

    /// Puts installed images on the list, all at once.
    pub(crate) fn list_installed(
        &self,
        installed: impl IntoIterator<Item = Installed>,
    ) -> Result<(), ImageError> {
        self.content.update_index(|index| {
            for image in installed {
                index.add(image.entry.clone());
                for name in &image.names {
                    self.put_name(index, name, image.entry.clone());
                }
            }
            Ok(())
        })
    }

    /// Brings everything of an image here except its place on the list.
    pub(crate) fn fetch(
        &self,
        session: &Session<'_>,
        wanted: &Wanted<'_>,
        source: &mut dyn Source,
    ) -> Result<Installed, ImageError> {
        let root = self.obtain(session, &wanted.root, source)?;
        let (index, manifest) = self.choose(session, root, wanted.platform, source)?;
        let (parsed, config) = self.documents(session, &manifest, source)?;
        let names = wanted.names.iter().map(|name| name.clone().or_latest());
        let names: Vec<Reference> = names.collect();
        let judged = index.as_ref().map(Fetched::judged);
        let trusted = self.judge(&names, manifest.judged(), judged)?;
        let layers = self.fetch_layers(session, &trusted, &config, source)?;
        debug_assert_eq!(parsed.layers.len(), layers.len());
        let entry = self.entry(session, &manifest.descriptor, index.as_ref())?;
        // With a digest the tag says nothing: `debian:12@sha256:…` does not move `debian:12`, as with docker.
        let listed = |name: Reference| match name.digest().cloned() {
            Some(digest) => name.at(digest),
            None => name,
        };
        Ok(Installed {
            names: names.into_iter().map(listed).collect(),
            entry,
            _layers: layers,
        })
    }

    /// Makes the entry for the list.
    ///
    /// Some tools (skopeo among them) pass over entries of docker's manifest type, though they read such manifests. They do
    /// not pass over an OCI index with that manifest in it, so this is what is listed then. It names no platform: the choice
    /// was made.
    fn entry(
        &self,
        session: &Session<'_>,
        manifest: &Descriptor,
        index: Option<&Fetched>,
    ) -> Result<Entry, ImageError> {
        let plain = |what: &Descriptor| {
            let media_type = what.media_type.clone();
            Descriptor::new(media_type, what.digest.clone(), what.size)
        };
        let is_docker = manifest.media_type == MediaType::Manifest(Family::Docker);
        let listed = if is_docker {
            let wrapper = Index {
                manifests: vec![plain(manifest)],
                ..Index::default()
            };
            let blob = session.put(&wrapper.to_json())?;
            Descriptor::new(MediaType::Index(Family::Oci), blob.digest, blob.size)
        } else {
            plain(manifest)
        };
        let mut entry = Entry::new(listed.media_type.as_str(), listed.digest, listed.size);
        let chosen_from = match index {
            Some(index) => Some(index.descriptor.digest.to_string()),
            None => is_docker.then(|| FROM_NONE.to_owned()),
        };
        let annotation = chosen_from.map(|text| (CHOSEN_FROM.to_owned(), text));
        entry.annotations.extend(annotation);
        Ok(entry)
    }

    /// Reads a document from the store or the source, and makes sure that it is in the store.
    fn obtain(
        &self,
        session: &Session<'_>,
        what: &Descriptor,
        source: &mut dyn Source,
    ) -> Result<Fetched, ImageError> {
        let digest = &what.digest;
        if session.hold(digest)? {
            return Ok(Fetched {
                descriptor: what.clone(),
                bytes: self.content.read(digest, MAX_DOCUMENT)?,
            });
        }
        let wrong = |bad| wrong(&digest.to_string(), bad);
        if what.size > MAX_DOCUMENT {
            return Err(wrong(ContentError::TooLong {
                limit: MAX_DOCUMENT,
            }));
        }
        let staged = match offer(source, what)? {
            Offer::Staged(staged) => staged.expect(digest, what.size).map_err(wrong)?,
            Offer::Stream(mut from) => {
                let mut ingest = session.ingest_expecting(digest, what.size)?;
                ingest
                    .take_all(&mut *from)
                    .map_err(wrong)?
                    .map_err(|source| ImageError::Input { source })?;
                ingest.finish().map_err(wrong)?
            }
        };
        staged.commit()?;
        Ok(Fetched {
            descriptor: what.clone(),
            bytes: self.content.read(digest, MAX_DOCUMENT)?,
        })
    }

    /// Follows an index to the manifest for a platform.
    fn choose(
        &self,
        session: &Session<'_>,
        root: Fetched,
        platform: &Platform,
        source: &mut dyn Source,
    ) -> Result<(Option<Fetched>, Fetched), ImageError> {
        let digest = &root.descriptor.digest;
        let announced = Some(&root.descriptor.media_type);
        let document =
            Document::parse(&root.bytes, announced).map_err(|source| unusable(digest, source))?;
        let Document::Index(index) = document else {
            return Ok((None, root));
        };
        let chosen = index
            .select(platform)
            .map_err(|source| unusable(digest, source))?;
        if chosen.media_type.is_index() {
            return Err(ImageError::Nested {
                digest: chosen.digest.clone(),
                media_type: chosen.media_type.clone(),
            });
        }
        let manifest = self.obtain(session, chosen, source)?;
        Ok((Some(root), manifest))
    }

    /// Parses the manifest, and fetches and parses the configuration.
    fn documents(
        &self,
        session: &Session<'_>,
        fetched: &Fetched,
        source: &mut dyn Source,
    ) -> Result<(Manifest, ImageConfig), ImageError> {
        let digest = &fetched.descriptor.digest;
        let announced = Some(&fetched.descriptor.media_type);
        let parsed = Document::parse(&fetched.bytes, announced);
        let manifest = match parsed.map_err(|source| unusable(digest, source))? {
            Document::Manifest(manifest) if manifest.is_image() => manifest,
            Document::Manifest(manifest) => {
                return Err(ImageError::NotAnImage {
                    digest: digest.clone(),
                    kind: manifest
                        .artifact_type
                        .unwrap_or_else(|| manifest.config.media_type.to_string()),
                });
            }
            Document::Index(_) => {
                return Err(ImageError::Nested {
                    digest: digest.clone(),
                    media_type: MediaType::Index(Family::Oci),
                });
            }
        };
        let config = self.obtain(session, &manifest.config, source)?;
        let unusable = |source| unusable(&manifest.config.digest, source);
        let config = ImageConfig::parse(&config.bytes).map_err(unusable)?;
        manifest.agrees_with(&config).map_err(unusable)?;
        Ok((manifest, config))
    }

    /// Asks the policy under every name, or once without one: an image must be admitted under each.
    pub(crate) fn judge(
        &self,
        names: &[Reference],
        manifest: Judged<'_>,
        index: Option<Judged<'_>>,
    ) -> Result<Trusted<Manifest>, ImageError> {
        let mut trusted = None;
        for name in names {
            trusted = Some(self.trust.evaluate(Some(name), manifest, index)?);
        }
        Ok(match trusted {
            Some(trusted) => trusted,
            None => self.trust.evaluate(None, manifest, index)?,
        })
    }

    fn fetch_layers(
        &self,
        session: &Session<'_>,
        manifest: &Trusted<Manifest>,
        config: &ImageConfig,
        source: &mut dyn Source,
    ) -> Result<Vec<Layer>, ImageError> {
        let known = self.known_pairs()?;
        let mut layers = Vec::new();
        for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            let ready = self.fetch_layer(session, layer, diff_id, source, &known)?;
            layers.push(ready.publish(&*self.layers, manifest)?);
        }
        Ok(layers)
    }

    /// Brings one layer here. `known` has the pairs of blob and diff ID that need no proof any more.
    fn fetch_layer<'a>(
        &'a self,
        session: &'a Session<'_>,
        layer: &Descriptor,
        diff_id: &DiffId,
        source: &'a mut dyn Source,
        known: &HashSet<(Digest, DiffId)>,
    ) -> Result<Ready<'a>, ImageError> {
        let label = layer.digest.to_string();
        let has_tree = self.layers.contains(diff_id)?;
        let has_blob = session.hold(&layer.digest)?;
        if has_blob && has_tree && known.contains(&(layer.digest.clone(), diff_id.clone())) {
            return Ok(Ready {
                diff_id: diff_id.clone(),
                staged: None,
                unpacked: None,
            });
        }
        let unpack = if has_tree {
            Unpack::HashOnly
        } else {
            Unpack::Tree
        };
        let reader = self.reader();
        let read = |from: &mut dyn Read, bytes| {
            let passed = reader.read(&label, from, bytes, diff_id.0.algorithm(), unpack)?;
            if passed.diff_id != *diff_id {
                return Err(ImageError::WrongDiffId {
                    layer: layer.digest.clone(),
                    expected: diff_id.clone(),
                    actual: passed.diff_id,
                });
            }
            Ok(Ready {
                diff_id: passed.diff_id,
                staged: passed.staged,
                unpacked: passed.unpacked,
            })
        };
        if has_blob {
            let mut blob = self.content.verified(&layer.digest)?;
            return read(&mut blob, Bytes::Known(&layer.digest));
        }
        match offer(source, layer)? {
            Offer::Stream(mut from) => {
                let ingest = session.ingest_expecting(&layer.digest, layer.size)?;
                read(&mut *from, Bytes::Fresh(ingest))
            }
            Offer::Staged(staged) => {
                let staged = staged.expect(&layer.digest, layer.size)?;
                let ready = read(&mut staged.open()?, Bytes::Known(&layer.digest))?;
                Ok(Ready {
                    staged: Some(staged),
                    ..ready
                })
            }
        }
    }

    pub(crate) fn reader(&self) -> LayerReader<'_> {
        LayerReader {
            layers: &*self.layers,
            limits: &self.limits,
        }
    }

    /// Asks the policy about an image that is here, under the name by which it was asked for.
    pub fn trusted(
        &self,
        image: &Image,
        name: Option<&Reference>,
    ) -> Result<Trusted<Manifest>, ImageError> {
        let index = match &image.index {
            Some(digest) => Some((digest, self.content.read(digest, MAX_DOCUMENT)?)),
            None => None,
        };
        let index = index
            .as_ref()
            .map(|(digest, bytes)| Judged { digest, bytes });
        let manifest = Judged {
            digest: &image.digest,
            bytes: &image.manifest_bytes,
        };
        self.judge(
            name.map(std::slice::from_ref).unwrap_or_default(),
            manifest,
            index,
        )
    }

    /// Makes sure that the layers of an image are unpacked, and holds them: they cannot be removed while the answer lives.
    pub fn ensure_unpacked(
        &self,
        manifest: &Trusted<Manifest>,
        config: &ImageConfig,
    ) -> Result<Vec<Layer>, ImageError> {
        manifest
            .agrees_with(config)
            .map_err(|source| unusable(&manifest.config.digest, source))?;
        let pairs = manifest.layers.iter().zip(&config.rootfs.diff_ids);
        pairs
            .map(|(layer, diff_id)| self.ensure_layer(manifest, layer, diff_id))
            .collect()
    }

    fn ensure_layer(
        &self,
        manifest: &Trusted<Manifest>,
        layer: &Descriptor,
        diff_id: &DiffId,
    ) -> Result<Layer, ImageError> {
        match self.layers.hold(diff_id) {
            Ok(hold) => {
                return Ok(Layer {
                    diff_id: diff_id.clone(),
                    hold,
                });
            }
            Err(hull_snapshot::SnapshotError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let session = self.content.begin()?;
        let mut source = NoSource;
        let ready = self.fetch_layer(&session, layer, diff_id, &mut source, &HashSet::new())?;
        ready.publish(&*self.layers, manifest)
    }
}

/// The source of who has everything already: the store.
struct NoSource;

impl Source for NoSource {
    fn blob(&mut self, what: &Descriptor) -> Result<Offer<'_>, crate::SourceError> {
        Err(crate::SourceError::new(
            hull_types::ErrorKind::NotFound,
            Some("pull or load the image again".to_owned()),
            hull_content::ContentError::NotFound(what.digest.clone()),
        ))
    }
}

fn offer<'s>(source: &'s mut dyn Source, what: &Descriptor) -> Result<Offer<'s>, ImageError> {
    source.blob(what).map_err(|source| ImageError::Source {
        digest: what.digest.clone(),
        source,
    })
}
