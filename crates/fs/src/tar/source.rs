//! The stream behind a buffer that is handed out in slices, so that contents are copied once: from here to the file.

use std::io::{self, Read};

use super::error::TarError;

/// A buffered stream that knows how far it is.
#[derive(Debug)]
pub(super) struct Source<R> {
    pub(super) inner: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Offset in the stream of `buffer[start]`.
    pub(super) position: u64,
}

/// Large enough that a file's contents mostly go out in one write.
const BUFFER: usize = 256 << 10;
/// A piece this long is handed out without waiting for more of it.
const PIECE: usize = 128 << 10;

impl<R> Source<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            buffer: vec![0; BUFFER].into(),
            start: 0,
            end: 0,
            position: 0,
        }
    }

    pub(super) fn buffered(&self) -> usize {
        self.end - self.start
    }

    /// Returns the next `length` bytes, which must be buffered.
    pub(super) fn take(&mut self, length: usize) -> &[u8] {
        let start = self.start;
        self.start += length;
        self.position += length as u64;
        &self.buffer[start..self.start]
    }

    /// Takes back the last bytes of what was just handed out.
    pub(super) fn put_back(&mut self, length: usize) {
        self.start -= length;
        self.position -= length as u64;
    }
}

impl<R: Read> Source<R> {
    /// Waits until `wanted` bytes, or enough to be worth a write, are buffered. Returns how many of them are; fewer
    /// only at the end of the stream.
    pub(super) fn fill(&mut self, wanted: u64) -> Result<usize, TarError> {
        let wanted = usize::try_from(wanted).unwrap_or(BUFFER).min(BUFFER);
        let enough = wanted.min(PIECE);
        if self.buffered() < enough {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            while self.end < enough {
                match self.inner.read(&mut self.buffer[self.end..]) {
                    Ok(0) => break,
                    Ok(length) => self.end += length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(source) => {
                        let offset = self.position + self.end as u64;
                        return Err(TarError::Read { offset, source });
                    }
                }
            }
        }
        Ok(self.buffered().min(wanted))
    }
}
