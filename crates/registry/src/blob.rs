//! A blob on its way: exactly as long as its descriptor says, or an error.

use std::fmt;
use std::io::{self, Read};

use hull_types::Digest;

use crate::RegistryError;
use crate::transport::{Timeouts, broken};

/// The bytes of a blob. Its length is checked here; its digest is checked where it is stored.
///
/// Errors of reading carry a [`RegistryError`] ([`RegistryError::in_io`]).
pub struct Blob {
    pub(crate) reader: Box<dyn Read + Send>,
    pub(crate) host: String,
    pub(crate) digest: Digest,
    pub(crate) declared: u64,
    pub(crate) received: u64,
    pub(crate) timeouts: Timeouts,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Blob({}, {} of {} bytes)",
            self.digest, self.received, self.declared
        )
    }
}

impl Blob {
    /// How many bytes will come, if nothing goes wrong.
    pub fn size(&self) -> u64 {
        self.declared
    }

    fn too_short(&self) -> RegistryError {
        RegistryError::BlobTooShort {
            host: self.host.clone(),
            digest: self.digest.clone(),
            declared: self.declared,
            received: self.received,
        }
    }

    /// Makes sure that nothing follows.
    fn end(&mut self) -> io::Result<usize> {
        let mut beyond = [0];
        match self.reader.read(&mut beyond) {
            Ok(0) => Ok(0),
            Ok(_) => Err(io::Error::other(RegistryError::BlobTooLong {
                host: self.host.clone(),
                digest: self.digest.clone(),
                declared: self.declared,
            })),
            Err(error) => Err(self.wrapped(error)),
        }
    }

    fn wrapped(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        let error = match kind {
            io::ErrorKind::Interrupted => return error,
            io::ErrorKind::UnexpectedEof => self.too_short(),
            _ => broken(error, self.host.clone(), self.timeouts),
        };
        io::Error::new(kind, error)
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.declared - self.received;
        if left == 0 || buffer.is_empty() {
            return if left == 0 { self.end() } else { Ok(0) };
        }
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        match self.reader.read(&mut buffer[..most]) {
            Ok(0) => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                self.too_short(),
            )),
            Ok(count) => {
                self.received += u64::try_from(count).unwrap_or(left);
                Ok(count)
            }
            Err(error) => Err(self.wrapped(error)),
        }
    }
}
