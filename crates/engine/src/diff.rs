//! `hull diff`: what a container has changed in its image's files.

use std::{
    fmt,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use hull_fs::{Root, tar::EntryPath};
use hull_snapshot::{Change, ChangeKind, Layers, SnapshotError};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use serde::{Serialize, Serializer};

use crate::{Engine, EngineError};

/// One path at which a container differs from its image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Difference {
    #[serde(rename = "Type", serialize_with = "letter")]
    pub kind: ChangeKind,
    pub path: PathBuf,
}

fn letter<S: Serializer>(kind: &ChangeKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(kind)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.path.display())
    }
}

impl Engine {
    /// Returns what a container has changed, sorted by path.
    pub fn diff(&self, asked: &str) -> Result<Vec<Difference>, EngineError> {
        let parts = self.parts(&self.find(asked)?)?;
        let changes = parts.with(own_changes)?;
        let difference = |change: Change| Difference {
            kind: change.kind,
            path: Path::new("/").join(change.path.as_path()),
        };
        Ok(changes.into_iter().map(difference).collect())
    }
}

/// Where Hull mounts something in every container. Images often lack these places; starting makes them, empty.
const MOUNT_POINTS: [&[u8]; 6] = [
    b"dev",
    b"etc/hostname",
    b"etc/hosts",
    b"etc/resolv.conf",
    b"proc",
    b"sys",
];

/// Returns the changes that the container made itself: not the places that Hull made for its own mounts, as docker's diff and
/// commit leave out what docker made.
pub(crate) fn own_changes(layers: &Layers<'_>) -> Result<Vec<Change>, SnapshotError> {
    let changes = hull_snapshot::changes(layers)?;
    if !changes.iter().any(is_mount_point) {
        return Ok(changes);
    }
    let now = Root::new(layers.view()?);
    let before = Root::new(hull_snapshot::view(layers.lowers, layers.marks)?);
    Ok(without_mount_points(
        changes,
        |path| is_empty(&now, path),
        |path| is_same_directory(&now, &before, path),
    ))
}

fn is_mount_point(change: &Change) -> bool {
    change.kind == ChangeKind::Added && MOUNT_POINTS.contains(&change.path.as_bytes())
}

/// Leaves out empty mount points, and directories that are there, or have another time, only because of them.
fn without_mount_points(
    mut changes: Vec<Change>,
    is_empty: impl Fn(&EntryPath) -> bool,
    is_same: impl Fn(&EntryPath) -> bool,
) -> Vec<Change> {
    changes.retain(|change| !is_mount_point(change) || !is_empty(&change.path));
    let above = MOUNT_POINTS.map(|path| {
        EntryPath::parse(path)
            .ok()?
            .parts()
            .map(|(above, _)| above.to_vec())
    });
    let others = changes.clone();
    changes.retain(|change| {
        let path = change.path.as_bytes();
        let is_above = above.iter().flatten().any(|above| above == path);
        let is_below = |other: &Change| {
            let rest = other.path.as_bytes().strip_prefix(path);
            rest.is_some_and(|rest| rest.starts_with(b"/"))
        };
        let only_that = is_above
            && !others.iter().any(is_below)
            && match change.kind {
                ChangeKind::Added => true,
                ChangeKind::Modified => is_same(&change.path),
                ChangeKind::Deleted => false,
            };
        !only_that
    });
    changes
}

fn open(root: &Root, path: &EntryPath) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    root.open(path.as_path(), flags, Mode::empty()).ok()
}

fn is_empty(root: &Root, path: &EntryPath) -> bool {
    let Some(stat) = open(root, path).and_then(|node| fstat(node).ok()) else {
        return false;
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => stat.st_size == 0,
        FileType::Directory => root
            .open_dir(path.as_path())
            .is_ok_and(|dir| hull_fs::list(dir).is_ok_and(|names| names.is_empty())),
        _ => false,
    }
}

/// Compares everything about a directory but its time.
fn is_same_directory(now: &Root, before: &Root, path: &EntryPath) -> bool {
    let about = |root: &Root| {
        let node = open(root, path)?;
        let stat = fstat(&node).ok()?;
        let place = format!("/proc/self/fd/{}", node.as_fd().as_raw_fd());
        let mut names = vec![0; 65_536];
        let length = rustix::fs::listxattr(place, &mut names[..]).unwrap_or(0);
        names.truncate(length);
        Some((stat.st_mode, stat.st_uid, stat.st_gid, names))
    };
    about(now) == about(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ChangeKind::{Added, Deleted, Modified};

    fn left(changes: &[(ChangeKind, &str)], full: &[&str], changed: &[&str]) -> Vec<String> {
        let change = |(kind, path): &(ChangeKind, &str)| Change {
            path: EntryPath::parse(path.as_bytes()).unwrap(),
            kind: *kind,
        };
        let among = |paths: &[&str], path: &EntryPath| {
            paths
                .iter()
                .any(|other| other.as_bytes() == path.as_bytes())
        };
        without_mount_points(
            changes.iter().map(change).collect(),
            |path| !among(full, path),
            |path| !among(changed, path),
        )
        .iter()
        .map(|change| format!("{} {}", change.kind, change.path))
        .collect()
    }

    #[test]
    fn places_that_hull_made_are_no_changes() {
        let made = [
            (Added, "dev"),
            (Modified, "etc"),
            (Added, "etc/hostname"),
            (Added, "etc/hosts"),
            (Added, "proc"),
        ];
        assert_eq!(left(&made, &[], &[]), [""; 0]);
        assert_eq!(left(&made, &["etc/hosts"], &[]), ["C etc", "A etc/hosts"]);
        assert_eq!(left(&made, &[], &["etc"]), ["C etc"]);
        let bare = [(Added, "etc"), (Added, "etc/hosts"), (Added, "sys")];
        assert_eq!(left(&bare, &[], &[]), [""; 0]);
    }

    #[test]
    fn what_the_container_did_stays() {
        let changes = [
            (Modified, "etc"),
            (Added, "etc/hosts"),
            (Modified, "etc/passwd"),
            (Deleted, "proc"),
            (Modified, "sys"),
            (Added, "etcetera"),
        ];
        assert_eq!(
            left(&changes, &[], &[]),
            ["C etc", "C etc/passwd", "D proc", "C sys", "A etcetera"]
        );
    }
}
