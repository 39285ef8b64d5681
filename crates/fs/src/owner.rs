//! Files made as somebody else.
//!
//! On an id-mapped mount, and on an overlay over one, nobody can make a file whose ids the map does not have: not even
//! root (`EOVERFLOW`). Changing, reading and removing need no such thing.

use hull_sys::ids::{FsIds, set_fs_ids};
use hull_sys::{Result, caps};

/// Runs `make` with other file-system ids and every capability there is, on this thread only, and returns to the former ids.
pub fn as_owner<T>(uid: u32, gid: u32, make: impl FnOnce() -> Result<T>) -> Result<T> {
    let own = set_fs_ids(FsIds { uid, gid })?;
    if own == (FsIds { uid, gid }) {
        return make();
    }
    // Leaving uid 0 took the right to pass over permissions; coming back returns it.
    let made = caps::raise_effective().and_then(|()| make());
    set_fs_ids(own)?;
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, mkdir};
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn root_files_belong_to_whom_they_are_made_as() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let (theirs, ours) = (home.path().join("theirs"), home.path().join("ours"));
        std::thread::spawn(move || {
            as_owner(1234, 5678, || mkdir(&theirs, Mode::RWXU)).unwrap();
            mkdir(&ours, Mode::RWXU).unwrap();
            let owner = |path| {
                let metadata = std::fs::metadata(path).unwrap();
                (metadata.uid(), metadata.gid())
            };
            assert_eq!(owner(theirs), (1234, 5678));
            assert_eq!(owner(ours), (0, 0));
        })
        .join()
        .unwrap();
    }
}
