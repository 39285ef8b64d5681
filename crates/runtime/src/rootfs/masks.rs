//! Hiding and freezing paths of the kernel's file systems.
//!
//! A masked file gets our own `/dev/null` over it (checked to be the device 1:3, CVE-2025-31133), a masked directory one
//! shared empty directory, read-only. Paths that do not exist need no mask: most of the usual ones do not on most kernels,
//! so each costs one call that says so.
//!
//! Paths in the container's procfs are taken from its descriptor, where nothing is anybody's but the kernel's; others are
//! found inside the root like every path.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use hull_sys::Errno;
use hull_sys::mount::MountAttr;
use rustix::fs::{FileType, OFlags, fstat, makedev};
use rustix::mount::{MoveMountFlags, move_mount};

use super::inside::{Inside, until_exec};
use super::mounts::READ_ONLY;
use super::superblock::{Depth, clone_mount};
use crate::error::{At as _, Failure, Step};

/// Where paths are covered.
#[derive(Debug)]
pub(crate) struct Masks<'a> {
    pub(crate) root: Inside<'a>,
    /// The container's own procfs, mounted at `/proc`.
    pub(crate) proc: Option<BorrowedFd<'a>>,
    pub(crate) backstage: BorrowedFd<'a>,
}

/// One path, found as far as it has to be.
enum Place<'a> {
    /// An entry of procfs.
    Proc(BorrowedFd<'a>, &'a Path),
    Found(OwnedFd),
}

impl Masks<'_> {
    /// Hides `paths`.
    pub(crate) fn hide<'p>(&self, paths: impl Iterator<Item = &'p Path>) -> Result<(), Failure> {
        // Made before it is known to be needed; what one path does not need is the next one's.
        let mut spare = None;
        for path in paths {
            let Some(place) = self.place(path).at(Step::Mask, path)? else {
                continue;
            };
            let null = match spare.take() {
                Some(null) => null,
                None => self.null().at(Step::Mask, path)?,
            };
            match place.cover(&null) {
                Ok(()) => until_exec(null),
                Err(Errno::NOENT) => spare = Some(null),
                // A file does not go over a directory.
                Err(Errno::INVAL | Errno::NOTDIR) => {
                    spare = Some(null);
                    let empty = self.empty().at(Step::Mask, path)?;
                    place.cover(&empty).at(Step::Mask, path)?;
                    until_exec(empty);
                }
                Err(errno) => return Err(Failure::new(Step::Mask, path, errno)),
            }
        }
        Ok(())
    }

    /// Makes `paths` read-only.
    pub(crate) fn freeze<'p>(&self, paths: impl Iterator<Item = &'p Path>) -> Result<(), Failure> {
        for path in paths {
            self.freeze_one(path).at(Step::ReadOnlyPath, path)?;
        }
        Ok(())
    }

    fn freeze_one(&self, path: &Path) -> Result<(), Errno> {
        let attr = MountAttr {
            set: READ_ONLY,
            ..MountAttr::default()
        };
        let Some(place) = self.place(path)? else {
            return Ok(());
        };
        let frozen = match &place {
            Place::Proc(proc, name) => clone_mount(proc, name, Depth::Tree, &attr),
            Place::Found(found) => clone_mount(found, "", Depth::Tree, &attr),
        };
        match frozen {
            Ok(frozen) => {
                place.cover(&frozen)?;
                until_exec(frozen);
                Ok(())
            }
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn place<'p>(&'p self, path: &'p Path) -> Result<Option<Place<'p>>, Errno> {
        if let (Some(proc), Some(name)) = (self.proc, in_proc(path)) {
            return Ok(Some(Place::Proc(proc, name)));
        }
        match self.root.find(path, OFlags::empty()) {
            Ok(found) => Ok(Some(Place::Found(found))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn null(&self) -> Result<OwnedFd, Errno> {
        let null = clone_mount(
            self.backstage,
            "dev/null",
            Depth::One,
            &MountAttr::default(),
        )?;
        let stat = fstat(&null)?;
        let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == makedev(1, 3);
        if is_null { Ok(null) } else { Err(Errno::NODEV) }
    }

    fn empty(&self) -> Result<OwnedFd, Errno> {
        let attr = MountAttr {
            set: READ_ONLY,
            ..MountAttr::default()
        };
        clone_mount(self.backstage, "empty", Depth::One, &attr)
    }
}

impl Place<'_> {
    fn cover(&self, mount: &OwnedFd) -> Result<(), Errno> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        match self {
            Self::Proc(proc, name) => move_mount(mount, "", proc, *name, flags),
            Self::Found(found) => {
                let flags = flags | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
                move_mount(mount, "", found.as_fd(), "", flags)
            }
        }
    }
}

/// Returns the path below `/proc`, unless it goes through a process's directory, whose links lead anywhere.
fn in_proc(path: &Path) -> Option<&Path> {
    let below = path.strip_prefix("/proc").ok()?;
    let mut components = below.components();
    let Some(Component::Normal(first)) = components.next() else {
        return None;
    };
    let first = first.as_encoded_bytes();
    let process = first.ends_with(b"self") || first.iter().all(u8::is_ascii_digit);
    let plain = components.all(|component| matches!(component, Component::Normal(_)));
    (plain && !process).then_some(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_through_processes_are_no_entries_of_procfs() {
        for (path, expected) in [
            ("/proc/kcore", Some("kcore")),
            ("/proc/sys/kernel", Some("sys/kernel")),
            ("/proc", None),
            ("/proc/self/root/etc", None),
            ("/proc/thread-self/cwd", None),
            ("/proc/1/root", None),
            ("/proc/../etc/passwd", None),
            ("/processes", None),
            ("/sys/firmware", None),
        ] {
            assert_eq!(in_proc(Path::new(path)), expected.map(Path::new), "{path}");
        }
    }
}
