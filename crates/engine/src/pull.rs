//! Fetching an image from a registry: what the registry client gives, the images verify, judge, unpack and list.
//!
//! ```text
//!  name ─▶ Client ─ manifest ─▶ Images::install ─▶ Image
//!             ▲ blobs, one by one │ (Source)
//!             └──── counted ──────┘──▶ Progress
//! ```

use std::{
    cell::RefCell,
    fmt,
    io::{self, Cursor, Read},
    path::PathBuf,
};

use hull_image::{Image, ImageError, Offer, Source, SourceError, Wanted};
use hull_registry::{Client, Credentials, RegistryError};
use hull_spec::image::{Descriptor, Document, Family, MediaType};
use hull_types::{Digest, InvalidReference, Platform, Reference};

use crate::{Engine, EngineError, Settings};

/// Is told how a fetch goes on. Front doors draw bars from it; whoever implements nothing is told nothing.
pub trait Progress {
    /// A fetch begins.
    fn begun(&mut self, name: &Reference) {
        let _ = name;
    }

    /// These are the image's layers, lowest first. Those that are here already will not be fetched.
    fn layers(&mut self, layers: &[Descriptor]) {
        let _ = layers;
    }

    /// Of this layer so many bytes have come so far, of so many in all.
    fn received(&mut self, layer: &Digest, bytes: u64, size: u64) {
        let _ = (layer, bytes, size);
    }

    /// The fetch is over; `whole` if it went well.
    fn ended(&mut self, whole: bool) {
        let _ = whole;
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {}

/// How a caller wants images fetched.
pub(crate) struct Fetching {
    /// Who is told how it goes on.
    told: RefCell<Box<dyn Progress>>,
    /// Registries to be spoken to without encryption, besides those of the settings.
    plain: RefCell<Vec<String>>,
}

impl Default for Fetching {
    fn default() -> Self {
        Self {
            told: RefCell::new(Box::new(Silent)),
            plain: RefCell::default(),
        }
    }
}

impl fmt::Debug for Fetching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetching")
            .field("plain", &self.plain)
            .finish_non_exhaustive()
    }
}

/// What a pull came to.
#[derive(Clone, Debug)]
pub struct Pulled {
    pub image: Image,
    pub name: Reference,
    /// Whether anything changed: not, if what the registry has was here under that name.
    pub changed: bool,
}

impl Engine {
    /// Has every fetch from now on reported.
    pub fn report_to(&self, progress: Box<dyn Progress>) {
        *self.fetching.told.borrow_mut() = progress;
    }

    /// Lets these registries (`host` or `host:port`) be spoken to without encryption from now on.
    pub fn allow_plain_http(&self, registries: &[String]) {
        let mut plain = self.fetching.plain.borrow_mut();
        plain.extend_from_slice(registries);
    }

    /// Fetches an image, verified and unpacked as it arrives. Without a platform it is this machine's.
    pub fn pull(&self, asked: &str, platform: Option<&Platform>) -> Result<Pulled, EngineError> {
        let images = self.images()?;
        let name = match images.reference(asked) {
            Err(ImageError::Name(InvalidReference::IsId(_))) => {
                return Err(EngineError::ImageMissing {
                    image: asked.to_owned(),
                    near: Vec::new(),
                });
            }
            other => other?,
        };
        let (here, near) = match images.resolve(&name.to_string()) {
            Ok(image) => (Some(image), Vec::new()),
            Err(ImageError::NotFound { near, .. }) => (None, near),
            // What is listed and cannot be read is fetched again.
            Err(_) => (None, Vec::new()),
        };
        let failed = |source| EngineError::Pull {
            image: asked.to_owned(),
            here: here.is_some(),
            near: near.clone(),
            source: Box::new(source),
        };
        let client = self.registry_client()?;
        let host = Platform::host();
        let wanted = platform.unwrap_or(&host);
        if let Some(image) = &here
            && runs_on(image, wanted)
            && client.digest(&name).map_err(failed)?.as_ref() == Some(image.registry_digest())
        {
            let trusted = images.trusted(image, Some(&name))?;
            images.ensure_unpacked(&trusted, &image.config)?;
            return Ok(Pulled {
                image: image.clone(),
                name,
                changed: false,
            });
        }
        let mut told = self.fetching.told.borrow_mut();
        told.begun(&name);
        let fetched = client.manifest(&name).map_err(failed);
        let image = fetched.and_then(|manifest| {
            let root = descriptor(&manifest);
            let mut source = Registry {
                client: &client,
                name: &name,
                root: (root.digest.clone(), manifest.bytes),
                told: &mut **told,
            };
            let wanted = Wanted {
                root,
                names: std::slice::from_ref(&name),
                platform: wanted,
            };
            Ok(images.install(&wanted, &mut source)?)
        });
        told.ended(image.is_ok());
        let image = image?;
        match platform {
            Some(platform) if !runs_on(&image, platform) => Err(EngineError::WrongPlatform {
                image: asked.to_owned(),
                has: image.platform(),
                asked: platform.clone(),
            }),
            _ => Ok(Pulled {
                image,
                name,
                changed: true,
            }),
        }
    }

    fn registry_client(&self) -> Result<Client, EngineError> {
        let settings = Settings::read(&self.places().root)?;
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let mut insecure = settings.insecure_registries;
        insecure.extend_from_slice(&self.fetching.plain.borrow());
        Ok(Client::new(hull_registry::Options {
            insecure,
            credentials: Credentials::from_environment(variable),
            certificates: settings.certificates,
            ..hull_registry::Options::default()
        })?)
    }
}

/// Says whether an image is for a platform. A variant that one of the two leaves out fits any.
pub(crate) fn runs_on(image: &Image, platform: &Platform) -> bool {
    let has = image.platform();
    let variants = (has.variant.as_ref(), platform.variant.as_ref());
    has.os == platform.os
        && has.architecture == platform.architecture
        && !matches!(variants, (Some(has), Some(asked)) if has != asked)
}

/// Describes what the registry sent: as it says, or else as the document does.
fn descriptor(manifest: &hull_registry::FetchedManifest) -> Descriptor {
    let announced = manifest.media_type.clone();
    let announced = announced.filter(|kind| kind.is_manifest() || kind.is_index());
    let media_type = announced.unwrap_or_else(|| match Document::parse(&manifest.bytes, None) {
        Ok(Document::Index(index)) => index.media_type.unwrap_or(MediaType::Index(Family::Oci)),
        Ok(Document::Manifest(manifest)) => manifest
            .media_type
            .unwrap_or(MediaType::Manifest(Family::Oci)),
        // Whoever installs it says what is wrong with it.
        Err(_) => MediaType::Manifest(Family::Oci),
    });
    Descriptor::new(
        media_type,
        manifest.digest.clone(),
        manifest.bytes.len() as u64,
    )
}

/// A registry as the source of one image's blobs.
struct Registry<'a> {
    client: &'a Client,
    name: &'a Reference,
    /// What the name led to: it was fetched to know its digest.
    root: (Digest, Vec<u8>),
    told: &'a mut dyn Progress,
}

impl Registry<'_> {
    /// Fetches a document and, if it is a manifest, says which layers will be asked for.
    fn document(&mut self, what: &Descriptor) -> Result<Vec<u8>, RegistryError> {
        let bytes = if what.digest == self.root.0 {
            self.root.1.clone()
        } else {
            self.client
                .manifest(&self.name.at(what.digest.clone()))?
                .bytes
        };
        if let Ok(Document::Manifest(manifest)) = Document::parse(&bytes, Some(&what.media_type)) {
            self.told.layers(&manifest.layers);
        }
        Ok(bytes)
    }
}

impl Source for Registry<'_> {
    fn blob(&mut self, what: &Descriptor) -> Result<Offer<'_>, SourceError> {
        if what.media_type.is_manifest() || what.media_type.is_index() {
            let bytes = self.document(what).map_err(refused)?;
            return Ok(Offer::Stream(Box::new(Cursor::new(bytes))));
        }
        let blob = self.client.blob(self.name, what).map_err(refused)?;
        if !what.media_type.is_layer() {
            return Ok(Offer::Stream(Box::new(blob)));
        }
        self.told.received(&what.digest, 0, what.size);
        Ok(Offer::Stream(Box::new(Counted {
            inner: blob,
            layer: what.digest.clone(),
            size: what.size,
            received: 0,
            told: self.told,
        })))
    }
}

fn refused(error: RegistryError) -> SourceError {
    SourceError::new(error.kind(), error.hint(), error)
}

/// Counts the bytes of a layer as they come.
struct Counted<'a, R> {
    inner: R,
    layer: Digest,
    size: u64,
    received: u64,
    told: &'a mut dyn Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.received += count as u64;
        if count > 0 {
            self.told.received(&self.layer, self.received, self.size);
        }
        Ok(count)
    }
}
