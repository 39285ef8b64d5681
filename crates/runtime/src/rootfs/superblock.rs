//! A file system being mounted by descriptors: `fsopen`, `fsconfig`, `fsmount`, and the kernel's own words when it refuses.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hull_sys::Errno;
use hull_sys::mount::{At as AtFlags, MountAttr, mount_setattr, open_tree_attr};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_fd,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, open_tree,
};

use crate::error::{Failure, Step};

/// A file system context: a superblock that does not exist yet.
#[derive(Debug)]
pub(crate) struct Superblock {
    context: OwnedFd,
    step: Step,
    what: String,
}

impl Superblock {
    /// Begins a file system of `kind`; failures will say `step` about `what`.
    pub(crate) fn new(kind: &str, step: Step, what: impl AsRef<Path>) -> Result<Self, Failure> {
        let what = what.as_ref();
        match fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC) {
            Ok(context) => Ok(Self {
                context,
                step,
                what: what.to_string_lossy().into_owned(),
            }),
            Err(errno) => Err(Failure::new(step, what, errno).detail(format!("fsopen {kind}"))),
        }
    }

    /// Sets an option that has a text value.
    pub(crate) fn text(&self, key: &str, value: &str) -> Result<(), Failure> {
        fsconfig_set_string(&self.context, key, value)
            .map_err(|errno| self.failed(errno, &format!("{key}={value}")))
    }

    /// Sets an option that is only a word.
    pub(crate) fn flag(&self, key: &str) -> Result<(), Failure> {
        fsconfig_set_flag(&self.context, key).map_err(|errno| self.failed(errno, key))
    }

    /// Sets an option whose value is a descriptor.
    pub(crate) fn descriptor(&self, key: &str, fd: impl AsFd) -> Result<(), Failure> {
        fsconfig_set_fd(&self.context, key, fd).map_err(|errno| self.failed(errno, key))
    }

    /// Makes the superblock and returns a mount of it that is attached nowhere.
    pub(crate) fn mount(self, attr: MountAttrFlags) -> Result<OwnedFd, Failure> {
        fsconfig_create(&self.context).map_err(|errno| self.failed(errno, ""))?;
        fsmount(&self.context, FsMountFlags::FSMOUNT_CLOEXEC, attr)
            .map_err(|errno| self.failed(errno, ""))
    }

    fn failed(&self, errno: Errno, option: &str) -> Failure {
        let said = self.log();
        let detail = match (option, said.as_str()) {
            ("", _) => said,
            (_, "") => option.to_owned(),
            _ => format!("{option}: {said}"),
        };
        Failure::new(self.step, &self.what, errno).detail(detail)
    }

    /// The kernel keeps a few lines about what it disliked, each read as one message (`e overlay: …`).
    fn log(&self) -> String {
        let mut lines = Vec::new();
        let mut buffer = [0_u8; 256];
        while let Ok(length @ 1..) = rustix::io::read(&self.context, &mut buffer) {
            let line = String::from_utf8_lossy(&buffer[..length]);
            lines.push(line.trim_start_matches("e ").trim().to_owned());
        }
        lines.join("; ")
    }
}

/// Whether the mounts below go along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    One,
    Tree,
}

/// Clones the mount at `path` below `dir` (both may be what is meant: an empty path) and changes the clone.
///
/// `open_tree_attr` does it in one call since Linux 6.15; before, two calls do.
pub(crate) fn clone_mount(
    dir: impl AsFd,
    path: impl AsRef<Path>,
    depth: Depth,
    attr: &MountAttr<'_>,
) -> Result<OwnedFd, Errno> {
    let path = path.as_ref();
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if path.as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    if depth == Depth::Tree {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if changes_nothing(attr) {
        return open_tree(dir, path, flags);
    }
    match open_tree_attr(&dir, path, flags, attr) {
        Err(Errno::NOSYS) => {}
        result => return result,
    }
    let clone = open_tree(dir, path, flags)?;
    change_mount(&clone, depth, attr)?;
    Ok(clone)
}

/// Changes a mount, or a whole tree of them.
pub(crate) fn change_mount(
    mount: impl AsFd,
    depth: Depth,
    attr: &MountAttr<'_>,
) -> Result<(), Errno> {
    let at = match depth {
        Depth::One => AtFlags::EMPTY_PATH,
        Depth::Tree => AtFlags::EMPTY_PATH | AtFlags::RECURSIVE,
    };
    mount_setattr(mount, "", at, attr)
}

fn changes_nothing(attr: &MountAttr<'_>) -> bool {
    attr.set.is_empty()
        && attr.clear.is_empty()
        && attr.propagation.is_empty()
        && attr.userns.is_none()
}
