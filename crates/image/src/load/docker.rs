//! What `docker save` writes: configurations and layers as members, and `manifest.json` to say whose they are.
//!
//! The configuration stays byte for byte what it was, so the image keeps its id. A manifest is made here, the same one for the
//! same archive.

use std::io::Read;

use hull_content::{Session, Staged};
use hull_spec::image::{
    Compression as Tar, Descriptor, Family, ImageConfig, Manifest, MediaType, docker_archive,
};
use hull_types::{Algorithm, Digest};

use super::{docker_name, layout::Listed, spool::Spool};
use crate::{Compression, ImageError, Limits, images::MAX_DOCUMENT, layer::uncompressed};

pub(super) fn list<'s>(
    session: &'s Session<'_>,
    spool: &mut Spool<'s>,
    limits: &Limits,
) -> Result<Vec<Listed>, ImageError> {
    const FILE: &str = docker_archive::MANIFEST_NAME;
    let bytes = spool.contents(FILE, MAX_DOCUMENT, "the archive")?;
    let images = docker_archive::parse(&bytes).map_err(|source| ImageError::File {
        file: FILE.to_owned(),
        source: Box::new(source),
    })?;
    let mut listed = Vec::new();
    for image in images {
        let config = image.config.as_str();
        let bytes = spool.contents(config, MAX_DOCUMENT, FILE)?;
        let parsed = ImageConfig::parse(&bytes).map_err(|source| ImageError::File {
            file: config.to_owned(),
            source: Box::new(source),
        })?;
        let config = descriptor_of(spool.member(config, FILE)?, MediaType::Config(Family::Oci));
        let mut layers = Vec::new();
        for layer in &image.layers {
            layers.push(layer_descriptor(
                session,
                spool,
                layer.as_str(),
                FILE,
                limits,
            )?);
        }
        // Before docker 1.10 wrote `<none>:<none>` for images without a name.
        let names = image
            .repo_tags
            .iter()
            .filter(|name| !name.contains("<none>"));
        let names = names
            .map(|name| docker_name(name))
            .collect::<Result<_, _>>()?;
        let root = make_manifest(spool, config, layers, &parsed)?;
        listed.push(Listed { root, names });
    }
    Ok(listed)
}

/// Makes the manifest that the archive does not have.
pub(super) fn make_manifest(
    spool: &mut Spool<'_>,
    config: Descriptor,
    layers: Vec<Descriptor>,
    parsed: &ImageConfig,
) -> Result<Descriptor, ImageError> {
    let media_type = MediaType::Manifest(Family::Oci);
    let digest = config.digest.clone();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type.clone()),
        artifact_type: None,
        config,
        layers,
        subject: None,
        annotations: Default::default(),
    };
    manifest
        .agrees_with(parsed)
        .map_err(|source| ImageError::Document {
            digest,
            source: Box::new(source),
        })?;
    let bytes = manifest.to_json();
    let size = bytes.len() as u64;
    Ok(Descriptor::new(media_type, spool.make(bytes), size))
}

/// Describes a layer by what it is, not by its name. OCI has no type for bzip2 and xz: such a layer is stored as plain tar.
pub(super) fn layer_descriptor<'s>(
    session: &'s Session<'_>,
    spool: &mut Spool<'s>,
    name: &str,
    wanted_by: &str,
    limits: &Limits,
) -> Result<Descriptor, ImageError> {
    let staged = spool.member(name, wanted_by)?;
    let mut start = Vec::new();
    let read = staged.open()?.take(6).read_to_end(&mut start);
    read.map_err(|source| ImageError::Input { source })?;
    let compression = match Compression::of(&start) {
        Compression::None => Tar::None,
        Compression::Gzip => Tar::Gzip,
        Compression::Zstd => Tar::Zstd,
        Compression::Bzip2 | Compression::Xz => {
            let plain = decompressed(session, staged, name, limits)?;
            let described = descriptor_of(&plain, MediaType::Layer(Family::Oci, Tar::None));
            spool.keep(plain);
            return Ok(described);
        }
    };
    Ok(descriptor_of(
        staged,
        MediaType::Layer(Family::Oci, compression),
    ))
}

fn decompressed<'s>(
    session: &'s Session<'_>,
    staged: &Staged<'_>,
    name: &str,
    limits: &Limits,
) -> Result<Staged<'s>, ImageError> {
    let mut file = staged.open()?;
    let mut meter = uncompressed(name, &mut file, limits)?;
    let mut ingest = session.ingest(Algorithm::Sha256, limits.unpacked_bytes)?;
    let outcome = ingest.take_all(&mut meter)?;
    if let Some(failure) = meter.failure.take() {
        return Err(failure);
    }
    outcome.map_err(|source| ImageError::Input { source })?;
    Ok(ingest.finish()?)
}

fn descriptor_of(staged: &Staged<'_>, media_type: MediaType) -> Descriptor {
    let blob = staged.blob();
    Descriptor::new(media_type, blob.digest.clone(), blob.size)
}

/// Describes a document that was made here.
pub(super) fn made(spool: &mut Spool<'_>, media_type: MediaType, bytes: Vec<u8>) -> Descriptor {
    let size = bytes.len() as u64;
    let digest: Digest = spool.make(bytes);
    Descriptor::new(media_type, digest, size)
}
