//! What can be wrong with an archive: always with the entry's name, as far as it was known, and the byte where it began.

use std::{fmt, io};

use hull_types::ErrorKind;

use super::EntryPath;

/// Where in an archive something is: the name of the entry, if it was read, and the offset of its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The entry's name as the archive spells it, escaped for printing; empty while it is not known.
    pub entry: String,
    /// Offset of the entry's first header in the uncompressed archive.
    pub offset: u64,
}

impl Place {
    pub(super) fn new(name: &[u8], offset: u64) -> Self {
        // A hostile name may be as long as the limit allows; an error message need not be.
        const SHOWN: usize = 200;
        let mut entry = name[..name.len().min(SHOWN)].escape_ascii().to_string();
        if name.len() > SHOWN {
            entry.push('…');
        }
        Self { entry, offset }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.entry.is_empty() {
            write!(f, "archive entry at byte {}", self.offset)
        } else {
            write!(f, "archive entry `{}` at byte {}", self.entry, self.offset)
        }
    }
}

/// Why an archive cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream below the archive failed; for a compressed one this is the decompressor's word.
    #[error("cannot read the archive at byte {offset}")]
    Read {
        /// How far the archive had been read.
        offset: u64,
        /// What the stream said.
        source: io::Error,
    },
    /// The stream ended where more had been announced.
    #[error("{place} is cut off: the archive ends at byte {end}")]
    Truncated {
        /// The entry that was being read.
        place: Place,
        /// The archive's length.
        end: u64,
    },
    /// An entry breaks the format's rules, or Hull's.
    #[error("{place} {problem}")]
    Refused {
        /// The entry.
        place: Place,
        /// What is wrong with it.
        problem: Problem,
    },
    /// An entry goes over one of the [`Limits`](super::Limits).
    #[error("{place} goes over the limit of {limit} {what}")]
    Limit {
        /// The entry.
        place: Place,
        /// What is counted.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
    /// An entry cannot be expressed in tar, or its contents were not as long as announced.
    #[error("cannot write archive entry `{path}`: {reason}")]
    Inexpressible {
        /// The entry.
        path: EntryPath,
        /// Why not.
        reason: &'static str,
    },
    /// The contents of an entry being written could not be read.
    #[error("cannot read the contents of `{path}`")]
    Contents {
        /// The entry.
        path: EntryPath,
        /// What reading them said.
        source: io::Error,
    },
    /// The archive could not be written.
    #[error("cannot write the archive")]
    Write {
        /// What the stream said.
        source: io::Error,
    },
}

impl TarError {
    /// Returns what front doors need to know about this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } | Self::Contents { .. } | Self::Write { .. } => {
                ErrorKind::Unavailable
            }
            Self::Refused {
                problem: Problem::Unsupported(_),
                ..
            } => ErrorKind::Unsupported,
            Self::Truncated { .. }
            | Self::Refused { .. }
            | Self::Limit { .. }
            | Self::Inexpressible { .. } => ErrorKind::InvalidInput,
        }
    }
}

/// What is wrong with one entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The header's bytes do not add up.
    #[error("has a header with a wrong checksum")]
    Checksum,
    /// A numeric field is not a number, negative, or too large.
    #[error("has no valid number in its field `{0}`")]
    Number(&'static str),
    /// One zero block is not an end: two are.
    #[error("follows a single zero block, which is neither an end nor an entry")]
    LoneZeroBlock,
    /// An extension header with nothing after it.
    #[error("describes a following entry, but none follows")]
    NothingFollows,
    /// Two extension headers of one kind for one entry.
    #[error("has two extension headers of type `{0}`")]
    Repeated(char),
    /// A PAX record that is not `length key=value\n`.
    #[error("has a malformed PAX record")]
    PaxRecord,
    /// A PAX record whose value cannot be what its key says.
    #[error("has a PAX record `{0}` with an invalid value")]
    PaxValue(String),
    /// A global header that would rename or resize what follows: readers differ about those, so nobody may rely on them.
    #[error("is a global PAX header that sets `{0}` for all entries")]
    PaxGlobal(String),
    /// Two extension headers name the entry differently.
    #[error("is named differently by its PAX and GNU headers")]
    TwoNames,
    /// No name at all.
    #[error("has an empty name")]
    EmptyName,
    /// A name or link target with a NUL inside.
    #[error("has a NUL byte in its name or link target")]
    Nul,
    /// An absolute name.
    #[error("has an absolute name; names are relative to the root of the image")]
    Absolute,
    /// A name that climbs out with `..`.
    #[error("climbs out of the root with `..`")]
    Climbs,
    /// A component no file system takes.
    #[error("has a name component longer than 255 bytes")]
    LongComponent,
    /// A link to nowhere.
    #[error("is a link without a target")]
    NoTarget,
    /// Data on something that has none: readers differ about whether to skip it.
    #[error("is a {0} but announces {1} bytes of data")]
    Data(&'static str, u64),
    /// A sparse map that is not ascending, inside the file, and as long as the stored data.
    #[error("has an invalid sparse map: {0}")]
    Sparse(&'static str),
    /// Something the format has and Hull does not read.
    #[error("needs {0}, which is not supported")]
    Unsupported(String),
}
