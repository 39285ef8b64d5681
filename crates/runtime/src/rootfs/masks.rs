//! Hiding and freezing paths of the kernel's file systems.
//!
//! A masked file gets our own `/dev/null` over it (checked to be the device 1:3, CVE-2025-31133), a masked directory one
//! shared empty directory, read-only. Paths that do not exist need no mask.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use hull_sys::Errno;
use hull_sys::mount::MountAttr;
use rustix::fs::{FileType, OFlags, fstat, makedev};

use super::inside::{Inside, Shape};
use super::mounts::{READ_ONLY, attach, shape};
use super::superblock::{Depth, clone_mount};
use crate::error::{At as _, Failure, Step};

/// Hides `paths`.
pub(crate) fn mask<'p>(
    root: Inside<'_>,
    backstage: BorrowedFd<'_>,
    paths: impl Iterator<Item = &'p Path>,
) -> Result<(), Failure> {
    for path in paths {
        let Some(place) = present(root, path).at(Step::Mask, path)? else {
            continue;
        };
        let cover = match shape(place.as_fd()).at(Step::Mask, path)? {
            Shape::File => null(backstage),
            Shape::Directory => empty(backstage),
        };
        cover
            .and_then(|cover| attach(cover.as_fd(), place.as_fd()))
            .at(Step::Mask, path)?;
    }
    Ok(())
}

/// Makes `paths` read-only.
pub(crate) fn freeze<'p>(
    root: Inside<'_>,
    paths: impl Iterator<Item = &'p Path>,
) -> Result<(), Failure> {
    let attr = MountAttr {
        set: READ_ONLY,
        ..MountAttr::default()
    };
    for path in paths {
        let Some(place) = present(root, path).at(Step::ReadOnlyPath, path)? else {
            continue;
        };
        clone_mount(&place, "", Depth::Tree, &attr)
            .and_then(|frozen| attach(frozen.as_fd(), place.as_fd()))
            .at(Step::ReadOnlyPath, path)?;
    }
    Ok(())
}

fn present(root: Inside<'_>, path: &Path) -> Result<Option<OwnedFd>, Errno> {
    match root.find(path, OFlags::empty()) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn null(backstage: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let null = clone_mount(backstage, "dev/null", Depth::One, &MountAttr::default())?;
    let stat = fstat(&null)?;
    let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == makedev(1, 3);
    if is_null { Ok(null) } else { Err(Errno::NODEV) }
}

fn empty(backstage: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let attr = MountAttr {
        set: READ_ONLY,
        ..MountAttr::default()
    };
    clone_mount(backstage, "empty", Depth::One, &attr)
}
