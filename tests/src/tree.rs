//! A directory tree at one moment, to be compared with another moment.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Every file below a directory, with all of it that a stranger could have changed; times are left out.
#[derive(Clone, PartialEq, Eq)]
pub struct Tree(BTreeMap<PathBuf, String>);

impl Tree {
    /// Looks at a directory.
    pub fn of(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        walk(root, &mut files);
        Self(files)
    }

    /// Leaves out a directory and all below it.
    pub fn without(mut self, dir: &Path) -> Self {
        self.0.retain(|path, _| !path.starts_with(dir));
        self
    }

    /// Panics with the differences, if there are any.
    pub fn assert_is(&self, other: &Self) {
        let lines = |from: &Self, not: &Self, sign: char| -> Vec<String> {
            from.0
                .iter()
                .filter(|(path, text)| not.0.get(*path) != Some(*text))
                .map(|(path, text)| format!("{sign} {} {text}", path.display()))
                .collect()
        };
        let mut differences = lines(self, other, '-');
        differences.extend(lines(other, self, '+'));
        assert!(
            differences.is_empty(),
            "the tree is not as it was:\n{}",
            differences.join("\n")
        );
    }
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} files", self.0.len())
    }
}

fn walk(path: &Path, files: &mut BTreeMap<PathBuf, String>) {
    let Ok(meta) = path.symlink_metadata() else {
        return;
    };
    let what = if meta.is_file() {
        let bytes = std::fs::read(path).unwrap_or_default();
        crate::sha256(&bytes)
    } else if meta.is_symlink() {
        std::fs::read_link(path)
            .map(|to| to.display().to_string())
            .unwrap_or_default()
    } else {
        format!("device {}", meta.rdev())
    };
    let text = format!("{:o} {}:{} {what}", meta.mode(), meta.uid(), meta.gid());
    files.insert(path.to_owned(), text);
    if meta.is_dir() {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            walk(&entry.path(), files);
        }
    }
}
