//! Layers stacked into one tree by overlayfs, as detached mounts: nothing is attached anywhere, and the mount goes when
//! its descriptor and what was opened through it are closed.
//!
//! Two trees can be had of a container's root outside the container. [`view`] is read-only and takes the container's own
//! changes as just another layer, so it may be had while the container runs. [`merged`] can be written and takes the
//! place of the container's own mount: only one of the two may exist at a time.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_fs::overlay::{Scratch, Stack};
use rustix::fs::{Mode, OFlags, StatVfsMountFlags, fstatvfs, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::{SnapshotError, WhiteoutMarks};

/// A container's layers.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// What the container changed: overlayfs's upper directory.
    pub upper: BorrowedFd<'a>,
    /// The image, its topmost layer first. There may be none.
    pub lowers: &'a [BorrowedFd<'a>],
    /// Whose attributes overlayfs uses in `upper`.
    pub marks: WhiteoutMarks,
}

impl Layers<'_> {
    /// Returns the container's tree, read-only.
    pub fn view(&self) -> Result<OwnedFd, SnapshotError> {
        let all: Vec<_> = std::iter::once(&self.upper)
            .chain(self.lowers)
            .copied()
            .collect();
        view(&all, self.marks)
    }
}

/// Returns what layers look like together, topmost first, read-only. No layers at all make an empty tree.
pub fn view(layers: &[BorrowedFd<'_>], marks: WhiteoutMarks) -> Result<OwnedFd, SnapshotError> {
    // Overlayfs wants two layers, and a single one has whiteouts to be hidden, too.
    let bottom = empty_tree()?;
    if layers.is_empty() {
        return Ok(bottom);
    }
    let lowers = [layers, &[bottom.as_fd()]].concat();
    Overlay {
        lowers: &lowers,
        scratch: None,
        marks,
    }
    .mount()
}

/// Returns the tree of a container that does not run, to be read and written. `scratch` is where the container's `upper` lies,
/// and overlayfs's own room beside it.
pub fn merged(layers: &Layers<'_>, scratch: Scratch<'_>) -> Result<OwnedFd, SnapshotError> {
    let bottom;
    let mut lowers = layers.lowers.to_vec();
    if lowers.is_empty() {
        bottom = empty_tree()?;
        lowers.push(bottom.as_fd());
    }
    let mount = Overlay {
        lowers: &lowers,
        scratch: Some(scratch),
        marks: layers.marks,
    }
    .mount()?;
    let flags = fstatvfs(&mount)
        .map_err(failed("inspect the container's tree"))?
        .f_flag;
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return Err(SnapshotError::ReadOnly);
    }
    Ok(mount)
}

/// Opens the root directory of a mount, or of any `O_PATH` directory, for reading.
pub(crate) fn open_root(tree: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(tree, ".", flags, Mode::empty())
}

fn failed(action: &'static str) -> impl Fn(Errno) -> SnapshotError {
    move |source| SnapshotError::Mount { action, source }
}

fn empty_tree() -> Result<OwnedFd, SnapshotError> {
    let failed = failed("make an empty tree");
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(&failed)?;
    fsconfig_set_string(&context, "mode", "0755").map_err(&failed)?;
    fsconfig_create(&context).map_err(&failed)?;
    fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_RDONLY,
    )
    .map_err(&failed)
}

struct Overlay<'a> {
    lowers: &'a [BorrowedFd<'a>],
    /// What is written.
    scratch: Option<Scratch<'a>>,
    marks: WhiteoutMarks,
}

impl Overlay<'_> {
    fn mount(&self) -> Result<OwnedFd, SnapshotError> {
        match self.by_descriptors() {
            // Not by descriptor (before Linux 6.5, before 6.13), or not by one like these (before 6.15).
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::BADF) => self.by_paths(),
            mounted => mounted.map_err(failed("stack the layers")),
        }
    }

    fn by_descriptors(&self) -> Result<OwnedFd, Errno> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&context, "source", "overlay")?;
        for layer in self.lowers {
            fsconfig_set_fd(&context, "lowerdir+", layer)?;
        }
        if let Some(scratch) = self.scratch {
            for (key, name) in [("upperdir", scratch.upper), ("workdir", scratch.work)] {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let dir = openat(scratch.dir, name, flags, Mode::empty())?;
                fsconfig_set_fd(&context, key, dir)?;
            }
        }
        for option in self.options() {
            match option.split_once('=') {
                Some((key, value)) => fsconfig_set_string(&context, key, value)?,
                None => fsconfig_set_flag(&context, *option)?,
            }
        }
        fsconfig_create(&context)?;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, self.attributes())
    }

    fn by_paths(&self) -> Result<OwnedFd, SnapshotError> {
        let stack = Stack {
            lower: self.lowers,
            scratch: self.scratch,
            options: self.options(),
            extras: &[],
            attr: self.attributes(),
        };
        let stacked = stack.mount();
        stacked
            .map(|stacked| stacked.tree)
            .map_err(|not| failed(not.action)(not.errno))
    }

    fn options(&self) -> &'static [&'static str] {
        match self.marks {
            // Inside a user namespace neither redirects nor metacopy can be asked for, and so none are there.
            WhiteoutMarks::User => &["userxattr"],
            WhiteoutMarks::Trusted => &["redirect_dir=on", "metacopy=on", "xino=on"],
        }
    }

    fn attributes(&self) -> MountAttrFlags {
        let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
        match self.scratch {
            Some(_) => attributes,
            None => attributes | MountAttrFlags::MOUNT_ATTR_RDONLY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{home, is_root};
    use std::fs::File;

    #[test]
    fn root_descriptors_and_paths_make_the_same_tree() {
        if !is_root() {
            return;
        }
        let home = home();
        let dir = |name: &str| {
            let path = home.path().join(name);
            std::fs::create_dir(&path).unwrap();
            File::open(path).unwrap()
        };
        let [a, b, scratch, upper, _work] =
            ["a", "b", "scratch", "scratch/upper", "scratch/work"].map(dir);
        for (dir, name) in [(&a, "a"), (&b, "b"), (&upper, "upper")] {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(dir, name, flags, Mode::RUSR).unwrap();
        }
        let bottom = empty_tree().unwrap();
        let scratch = Scratch {
            dir: scratch.as_fd(),
            upper: "upper",
            work: "work",
        };
        for scratch in [None, Some(scratch)] {
            let overlay = Overlay {
                lowers: &[a.as_fd(), b.as_fd(), bottom.as_fd()],
                scratch,
                marks: WhiteoutMarks::Trusted,
            };
            let names = |mount: OwnedFd| {
                let mut names: Vec<_> = hull_fs::list(open_root(mount.as_fd()).unwrap()).unwrap();
                names.sort();
                names
            };
            let expected: &[&str] = match scratch {
                Some(_) => &["a", "b", "upper"],
                None => &["a", "b"],
            };
            assert_eq!(names(overlay.by_paths().unwrap()), expected);
            match overlay.by_descriptors() {
                Ok(mount) => assert_eq!(names(mount), expected),
                Err(errno) => eprintln!("paths only on this kernel: {errno}"),
            }
        }
    }

    #[test]
    fn root_no_layers_make_an_empty_tree() {
        if is_root() {
            let tree = view(&[], WhiteoutMarks::Trusted).unwrap();
            assert!(
                hull_fs::list(open_root(tree.as_fd()).unwrap())
                    .unwrap()
                    .is_empty()
            );
        }
    }
}
