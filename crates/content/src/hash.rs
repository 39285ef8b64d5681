use std::io::{self, Read};

use hull_types::{Algorithm, Digest};
use sha2::{Digest as _, Sha256, Sha512};

use crate::ContentError;

/// A running hash of one of the registered algorithms.
#[derive(Clone, Debug)]
pub enum Hasher {
    Sha256(Box<Sha256>),
    Sha512(Box<Sha512>),
}

impl Hasher {
    /// Starts a hash.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Box::default()),
            Algorithm::Sha512 => Self::Sha512(Box::default()),
        }
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// Takes everything a reader has.
    pub fn take_all(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => self.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the digest of all bytes taken.
    pub fn finish(self) -> Digest {
        match self {
            Self::Sha256(hash) => Digest::sha256(&hash.finalize().into()),
            Self::Sha512(hash) => Digest::sha512(&hash.finalize().into()),
        }
    }
}

/// Returns the digest of bytes at hand.
pub fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// A reader that gives an error instead of the last bytes, or of the end, when what went through it is not what was promised.
///
/// Whoever has read all bytes that were promised has verified content; whoever stops before has not.
#[derive(Debug)]
pub struct Verified<R> {
    inner: R,
    hasher: Option<Hasher>,
    expected: Digest,
    size: u64,
    seen: u64,
}

impl<R: Read> Verified<R> {
    /// Wraps a reader that must give exactly `size` bytes with this digest.
    pub fn new(inner: R, expected: Digest, size: u64) -> Self {
        let hasher = Some(Hasher::new(expected.algorithm()));
        Self {
            inner,
            hasher,
            expected,
            size,
            seen: 0,
        }
    }

    /// Returns how many bytes there must be.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn compare(&mut self) -> Result<(), ContentError> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(());
        };
        if self.seen < self.size {
            return Err(ContentError::TooShort {
                expected: self.size,
                actual: self.seen,
            });
        }
        let actual = hasher.finish();
        if actual == self.expected {
            Ok(())
        } else {
            Err(ContentError::WrongDigest {
                expected: self.expected.clone(),
                actual,
            })
        }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        if count == 0 {
            return self.compare().map(|()| 0).map_err(invalid);
        }
        self.seen += count as u64;
        if self.seen > self.size {
            return Err(invalid(ContentError::TooLong { limit: self.size }));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        if self.seen == self.size {
            // Readers that know the size stop here and never see the end.
            self.compare().map_err(invalid)?;
        }
        Ok(count)
    }
}

fn invalid(bad: ContentError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], digest: &Digest, size: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Verified::new(content, digest.clone(), size).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn reading_to_the_end_verifies() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = digest_of(algorithm, b"hull");
            assert_eq!(read(b"hull", &digest, 4).unwrap(), b"hull");
            for (content, size) in [(&b"hulk"[..], 4), (b"hul", 4), (b"hull!", 4), (b"hull", 3)] {
                assert!(read(content, &digest, size).is_err(), "{content:?} {size}");
            }
        }
    }

    #[test]
    fn whoever_knows_the_size_need_not_read_the_end() {
        let digest = digest_of(Algorithm::Sha256, b"hull");
        let mut buffer = [0; 4];
        let mut read =
            |content: &[u8]| Verified::new(content, digest.clone(), 4).read_exact(&mut buffer);
        assert!(read(b"hull").is_ok());
        assert!(read(b"hulk").is_err());
    }

    #[test]
    fn empty_content_has_the_well_known_digest() {
        let digest = digest_of(Algorithm::Sha256, b"");
        assert_eq!(
            digest.to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(read(b"", &digest, 0).unwrap(), b"");
    }
}
