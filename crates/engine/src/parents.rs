//! The groups above those of containers that were told where to lie (`--cgroup-parent`).
//!
//! A parent that is there already is somebody else's, and is left alone. One that is not is made by the start, shared by all
//! containers that name it, and collected when it is empty: `<root>/cgroups/<random>` is a symbolic link whose text is its path,
//! made before the group. It is kept as long as a container names the parent, whose start may make the group again.

use hull_cgroup::{CgroupError, GroupPath, Hierarchies};
use rustix::{
    fs::{AtFlags, Mode, OFlags, mkdirat, openat, readlinkat, symlinkat, unlinkat},
    io::Errno,
};

use crate::{Config, Engine, EngineError, Listed};

const CLAIMS: &str = "cgroups";

impl Engine {
    /// Claims the parents of a container's group that its start is going to make.
    pub(crate) fn claim_parents(
        &self,
        config: &Config,
        hierarchies: &Hierarchies,
    ) -> Result<(), EngineError> {
        let mut next = asked(config)?;
        while let Some(parent) = next {
            if !hierarchies.has_group(&parent) {
                self.claim_parent(&parent)?;
            }
            next = parent.parent();
        }
        Ok(())
    }

    fn claim_parent(&self, parent: &GroupPath) -> Result<(), EngineError> {
        let name = hull_fs::random_hex(8).map_err(hull_volume::VolumeError::from)?;
        let path = format!("{CLAIMS}/{name}");
        let root = self.store().root();
        let claim = || symlinkat(parent.to_string(), root, &path);
        let claimed = match claim() {
            Err(Errno::NOENT) => match mkdirat(root, CLAIMS, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => claim(),
                Err(errno) => Err(errno),
            },
            other => other,
        };
        claimed.map_err(|source| self.no_claim("make", &path, source))
    }

    /// Removes the parents that are empty; returns which.
    pub(crate) fn collect_parents(
        &self,
        hierarchies: &Hierarchies,
    ) -> Result<Vec<String>, EngineError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let claims = match openat(self.store().root(), CLAIMS, flags, Mode::empty()) {
            Ok(claims) => claims,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(source) => return Err(self.no_claim("open", CLAIMS, source)),
        };
        let mut claimed: Vec<(GroupPath, std::ffi::OsString)> = Vec::new();
        for name in hull_fs::list(&claims).unwrap_or_default() {
            let text = readlinkat(&claims, &name, Vec::new());
            let path = text.ok().and_then(|text| text.to_str().ok()?.parse().ok());
            claimed.extend(path.map(|path| (path, name)));
        }
        // The innermost first: those above are empty only then.
        claimed.sort();
        let mut removed = Vec::new();
        for (parent, name) in claimed.iter().rev() {
            let was_there = hierarchies.has_group(parent);
            hierarchies.remove_if_empty(parent)?;
            if hierarchies.has_group(parent) {
                continue;
            }
            if was_there {
                removed.push(parent.to_string());
            }
            // Looked at after the group is gone: who names it now has a record, and makes the group with or without the claim.
            let (listed, unreadable) = self.list()?;
            if unreadable.is_empty() && !listed.iter().any(|listed| lies_below(listed, parent)) {
                unlinkat(&claims, name, AtFlags::empty()).ok();
            }
        }
        Ok(removed)
    }

    fn no_claim(&self, what: &'static str, path: &str, source: Errno) -> EngineError {
        EngineError::File {
            what,
            path: self.places().root.join(path),
            source,
        }
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

fn asked(config: &Config) -> Result<Option<GroupPath>, EngineError> {
    let Some(parent) = &config.request.cgroup_parent else {
        return Ok(None);
    };
    let path = parent
        .to_string_lossy()
        .parse()
        .map_err(CgroupError::from)?;
    Ok(Some(path))
}

fn lies_below(listed: &Listed, parent: &GroupPath) -> bool {
    let mut next = asked(&listed.config).ok().flatten();
    while let Some(path) = next {
        if path == *parent {
            return true;
        }
        next = path.parent();
    }
    false
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
