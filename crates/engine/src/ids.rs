//! Which of the host's user and group ids a pod has: a range of 65,536 that is its own while it runs.
//!
//! `/run/hull/ids/<first id>` is a symbolic link whose text is `<root's mark>/<pod>`; symlink(2) is exclusive, so a range has
//! one owner on the whole host, whichever root it belongs to (docs/adr/0017). The search begins at a place that follows from the
//! pod's id, so that many starters do not meet. Ranges that the host has given to somebody else in `/etc/subuid` or
//! `/etc/subgid` are left out.

use std::path::Path;

use hull_monitor::ID_CLAIMS;
use hull_types::PodId;
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, mkdir, openat, readlinkat, symlink, unlinkat},
    io::Errno,
};

use crate::{EngineError, bundle::ID_RANGE};

/// The first range. Below it lie the ids that distributions hand out to people.
const FIRST: u32 = 524_288;
/// How many ranges there are, up to 1,879,048,191: what lies above is left to systemd's own containers.
pub(crate) const COUNT: u32 = (1_879_048_192 - FIRST) / ID_RANGE;

/// Takes a range for a pod of the root with this mark; returns its first id.
pub(crate) fn take(mark: &str, pod: &PodId) -> Result<u32, EngineError> {
    take_in(Path::new(ID_CLAIMS), mark, pod)
}

fn take_in(claims: &Path, mark: &str, pod: &PodId) -> Result<u32, EngineError> {
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
        if claim(claims, base, &format!("{mark}/{pod}"))? {
            return Ok(base);
        }
    }
    Err(EngineError::NoIds(COUNT))
}

/// Claims one range; `false` if somebody has it. The directories are made where they are missing: a boot forgets them, and a
/// root that was new and is empty again takes them along.
fn claim(claims: &Path, base: u32, owner: &str) -> Result<bool, EngineError> {
    let path = claims.join(base.to_string());
    for _ in 0..32 {
        match symlink(owner, &path) {
            Ok(()) => return Ok(true),
            Err(Errno::EXIST) => return Ok(false),
            Err(Errno::NOENT) => make(claims)?,
            Err(source) => return Err(failed("make", &path, source)),
        }
    }
    Err(failed("make", &path, Errno::NOENT))
}

fn make(claims: &Path) -> Result<(), EngineError> {
    let above = claims.parent().into_iter();
    for directory in above.chain([claims]) {
        match mkdir(directory, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(source) => return Err(failed("make", directory, source)),
        }
    }
    Ok(())
}

fn failed(what: &'static str, path: &Path, source: Errno) -> EngineError {
    EngineError::File {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Frees the ranges of this root's pods that are dead; returns how many. `dead` says so with something that keeps the pod from
/// coming alive until its range is free.
pub(crate) fn collect<Guard>(
    mark: &str,
    dead: impl Fn(&PodId) -> Option<Guard>,
) -> Result<usize, EngineError> {
    collect_in(Path::new(ID_CLAIMS), mark, dead)
}

fn collect_in<Guard>(
    claims: &Path,
    mark: &str,
    dead: impl Fn(&PodId) -> Option<Guard>,
) -> Result<usize, EngineError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = match openat(CWD, claims, flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(0),
        Err(source) => return Err(failed("open", claims, source)),
    };
    let mut freed = 0;
    for name in hull_fs::list(&directory).unwrap_or_default() {
        let Ok(text) = readlinkat(&directory, &name, Vec::new()) else {
            continue;
        };
        // Another root's are none of ours.
        let owner = text.to_str().ok().and_then(|text| text.rsplit_once('/'));
        let own = owner.and_then(|(root, pod)| pod.parse().ok().filter(|_| root == mark));
        if let Some(pod) = own
            && let Some(_guard) = dead(&pod)
        {
            freed += usize::from(unlinkat(&directory, &name, AtFlags::empty()).is_ok());
        }
    }
    Ok(freed)
}

/// Removes the directory of claims if there is none in it.
pub(crate) fn leave() {
    rustix::fs::rmdir(ID_CLAIMS).ok();
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
    fn a_range_has_one_owner_on_the_whole_host() {
        let temp = tempfile::tempdir().unwrap();
        let claims = temp.path().join("run/hull/ids");
        std::fs::create_dir(temp.path().join("run")).unwrap();
        let pod = PodId::from_random([1; 16]);
        let first = take_in(&claims, "hull", &pod).unwrap();
        let second = take_in(&claims, "hull", &pod).unwrap();
        let others = take_in(&claims, "hull-1-2", &pod).unwrap();
        assert!(first != second && second != others && first != others);
        assert!(second >= FIRST && (second - FIRST).is_multiple_of(ID_RANGE));
        let none = |_: &PodId| None::<()>;
        assert_eq!(collect_in(&claims, "hull", none).unwrap(), 0);
        assert_eq!(collect_in(&claims, "hull", |_| Some(())).unwrap(), 2);
        assert_eq!(take_in(&claims, "hull", &pod).unwrap(), first);
        let left = std::fs::read_link(claims.join(others.to_string())).unwrap();
        assert_eq!(left.to_str().unwrap(), format!("hull-1-2/{pod}"));
    }

    #[test]
    fn subordinate_ids_are_read() {
        assert_eq!(
            ranges("a:100000:65536\n# no\nb:x:1\n\nc:4294967295:9\n"),
            [(100_000, 165_536), (u32::MAX, u32::MAX)]
        );
    }
}
