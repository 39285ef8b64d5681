//! One layer on its way in: each byte is read once, and on that way hashed, stored, decompressed, hashed again and unpacked.
//!
//! ```text
//! source ─▶ Tee (digest, blob file) ─▶ Decoder (by magic) ─▶ Meter (diff ID, limits) ─▶ Unpacking
//! ```
//!
//! Nothing is visible before [`Ready::publish`], which wants the [`Trusted`] manifest that the layer belongs to.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

use hull_content::{ContentError, Hasher, Ingest, Staged};
use hull_snapshot::{Driver, Hold, Unpacking};
use hull_spec::image::Manifest;
use hull_trust::Trusted;
use hull_types::{Algorithm, DiffId, Digest, ErrorKind};

use crate::{Compression, ImageError, Limits, compression::Decoder};

/// A visible layer, safe from removal as long as this lives.
#[derive(Debug)]
pub struct Layer {
    pub diff_id: DiffId,
    pub hold: Hold,
}

/// A layer that is whole and verified, and not yet visible.
#[derive(Debug)]
pub(crate) struct Ready<'a> {
    pub(crate) diff_id: DiffId,
    /// The blob, if it is not in the store yet.
    pub(crate) staged: Option<Staged<'a>>,
    /// The tree, if it is not in the store yet.
    pub(crate) unpacked: Option<Box<dyn Unpacking + 'a>>,
}

impl Ready<'_> {
    /// Makes blob and tree visible under their digests.
    pub(crate) fn publish(
        self,
        layers: &dyn Driver,
        _manifest: &Trusted<Manifest>,
    ) -> Result<Layer, ImageError> {
        if let Some(staged) = self.staged {
            staged.commit()?;
        }
        let hold = match self.unpacked {
            Some(unpacked) => unpacked.commit(&self.diff_id)?.1,
            None => layers.hold(&self.diff_id)?,
        };
        Ok(Layer {
            diff_id: self.diff_id,
            hold,
        })
    }
}

/// What is done with the uncompressed bytes besides hashing them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unpack {
    /// Make the tree.
    Tree,
    /// Nothing: the tree is here already.
    HashOnly,
}

/// The bytes of a blob as they come.
#[derive(Debug)]
pub(crate) enum Bytes<'d, 's> {
    /// For the first time: they are stored and hashed.
    Fresh(Ingest<'s>),
    /// Again: they have this digest.
    Known(&'d Digest),
}

impl Bytes<'_, '_> {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Fresh(ingest) => ingest.algorithm(),
            Self::Known(digest) => digest.algorithm(),
        }
    }
}

/// What came of reading a layer to its end.
#[derive(Debug)]
pub(crate) struct Passed<'a, 's> {
    pub(crate) compression: Compression,
    pub(crate) diff_id: DiffId,
    pub(crate) unpacked: Option<Box<dyn Unpacking + 'a>>,
    /// The blob, if its bytes were fresh.
    pub(crate) staged: Option<Staged<'s>>,
}

/// Reads layers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerReader<'a> {
    pub(crate) layers: &'a dyn Driver,
    pub(crate) limits: &'a Limits,
}

impl<'a> LayerReader<'a> {
    /// Reads a layer from its first compressed byte to its last. `label` names it in errors.
    pub(crate) fn read<'s>(
        self,
        label: &str,
        from: &mut dyn Read,
        bytes: Bytes<'_, 's>,
        diff_algorithm: Algorithm,
        unpack: Unpack,
    ) -> Result<Passed<'a, 's>, ImageError> {
        let mut tee = Tee {
            label,
            from,
            bytes,
            passed: Rc::default(),
            failure: None,
        };
        let outcome = self.through(&mut tee, diff_algorithm, unpack);
        // What went wrong below is the cause of whatever went wrong above.
        if let Some(failure) = tee.failure.take() {
            return Err(failure);
        }
        let middle = match outcome {
            Ok(middle) => middle,
            Err(error) => return Err(tee.blame(error)),
        };
        let (staged, digest) = tee.finish()?;
        let diff_id = DiffId(middle.hashed.unwrap_or(digest));
        Ok(Passed {
            compression: middle.compression,
            diff_id,
            unpacked: middle.unpacked,
            staged,
        })
    }

    fn through(
        self,
        tee: &mut Tee<'_, '_>,
        diff_algorithm: Algorithm,
        unpack: Unpack,
    ) -> Result<Middle<'a>, ImageError> {
        let label = tee.label;
        let passed = Rc::clone(&tee.passed);
        // Of an uncompressed layer the digest is the diff ID: hashing once is enough.
        let blob_algorithm = tee.bytes.algorithm();
        let decoder = Decoder::new(tee).map_err(|source| ImageError::Decompress {
            layer: label.to_owned(),
            source,
        })?;
        let compression = decoder.compression();
        let is_hashed = compression == Compression::None && blob_algorithm == diff_algorithm;
        let mut meter = Meter {
            label,
            inner: decoder,
            limits: self.limits,
            hasher: (!is_hashed).then(|| Hasher::new(diff_algorithm)),
            passed,
            seen: 0,
            failure: None,
        };
        let outcome = self.consume(&mut meter, unpack);
        match (meter.failure.take(), outcome) {
            (Some(failure), _) | (None, Err(failure)) => Err(failure),
            (None, Ok(unpacked)) => Ok(Middle {
                compression,
                hashed: meter.hasher.map(Hasher::finish),
                unpacked,
            }),
        }
    }

    fn consume<R: Read>(
        self,
        meter: &mut Meter<'_, R>,
        unpack: Unpack,
    ) -> Result<Option<Box<dyn Unpacking + 'a>>, ImageError> {
        let failed = |source| ImageError::Unpack {
            layer: meter.label.to_owned(),
            source: Box::new(source),
        };
        match unpack {
            Unpack::Tree => {
                let mut unpacking = self.layers.begin().map_err(failed)?;
                let outcome = unpacking.write_from(meter);
                outcome.map_err(|source| ImageError::Unpack {
                    layer: meter.label.to_owned(),
                    source: Box::new(source),
                })?;
                Ok(Some(unpacking))
            }
            Unpack::HashOnly => {
                drain(meter).map_err(|source| ImageError::Decompress {
                    layer: meter.label.to_owned(),
                    source,
                })?;
                Ok(None)
            }
        }
    }
}

/// What the upper half of the way came to.
struct Middle<'a> {
    compression: Compression,
    /// The digest of the uncompressed bytes, where it is not that of the compressed ones.
    hashed: Option<Digest>,
    unpacked: Option<Box<dyn Unpacking + 'a>>,
}

/// Passes a source's bytes on and stores and hashes them on the way.
struct Tee<'r, 's> {
    label: &'r str,
    from: &'r mut dyn Read,
    bytes: Bytes<'r, 's>,
    passed: Rc<Cell<u64>>,
    /// Why reading stopped; the error that travels up through decoders and parsers is only its shadow.
    failure: Option<ImageError>,
}

impl<'s> Tee<'_, 's> {
    /// Reads what nobody asked for, so that all bytes are hashed, and compares with what was promised.
    fn finish(mut self) -> Result<(Option<Staged<'s>>, Digest), ImageError> {
        if let Err(source) = drain(&mut self) {
            let input = || ImageError::Input { source };
            return Err(self.failure.take().unwrap_or_else(input));
        }
        match self.bytes {
            Bytes::Known(digest) => Ok((None, digest.clone())),
            Bytes::Fresh(ingest) => {
                let staged = ingest.finish().map_err(|bad| wrong(self.label, bad))?;
                let digest = staged.blob().digest.clone();
                Ok((Some(staged), digest))
            }
        }
    }

    /// Decides between two explanations: content that cannot be unpacked because it is not what was promised is wrong
    /// content, whatever it looked like to the parser.
    fn blame(self, error: ImageError) -> ImageError {
        let is_content = error.kind() == ErrorKind::InvalidInput
            && matches!(
                error,
                ImageError::Decompress { .. } | ImageError::Unpack { .. }
            );
        if !is_content {
            return error;
        }
        match self.finish() {
            Err(cause @ ImageError::WrongContent { .. }) => cause,
            _ => error,
        }
    }
}

impl Read for Tee<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.from.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.failure = Some(match error.downcast::<ContentError>() {
                    Ok(bad) => wrong(self.label, bad),
                    Err(source) => ImageError::Input { source },
                });
                return Err(stopped());
            }
        };
        self.passed.set(self.passed.get() + count as u64);
        if let Bytes::Fresh(ingest) = &mut self.bytes
            && let Err(bad) = ingest.take(&buffer[..count])
        {
            self.failure = Some(match bad {
                ContentError::TooLong { limit } if !ingest.is_promised() => ImageError::TooLarge {
                    layer: self.label.to_owned(),
                    limit,
                },
                bad => wrong(self.label, bad),
            });
            return Err(stopped());
        }
        Ok(count)
    }
}

/// Counts and hashes what a decoder gives, and stops it at the limits.
pub(crate) struct Meter<'m, R> {
    label: &'m str,
    inner: R,
    limits: &'m Limits,
    hasher: Option<Hasher>,
    /// Compressed bytes so far.
    passed: Rc<Cell<u64>>,
    /// Uncompressed bytes so far.
    seen: u64,
    pub(crate) failure: Option<ImageError>,
}

impl<R> Meter<'_, R> {
    fn check(&self) -> Result<(), ImageError> {
        let limits = self.limits;
        let layer = || self.label.to_owned();
        if self.seen > limits.unpacked_bytes {
            return Err(ImageError::TooLarge {
                layer: layer(),
                limit: limits.unpacked_bytes,
            });
        }
        if self.seen > limits.ratio_from && self.seen / limits.ratio > self.passed.get() {
            return Err(ImageError::Bomb {
                layer: layer(),
                ratio: limits.ratio,
            });
        }
        Ok(())
    }
}

impl<R: Read> Read for Meter<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.inner.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(source) => {
                self.failure = Some(ImageError::Decompress {
                    layer: self.label.to_owned(),
                    source,
                });
                return Err(stopped());
            }
        };
        self.seen += count as u64;
        if let Err(over) = self.check() {
            self.failure = Some(over);
            return Err(stopped());
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// Gives `from` uncompressed, within the limits.
pub(crate) fn uncompressed<'m>(
    label: &'m str,
    from: &'m mut dyn Read,
    limits: &'m Limits,
) -> Result<Meter<'m, impl Read + 'm>, ImageError> {
    struct Counter<'m> {
        from: &'m mut dyn Read,
        passed: Rc<Cell<u64>>,
    }
    impl Read for Counter<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.from.read(buffer)?;
            self.passed.set(self.passed.get() + count as u64);
            Ok(count)
        }
    }
    let passed: Rc<Cell<u64>> = Rc::default();
    let counter = Counter {
        from,
        passed: Rc::clone(&passed),
    };
    let inner = Decoder::new(counter).map_err(|source| ImageError::Input { source })?;
    Ok(Meter {
        label,
        inner,
        limits,
        hasher: None,
        passed,
        seen: 0,
        failure: None,
    })
}

/// Says of what it is that the bytes are not what was promised.
pub(crate) fn wrong(label: &str, bad: ContentError) -> ImageError {
    match bad {
        ContentError::WrongDigest { .. }
        | ContentError::TooShort { .. }
        | ContentError::TooLong { .. } => ImageError::WrongContent {
            layer: label.to_owned(),
            source: bad,
        },
        other => other.into(),
    }
}

/// What travels up through readers when the real error is kept below. Nobody sees it.
fn stopped() -> io::Error {
    io::Error::other("reading was stopped")
}

fn drain(from: &mut impl Read) -> io::Result<()> {
    io::copy(from, &mut io::sink()).map(drop)
}
