//! Tar archives, read as if their author were hostile and written so that equal trees give equal bytes.
//!
//! ```text
//!  bytes ──▶ Reader ──▶ Entry (names checked, numbers checked, PAX applied) ──▶ Chunk, Chunk, … (holes left out)
//!  Entry + contents ──▶ Writer ──▶ bytes (PAX, no clock, no names of users)
//! ```
//!
//! The `tar` crate gives the record layouts and the header encoder; the stream between the records is read here, because
//! four things it does are wrong for archives nobody vouches for: it splits PAX records at newlines (a capability xattr
//! may hold that byte), reads extension headers of any size into memory, takes a negative or over-long base-256 number
//! for a large one, and in raw mode does not let the PAX size govern the stream. There is exactly one parser in Hull.
//!
//! Names are bytes, not text. Nothing here touches a file system.

mod contents;
mod entry;
mod error;
mod number;
mod pax;
mod reader;
mod source;
mod sparse;
mod writer;

pub use contents::{Chunk, Contents};
pub use entry::{Device, Entry, EntryPath, Kind, Mtime, Xattr};
pub use error::{Place, Problem, TarError};
pub use reader::Reader;
pub use writer::Writer;

/// The size of a tar block, and of a header.
const BLOCK: usize = 512;

/// What an archive may ask for before it is refused. `Default` documents the values Hull uses for image layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries in the archive: 4 Mi. (The largest images seen in the wild have about one million.)
    pub entries: u64,
    /// Bytes of one path or link target: 4,096, which is the kernel's PATH_MAX.
    pub path_bytes: usize,
    /// Components of one path: 256. Directories are held open while they are filled, one descriptor a level.
    pub depth: usize,
    /// Bytes of one extension header (PAX records, GNU long name): 1 MiB, as in Go's archive/tar.
    pub pax_bytes: u64,
    /// Data segments of one sparse file: 1 Mi.
    pub segments: usize,
    /// Bytes of the archive, and, counted apart, bytes of all files in it with their holes: 256 GiB.
    pub total_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 4 << 20,
            path_bytes: 4096,
            depth: 256,
            pax_bytes: 1 << 20,
            segments: 1 << 20,
            total_bytes: 256 << 30,
        }
    }
}

#[cfg(test)]
mod tests;
