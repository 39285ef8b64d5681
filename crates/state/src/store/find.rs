//! From a person's word to a container.

use hull_types::{ContainerName, near};

use super::Store;
use crate::{Container, Pod, StateError};

/// A container that a person's word led to.
#[derive(Debug)]
pub struct Found {
    pub pod: Pod,
    /// The container's place in its pod.
    pub place: usize,
}

impl Found {
    /// Returns what the container is.
    pub fn container(&self) -> &Container {
        self.pod.container(self.place)
    }
}

impl Store {
    /// Finds a container by name, full id, or a beginning of its id that no other has.
    pub fn find(&self, asked: &str) -> Result<Found, StateError> {
        let not_found = |near| StateError::NotFound {
            asked: asked.to_owned(),
            near,
        };
        if let Ok(name) = asked.parse::<ContainerName>()
            && let Some(id) = self.owner(&name)?
            && let Some(pod) = Pod::read(self, id)?
        {
            let place = pod
                .journal
                .record
                .containers
                .iter()
                .position(|container| container.name == name);
            return Ok(Found {
                place: place.unwrap_or(0),
                pod,
            });
        }
        let digits = asked.to_ascii_lowercase().replace('-', "");
        let is_id = !digits.is_empty()
            && digits.len() <= 64
            && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let mut found = Vec::new();
        if is_id {
            let head = &digits[..digits.len().min(32)];
            for id in self
                .ids()?
                .into_iter()
                .filter(|id| id.simple().starts_with(head))
            {
                if let Some(pod) = Pod::read(self, id)? {
                    let matching =
                        |container: &Container| container.id.to_string().starts_with(&digits);
                    if let Some(place) = pod.journal.record.containers.iter().position(matching) {
                        found.push(Found { pod, place });
                    }
                }
            }
        }
        match found.len() {
            0 => {
                let mut names = Vec::new();
                self.each("names", |name| names.push(name.to_owned()))?;
                Err(not_found(near(asked, names.iter().map(String::as_str))))
            }
            1 => found.pop().ok_or_else(|| not_found(Vec::new())),
            _ => Err(StateError::Ambiguous {
                asked: asked.to_owned(),
                ids: found
                    .iter()
                    .map(|found| found.container().id.short())
                    .collect(),
            }),
        }
    }
}
