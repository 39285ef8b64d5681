//! The groups above those of containers ([`hull_monitor::parents`]).

use hull_cgroup::{GroupPath, Hierarchies};
use hull_monitor::parents;
use hull_types::PodId;

use crate::{Config, Engine, EngineError};

impl Engine {
    /// Claims the parents that the start of a pod whose group is to lie elsewhere makes.
    pub(crate) fn claim_parents(
        &self,
        config: &Config,
        hierarchies: &Hierarchies,
        pod: PodId,
        group: Option<&GroupPath>,
    ) -> Result<(), EngineError> {
        let (Some(_), Some(group)) = (&config.request.cgroup_parent, group) else {
            return Ok(());
        };
        let claimed = parents::claim(self.store().root(), hierarchies, pod, group);
        claimed.map_err(|(path, source)| EngineError::File {
            what: "make",
            path: self.places().root.join(path),
            source,
        })
    }

    /// Removes the parents of a pod that is being removed, unless something else lies in them.
    pub(crate) fn release_parents(&self, config: &Config, pod: PodId) -> Result<(), EngineError> {
        if config.request.cgroup_parent.is_some() && self.caller().is_root() {
            let hierarchies = self.hierarchies()?;
            parents::collect(self.store().root(), &hierarchies, Some(pod))?;
        }
        Ok(())
    }
}

/// Refuses a parent in which a root keeps its own pods: its `gc` would take this one for a leftover.
pub(crate) fn is_allowed(parent: &std::path::Path) -> bool {
    let parent = parent.strip_prefix("/").unwrap_or(parent);
    let first = parent.components().next();
    let first = first.map_or_else(String::new, |first| {
        first.as_os_str().to_string_lossy().into_owned()
    });
    let is_hex = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit());
    let numbers = first
        .strip_prefix("hull-")
        .and_then(|rest| rest.split_once('-'));
    let is_mark = numbers.is_some_and(|(device, inode)| is_hex(device) && is_hex(inode));
    first != "hull" && !is_mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn nobody_lies_among_the_pods_of_a_root() {
        for bad in ["hull", "/hull/x", "hull-fe00-21421b", "/hull-1-2/x/y"] {
            assert!(!is_allowed(Path::new(bad)), "{bad}");
        }
        for good in [
            "batch",
            "/a/hull",
            "hull-test-12-3",
            "hull-",
            "hullo",
            "hull-x",
        ] {
            assert!(is_allowed(Path::new(good)), "{good}");
        }
    }
}
