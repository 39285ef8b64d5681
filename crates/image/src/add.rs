//! Making an image here: layers of a base, one layer on top, a configuration. `hull import` and `hull commit` end here.

use std::{
    fmt,
    io::{self, Cursor, Read, Write},
};

use hull_content::{Entry, Session, Staged, digest_of};
use hull_spec::image::{
    Compression as Tar, Descriptor, Family, History, ImageConfig, Manifest, MediaType, RootFs,
};
use hull_trust::Document as Judged;
use hull_types::{Algorithm, DiffId, Reference};

use crate::{
    Compression, Image, ImageError, Images, Layer,
    install::Installed,
    layer::{Bytes, Ready, Unpack, uncompressed},
};

/// An image to be made.
#[derive(Debug)]
pub struct NewImage<'a> {
    /// The image whose layers lie below, if any.
    pub base: Option<&'a Image>,
    pub layer: NewLayer<'a>,
    /// The configuration; its layers and its history are filled in.
    pub config: ImageConfig,
    /// What made the layer.
    pub history: History,
    pub name: Option<&'a Reference>,
}

/// The tar of a layer: one that can be read, or one that is written on demand.
pub enum NewLayer<'a> {
    /// Any compression that [`Compression`] knows. What gzip or zstd compressed is stored as it came.
    Read {
        /// What to call it in messages.
        label: &'a str,
        from: &'a mut dyn Read,
    },
    /// Writes an uncompressed tar.
    Write(&'a mut WriteTar<'a>),
}

/// Writes a tar somewhere.
pub type WriteTar<'a> = dyn FnMut(&mut dyn Write) -> Result<(), WriteError> + 'a;

/// Why a tar could not be written: the error of whoever writes it.
pub type WriteError = Box<dyn std::error::Error + Send + Sync>;

impl fmt::Debug for NewLayer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { label, .. } => write!(f, "Read({label})"),
            Self::Write(_) => f.write_str("Write"),
        }
    }
}

/// A new layer and how it is described.
struct Made<'a> {
    ready: Ready<'a>,
    descriptor: Descriptor,
}

impl Images {
    /// Makes an image, unpacked and listed. If anything fails, nothing of it stays.
    pub fn add(&self, new: NewImage<'_>) -> Result<Image, ImageError> {
        let digest = self.all_or_nothing(|session| self.add_in(session, new))?;
        self.resolve(&digest.to_string())
    }

    fn add_in(
        &self,
        session: &Session<'_>,
        new: NewImage<'_>,
    ) -> Result<hull_types::Digest, ImageError> {
        let (below, _held) = self.hold_base(session, new.base)?;
        let made = match new.layer {
            NewLayer::Read { label, from } => self.read_layer(session, label, from)?,
            NewLayer::Write(write) => self.write_layer(session, write)?,
        };
        let mut config = new.config;
        let base = new.base.map(|image| &image.config);
        config.rootfs = RootFs {
            diff_ids: base.map_or(Vec::new(), |base| base.rootfs.diff_ids.clone()),
            ..RootFs::default()
        };
        config.rootfs.diff_ids.push(made.ready.diff_id.clone());
        config.history = base.map_or(Vec::new(), |base| base.history.clone());
        config.history.push(new.history);
        let config = session.put(&config.to_json())?;
        let mut layers = below;
        layers.push(made.descriptor);
        let media_type = MediaType::Manifest(Family::Oci);
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type.clone()),
            artifact_type: None,
            config: Descriptor::new(MediaType::Config(Family::Oci), config.digest, config.size),
            layers,
            subject: None,
            annotations: Default::default(),
        };
        let bytes = manifest.to_json();
        let digest = digest_of(Algorithm::Sha256, &bytes);
        let names: Vec<Reference> = new
            .name
            .cloned()
            .map(Reference::or_latest)
            .into_iter()
            .collect();
        let judged = Judged {
            digest: &digest,
            bytes: &bytes,
        };
        let trusted = self.judge(&names, judged, None)?;
        let manifest = session.put(&bytes)?;
        let layer = made.ready.publish(&*self.layers, &trusted)?;
        let entry = Entry::new(media_type.as_str(), manifest.digest, manifest.size);
        self.list_installed([Installed::new(names, entry, vec![layer])])?;
        Ok(digest)
    }

    /// Keeps the base's layers from removal and describes them in OCI's words.
    fn hold_base(
        &self,
        session: &Session<'_>,
        base: Option<&Image>,
    ) -> Result<(Vec<Descriptor>, Vec<Layer>), ImageError> {
        let Some(base) = base else {
            return Ok((Vec::new(), Vec::new()));
        };
        let mut below = Vec::new();
        for layer in &base.manifest.layers {
            if !session.hold(&layer.digest)? {
                return Err(hull_content::ContentError::NotFound(layer.digest.clone()).into());
            }
            let media_type = match &layer.media_type {
                MediaType::Layer(_, compression) | MediaType::ForeignLayer(_, compression) => {
                    MediaType::Layer(Family::Oci, *compression)
                }
                other => other.clone(),
            };
            below.push(Descriptor::new(
                media_type,
                layer.digest.clone(),
                layer.size,
            ));
        }
        let held = base.layers().iter().map(|diff_id| {
            Ok(Layer {
                diff_id: diff_id.clone(),
                hold: self.layers.hold(diff_id)?,
            })
        });
        Ok((below, held.collect::<Result<_, ImageError>>()?))
    }

    /// Takes a layer in from a stream of which nothing is known.
    fn read_layer<'a>(
        &'a self,
        session: &'a Session<'_>,
        label: &str,
        from: &mut dyn Read,
    ) -> Result<Made<'a>, ImageError> {
        let input = |source| ImageError::Input { source };
        let mut start = Vec::new();
        (&mut *from)
            .take(6)
            .read_to_end(&mut start)
            .map_err(input)?;
        let compression = Compression::of(&start);
        let mut from = Cursor::new(start).chain(from);
        match compression {
            // OCI has no type for these: they are stored as plain tar.
            Compression::Bzip2 | Compression::Xz => {
                let mut meter = uncompressed(label, &mut from, &self.limits)?;
                let made = self.take_layer(session, label, &mut meter);
                match meter.failure.take() {
                    Some(failure) => Err(failure),
                    None => made,
                }
            }
            _ => self.take_layer(session, label, &mut from),
        }
    }

    fn take_layer<'a>(
        &'a self,
        session: &'a Session<'_>,
        label: &str,
        from: &mut dyn Read,
    ) -> Result<Made<'a>, ImageError> {
        let ingest = session.ingest(Algorithm::Sha256, self.limits.unpacked_bytes)?;
        let bytes = Bytes::Fresh(ingest);
        let reader = self.reader();
        let passed = reader.read(label, from, bytes, Algorithm::Sha256, Unpack::Tree)?;
        let is_whole = passed
            .unpacked
            .as_ref()
            .is_some_and(|tree| tree.end_was_marked());
        if !is_whole {
            return Err(ImageError::CutOff);
        }
        let staged = passed.staged.expect("fresh bytes are staged");
        Ok(Made {
            descriptor: describe(&staged, passed.compression),
            ready: Ready {
                diff_id: passed.diff_id,
                staged: Some(staged),
                unpacked: passed.unpacked,
            },
        })
    }

    /// Has a layer written, and unpacks it from what was written.
    fn write_layer<'a>(
        &'a self,
        session: &'a Session<'_>,
        write: &mut WriteTar<'_>,
    ) -> Result<Made<'a>, ImageError> {
        let ingest = session.ingest(Algorithm::Sha256, self.limits.unpacked_bytes)?;
        let mut out = io::BufWriter::with_capacity(256 << 10, ingest);
        write(&mut out).map_err(|source| ImageError::NewLayer { source })?;
        let ingest = out.into_inner().map_err(|error| ImageError::Output {
            source: error.into_error(),
        })?;
        let staged = ingest.finish()?;
        let digest = staged.blob().digest.clone();
        let mut file = staged.open()?;
        let bytes = Bytes::Known(&digest);
        let reader = self.reader();
        let passed = reader.read(
            "new layer",
            &mut file,
            bytes,
            Algorithm::Sha256,
            Unpack::Tree,
        )?;
        Ok(Made {
            descriptor: describe(&staged, Compression::None),
            ready: Ready {
                diff_id: DiffId(digest),
                staged: Some(staged),
                unpacked: passed.unpacked,
            },
        })
    }
}

fn describe(staged: &Staged<'_>, compression: Compression) -> Descriptor {
    let compression = match compression {
        Compression::Gzip => Tar::Gzip,
        Compression::Zstd => Tar::Zstd,
        Compression::None | Compression::Bzip2 | Compression::Xz => Tar::None,
    };
    let blob = staged.blob();
    let media_type = MediaType::Layer(Family::Oci, compression);
    Descriptor::new(media_type, blob.digest.clone(), blob.size)
}
