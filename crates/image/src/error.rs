use std::{io, path::PathBuf};

use hull_content::ContentError;
use hull_fs::{FsError, tar::TarError};
use hull_snapshot::SnapshotError;
use hull_spec::image::{DocumentError, MediaType};
use hull_trust::TrustError;
use hull_types::{DiffId, Digest, ErrorKind, InvalidReference, Reference};

use crate::SourceError;

/// What can go wrong with images.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("image `{asked}` is not here")]
    NotFound { asked: String, near: Vec<String> },
    #[error("`{asked}` is the beginning of more than one image id")]
    Ambiguous {
        asked: String,
        candidates: Vec<String>,
    },
    #[error("image `{asked}` is used by a container")]
    InUse { asked: String },
    #[error("image `{asked}` has more than one name")]
    SeveralNames { asked: String, names: Vec<String> },
    #[error("image name `{0}` has a digest, which only a registry can give it")]
    NameWithDigest(Reference),
    #[error(transparent)]
    Name(#[from] InvalidReference),

    #[error("document {digest} is not usable")]
    Document {
        digest: Digest,
        source: Box<DocumentError>,
    },
    #[error("`{file}` is not usable")]
    File {
        file: String,
        source: Box<DocumentError>,
    },
    #[error("{digest} is no container image but an artifact of type `{kind}`")]
    NotAnImage { digest: Digest, kind: String },
    #[error("{digest} is `{media_type}` inside an index, where a manifest is expected")]
    Nested {
        digest: Digest,
        media_type: MediaType,
    },
    #[error("`{what}` holds no image that can be loaded")]
    NothingToLoad { what: String },
    #[error("`{what}` gives the name `{name}` to several images")]
    NameTwice { what: String, name: String },
    #[error("{path} is neither an OCI image layout nor a docker archive")]
    NoImageFormat { path: PathBuf },
    #[error("{path} is a directory without `oci-layout`")]
    NoLayout { path: PathBuf },
    #[error("`{text}` is not an image name the archive may give")]
    ArchiveName {
        text: String,
        source: InvalidReference,
    },

    #[error("archive member `{member}` {problem}")]
    Member { member: String, problem: String },
    #[error("the archive has no member `{member}`, which `{wanted_by}` names")]
    NoMember { member: String, wanted_by: String },
    #[error("the archive has more than {limit} members")]
    TooManyMembers { limit: u64 },
    #[error("archive member `{member}` has digest {actual}, not the one in its name")]
    WrongMember { member: String, actual: Digest },
    #[error("the chain of layers of `{0}` never ends")]
    EndlessParents(String),
    #[error("layer description `{member}` cannot be read")]
    LegacyLayer {
        member: String,
        source: serde_json::Error,
    },

    #[error("blob {digest} cannot be had")]
    Source { digest: Digest, source: SourceError },
    #[error("`{layer}` is damaged")]
    WrongContent { layer: String, source: ContentError },
    #[error("layer {layer} unpacks to {actual}, and the image promises {expected}")]
    WrongDiffId {
        layer: Digest,
        expected: DiffId,
        actual: DiffId,
    },
    #[error("`{layer}` cannot be decompressed")]
    Decompress { layer: String, source: io::Error },
    #[error("`{layer}` has more than {limit} bytes")]
    TooLarge { layer: String, limit: u64 },
    #[error("`{layer}` unpacks to more than {ratio} times its compressed size")]
    Bomb { layer: String, ratio: u64 },
    #[error("the archive ends without an end mark: it was cut off")]
    CutOff,
    #[error("`{layer}` cannot be unpacked")]
    Unpack {
        layer: String,
        source: Box<SnapshotError>,
    },

    #[error("cannot {action} {path}")]
    Access {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot read what is to be loaded")]
    Input { source: io::Error },
    #[error("cannot write the archive")]
    Output { source: io::Error },
    #[error("cannot read the archive")]
    Archive { source: TarError },
    #[error("cannot make the new layer")]
    NewLayer { source: crate::WriteError },
    #[error(transparent)]
    Change(#[from] crate::InvalidChange),

    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Trust(Box<TrustError>),
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl From<TrustError> for ImageError {
    fn from(error: TrustError) -> Self {
        Self::Trust(Box::new(error))
    }
}

impl ImageError {
    /// Returns what sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::InUse { .. } | Self::SeveralNames { .. } => ErrorKind::WrongState,
            Self::Document { source, .. } | Self::File { source, .. } => source.kind(),
            Self::NotAnImage { .. } | Self::Nested { .. } => ErrorKind::Unsupported,
            Self::Source { source, .. } => source.kind,
            Self::Unpack { source, .. } => source.kind(),
            Self::Snapshot(source) => source.kind(),
            Self::WrongContent { source, .. } | Self::Content(source) => source.kind(),
            Self::Trust(source) => source.kind(),
            Self::Fs(source) => source.kind(),
            Self::NewLayer { source } => match (
                source.downcast_ref::<Self>(),
                source.downcast_ref::<SnapshotError>(),
            ) {
                (Some(error), _) => error.kind(),
                (_, Some(error)) => error.kind(),
                _ => ErrorKind::Unavailable,
            },
            Self::Archive { source } => source.kind(),
            Self::Access { source, .. } | Self::Input { source } | Self::Output { source } => {
                match source.kind() {
                    io::ErrorKind::NotFound => ErrorKind::NotFound,
                    io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                    io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                        ErrorKind::InvalidInput
                    }
                    _ => ErrorKind::Unavailable,
                }
            }
            _ => ErrorKind::InvalidInput,
        }
    }

    /// Returns what the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { near, .. } if !near.is_empty() => {
                Some(format!("did you mean {}?", near.join(" or ")))
            }
            Self::NotFound { .. } => Some("`hull images` lists what is here".to_owned()),
            Self::Ambiguous { candidates, .. } => {
                Some(format!("it could be {}", candidates.join(" or ")))
            }
            Self::InUse { .. } => Some(
                "remove the container first, or take only the name away with --force".to_owned(),
            ),
            Self::SeveralNames { names, .. } => Some(format!(
                "name one of {}, or remove all with --force",
                names.join(", ")
            )),
            Self::NoImageFormat { .. } => Some(
                "a bare root file system, as `tar` or debootstrap make it, is taken by `hull import`"
                    .to_owned(),
            ),
            Self::NoLayout { .. } => Some(
                "`hull load` takes an OCI layout; a root file system is taken by `hull import`"
                    .to_owned(),
            ),
            Self::TooLarge { .. } | Self::Bomb { .. } => {
                Some("nothing of it was kept; is it from where you think?".to_owned())
            }
            Self::CutOff => Some("was the program that wrote it interrupted?".to_owned()),
            Self::Document { source, .. } | Self::File { source, .. } => source.hint(),
            Self::Source { source, .. } => source.hint.clone(),
            Self::Unpack { source, .. } => source.hint(),
            Self::Snapshot(source) => source.hint(),
            Self::WrongContent { source, .. } | Self::Content(source) => source.hint(),
            Self::Trust(source) => source.hint(),
            _ => None,
        }
    }
}
