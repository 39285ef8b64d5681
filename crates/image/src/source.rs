use std::{fmt, io::Read};

use hull_content::Staged;
use hull_spec::image::Descriptor;
use hull_types::ErrorKind;

/// Where the blobs of an image come from: a layout on disk, an archive, a registry.
pub trait Source {
    /// Gives a blob. It is verified by whoever asked, so a source need not.
    fn blob(&mut self, what: &Descriptor) -> Result<Offer<'_>, SourceError>;
}

/// A blob as a source has it.
pub enum Offer<'a> {
    /// Bytes still to come.
    Stream(Box<dyn Read + 'a>),
    /// A file that is in the store already, hashed but not yet visible: what a member of an archive became.
    Staged(Staged<'a>),
}

impl fmt::Debug for Offer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(_) => f.write_str("Stream"),
            Self::Staged(staged) => staged.fmt(f),
        }
    }
}

/// Why a source cannot give a blob: its own error, and what front doors want to know of it.
#[derive(Debug)]
pub struct SourceError {
    pub kind: ErrorKind,
    pub hint: Option<String>,
    error: Box<dyn std::error::Error + Send + Sync>,
}

impl SourceError {
    /// Wraps the source's own error.
    pub fn new(
        kind: ErrorKind,
        hint: Option<String>,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            hint,
            error: error.into(),
        }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
