//! A directory to work in, with something beside it that nothing may touch.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// A root directory for one input, and its neighbours.
///
/// ```text
/// <scratch>/outside/{file,link,directory/file}   must stay as they are
/// <scratch>/root/                                 what the engine may write to
/// ```
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
    before: BTreeMap<PathBuf, String>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        // Memory where there is some: a file system on a disk would be what is measured.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let dir = tempfile::Builder::new()
            .prefix("hull-fuzz-")
            .tempdir_in(place)
            .expect("a scratch directory can be made");
        let outside = dir.path().join("outside");
        let made = fs::create_dir(dir.path().join("root"))
            .and_then(|()| fs::create_dir_all(outside.join("directory")))
            .and_then(|()| fs::copy("/proc/self/comm", outside.join("file")))
            .and_then(|_| fs::copy("/proc/self/comm", outside.join("directory/file")))
            .and_then(|_| std::os::unix::fs::symlink("file", outside.join("link")));
        made.expect("a scratch directory can be filled");
        let before = tree(&outside);
        Self { dir, before }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Panics if anything but the root was touched.
    pub(crate) fn outside_is_untouched(&self) {
        assert_eq!(tree(&self.dir.path().join("outside")), self.before);
        assert_eq!(
            names(self.dir.path()),
            ["outside", "root"],
            "something was made beside the root"
        );
    }
}

/// Returns the names in a directory, in order.
pub(crate) fn names(dir: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(dir).expect("the directory can be listed");
    let mut names: Vec<OsString> = entries
        .map(|entry| entry.expect("an entry can be read").file_name())
        .collect();
    names.sort();
    names
}

/// Describes everything below a directory, itself included: whatever would change if somebody wrote there.
pub(crate) fn tree(top: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![top.to_owned()];
    while let Some(path) = left.pop() {
        let data = path.symlink_metadata().expect("what is listed is there");
        let kind = data.file_type();
        assert!(
            !kind.is_block_device() && (!kind.is_char_device() || data.rdev() == 0),
            "{} is a device",
            path.display()
        );
        let line = format!(
            "{:o} {}:{} {} {}.{} {}",
            data.mode(),
            data.uid(),
            data.gid(),
            data.nlink(),
            data.mtime(),
            data.mtime_nsec(),
            data.size()
        );
        if data.is_dir() {
            left.extend(names(&path).into_iter().map(|name| path.join(name)));
        }
        found.insert(path, line);
    }
    found
}
