//! The members of an image archive, taken in as they come.
//!
//! Each file becomes a staged blob of the session: hashed, on disk, not visible, and gone with the session. No name from the
//! archive ever becomes a name on disk; links between members are followed among the members, by their text.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use hull_content::{Session, Staged};
use hull_fs::tar::{self, EntryPath, Kind, Problem, TarError};
use hull_spec::image::Descriptor;
use hull_types::{Algorithm, Digest, ErrorKind};

use super::layout::blob_name;
use crate::{ImageError, Limits, Offer, Source, SourceError};

/// How many links lead from one to the next before it is a circle.
const MOST_LINKS: usize = 8;

/// What an archive holds.
#[derive(Debug)]
pub(super) struct Spool<'s> {
    names: BTreeMap<EntryPath, Member>,
    staged: HashMap<Digest, Staged<'s>>,
    /// Documents that are made here: manifests and configurations of archives that have none.
    made: HashMap<Digest, Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Member {
    File(Digest),
    Link(EntryPath),
}

impl<'s> Spool<'s> {
    /// Reads an uncompressed archive to its end.
    pub(super) fn read(
        session: &'s Session<'_>,
        from: &mut dyn Read,
        limits: &Limits,
    ) -> Result<Self, ImageError> {
        let mut spool = Self {
            names: BTreeMap::new(),
            staged: HashMap::new(),
            made: HashMap::new(),
        };
        let limits = tar::Limits {
            entries: limits.members,
            total_bytes: limits.unpacked_bytes,
            ..limits.tar
        };
        let failed = |source| ImageError::Archive { source };
        let mut archive = tar::Reader::new(from, limits);
        while let Some(entry) = archive.next_entry().map_err(failed)? {
            let member = match entry.kind {
                Kind::Directory => continue,
                Kind::File => spool.stage(session, &entry, &mut archive)?,
                Kind::HardLink(target) => Member::Link(target),
                Kind::Symlink(target) => Member::Link(link_target(&entry.path, &target)?),
                other => {
                    let problem =
                        format!("is a {}, which image archives do not have", other.word());
                    return Err(member_error(&entry.path, problem));
                }
            };
            let before = spool.names.insert(entry.path.clone(), member.clone());
            if before.is_some_and(|before| before != member) {
                let problem = "is there twice, with different contents".to_owned();
                return Err(member_error(&entry.path, problem));
            }
        }
        archive.finish().map_err(failed)?;
        Ok(spool)
    }

    fn stage<R: Read>(
        &mut self,
        session: &'s Session<'_>,
        entry: &tar::Entry,
        archive: &mut tar::Reader<R>,
    ) -> Result<Member, ImageError> {
        let algorithm = if entry.path.as_bytes().starts_with(b"blobs/sha512/") {
            Algorithm::Sha512
        } else {
            Algorithm::Sha256
        };
        let mut ingest = session.ingest(algorithm, entry.size)?;
        let contents = ingest.take_all(&mut archive.contents())?;
        contents.map_err(|error| match error.downcast::<TarError>() {
            Ok(source) => ImageError::Archive { source },
            Err(source) => ImageError::Input { source },
        })?;
        Ok(Member::File(self.keep(ingest.finish()?)))
    }

    /// Adds a staged blob and returns its digest.
    pub(super) fn keep(&mut self, staged: Staged<'s>) -> Digest {
        let digest = staged.blob().digest.clone();
        self.staged.insert(digest.clone(), staged);
        digest
    }

    /// Adds a document that was made here.
    pub(super) fn make(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = hull_content::digest_of(Algorithm::Sha256, &bytes);
        self.made.insert(digest.clone(), bytes);
        digest
    }

    /// Returns whether the archive has a member of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Returns the digest of a member's contents, following links.
    fn find(&self, name: &str) -> Option<&Digest> {
        let path = EntryPath::parse(name.as_bytes()).ok()?;
        let mut path = &path;
        for _ in 0..=MOST_LINKS {
            match self.names.get(path)? {
                Member::File(digest) => return Some(digest),
                Member::Link(target) => path = target,
            }
        }
        None
    }

    /// Returns a member that something names.
    pub(super) fn member(&self, name: &str, wanted_by: &str) -> Result<&Staged<'s>, ImageError> {
        self.find(name)
            .and_then(|digest| self.staged.get(digest))
            .ok_or_else(|| ImageError::NoMember {
                member: name.to_owned(),
                wanted_by: wanted_by.to_owned(),
            })
    }

    /// Reads a small member whole.
    pub(super) fn contents(
        &self,
        name: &str,
        limit: u64,
        wanted_by: &str,
    ) -> Result<Vec<u8>, ImageError> {
        let staged = self.member(name, wanted_by)?;
        if staged.blob().size > limit {
            return Err(ImageError::Member {
                member: name.to_owned(),
                problem: format!("has more than {limit} bytes"),
            });
        }
        let mut bytes = Vec::new();
        staged
            .open()?
            .read_to_end(&mut bytes)
            .map_err(|source| ImageError::Input { source })?;
        Ok(bytes)
    }
}

impl Source for Spool<'_> {
    fn blob(&mut self, what: &Descriptor) -> Result<Offer<'_>, SourceError> {
        let digest = &what.digest;
        if let Some(bytes) = self.made.get(digest) {
            return Ok(Offer::Stream(Box::new(&bytes[..])));
        }
        if let Some(staged) = self.staged.remove(digest) {
            return Ok(Offer::Staged(staged));
        }
        let name = blob_name(digest);
        let problem = match self.find(&name) {
            Some(actual) => ImageError::WrongMember {
                member: name,
                actual: actual.clone(),
            },
            None => ImageError::NoMember {
                member: name,
                wanted_by: "its manifest".to_owned(),
            },
        };
        Err(SourceError::new(ErrorKind::InvalidInput, None, problem))
    }
}

/// Reads a symbolic link's target from where the link is. It must stay among the members.
fn link_target(link: &EntryPath, target: &[u8]) -> Result<EntryPath, ImageError> {
    let outside = |problem: Problem| {
        let target = target.escape_ascii();
        member_error(link, format!("is a link to `{target}`, which {problem}"))
    };
    if target.starts_with(b"/") {
        return Err(outside(Problem::Absolute));
    }
    let parent = link.parts().map_or(&[][..], |(parent, _)| parent);
    let from_root = [parent, b"/", target].concat();
    let relative = from_root.strip_prefix(b"/").unwrap_or(&from_root);
    EntryPath::parse(relative).map_err(outside)
}

fn member_error(path: &EntryPath, problem: String) -> ImageError {
    ImageError::Member {
        member: path.to_string(),
        problem,
    }
}
