//! Overlayfs where it takes no descriptors: before Linux 6.15.
//!
//! A newer kernel is handed every directory by descriptor, attached or not, and needs none of this. An older one looks
//! paths up, and accepts only what is attached in the mount namespace of whoever mounts. So a thread goes into a mount
//! namespace that nobody else ever sees and attaches the directories there, under names of Hull's own.
//!
//! ```text
//!   caller                       thread, in a mount namespace of its own
//!   layers, scratch ──clones──▶  0 1 2 … scratch ──▶ overlay on `merged` ──clone──▶ caller: attached nowhere
//! ```
//! The namespace goes with the thread, however that ends, and everything in it goes with the namespace; the overlay has
//! its own hold of its layers. A thread, because the way back from another mount namespace could fail, and then a whole
//! process would be in the wrong one; joined before anything else happens, because callers fork.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

use hull_sys::clone::CloneFlags;
use hull_sys::mount::{At, MountAttr, mount_setattr};
use hull_sys::namespaces::unshare;
use hull_sys::{Errno, process::is_single_threaded};
use rustix::fs::{CWD, Mode, mkdirat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, fsconfig_create, fsmount, fsopen, mount, mount_change, move_mount, open_tree,
};
use rustix::process::fchdir;

/// Directories to be stacked by overlayfs, for kernels that want their paths.
#[derive(Clone, Copy, Debug)]
pub struct Stack<'a> {
    /// What lies below, the topmost first: directories, or mounts that are attached nowhere. The latter are used up.
    pub lower: &'a [BorrowedFd<'a>],
    /// What is written; none for a tree that is only read.
    pub scratch: Option<Scratch<'a>>,
    /// Overlayfs's further options in its own words: `userxattr`, `redirect_dir=on`.
    pub options: &'a [&'a str],
    /// Options to do without where the kernel was built without one of them.
    pub extras: &'a [&'a str],
    /// Properties of the mount.
    pub attr: MountAttrFlags,
}

/// Where the two directories lie that overlayfs writes in, on one mount, as it wants them.
#[derive(Clone, Copy, Debug)]
pub struct Scratch<'a> {
    /// A directory, or a mount that is attached nowhere, and then used up.
    pub dir: BorrowedFd<'a>,
    /// The changes, below `dir`. Neither name has a comma or a colon.
    pub upper: &'a str,
    /// Overlayfs's own room beside them.
    pub work: &'a str,
}

/// Directories that have been stacked.
#[derive(Debug)]
pub struct Stacked {
    /// The overlay, attached nowhere.
    pub tree: OwnedFd,
    /// Another mount of the scratch, where that was attached nowhere and so was used up.
    pub scratch: Option<OwnedFd>,
}

/// What was being done when the kernel refused, and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotStacked {
    /// `attach the layers`.
    pub action: &'static str,
    /// The kernel's answer.
    pub errno: Errno,
}

/// Attaches a tree that is attached nowhere while `furnish` runs, so that mounts can be attached inside it, and returns it
/// with them, attached nowhere again. (Since Linux 6.15 that could be had without attaching it.)
pub fn furnished<E: Send>(
    tree: OwnedFd,
    furnish: impl FnOnce(OwnedFd) -> Result<(), E> + Send,
) -> Result<Result<OwnedFd, E>, NotStacked> {
    let attach = refused("attach the tree");
    aside(move || {
        stage().map_err(attach)?;
        Movable::Itself(tree.as_fd())
            .attach("tree")
            .map_err(attach)?;
        if let Err(error) = furnish(tree) {
            return Ok(Err(error));
        }
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        open_tree(CWD, "tree", flags).map(Ok).map_err(attach)
    })
}

/// A directory as a mount that can be attached.
#[derive(Debug)]
enum Movable<'a> {
    Clone(OwnedFd),
    /// Attached nowhere: it cannot be cloned, only moved.
    Itself(BorrowedFd<'a>),
}

impl Stack<'_> {
    /// Stacks them. The caller may mount in its mount namespace.
    pub fn mount(&self) -> Result<Stacked, NotStacked> {
        let attach = refused("attach the layers");
        let lower = self.lower.iter().map(|dir| Movable::of(*dir));
        let lower: Vec<_> = lower.collect::<Result<_, _>>().map_err(attach)?;
        let scratch = self.scratch.map(|scratch| Movable::of(scratch.dir));
        let scratch = scratch.transpose().map_err(attach)?;
        aside(|| self.mount_here(&lower, scratch.as_ref()))
    }

    /// The thread's part.
    fn mount_here(
        &self,
        lower: &[Movable<'_>],
        scratch: Option<&Movable<'_>>,
    ) -> Result<Stacked, NotStacked> {
        let attach = refused("attach the layers");
        stage().map_err(refused("make a place for the layers"))?;
        let mut names = Vec::with_capacity(lower.len());
        for (index, layer) in lower.iter().enumerate() {
            let name = index.to_string();
            layer.attach(&name).map_err(attach)?;
            names.push(name);
        }
        if let Some(scratch) = scratch {
            scratch.attach("scratch").map_err(attach)?;
        }
        let tree = self
            .overlay(&names.join(":"))
            .map_err(refused("stack the layers"))?;
        let scratch = match scratch {
            Some(Movable::Itself(_)) => Some(clone_of(CWD, "scratch").map_err(attach)?),
            _ => None,
        };
        Ok(Stacked { tree, scratch })
    }

    fn overlay(&self, lower: &str) -> Result<OwnedFd, Errno> {
        mkdirat(CWD, "merged", Mode::RWXU)?;
        let mut options = vec![format!("lowerdir={lower}")];
        if let Some(Scratch { upper, work, .. }) = self.scratch {
            options.push(format!("upperdir=scratch/{upper},workdir=scratch/{work}"));
        }
        options.extend(self.options.iter().map(|&word| word.to_owned()));
        let plain = options.join(",");
        options.extend(self.extras.iter().map(|&word| word.to_owned()));
        let mounted = match overlay_on("merged", &options.join(",")) {
            Err(Errno::INVAL) if !self.extras.is_empty() => overlay_on("merged", &plain),
            result => result,
        };
        mounted?;
        let tree = clone_of(CWD, "merged")?;
        let attr = MountAttr {
            set: self.attr,
            ..MountAttr::default()
        };
        if !self.attr.is_empty() {
            mount_setattr(&tree, "", At::EMPTY_PATH, &attr)?;
        }
        Ok(tree)
    }
}

impl<'a> Movable<'a> {
    fn of(dir: BorrowedFd<'a>) -> Result<Self, Errno> {
        match clone_of(dir, "") {
            Ok(clone) => Ok(Self::Clone(clone)),
            // Before Linux 6.15 only what is attached in the caller's namespace can be cloned.
            Err(Errno::INVAL) => Ok(Self::Itself(dir)),
            Err(errno) => Err(errno),
        }
    }

    fn attach(&self, name: &str) -> Result<(), Errno> {
        mkdirat(CWD, name, Mode::RWXU)?;
        let mount = match self {
            Self::Clone(clone) => clone.as_fd(),
            Self::Itself(mount) => *mount,
        };
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(mount, "", CWD, name, flags)
    }
}

/// Mounts overlayfs in the old way. Not `fsconfig`: that takes 255 bytes a value, and layers may be many; this takes a page.
fn overlay_on(place: &str, options: &str) -> Result<(), Errno> {
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    let flags = MountFlags::empty();
    mount("overlay", place, "overlay", flags, Some(options.as_c_str()))
}

/// Clones the mount at `path` below `dir`, nothing below it.
fn clone_of(dir: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if path.is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    open_tree(dir, path, flags)
}

/// Makes an empty directory and goes there: everything from here on has a short name that needs no escaping.
fn stage() -> Result<(), Errno> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let stage = fsmount(&context, flags, MountAttrFlags::empty())?;
    // Over `/`, which is there whatever else is.
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&stage, "", CWD, "/", flags)?;
    fchdir(&stage)
}

/// Runs `work` on a thread in a mount namespace of its own, a copy of the caller's from which nothing travels back.
fn aside<T: Send>(work: impl FnOnce() -> Result<T, NotStacked> + Send) -> Result<T, NotStacked> {
    let begin = refused("make a mount namespace");
    let alone = is_single_threaded().unwrap_or(false);
    let done = thread::scope(|scope| {
        let apart = || {
            unshare(CloneFlags::NEWNS).map_err(begin)?;
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount_change("/", private).map_err(begin)?;
            work()
        };
        let thread = thread::Builder::new()
            .spawn_scoped(scope, apart)
            .map_err(|error| begin(Errno::from_io_error(&error).unwrap_or(Errno::AGAIN)))?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    // A thread is joined a moment before the kernel has forgotten it, and until then a fork would be refused.
    while alone && !is_single_threaded().unwrap_or(true) {
        thread::yield_now();
    }
    done
}

fn refused(action: &'static str) -> impl Fn(Errno) -> NotStacked + Copy {
    move |errno| NotStacked { action, errno }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsRawFd as _;
    use std::path::{Path, PathBuf};

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Option<Self> {
            rustix::process::geteuid()
                .is_root()
                .then(|| Self(tempfile::tempdir().unwrap()))
        }

        /// Opens a new directory with one file, both of this name.
        fn layer(&self, name: &str) -> OwnedFd {
            let path = self.0.path().join(name);
            fs::create_dir(&path).unwrap();
            File::create(path.join(name)).unwrap();
            File::open(path).unwrap().into()
        }

        fn scratch(&self) -> OwnedFd {
            for name in ["s", "s/upper", "s/work"] {
                fs::create_dir(self.0.path().join(name)).unwrap();
            }
            File::open(self.0.path().join("s")).unwrap().into()
        }
    }

    fn writable(dir: &OwnedFd) -> Scratch<'_> {
        Scratch {
            dir: dir.as_fd(),
            upper: "upper",
            work: "work",
        }
    }

    fn place(mount: &OwnedFd) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()))
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn root_layers_are_stacked_and_written_over() {
        let Some(home) = Home::new() else { return };
        // Names that overlayfs would want escaped, were they ever said to it.
        let layers = ["a:b", "c,d", r"e\f"].map(|name| home.layer(name));
        let lower = layers.each_ref().map(AsFd::as_fd);
        let scratch = home.scratch();
        let stacked = Stack {
            lower: &lower,
            scratch: Some(writable(&scratch)),
            options: &[],
            extras: &["redirect_dir=on", "metacopy=on", "xino=on"],
            attr: MountAttrFlags::MOUNT_ATTR_NODEV,
        }
        .mount()
        .unwrap();
        assert!(stacked.scratch.is_none());
        let tree = place(&stacked.tree);
        assert_eq!(names(&tree), ["a:b", "c,d", r"e\f"]);
        File::create(tree.join("new")).unwrap();
        fs::rename(tree.join("c,d"), tree.join("moved")).unwrap();
        assert_eq!(
            names(&home.0.path().join("s/upper")),
            ["c,d", "moved", "new"]
        );
        let info = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!info.contains("scratch/upper"), "{info}");
    }

    #[test]
    fn root_as_many_layers_as_overlayfs_takes() {
        let Some(home) = Home::new() else { return };
        let layers: Vec<_> = (0..499).map(|n| home.layer(&format!("l{n}"))).collect();
        let lower: Vec<_> = layers.iter().map(AsFd::as_fd).collect();
        let stack = |lower| Stack {
            lower,
            scratch: None,
            options: &[],
            extras: &[],
            attr: MountAttrFlags::MOUNT_ATTR_RDONLY,
        };
        let tree = stack(&lower).mount().unwrap().tree;
        assert_eq!(names(&place(&tree)).len(), 499);
        assert!(File::create(place(&tree).join("x")).is_err());
        // Overlayfs wants two when nothing is written.
        let refused = stack(&lower[..1]).mount().unwrap_err();
        assert_eq!(
            (refused.action, refused.errno),
            ("stack the layers", Errno::INVAL)
        );
    }

    #[test]
    fn root_a_tree_is_furnished() {
        let Some(home) = Home::new() else { return };
        let tree = clone_of(home.layer("a").as_fd(), "").unwrap();
        fs::create_dir(home.0.path().join("a/place")).unwrap();
        let other = clone_of(home.layer("b").as_fd(), "").unwrap();
        let tree = furnished(tree, |root| {
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
            move_mount(&other, "", &root, "place", flags)
        });
        let tree = tree.unwrap().unwrap();
        assert_eq!(names(&place(&tree)), ["a", "place"]);
        assert_eq!(names(&place(&tree).join("place")), ["b"]);
        assert_eq!(
            names(&home.0.path().join("a/place")),
            Vec::<String>::new(),
            "nothing travels back"
        );
    }

    #[test]
    fn root_unknown_extras_are_done_without() {
        let Some(home) = Home::new() else { return };
        let layer = home.layer("a");
        let scratch = home.scratch();
        let stack = Stack {
            lower: &[layer.as_fd()],
            scratch: Some(writable(&scratch)),
            options: &[],
            extras: &["of_another_kernel=on"],
            attr: MountAttrFlags::empty(),
        };
        assert_eq!(names(&place(&stack.mount().unwrap().tree)), ["a"]);
    }
}
