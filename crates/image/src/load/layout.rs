//! OCI image layouts: a directory, or what was one before it became an archive.

use std::{fs::File, path::Path};

use hull_fs::Root;
use hull_spec::image::{Descriptor, Index, layout};
use hull_types::{Digest, ErrorKind, Platform, Reference, ShortNames};
use rustix::fs::{FileType, Mode, OFlags};

use super::spool::Spool;
use crate::{ImageError, Offer, Source, SourceError};

/// One image of a layout or archive: where it begins, and its names.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) root: Descriptor,
    pub(super) names: Vec<Reference>,
}

/// A layout on disk. Its names are resolved inside it, whatever links lie there.
#[derive(Debug)]
pub(super) struct Directory {
    root: Root,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, ImageError> {
        let root = Root::open_path(path)?;
        if !root.exists(Path::new(layout::MARKER_NAME))? {
            return Err(ImageError::NoLayout {
                path: path.to_owned(),
            });
        }
        Ok(Self { root })
    }

    pub(super) fn list(
        &mut self,
        label: &str,
        short: &ShortNames,
        platform: &Platform,
    ) -> Result<Vec<Listed>, ImageError> {
        let read = |name: &str, limit| self.root.read_capped(Path::new(name), limit);
        let marker = read(layout::MARKER_NAME, 4096)?;
        let index = read(layout::INDEX_NAME, layout::MAX_INDEX_BYTES as u64)?;
        parse(&marker, &index, label, short, platform)
    }
}

impl Source for Directory {
    fn blob(&mut self, what: &Descriptor) -> Result<Offer<'_>, SourceError> {
        let failed = |error: hull_fs::FsError| SourceError::new(error.kind(), None, error);
        let name = blob_name(&what.digest);
        // NONBLOCK: a named pipe in the place of a blob must not stop us here.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = self.root.open(Path::new(&name), flags, Mode::empty());
        let file = File::from(opened.map_err(failed)?);
        let is_file = rustix::fs::fstat(&file)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
        if !is_file {
            let problem = format!("`{name}` is not a regular file");
            return Err(SourceError::new(ErrorKind::InvalidInput, None, problem));
        }
        Ok(Offer::Stream(Box::new(file)))
    }
}

/// Lists the images of a layout that came as an archive.
pub(super) fn list(
    spool: &Spool<'_>,
    label: &str,
    short: &ShortNames,
    platform: &Platform,
) -> Result<Vec<Listed>, ImageError> {
    let marker = spool.contents(layout::MARKER_NAME, 4096, label)?;
    let index = spool.contents(layout::INDEX_NAME, layout::MAX_INDEX_BYTES as u64, label)?;
    parse(&marker, &index, label, short, platform)
}

fn parse(
    marker: &[u8],
    index: &[u8],
    label: &str,
    short: &ShortNames,
    platform: &Platform,
) -> Result<Vec<Listed>, ImageError> {
    let unusable = |file: &str| {
        let file = file.to_owned();
        |source| ImageError::File {
            file,
            source: Box::new(source),
        }
    };
    layout::check_marker(marker).map_err(unusable(layout::MARKER_NAME))?;
    let index = layout::parse_index(index).map_err(unusable(layout::INDEX_NAME))?;
    group(&index, label, short, platform)
}

/// Puts entries together that are one image: those of one manifest under several names. Several manifests under one name (or
/// under none) are an image for several platforms if they say for which; otherwise the name would be a matter of luck.
fn group(
    index: &Index,
    label: &str,
    short: &ShortNames,
    platform: &Platform,
) -> Result<Vec<Listed>, ImageError> {
    let mut by_name: Vec<(Option<&str>, Vec<&Descriptor>)> = Vec::new();
    for entry in index.images() {
        let name = layout::name(entry);
        match by_name.iter_mut().find(|(other, _)| *other == name) {
            Some((_, entries)) => entries.push(entry),
            None => by_name.push((name, vec![entry])),
        }
    }
    let mut listed: Vec<Listed> = Vec::new();
    for (name, mut entries) in by_name {
        entries.dedup_by(|a, b| a.digest == b.digest);
        if entries.len() > 1 && entries.iter().all(|entry| entry.platform.is_some()) {
            entries = vec![choose(&entries, platform)?];
        }
        if let (Some(name), true) = (name, entries.len() > 1) {
            return Err(ImageError::NameTwice {
                what: label.to_owned(),
                name: name.to_owned(),
            });
        }
        for entry in entries {
            let names = name.map(|name| read_name(name, short)).transpose()?;
            match listed
                .iter_mut()
                .find(|image| image.root.digest == entry.digest)
            {
                Some(image) => image.names.extend(names),
                None => listed.push(Listed {
                    root: entry.clone(),
                    names: names.into_iter().collect(),
                }),
            }
        }
    }
    Ok(listed)
}

fn choose<'e>(
    entries: &[&'e Descriptor],
    platform: &Platform,
) -> Result<&'e Descriptor, ImageError> {
    let index = Index {
        manifests: entries.iter().map(|entry| (*entry).clone()).collect(),
        ..Index::default()
    };
    let chosen = index.select(platform).map_err(|source| ImageError::File {
        file: layout::INDEX_NAME.to_owned(),
        source: Box::new(source),
    })?;
    let found = entries.iter().find(|entry| entry.digest == chosen.digest);
    Ok(found.expect("the choice was made among these entries"))
}

fn read_name(text: &str, short: &ShortNames) -> Result<Reference, ImageError> {
    Reference::parse(text, short)
        .map(Reference::or_latest)
        .map_err(|source| ImageError::ArchiveName {
            text: text.to_owned(),
            source,
        })
}

pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}
