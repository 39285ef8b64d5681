//! Layers stacked into one tree by overlayfs, as detached mounts: nothing is attached anywhere, and the mount goes when
//! its descriptor and what was opened through it are closed.
//!
//! Two trees can be had of a container's root outside the container. [`view`] is read-only and takes the container's own
//! changes as just another layer, so it may be had while the container runs. [`merged`] can be written and takes the
//! place of the container's own mount: only one of the two may exist at a time.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, StatVfsMountFlags, fstatvfs};
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
        upper: None,
        marks,
    }
    .mount()
}

/// Returns the tree of a container that does not run, to be read and written. `work` is the container's work directory,
/// or another empty one beside `upper`.
pub fn merged(layers: &Layers<'_>, work: BorrowedFd<'_>) -> Result<OwnedFd, SnapshotError> {
    let bottom;
    let mut lowers = layers.lowers.to_vec();
    if lowers.is_empty() {
        bottom = empty_tree()?;
        lowers.push(bottom.as_fd());
    }
    let upper = Some((layers.upper, work));
    let mount = Overlay {
        lowers: &lowers,
        upper,
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
    rustix::fs::openat(tree, ".", flags, Mode::empty())
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
    upper: Option<(BorrowedFd<'a>, BorrowedFd<'a>)>,
    marks: WhiteoutMarks,
}

/// How directories are named to overlayfs: what newer kernels understand comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// One descriptor a layer (Linux 6.13; 6.15 for `O_PATH`).
    Descriptors,
    /// One path a layer (Linux 6.7).
    Paths,
    /// All paths in one text, of at most 255 bytes.
    OnePath,
}

impl Overlay<'_> {
    fn mount(&self) -> Result<OwnedFd, SnapshotError> {
        let mut last = Errno::INVAL;
        for spelling in [Spelling::Descriptors, Spelling::Paths, Spelling::OnePath] {
            match self.mount_spelt(spelling) {
                // "Unknown parameter" and "not with this sort of descriptor".
                Err(errno @ (Errno::INVAL | Errno::BADF)) => last = errno,
                mounted => return mounted.map_err(failed("stack the layers")),
            }
        }
        Err(failed("stack the layers")(last))
    }

    fn mount_spelt(&self, spelling: Spelling) -> Result<OwnedFd, Errno> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&context, "source", "overlay")?;
        self.set_layers(context.as_fd(), spelling)?;
        match self.marks {
            // Inside a user namespace neither redirects nor metacopy can be asked for, and so none are there.
            WhiteoutMarks::User => fsconfig_set_flag(&context, "userxattr")?,
            WhiteoutMarks::Trusted => {
                for option in ["redirect_dir", "metacopy", "xino"] {
                    fsconfig_set_string(&context, option, "on")?;
                }
            }
        }
        fsconfig_create(&context)?;
        let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
        if self.upper.is_none() {
            attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
        }
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    }

    fn set_layers(&self, context: BorrowedFd<'_>, spelling: Spelling) -> Result<(), Errno> {
        let set = |key: &str, dir: BorrowedFd<'_>| match spelling {
            Spelling::Descriptors => fsconfig_set_fd(context, key, dir),
            Spelling::Paths | Spelling::OnePath => fsconfig_set_string(context, key, path_of(dir)),
        };
        if spelling == Spelling::OnePath {
            let paths: Vec<_> = self.lowers.iter().map(|dir| path_of(*dir)).collect();
            fsconfig_set_string(context, "lowerdir", paths.join(":"))?;
        } else {
            self.lowers
                .iter()
                .try_for_each(|dir| set("lowerdir+", *dir))?;
        }
        if let Some((upper, work)) = self.upper {
            set("upperdir", upper)?;
            set("workdir", work)?;
        }
        Ok(())
    }
}

fn path_of(dir: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", dir.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{home, is_root};
    use std::fs::File;

    #[test]
    fn root_every_spelling_mounts() {
        if !is_root() {
            return;
        }
        let home = home();
        let dirs = ["a", "b", "upper", "work"].map(|name| {
            let path = home.path().join(name);
            std::fs::create_dir(&path).unwrap();
            File::create(path.join(name)).unwrap();
            File::open(path).unwrap()
        });
        std::fs::remove_file(home.path().join("work/work")).unwrap();
        let [a, b, upper, work] = dirs.each_ref().map(AsFd::as_fd);
        for spelling in [Spelling::Descriptors, Spelling::Paths, Spelling::OnePath] {
            for upper in [None, Some((upper, work))] {
                let overlay = Overlay {
                    lowers: &[a, b],
                    upper,
                    marks: WhiteoutMarks::Trusted,
                };
                let mount = overlay.mount_spelt(spelling).unwrap();
                let mut names: Vec<_> = hull_fs::list(open_root(mount.as_fd()).unwrap()).unwrap();
                names.sort();
                let expected: &[&str] = if upper.is_some() {
                    &["a", "b", "upper"]
                } else {
                    &["a", "b"]
                };
                assert_eq!(names, expected, "{spelling:?}");
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
