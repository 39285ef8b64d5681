//! Reading: a buffer over the stream, headers in pairs and triples made into one entry, then its contents in pieces.

use std::io::Read;

use super::contents::Body;

use super::entry::{Device, Entry, EntryPath, Kind, Mtime};
use super::error::{Place, Problem, TarError};
use super::pax::Records;
use super::source::Source;
use super::sparse::{self, Map, Segment};
use super::{BLOCK, Limits, number, pax};

/// Reads an archive from front to back, once.
///
/// After an error the reader is of no more use: where the next header would be is not known.
#[derive(Debug)]
pub struct Reader<R> {
    pub(super) source: Source<R>,
    limits: Limits,
    /// Headers read so far; every kind counts, so that a million comments are a million entries.
    headers: u64,
    /// Bytes of all files so far, holes included.
    expanded: u64,
    /// Name and header offset of the entry being read, for errors.
    name: Vec<u8>,
    start: u64,
    pub(super) body: Body,
    end: End,
}

/// How the archive ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    Marked,
    Bare,
}

impl<R: Read> Reader<R> {
    /// Starts reading. Nothing is read yet.
    pub fn new(source: R, limits: Limits) -> Self {
        Self {
            source: Source::new(source),
            limits,
            headers: 0,
            expanded: 0,
            name: Vec::new(),
            start: 0,
            body: Body::default(),
            end: End::NotYet,
        }
    }

    /// Returns the next entry, or nothing at the end of the archive. Contents of the one before that were not read are
    /// skipped.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        self.skip_body()?;
        if self.end != End::NotYet {
            return Ok(None);
        }
        self.name.clear();
        self.start = self.source.position;
        let mut extensions = Extensions::default();
        loop {
            let Some(header) = self.header()? else {
                if extensions.any() {
                    return Err(self.refuse(Problem::NothingFollows));
                }
                return Ok(None);
            };
            match header.as_old().linkflag[0] {
                b'x' => {
                    let bytes = self.extension(&header)?;
                    let records = Records::parse(&bytes).map_err(|problem| self.refuse(problem))?;
                    self.keep(&mut extensions.pax, records, 'x')?;
                }
                b'L' => {
                    let name = self.long_name(&header)?;
                    self.keep(&mut extensions.name, name, 'L')?;
                }
                b'K' => {
                    let name = self.long_name(&header)?;
                    self.keep(&mut extensions.link, name, 'K')?;
                }
                b'g' => {
                    let bytes = self.extension(&header)?;
                    pax::check_global(&bytes).map_err(|problem| self.refuse(problem))?;
                }
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    /// Returns whether the archive ended with the two zero blocks that writers put there. One that ends without them
    /// may have been cut off between two entries: whoever has no digest to compare should refuse it.
    pub fn end_was_marked(&self) -> bool {
        self.end == End::Marked
    }

    /// Reads everything behind the end of the archive (padding, in honest ones), so that whoever hashes the stream has
    /// seen all of it, and returns the stream.
    pub fn finish(mut self) -> Result<R, TarError> {
        self.skip_body()?;
        loop {
            let length = self.source.fill(u64::MAX)?;
            if length == 0 {
                return Ok(self.source.inner);
            }
            let _ = self.source.take(length);
            self.check_position(0)?;
        }
    }

    fn header(&mut self) -> Result<Option<tar::Header>, TarError> {
        let Some(header) = self.block()? else {
            self.end = End::Bare;
            return Ok(None);
        };
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            match self.block()? {
                None => self.end = End::Bare,
                Some(second) if second.as_bytes().iter().all(|byte| *byte == 0) => {
                    self.end = End::Marked;
                }
                Some(_) => return Err(self.refuse(Problem::LoneZeroBlock)),
            }
            return Ok(None);
        }
        if self.name.is_empty() {
            self.name.extend_from_slice(text(&header.as_old().name));
        }
        self.headers += 1;
        if self.headers > self.limits.entries {
            return Err(self.limit("entries", self.limits.entries));
        }
        if !checksum_is_right(&header) {
            return Err(self.refuse(Problem::Checksum));
        }
        Ok(Some(header))
    }

    /// Reads one block, or nothing if the stream ends before its first byte.
    fn block(&mut self) -> Result<Option<tar::Header>, TarError> {
        let available = self.source.fill(BLOCK as u64)?;
        if available == 0 {
            return Ok(None);
        }
        if available < BLOCK {
            return Err(self.truncated());
        }
        let mut header = tar::Header::new_old();
        header
            .as_mut_bytes()
            .copy_from_slice(self.source.take(BLOCK));
        self.check_position(0)?;
        Ok(Some(header))
    }

    /// Reads the contents of an extension header, which are as long as its own header says: PAX records describe the
    /// entry that follows, not other extensions.
    fn extension(&mut self, header: &tar::Header) -> Result<Vec<u8>, TarError> {
        let size = number::unsigned(&header.as_old().size)
            .ok_or_else(|| self.refuse(Problem::Number("size")))?;
        if size > self.limits.pax_bytes {
            return Err(self.limit("bytes of extension header", self.limits.pax_bytes));
        }
        self.body = Body::dense(size);
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk()? {
            bytes.extend_from_slice(chunk.bytes);
        }
        self.skip_body()?;
        Ok(bytes)
    }

    fn long_name(&mut self, header: &tar::Header) -> Result<Vec<u8>, TarError> {
        let mut bytes = self.extension(header)?;
        let name = text(&bytes).len();
        if bytes[name..].iter().any(|byte| *byte != 0) {
            return Err(self.refuse(Problem::Nul));
        }
        bytes.truncate(name);
        Ok(bytes)
    }

    fn keep<T>(&self, slot: &mut Option<T>, value: T, letter: char) -> Result<(), TarError> {
        if slot.replace(value).is_some() {
            return Err(self.refuse(Problem::Repeated(letter)));
        }
        Ok(())
    }

    /// Makes the entry out of its header and the extensions before it, and sets up its contents.
    fn entry(&mut self, header: &tar::Header, extensions: Extensions) -> Result<Entry, TarError> {
        let mut records = extensions.pax.unwrap_or_default();
        let sparse = std::mem::take(&mut records.sparse);
        // GNU tar hides the real name of a sparse file in a record of its own; `path` is for readers that do not know.
        let pax_name = sparse.name.clone().or(records.path);
        let name = one_name(extensions.name, pax_name, || header_name(header));
        self.name = name.map_err(|problem| self.refuse(problem))?;
        let link = one_name(extensions.link, records.linkpath, || {
            text(&header.as_old().linkname).to_vec()
        });
        let link = link.map_err(|problem| self.refuse(problem))?;
        let path = self.path(&self.name)?;
        let kind = self.kind(header, link)?;
        let number = |bytes, field| {
            number::unsigned(bytes).ok_or_else(|| self.refuse(Problem::Number(field)))
        };
        let old = header.as_old();
        let id = |record: Option<u64>, bytes, field| {
            let number = record.map_or_else(|| number(bytes, field), Ok)?;
            // The highest id means "no id" to the kernel.
            u32::try_from(number)
                .ok()
                .filter(|id| *id != u32::MAX)
                .ok_or_else(|| self.refuse(Problem::Number(field)))
        };
        let mtime = match records.mtime {
            Some(mtime) => mtime,
            None => Mtime {
                seconds: number::field(&old.mtime)
                    .ok_or_else(|| self.refuse(Problem::Number("mtime")))?,
                nanoseconds: 0,
            },
        };
        let mode = number(&old.mode, "mode")? & 0o7777;
        let mut entry = Entry {
            path,
            mode: u32::try_from(mode).expect("twelve bits fit"),
            uid: id(records.uid, &old.uid, "uid")?,
            gid: id(records.gid, &old.gid, "gid")?,
            mtime,
            xattrs: records.xattrs,
            size: 0,
            offset: self.start,
            kind,
        };
        let stored = records.size.map_or_else(|| number(&old.size, "size"), Ok)?;
        entry.size = self.set_up_body(header, &entry.kind, sparse, stored)?;
        Ok(entry)
    }

    fn path(&self, name: &[u8]) -> Result<EntryPath, TarError> {
        if name.len() > self.limits.path_bytes {
            return Err(self.limit("bytes of path", self.limits.path_bytes as u64));
        }
        let path = EntryPath::parse(name).map_err(|problem| self.refuse(problem))?;
        if path.components().count() > self.limits.depth {
            return Err(self.limit("levels of directories", self.limits.depth as u64));
        }
        Ok(path)
    }

    fn kind(&self, header: &tar::Header, link: Vec<u8>) -> Result<Kind, TarError> {
        Ok(match header.as_old().linkflag[0] {
            // Before there was a type for directories, a slash at the end made one.
            b'0' | 0 if self.name.ends_with(b"/") => Kind::Directory,
            b'0' | b'7' | b'S' | 0 => Kind::File,
            b'1' if link.is_empty() => return Err(self.refuse(Problem::NoTarget)),
            b'1' => Kind::HardLink(self.path(&link)?),
            b'2' if link.is_empty() => return Err(self.refuse(Problem::NoTarget)),
            b'2' if link.contains(&0) => return Err(self.refuse(Problem::Nul)),
            b'2' if link.len() >= self.limits.path_bytes => {
                return Err(self.limit("bytes of path", self.limits.path_bytes as u64));
            }
            b'2' => Kind::Symlink(link),
            b'3' => Kind::CharDevice(self.device(header)?),
            b'4' => Kind::BlockDevice(self.device(header)?),
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => {
                let letter = [other].escape_ascii().to_string();
                return Err(self.refuse(Problem::Unsupported(format!("entry type `{letter}`"))));
            }
        })
    }

    fn device(&self, header: &tar::Header) -> Result<Device, TarError> {
        let number = |bytes, field| {
            number::unsigned(bytes)
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| self.refuse(Problem::Number(field)))
        };
        let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
            (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
            (_, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
            (None, None) => return Err(self.refuse(Problem::Number("devmajor"))),
        };
        Ok(Device {
            major: number(major, "devmajor")?,
            minor: number(minor, "devminor")?,
        })
    }

    /// Prepares reading `stored` bytes of contents, and returns the length of the file they make.
    fn set_up_body(
        &mut self,
        header: &tar::Header,
        kind: &Kind,
        records: sparse::Records,
        stored: u64,
    ) -> Result<u64, TarError> {
        if *kind != Kind::File && stored != 0 {
            return Err(self.refuse(Problem::Data(kind.word(), stored)));
        }
        self.check_position(stored)?;
        let in_records = records.into_map().map_err(|problem| self.refuse(problem))?;
        let is_old = header.as_old().linkflag[0] == b'S';
        let (segments, stored, size) = match in_records {
            Some(_) if is_old || *kind != Kind::File => {
                return Err(self.refuse(Problem::Sparse("it is not the map of a regular file")));
            }
            Some((Map::Here(segments), size)) => (Some(segments), stored, size),
            Some((Map::InData, size)) => {
                let (segments, stored) = self.map_in_data(stored)?;
                (Some(segments), stored, size)
            }
            None if is_old => {
                let (segments, size) = self.map_in_header(header)?;
                (Some(segments), stored, size)
            }
            None => (None, stored, stored),
        };
        self.body = Body::dense(stored);
        self.body.size = size;
        if let Some(segments) = segments {
            if segments.len() > self.limits.segments {
                return Err(self.limit("segments of a sparse file", self.limits.segments as u64));
            }
            let mut segments =
                sparse::check(segments, size, stored).map_err(|problem| self.refuse(problem))?;
            segments.reverse();
            self.body.segments = Some(segments);
        }
        self.expanded = self.expanded.saturating_add(size);
        if self.expanded > self.limits.total_bytes {
            return Err(self.limit("bytes of files", self.limits.total_bytes));
        }
        Ok(size)
    }

    /// Reads the map of GNU sparse format 1.0, and returns it with the number of bytes stored behind it.
    fn map_in_data(&mut self, stored: u64) -> Result<(Vec<Segment>, u64), TarError> {
        let mut lines = sparse::Lines::default();
        let mut left = stored;
        loop {
            left = left
                .checked_sub(BLOCK as u64)
                .ok_or_else(|| self.refuse(Problem::Sparse("it is longer than the stored data")))?;
            let Some(block) = self.block()? else {
                return Err(self.truncated());
            };
            let done = lines
                .take(block.as_bytes(), self.limits.segments)
                .map_err(|problem| self.refuse(problem))?;
            if done {
                return Ok((lines.into_segments(), left));
            }
        }
    }

    /// Reads the map of the old GNU format: four segments in the header, then blocks of 21.
    fn map_in_header(&mut self, header: &tar::Header) -> Result<(Vec<Segment>, u64), TarError> {
        let gnu = header.as_gnu().ok_or_else(|| {
            self.refuse(Problem::Unsupported(
                "a sparse file without a GNU header".to_owned(),
            ))
        })?;
        let number = |bytes: &[u8]| {
            number::unsigned(bytes).ok_or(Problem::Sparse("a field is not a number"))
        };
        let segments_of = |headers: &[tar::GnuSparseHeader], into: &mut Vec<Segment>| {
            for segment in headers
                .iter()
                .take_while(|segment| segment.numbytes[0] != 0)
            {
                into.push(Segment {
                    offset: number(&segment.offset)?,
                    length: number(&segment.numbytes)?,
                });
            }
            Ok(())
        };
        let size = number(&gnu.realsize).map_err(|problem| self.refuse(problem))?;
        let mut segments = Vec::new();
        segments_of(&gnu.sparse, &mut segments).map_err(|problem| self.refuse(problem))?;
        let mut more = gnu.isextended[0] != 0;
        while more {
            let Some(block) = self.block()? else {
                return Err(self.truncated());
            };
            let mut extension = tar::GnuExtSparseHeader::new();
            extension.as_mut_bytes().copy_from_slice(block.as_bytes());
            segments_of(extension.sparse(), &mut segments)
                .map_err(|problem| self.refuse(problem))?;
            if segments.len() > self.limits.segments {
                return Err(self.limit("segments of a sparse file", self.limits.segments as u64));
            }
            more = extension.isextended[0] != 0;
        }
        Ok((segments, size))
    }

    fn skip_body(&mut self) -> Result<(), TarError> {
        let Body {
            stored, padding, ..
        } = std::mem::take(&mut self.body);
        self.skip(stored)?;
        // umoci 0.4 ends a layer with the last file's contents: no padding, no end mark. Go's reader takes it, so such
        // images are about.
        match self.source.fill(padding)? {
            0 => Ok(()),
            _ => self.skip(padding),
        }
    }

    fn skip(&mut self, mut left: u64) -> Result<(), TarError> {
        while left > 0 {
            let available = self.source.fill(left)?;
            if available == 0 {
                return Err(self.truncated());
            }
            let _ = self.source.take(available);
            left -= available as u64;
        }
        Ok(())
    }

    /// Refuses to go on when the archive is, or with `more` bytes would be, longer than it may be.
    fn check_position(&self, more: u64) -> Result<(), TarError> {
        if self.source.position.saturating_add(more) > self.limits.total_bytes {
            return Err(self.limit("bytes of archive", self.limits.total_bytes));
        }
        Ok(())
    }

    fn place(&self) -> Place {
        Place::new(&self.name, self.start)
    }

    fn refuse(&self, problem: Problem) -> TarError {
        TarError::Refused {
            place: self.place(),
            problem,
        }
    }

    fn limit(&self, what: &'static str, limit: u64) -> TarError {
        TarError::Limit {
            place: self.place(),
            what,
            limit,
        }
    }

    pub(super) fn truncated(&self) -> TarError {
        let end = self.source.position + self.source.buffered() as u64;
        TarError::Truncated {
            place: self.place(),
            end,
        }
    }
}

/// The extension headers before an entry.
#[derive(Default)]
struct Extensions {
    pax: Option<Records>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Extensions {
    fn any(&self) -> bool {
        self.pax.is_some() || self.name.is_some() || self.link.is_some()
    }
}

/// Chooses between the names an entry was given. A PAX and a GNU name may both be there if they agree: readers differ
/// about which of them rules.
fn one_name(
    gnu: Option<Vec<u8>>,
    pax: Option<Vec<u8>>,
    header: impl FnOnce() -> Vec<u8>,
) -> Result<Vec<u8>, Problem> {
    match (gnu, pax) {
        (Some(gnu), Some(pax)) if gnu != pax => Err(Problem::TwoNames),
        (Some(name), _) | (None, Some(name)) => Ok(name),
        (None, None) => Ok(header()),
    }
}

/// Returns the name in the header, with the prefix that ustar has and GNU has not.
fn header_name(header: &tar::Header) -> Vec<u8> {
    let name = text(&header.as_old().name);
    let prefix = header
        .as_ustar()
        .map_or(&[][..], |ustar| text(&ustar.prefix));
    if prefix.is_empty() {
        name.to_vec()
    } else {
        [prefix, b"/", name].concat()
    }
}

/// Returns what is before the first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    &field[..end]
}

fn checksum_is_right(header: &tar::Header) -> bool {
    const FIELD: std::ops::Range<usize> = 148..156;
    let bytes = header.as_bytes();
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    // The checksum's own field counts as blanks.
    let blanks = FIELD.len() as u64 * u64::from(b' ');
    let expected = sum(bytes) - sum(&bytes[FIELD]) + blanks;
    number::unsigned(&bytes[FIELD]) == Some(expected)
}
