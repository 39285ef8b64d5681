//! Taking groups away, and finding those nobody took away.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rustix::io::Errno;

use crate::{CgroupError, Group, GroupPath, Hierarchies, files};

/// A process counts as being in its group until it is reaped on some kernels, and controllers let go of a group in their own time.
const PATIENCE_MS: [u64; 11] = [0, 1, 1, 2, 4, 8, 16, 32, 64, 128, 256];

impl Group {
    /// Removes the group from every hierarchy, with the groups its processes made below. They must be gone. Safe to repeat.
    pub fn remove(&self) -> Result<(), CgroupError> {
        let mut first = Ok(());
        for dir in self.dirs.iter().rev() {
            let removed = remove_tree(&dir.path).map_err(|source| CgroupError::Remove {
                path: dir.path.clone(),
                source,
            });
            first = first.and(removed);
        }
        first
    }
}

impl Hierarchies {
    /// Returns the names of all groups directly below `parent`, in whichever hierarchy: what garbage collection compares with the live pods.
    pub fn groups_below(&self, parent: &GroupPath) -> Result<BTreeSet<String>, CgroupError> {
        let mut names = BTreeSet::new();
        for place in self.places() {
            let path = self.base(place).join(parent.as_path());
            match files::open_dir(&path).and_then(files::children) {
                Ok(children) => names.extend(children),
                Err(Errno::NOENT) => {}
                Err(source) => return Err(CgroupError::Read { path, source }),
            }
        }
        Ok(names)
    }

    /// Tells whether there is a group at this place in any hierarchy.
    pub fn has_group(&self, path: &GroupPath) -> bool {
        let mut places = self.places().into_iter();
        places.any(|place| self.base(place).join(path.as_path()).is_dir())
    }

    /// Removes a parent group wherever nothing is below it. Groups being made at the same time make it again.
    pub fn remove_if_empty(&self, parent: &GroupPath) -> Result<(), CgroupError> {
        for place in self.places() {
            let path = self.base(place).join(parent.as_path());
            match files::remove_dir(&path) {
                Ok(()) | Err(Errno::NOENT | Errno::BUSY) => {}
                Err(source) => return Err(CgroupError::Remove { path, source }),
            }
        }
        Ok(())
    }
}

fn remove_tree(path: &Path) -> Result<(), Errno> {
    for pause in PATIENCE_MS {
        sleep(Duration::from_millis(pause));
        match files::remove_dir(path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY | Errno::NOTEMPTY) => remove_children(path)?,
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::BUSY)
}

/// The container may have made groups inside its own.
fn remove_children(path: &Path) -> Result<(), Errno> {
    let children = match files::open_dir(path).and_then(files::children) {
        Err(Errno::NOENT) => return Ok(()),
        children => children?,
    };
    children
        .iter()
        .try_for_each(|child| remove_tree(&path.join(child)))
}
