//! What is mounted into a container's tree while the container does not run.

use std::{os::fd::OwnedFd, path::Path};

use hull_sys::mount::{At, MountAttr, mount_setattr};
use rustix::{
    fs::CWD,
    io::Errno,
    mount::{MountAttrFlags, OpenTreeFlags, open_tree},
};

/// Clones the mount at `source`, attached nowhere; with `deep` also what is mounted below. Nothing on it is a device.
pub fn clone_of(source: &Path, deep: bool, read_only: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mut at = At::EMPTY_PATH;
    if deep {
        flags |= OpenTreeFlags::AT_RECURSIVE;
        at |= At::RECURSIVE;
    }
    let clone = open_tree(CWD, source, flags)?;
    let mut set = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    if read_only {
        set |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    let attributes = MountAttr {
        set,
        ..MountAttr::default()
    };
    mount_setattr(&clone, "", at, &attributes)?;
    Ok(clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, mkdirat};

    #[test]
    fn root_a_read_only_clone_cannot_be_written() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let read_only = clone_of(home.path(), false, true).unwrap();
        assert_eq!(mkdirat(&read_only, "a", Mode::RWXU), Err(Errno::ROFS));
        let writable = clone_of(home.path(), true, false).unwrap();
        mkdirat(&writable, "a", Mode::RWXU).unwrap();
        assert!(home.path().join("a").is_dir());
    }
}
