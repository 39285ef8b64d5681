//! A disk that is full: the error names the entry, and nothing is left of the layer.

use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use super::{directories, is_root};
use crate::conformance::layer::Layer;
use crate::conformance::try_unpack;
use crate::{Driver, SnapshotError};

#[test]
fn root_a_full_disk_is_told_and_left_as_it_was() {
    if !is_root() {
        return;
    }
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    fsconfig_set_string(&context, "size", "1m").unwrap();
    fsconfig_create(&context).unwrap();
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let disk = fsmount(&context, flags, MountAttrFlags::empty()).unwrap();
    let driver = directories(&PathBuf::from(format!(
        "/proc/self/fd/{}",
        disk.as_raw_fd()
    )));
    let free = || rustix::fs::fstatvfs(&disk).unwrap().f_bfree;
    let before = free();
    let archive = Layer::new()
        .file("small", "1")
        .file("etc/large", &"x".repeat(2_000_000))
        .end();
    let error = try_unpack(&driver, 1, &archive).unwrap_err();
    assert_eq!(error.to_string(), "cannot write `etc/large`");
    assert!(matches!(
        error,
        SnapshotError::Entry {
            source: Errno::NOSPC,
            ..
        }
    ));
    assert!(error.hint().is_some());
    assert!(driver.list().unwrap().is_empty());
    // The store's own lock file may have come.
    assert!(before - free() <= 1);
}
