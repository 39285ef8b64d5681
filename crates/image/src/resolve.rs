//! From what a person types to an image: a name, a name with a digest, a digest, an id or its unique beginning.

use hull_content::Index;
use hull_types::{Digest, InvalidReference, Reference, near};

use crate::{Image, ImageError, Images, images::not_found, model::name_of};

/// Fewer digits than this are a typing error and no id.
const SHORTEST_ID: usize = 2;

impl Images {
    /// Finds an image. A name wins over an id that begins with the same letters, as with docker.
    pub fn resolve(&self, asked: &str) -> Result<Image, ImageError> {
        self.find(&self.content.index()?, asked)
    }

    pub(crate) fn find(&self, index: &Index, asked: &str) -> Result<Image, ImageError> {
        if let Ok(digest) = asked.parse::<Digest>() {
            return self.find_digest(index, asked, &digest, None);
        }
        let reference = Reference::parse(asked, &self.short);
        if let Ok(reference) = &reference {
            match self.find_name(index, asked, reference) {
                Err(ImageError::NotFound { .. }) => {}
                other => return other,
            }
        }
        let digits = asked.strip_prefix("sha256:").unwrap_or(asked);
        if digits.len() >= SHORTEST_ID
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        {
            match self.find_prefix(index, asked, digits) {
                Err(ImageError::NotFound { .. }) => {}
                other => return other,
            }
        }
        let reference = match reference {
            Ok(reference) => reference,
            Err(InvalidReference::IsId(_)) => return Err(not_found(asked, Vec::new())),
            // What is neither name nor id is told what is wrong with it as a name.
            Err(error) => return Err(error.into()),
        };
        Err(not_found(asked, self.names_near(index, asked, &reference)))
    }

    fn find_name(
        &self,
        index: &Index,
        asked: &str,
        reference: &Reference,
    ) -> Result<Image, ImageError> {
        if let Some(digest) = reference.digest() {
            return self.find_digest(index, asked, digest, Some(reference));
        }
        let wanted = reference.clone().or_latest();
        let canonical = wanted.to_string();
        let entries = &index.manifests;
        // Nearly always the canonical spelling is there, and comparing text is all it takes.
        let entry = entries
            .iter()
            .find(|entry| entry.name() == Some(&canonical))
            .or_else(|| {
                let is_meant = |name| name == wanted;
                entries
                    .iter()
                    .find(|entry| name_of(entry, &self.short).is_some_and(is_meant))
            })
            .ok_or_else(|| not_found(asked, Vec::new()))?;
        self.read(index, entry)
    }

    /// Finds what has this digest: of the manifest, of the index it was chosen from, or (only without a name) of the
    /// configuration. With a name, the image must be known under that repository.
    fn find_digest(
        &self,
        index: &Index,
        asked: &str,
        digest: &Digest,
        name: Option<&Reference>,
    ) -> Result<Image, ImageError> {
        let direct = index.manifests.iter().find(|entry| entry.digest == *digest);
        if let (Some(entry), None) = (direct, name) {
            return self.read(index, entry);
        }
        self.images(index)
            .find(|image| match name {
                None => image.has_digest(digest),
                Some(name) => {
                    let is_its = image.digest == *digest || image.index.as_ref() == Some(digest);
                    is_its && image.names.iter().any(|other| other.name() == name.name())
                }
            })
            .ok_or_else(|| not_found(asked, Vec::new()))
    }

    fn find_prefix(&self, index: &Index, asked: &str, digits: &str) -> Result<Image, ImageError> {
        let begins = |digest: &Digest| digest.hex().starts_with(digits);
        let mut found: Vec<Image> = self
            .images(index)
            .filter(|image| begins(&image.id) || begins(&image.digest))
            .collect();
        // Two manifests of one configuration (compressed differently, say) are one image to who asks by id.
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found.dedup_by(|a, b| a.id == b.id);
        match found.len() {
            0 => Err(not_found(asked, Vec::new())),
            1 => Ok(found.remove(0)),
            _ => Err(ImageError::Ambiguous {
                asked: asked.to_owned(),
                candidates: found
                    .iter()
                    .map(|image| image.id.short().to_owned())
                    .collect(),
            }),
        }
    }

    /// Reads the listed images one by one, those that can be read.
    fn images<'i>(&'i self, index: &'i Index) -> impl Iterator<Item = Image> + 'i {
        let entries = index.manifests.iter();
        entries.filter_map(|entry| self.read(index, entry).ok())
    }

    /// Returns the names that may have been meant, as short as they can be written.
    fn names_near(&self, index: &Index, asked: &str, reference: &Reference) -> Vec<String> {
        let mut names: Vec<Reference> = index
            .manifests
            .iter()
            .filter_map(|entry| name_of(entry, &self.short))
            .collect();
        names.sort();
        names.dedup();
        let with_tag = |name: &Reference| name.familiar(&self.short);
        let without_tag = |name: &Reference| {
            let text = name.familiar(&self.short);
            name.tag().map_or(text.clone(), |tag| {
                text.strip_suffix(&format!(":{tag}"))
                    .unwrap_or(&text)
                    .to_owned()
            })
        };
        let form: &dyn Fn(&Reference) -> String = match reference.tag() {
            Some(_) => &with_tag,
            // `debain` is near to `debian:12`, however long the tag is.
            None => &without_tag,
        };
        let written: Vec<(String, String)> = names
            .iter()
            .map(|name| (form(name), with_tag(name)))
            .collect();
        let close = near(asked, written.iter().map(|(form, _)| form.as_str()));
        let mut found: Vec<String> = Vec::new();
        for near in close {
            let named = written.iter().filter(|(form, _)| *form == near);
            found.extend(named.map(|(_, name)| name.clone()));
        }
        // Another tag of the repository that was asked for is the nearest of all.
        let same = names.iter().filter(|name| name.name() == reference.name());
        found.extend(same.map(with_tag));
        let mut seen = std::collections::HashSet::new();
        found.retain(|name| seen.insert(name.clone()));
        found.truncate(3);
        found
    }
}
