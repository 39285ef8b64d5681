//! Which of the host's user and group ids a pod has: a range of 65,536 that is its own while it runs.
//!
//! `<root>/ids/<first id>` is a symbolic link whose text is the pod's id; symlink(2) is exclusive, so a range has one owner.
//! The search begins at a place that follows from the pod's id, so that many starters do not meet. Ranges that the host has
//! given to somebody else in `/etc/subuid` or `/etc/subgid` are left out.

use std::os::fd::AsFd;

use hull_types::PodId;
use rustix::{
    fs::{Mode, OFlags, mkdirat, openat, readlinkat, symlinkat},
    io::Errno,
};

use crate::{EngineError, bundle::ID_RANGE};

/// The first range. Below it lie the ids that distributions hand out to people.
const FIRST: u32 = 524_288;
/// How many ranges there are, up to 1,879,048,191: what lies above is left to systemd's own containers.
pub(crate) const COUNT: u32 = (1_879_048_192 - FIRST) / ID_RANGE;

/// Takes a range for a pod; returns its first id.
pub(crate) fn take(root: impl AsFd, pod: &PodId) -> Result<u32, EngineError> {
    let taken = subordinate();
    let start = u32::from_le_bytes(pod.bytes()[..4].try_into().unwrap_or_default()) % COUNT;
    for step in 0..COUNT {
        let base = FIRST + (start + step) % COUNT * ID_RANGE;
        if taken
            .iter()
            .any(|range| range.0 < base + ID_RANGE && base < range.1)
        {
            continue;
        }
        let path = format!("ids/{base}");
        match symlinkat(pod.to_string(), &root, &path) {
            Ok(()) => return Ok(base),
            Err(Errno::EXIST) => {}
            Err(Errno::NOENT) => {
                match mkdirat(&root, "ids", Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(source) => {
                        return Err(EngineError::File {
                            what: "make",
                            path: "ids".into(),
                            source,
                        });
                    }
                }
                if symlinkat(pod.to_string(), &root, &path).is_ok() {
                    return Ok(base);
                }
            }
            Err(source) => {
                return Err(EngineError::File {
                    what: "make",
                    path: path.into(),
                    source,
                });
            }
        }
    }
    Err(EngineError::NoIds(COUNT))
}

/// Frees the ranges of pods that `alive` does not know; returns how many.
pub(crate) fn collect(
    root: impl AsFd,
    alive: impl Fn(&PodId) -> bool,
) -> Result<usize, EngineError> {
    let failed = |source| EngineError::File {
        what: "read",
        path: "ids".into(),
        source,
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = match openat(&root, "ids", flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(0),
        Err(source) => return Err(failed(source)),
    };
    let mut freed = 0;
    for name in hull_fs::list(&directory).unwrap_or_default() {
        let Ok(text) = readlinkat(&directory, &name, Vec::new()) else {
            continue;
        };
        let owner = text
            .to_str()
            .ok()
            .and_then(|text| text.parse::<PodId>().ok());
        if owner.is_none_or(|pod| !alive(&pod)) {
            freed += usize::from(
                rustix::fs::unlinkat(&directory, &name, rustix::fs::AtFlags::empty()).is_ok(),
            );
        }
    }
    Ok(freed)
}

/// Returns how many ranges are left out because the host has given ids in them to its users.
pub(crate) fn given_away() -> u32 {
    let taken = subordinate();
    let ranges = (0..COUNT).map(|at| FIRST + at * ID_RANGE);
    let lost = ranges.filter(|base| {
        let mut taken = taken.iter();
        taken.any(|range| range.0 < base + ID_RANGE && *base < range.1)
    });
    u32::try_from(lost.count()).unwrap_or(COUNT)
}

/// Reads which ids the host has given to its users. A file that is not there gives none.
fn subordinate() -> Vec<(u32, u32)> {
    ["/etc/subuid", "/etc/subgid"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|text| ranges(&text))
        .collect()
}

/// Reads `name:first:count` lines (subuid(5)) as half-open ranges.
fn ranges(text: &str) -> Vec<(u32, u32)> {
    let range = |line: &str| {
        let mut fields = line.trim().splitn(3, ':').skip(1);
        let first: u32 = fields.next()?.parse().ok()?;
        let count: u32 = fields.next()?.parse().ok()?;
        Some((first, first.saturating_add(count)))
    };
    text.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_one_owner() {
        let temp = tempfile::tempdir().unwrap();
        let root = rustix::fs::open(temp.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        let pods = [PodId::from_random([1; 16]), PodId::from_random([1; 16])];
        let first = take(&root, &pods[0]).unwrap();
        let second = take(&root, &pods[1]).unwrap();
        assert_ne!(first, second);
        assert!(second >= FIRST && (second - FIRST).is_multiple_of(ID_RANGE));
        assert_eq!(collect(&root, |_| true).unwrap(), 0);
        assert_eq!(collect(&root, |_| false).unwrap(), 2);
        assert_eq!(take(&root, &pods[0]).unwrap(), first);
    }

    #[test]
    fn subordinate_ids_are_read() {
        assert_eq!(
            ranges("a:100000:65536\n# no\nb:x:1\n\nc:4294967295:9\n"),
            [(100_000, 165_536), (u32::MAX, u32::MAX)]
        );
    }
}
