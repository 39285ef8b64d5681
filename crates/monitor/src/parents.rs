//! The groups above those of containers that were told where to lie (`--cgroup-parent`).
//!
//! A parent that is there already is somebody else's, and is left alone. One that is not is made by the start, shared by all
//! containers that name it, and goes with the last of them. Each claims it: `<root>/cgroups/<pod>.<depth>` is a symbolic link
//! whose text is the parent's path, made before the group. It is kept as long as the pod is, whose next start may make the group
//! again; and the last one as long as others have something in it.

use std::{
    ffi::OsString,
    os::fd::{AsFd, BorrowedFd},
};

use hull_cgroup::{CgroupError, GroupPath, Hierarchies};
use hull_types::PodId;
use rustix::{
    fs::{AtFlags, Mode, OFlags, mkdirat, openat, readlinkat, statat, symlinkat, unlinkat},
    io::Errno,
};

const DIRECTORY: &str = "cgroups";

/// A claim of a pod on a parent.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    parent: GroupPath,
    pod: Option<PodId>,
    name: OsString,
}

/// Claims those of a group's parents that its start is going to make, and those that others of this root have made. Says which
/// claim could not be made.
pub fn claim(
    root: BorrowedFd<'_>,
    hierarchies: &Hierarchies,
    pod: PodId,
    group: &GroupPath,
) -> Result<(), (String, Errno)> {
    // Read before the groups are looked at: a claim that is given back meanwhile was one on a group that is gone by then.
    let claims = claims(root);
    let mut next = group.parent();
    while let Some(parent) = next {
        let is_ours = claims.iter().any(|claim| claim.parent == parent);
        if is_ours || !hierarchies.has_group(&parent) {
            let depth = parent.as_path().components().count();
            let path = format!("{DIRECTORY}/{pod}.{depth}");
            let made = make(root, &path, &parent.to_string());
            made.map_err(|errno| (path, errno))?;
        }
        next = parent.parent();
    }
    Ok(())
}

fn make(root: BorrowedFd<'_>, path: &str, text: &str) -> Result<(), Errno> {
    let claim = || match symlinkat(text, root, path) {
        // By an earlier start.
        Err(Errno::EXIST) => Ok(()),
        other => other,
    };
    match claim() {
        Err(Errno::NOENT) => match mkdirat(root, DIRECTORY, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => claim(),
            Err(errno) => Err(errno),
        },
        other => other,
    }
}

/// Removes the parents in which nothing lies, and the claims of pods that are gone; `leaving` counts as gone. Returns which parents
/// went.
pub fn collect(
    root: BorrowedFd<'_>,
    hierarchies: &Hierarchies,
    leaving: Option<PodId>,
) -> Result<Vec<GroupPath>, CgroupError> {
    let mut claims = claims(root);
    // The innermost first: those above are empty only then.
    claims.sort();
    claims.reverse();
    let is_gone = |claim: &Claim| {
        claim.pod.is_none_or(|pod| {
            let directory = statat(root, format!("pods/{pod}"), AtFlags::SYMLINK_NOFOLLOW);
            Some(pod) == leaving || directory.is_err()
        })
    };
    let mut removed = Vec::new();
    let mut kept: Option<&GroupPath> = None;
    for claim in &claims {
        let was_there = hierarchies.has_group(&claim.parent);
        hierarchies.remove_if_empty(&claim.parent)?;
        let is_there = hierarchies.has_group(&claim.parent);
        if was_there && !is_there {
            removed.push(claim.parent.clone());
        }
        let others_have_it = || {
            let mut others = claims.iter().filter(|other| other.parent == claim.parent);
            others.any(|other| !is_gone(other)) || kept == Some(&claim.parent)
        };
        if !is_gone(claim) {
            continue;
        }
        if is_there && !others_have_it() {
            kept = Some(&claim.parent);
            continue;
        }
        let path = std::path::Path::new(DIRECTORY).join(&claim.name);
        unlinkat(root, path, AtFlags::empty()).ok();
    }
    Ok(removed)
}

/// A directory that cannot be read has none: nothing is removed by it.
fn claims(root: BorrowedFd<'_>) -> Vec<Claim> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(directory) = openat(root, DIRECTORY, flags, Mode::empty()) else {
        return Vec::new();
    };
    let read = |name: OsString| {
        let text = readlinkat(directory.as_fd(), &name, Vec::new()).ok()?;
        let parent = text.to_str().ok()?.parse().ok()?;
        let pod = name.to_str().and_then(|name| name.split_once('.'));
        let pod = pod.and_then(|(pod, _)| pod.parse().ok());
        Some(Claim { parent, pod, name })
    };
    let names = hull_fs::list(&directory).unwrap_or_default();
    names.into_iter().filter_map(read).collect()
}
