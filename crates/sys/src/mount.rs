//! Changing mounts: `mount_setattr(2)` (Linux 5.12) and `open_tree_attr(2)` (Linux 6.15).

use crate::{Result, call};
use bitflags::bitflags;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, OpenTreeFlags};
use rustix::path::Arg;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

bitflags! {
    /// Which mount is meant, and whether those below it are too.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct At: libc::c_uint {
        /// A last component that is a symbolic link is not followed.
        const SYMLINK_NOFOLLOW = 0x100;
        /// The path is empty: the descriptor itself is meant.
        const EMPTY_PATH = 0x1000;
        /// The mounts below it as well, all or none.
        const RECURSIVE = 0x8000;
    }
}

/// `MOUNT_ATTR_IDMAP`: set by [`MountAttr::userns`].
const IDMAP: u64 = 0x0010_0000;
/// `MOUNT_ATTR__ATIME`: the bits of which an access time mode is one value.
const ATIME: u64 = 0x70;

/// What is to change about a mount.
#[derive(Clone, Copy, Debug)]
pub struct MountAttr<'a> {
    /// Properties given to the mount.
    pub set: MountAttrFlags,
    /// Properties taken from it. The access time modes are one field: it is cleared by itself when `set` names one.
    pub clear: MountAttrFlags,
    /// Propagation to change to, or none.
    pub propagation: MountPropagationFlags,
    /// The user namespace whose map the mount shall have. Only for mounts nobody has attached yet (a fresh clone).
    pub userns: Option<BorrowedFd<'a>>,
}

impl Default for MountAttr<'_> {
    fn default() -> Self {
        Self {
            set: MountAttrFlags::empty(),
            clear: MountAttrFlags::empty(),
            propagation: MountPropagationFlags::empty(),
            userns: None,
        }
    }
}

/// `struct mount_attr` of <linux/mount.h>, first version.
#[repr(C)]
#[derive(Debug)]
struct RawAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

const _: () = assert!(size_of::<RawAttr>() == 32);

impl MountAttr<'_> {
    fn raw(&self) -> RawAttr {
        let mut raw = RawAttr {
            attr_set: u64::from(self.set.bits()),
            attr_clr: u64::from(self.clear.bits()),
            propagation: u64::from(self.propagation.bits()),
            userns_fd: 0,
        };
        let names_atime = self.set.intersects(
            MountAttrFlags::MOUNT_ATTR_NOATIME | MountAttrFlags::MOUNT_ATTR_STRICTATIME,
        );
        if names_atime {
            raw.attr_clr |= ATIME;
        }
        if let Some(userns) = self.userns {
            raw.attr_set |= IDMAP;
            raw.userns_fd = u64::from(userns.as_raw_fd().unsigned_abs());
        }
        raw
    }
}

/// Changes the mount at `path` below `dir`.
///
/// <https://man7.org/linux/man-pages/man2/mount_setattr.2.html>
pub fn mount_setattr(dir: impl AsFd, path: impl Arg, at: At, attr: &MountAttr<'_>) -> Result<()> {
    let raw = attr.raw();
    let dir = dir.as_fd().as_raw_fd();
    path.into_with_c_str(|path| {
        // SAFETY: `path` ends with a zero byte, `raw` has the size given, and both outlive the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                dir,
                path.as_ptr(),
                at.bits(),
                &raw const raw,
                size_of::<RawAttr>(),
            )
        };
        call::long(result).map(drop)
    })
}

/// Clones a mount and changes the clone in one step: unlike [`mount_setattr`] it can give a new id map to a clone of a
/// mount that has one. `ENOSYS` before Linux 6.15.
///
/// <https://man7.org/linux/man-pages/man2/open_tree_attr.2.html>
pub fn open_tree_attr(
    dir: impl AsFd,
    path: impl Arg,
    flags: OpenTreeFlags,
    attr: &MountAttr<'_>,
) -> Result<OwnedFd> {
    // Not in the libc crate; one number on every architecture but alpha.
    const SYS_OPEN_TREE_ATTR: libc::c_long = 467;
    let raw = attr.raw();
    let dir = dir.as_fd().as_raw_fd();
    path.into_with_c_str(|path| {
        // SAFETY: `path` ends with a zero byte, `raw` has the size given, and both outlive the call.
        let result = unsafe {
            libc::syscall(
                SYS_OPEN_TREE_ATTR,
                dir,
                path.as_ptr(),
                flags.bits(),
                &raw const raw,
                size_of::<RawAttr>(),
            )
        };
        let fd = call::fd(result)?;
        // SAFETY: the call above returned `fd` just now; nothing else owns or closes it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    })
}

#[cfg(test)]
mod tests {
    //! Id maps need a user namespace, so a fork: see `tests/processes.rs`.
    use super::*;
    use rustix::fs::{Mode, OFlags, openat};
    use rustix::mount::{FsMountFlags, FsOpenFlags, fsconfig_create, fsmount, fsopen};
    use std::mem::offset_of;

    #[test]
    fn mount_attr_is_laid_out_as_in_the_headers() {
        crate::layout::assert_matches(
            "linux/mount.h",
            "struct mount_attr",
            size_of::<RawAttr>(),
            &[
                ("attr_set", offset_of!(RawAttr, attr_set)),
                ("attr_clr", offset_of!(RawAttr, attr_clr)),
                ("propagation", offset_of!(RawAttr, propagation)),
                ("userns_fd", offset_of!(RawAttr, userns_fd)),
            ],
        );
    }

    #[test]
    fn an_access_time_mode_replaces_the_former_one() {
        let attr = MountAttr {
            set: MountAttrFlags::MOUNT_ATTR_NOATIME,
            ..MountAttr::default()
        };
        assert_eq!((attr.raw().attr_set, attr.raw().attr_clr), (0x10, 0x70));
        let attr = MountAttr {
            set: MountAttrFlags::MOUNT_ATTR_RDONLY,
            ..MountAttr::default()
        };
        assert_eq!((attr.raw().attr_set, attr.raw().attr_clr), (1, 0));
    }

    /// A tmpfs nobody has attached.
    fn detached_tmpfs() -> OwnedFd {
        let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
        fsconfig_create(&context).unwrap();
        fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::empty(),
        )
        .unwrap()
    }

    fn create_file(mount: &OwnedFd, name: &str) -> Result<OwnedFd> {
        openat(
            mount,
            name,
            OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::RUSR,
        )
    }

    #[test]
    fn root_mount_becomes_read_only_and_writable_again() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("needs root");
        }
        let mount = detached_tmpfs();
        let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
        let set = MountAttr {
            set: read_only,
            ..MountAttr::default()
        };
        mount_setattr(&mount, "", At::EMPTY_PATH | At::RECURSIVE, &set).unwrap();
        assert_eq!(create_file(&mount, "a").unwrap_err(), crate::Errno::ROFS);
        let clear = MountAttr {
            clear: read_only,
            ..MountAttr::default()
        };
        mount_setattr(&mount, "", At::EMPTY_PATH, &clear).unwrap();
        create_file(&mount, "a").unwrap();
    }

    #[test]
    fn root_clone_of_a_mount_gets_its_own_attributes() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("needs root");
        }
        let mount = detached_tmpfs();
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        let attr = MountAttr {
            set: MountAttrFlags::MOUNT_ATTR_RDONLY,
            ..MountAttr::default()
        };
        match open_tree_attr(&mount, "", flags, &attr) {
            Ok(clone) => {
                assert_eq!(create_file(&clone, "a").unwrap_err(), crate::Errno::ROFS);
                create_file(&mount, "a").unwrap();
            }
            // Before 6.15; and clones of mounts nobody has attached came with 6.15 as well.
            Err(crate::Errno::NOSYS | crate::Errno::INVAL) => eprintln!("needs Linux 6.15"),
            Err(errno) => panic!("{errno}"),
        }
    }
}
