//! What a container has on disk: what its root was changed by, and its log.

use std::os::fd::{AsFd, OwnedFd};

use hull_runtime::{Directories, RootFs};
use hull_state::{LOG, UPPER, WORK, part_of};
use rustix::fs::{Mode, OFlags};

use crate::{Handover, LogWriter, MonitorError, Rootfs};

/// Hull's root directory, open.
#[derive(Debug)]
pub(super) struct Files {
    root: OwnedFd,
}

impl Files {
    pub(super) fn open(order: &Handover) -> Result<Self, MonitorError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&order.root, flags, Mode::empty()).map_err(|source| {
            MonitorError::File {
                what: "open",
                path: order.root.clone(),
                source,
            }
        })?;
        Ok(Self { root })
    }

    /// Says what the container's root is put together from.
    pub(super) fn root(&self, order: &Handover) -> Result<RootFs, MonitorError> {
        let linux = order.spec.linux.as_ref();
        Ok(match &order.rootfs {
            Rootfs::Overlay { layers } => RootFs::Overlay {
                directories: Directories {
                    base: self.copy()?,
                    lower: layers.clone(),
                    upper: path_of(order, UPPER),
                    work: path_of(order, WORK),
                },
                idmap: linux.is_some_and(|linux| !linux.uid_mappings.is_empty()),
                volatile: order.remove,
            },
            Rootfs::Host { hide } => RootFs::HostOverlay { hide: hide.clone() },
        })
    }

    /// Returns what writes the log.
    pub(super) fn log(&self, order: &Handover) -> Result<LogWriter, MonitorError> {
        Ok(LogWriter::new(self.copy()?, path_of(order, LOG), order.log))
    }

    /// Returns Hull's root directory.
    pub(super) fn into_root(self) -> OwnedFd {
        self.root
    }

    fn copy(&self) -> Result<OwnedFd, MonitorError> {
        rustix::io::fcntl_dupfd_cloexec(self.root.as_fd(), 3).map_err(|source| {
            MonitorError::System {
                what: "copy a descriptor",
                source,
            }
        })
    }
}

/// Where a part of the container lies below the root directory.
fn path_of(order: &Handover, part: &str) -> String {
    format!("pods/{}/{}", order.pod, part_of(order.place, part))
}
