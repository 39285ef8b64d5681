//! File-system user and group ids: who the kernel takes this thread for when it touches files.
//!
//! Real, effective and supplementary ids are in `rustix::thread`; like these they belong to one thread.

use crate::{Errno, Result};

/// The file-system ids of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FsIds {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Sets the calling thread's file-system ids and returns the former ones. `EPERM` (and no change): not allowed.
///
/// Leaving uid 0 takes the file capabilities (`CAP_DAC_OVERRIDE` and its like) out of the effective set, and coming back
/// to 0 returns them: [`crate::caps::raise_effective`] puts them back earlier.
///
/// <https://man7.org/linux/man-pages/man2/setfsuid.2.html>
pub fn set_fs_ids(ids: FsIds) -> Result<FsIds> {
    // The group goes first, as long as the user may still be the one that is allowed to.
    let gid = set_gid(ids.gid)?;
    match set_uid(ids.uid) {
        Ok(uid) => Ok(FsIds { uid, gid }),
        Err(errno) => set_gid(gid).and(Err(errno)),
    }
}

fn set_uid(uid: u32) -> Result<u32> {
    // SAFETY: changes an attribute of this thread only; no memory is involved.
    let former = unsafe { libc::setfsuid(uid) };
    // The call answers the former id whether it worked or not; -1 is no id, so this only asks.
    // SAFETY: as above.
    let now = unsafe { libc::setfsuid(u32::MAX) };
    if now.cast_unsigned() == uid {
        Ok(former.cast_unsigned())
    } else {
        Err(Errno::PERM)
    }
}

fn set_gid(gid: u32) -> Result<u32> {
    // SAFETY: changes an attribute of this thread only; no memory is involved.
    let former = unsafe { libc::setfsgid(gid) };
    // SAFETY: as above; this only asks.
    let now = unsafe { libc::setfsgid(u32::MAX) };
    if now.cast_unsigned() == gid {
        Ok(former.cast_unsigned())
    } else {
        Err(Errno::PERM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags, open};
    use std::os::unix::fs::MetadataExt;
    use std::thread;

    #[test]
    fn root_thread_makes_files_as_somebody_else_and_comes_back() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("needs root");
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let root = FsIds { uid: 0, gid: 0 };
        let path = file.clone();
        thread::spawn(move || {
            let other = FsIds {
                uid: 1234,
                gid: 5678,
            };
            assert_eq!(set_fs_ids(other).unwrap(), root);
            // The directory is root's: without its file capabilities the other id may not write there.
            crate::caps::raise_effective().unwrap();
            open(
                &path,
                OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC,
                Mode::RUSR,
            )
            .unwrap();
            assert_eq!(set_fs_ids(root).unwrap(), other);
        })
        .join()
        .unwrap();
        let made = std::fs::metadata(&file).unwrap();
        assert_eq!((made.uid(), made.gid()), (1234, 5678));
    }

    #[test]
    fn root_loses_the_right_to_change_with_its_capabilities() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("needs root");
        }
        thread::spawn(|| {
            let none = crate::caps::CapSets {
                effective: crate::caps::CapSet::empty(),
                permitted: crate::caps::CapSet::empty(),
                inheritable: crate::caps::CapSet::empty(),
            };
            crate::caps::set(none).unwrap();
            assert_eq!(
                set_fs_ids(FsIds { uid: 5, gid: 0 }).unwrap_err(),
                Errno::PERM
            );
            assert_eq!(
                set_fs_ids(FsIds { uid: 0, gid: 5 }).unwrap_err(),
                Errno::PERM
            );
        })
        .join()
        .unwrap();
    }
}
