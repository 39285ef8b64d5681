//! The contents of the entry that was read last: pieces with holes between them, or a plain stream.

use std::io::{self, Read};

use super::BLOCK;
use super::error::TarError;
use super::reader::Reader;
use super::sparse::Segment;

/// What is left of the current entry's contents.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// Stored bytes not yet handed out.
    pub(super) stored: u64,
    /// Zeros behind them, up to the next block.
    pub(super) padding: u64,
    /// Where in the file the next stored byte belongs.
    pub(super) offset: u64,
    /// The file's length.
    pub(super) size: u64,
    /// For a sparse file its segments, the next one last.
    pub(super) segments: Option<Vec<Segment>>,
    /// Bytes left in the current segment.
    pub(super) segment: u64,
}

/// A piece of a file: where it belongs and its bytes. What lies between the pieces, and after the last, is a hole.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// Offset in the file.
    pub offset: u64,
    /// At least one byte.
    pub bytes: &'a [u8],
}

impl<R: Read> Reader<R> {
    /// Returns the next piece of the current entry's contents, or nothing when there is no more.
    pub fn chunk(&mut self) -> Result<Option<Chunk<'_>>, TarError> {
        let body = &mut self.body;
        if body.stored == 0 {
            return Ok(None);
        }
        let mut wanted = body.stored;
        if let Some(segments) = &mut body.segments {
            if body.segment == 0 {
                let segment = segments
                    .pop()
                    .expect("the segments were checked to add up to `stored`");
                body.offset = segment.offset;
                body.segment = segment.length;
            }
            wanted = body.segment;
        }
        let available = self.source.fill(wanted)?;
        if available == 0 {
            return Err(self.truncated());
        }
        let offset = self.body.offset;
        let length = available as u64;
        self.body.stored -= length;
        self.body.offset += length;
        self.body.segment = self.body.segment.saturating_sub(length);
        Ok(Some(Chunk {
            offset,
            bytes: self.source.take(available),
        }))
    }

    /// Returns the current entry's contents as a stream, holes as zeros.
    pub fn contents(&mut self) -> Contents<'_, R> {
        Contents {
            position: self.body.offset,
            reader: self,
        }
    }
}

impl Body {
    pub(super) fn dense(stored: u64) -> Self {
        let padding = stored.wrapping_neg() % BLOCK as u64;
        Self {
            stored,
            padding,
            size: stored,
            ..Self::default()
        }
    }
}

/// The contents of one entry as a stream; made by [`Reader::contents`].
#[derive(Debug)]
pub struct Contents<'a, R> {
    reader: &'a mut Reader<R>,
    position: u64,
}

impl<R: Read> Read for Contents<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let body = &self.reader.body;
        // The next stored byte may lie ahead: up to there, or up to the end of the file, it is a hole.
        let next = match &body.segments {
            _ if body.stored == 0 => body.size,
            Some(segments) if body.segment == 0 => segments.last().map_or(body.size, |s| s.offset),
            _ => body.offset,
        };
        let wanted = into.len();
        if self.position < next {
            let hole = usize::try_from(next - self.position)
                .unwrap_or(usize::MAX)
                .min(wanted);
            into[..hole].fill(0);
            self.position += hole as u64;
            return Ok(hole);
        }
        if body.stored == 0 || wanted == 0 {
            return Ok(0);
        }
        let length = self.reader.small_chunk(into).map_err(io::Error::other)?;
        self.position += length as u64;
        Ok(length)
    }
}

impl<R: Read> Reader<R> {
    /// Copies at most `into.len()` bytes of the next piece.
    fn small_chunk(&mut self, into: &mut [u8]) -> Result<usize, TarError> {
        let Some(chunk) = self.chunk()? else {
            return Ok(0);
        };
        let length = chunk.bytes.len();
        let copied = length.min(into.len());
        into[..copied].copy_from_slice(&chunk.bytes[..copied]);
        // What did not fit is given back: it is still in the buffer.
        let back = length - copied;
        self.source.put_back(back);
        self.body.stored += back as u64;
        self.body.offset -= back as u64;
        if self.body.segments.is_some() {
            self.body.segment += back as u64;
        }
        Ok(copied)
    }
}
