//! Images as archives: an OCI layout in a tar, or that plus docker's `manifest.json`, as docker itself writes since version 25.
//!
//! Blobs go out as they lie in the store, compressed or not, so that every digest survives the journey. The same images give the
//! same bytes.

use std::{
    collections::HashSet,
    io::{self, Write},
};

use hull_content::Session;
use hull_fs::tar::{Entry, EntryPath, Kind, TarError, Writer};
use hull_spec::image::{
    Descriptor, Document, Index,
    docker_archive::{self, ArchivedImage, MemberPath},
    layout,
};
use hull_types::{Digest, Reference, ShortNames};

use crate::{Image, ImageError, Images};

/// What kind of archive to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An OCI image layout.
    OciArchive,
    /// An OCI image layout with `manifest.json`: for `docker load` of any age.
    DockerArchive,
}

/// An image and the names under which it is saved.
struct Saved {
    image: Image,
    names: Vec<Reference>,
}

impl Images {
    /// Writes images as one archive. An image that is asked for by name keeps that name; by id, it has none there.
    pub fn save(
        &self,
        asked: &[&str],
        out: &mut dyn Write,
        format: Format,
    ) -> Result<(), ImageError> {
        let session = self.content.begin()?;
        let saved = self.to_be_saved(asked)?;
        let mut out = io::BufWriter::with_capacity(256 << 10, out);
        let mut archive = Writer::new(&mut out);
        let mut write = |name: &str, bytes: &[u8]| append(&mut archive, name, bytes);
        write(layout::MARKER_NAME, layout::MARKER.as_bytes())?;
        write(layout::INDEX_NAME, &self.index_of(&saved)?)?;
        if format == Format::DockerArchive {
            write(docker_archive::MANIFEST_NAME, &manifest_json(&saved)?)?;
        }
        self.write_blobs(&session, &saved, &mut archive)?;
        archive.finish().map_err(output)?;
        out.flush().map_err(|source| ImageError::Output { source })
    }

    fn to_be_saved(&self, asked: &[&str]) -> Result<Vec<Saved>, ImageError> {
        let mut saved: Vec<Saved> = Vec::new();
        for asked in asked {
            let image = self.resolve(asked)?;
            let name = self.asked_by_name(asked, &image);
            let name = name.filter(|name| name.tag().is_some());
            match saved
                .iter_mut()
                .find(|other| other.image.digest == image.digest)
            {
                Some(other) => other.names.extend(name),
                None => saved.push(Saved {
                    image,
                    names: name.into_iter().collect(),
                }),
            }
        }
        for image in &mut saved {
            image.names.sort();
            image.names.dedup();
        }
        Ok(saved)
    }

    fn index_of(&self, saved: &[Saved]) -> Result<Vec<u8>, ImageError> {
        let mut index = Index::default();
        for Saved { image, names } in saved {
            let entry = self.descriptor(&image.digest)?;
            if names.is_empty() {
                index.manifests.push(entry.clone());
            }
            for name in names {
                let mut entry = entry.clone();
                for annotation in [layout::REF_NAME, layout::IMAGE_NAME] {
                    entry
                        .annotations
                        .insert(annotation.to_owned(), name.to_string());
                }
                index.manifests.push(entry);
            }
        }
        Ok(index.to_json())
    }

    /// Describes a manifest of the store. Its type is the one it states, or OCI's, which need not be stated.
    fn descriptor(&self, digest: &Digest) -> Result<Descriptor, ImageError> {
        use hull_spec::image::{Family, MediaType};
        let bytes = self.content.read(digest, crate::images::MAX_DOCUMENT)?;
        let document = Document::parse(&bytes, None)
            .map_err(|source| crate::images::unusable(digest, source))?;
        let stated = match document {
            Document::Manifest(manifest) => manifest.media_type,
            Document::Index(index) => index.media_type,
        };
        let media_type = stated.unwrap_or(MediaType::Manifest(Family::Oci));
        Ok(Descriptor::new(
            media_type,
            digest.clone(),
            bytes.len() as u64,
        ))
    }

    fn write_blobs(
        &self,
        session: &Session<'_>,
        saved: &[Saved],
        archive: &mut Writer<impl Write>,
    ) -> Result<(), ImageError> {
        let mut digests: Vec<&Digest> = Vec::new();
        for Saved { image, .. } in saved {
            digests.extend([&image.digest, &image.id]);
            digests.extend(image.manifest.layers.iter().map(|layer| &layer.digest));
        }
        let mut written = HashSet::new();
        let mut directory = |archive: &mut Writer<_>, name: &str| {
            let is_new = written.insert(name.to_owned());
            let entry = Entry::new(path(name), Kind::Directory);
            if is_new {
                archive.append(&entry).map_err(output)
            } else {
                Ok(())
            }
        };
        let mut seen = HashSet::new();
        for digest in digests.into_iter().filter(|digest| seen.insert(*digest)) {
            directory(archive, "blobs")?;
            directory(archive, &format!("blobs/{}", digest.algorithm().as_str()))?;
            // Held: it may not be removed while it is copied out.
            session.hold(digest)?;
            let blob = self.content.verified(digest)?;
            let mut entry = Entry::new(path(&blob_name(digest)), Kind::File);
            entry.size = blob.size();
            archive.append_file(&entry, blob).map_err(output)?;
        }
        Ok(())
    }
}

fn manifest_json(saved: &[Saved]) -> Result<Vec<u8>, ImageError> {
    let member = |digest: &Digest| -> MemberPath {
        let name = blob_name(digest);
        name.parse().expect("a digest makes a plain path")
    };
    let images: Vec<ArchivedImage> = saved
        .iter()
        .map(|Saved { image, names }| ArchivedImage {
            config: member(&image.id),
            // Docker reads these by its own rule for short names, whatever the rule is here.
            repo_tags: names
                .iter()
                .map(|name| name.familiar(&ShortNames::default()))
                .collect(),
            layers: image
                .manifest
                .layers
                .iter()
                .map(|layer| member(&layer.digest))
                .collect(),
        })
        .collect();
    Ok(docker_archive::to_json(&images))
}

fn append(archive: &mut Writer<impl Write>, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
    let mut entry = Entry::new(path(name), Kind::File);
    entry.size = bytes.len() as u64;
    archive.append_file(&entry, bytes).map_err(output)
}

fn path(name: &str) -> EntryPath {
    EntryPath::parse(name.as_bytes()).expect("these names are plain paths")
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

fn output(source: TarError) -> ImageError {
    match source {
        TarError::Write { source } => ImageError::Output { source },
        source => ImageError::Archive { source },
    }
}
