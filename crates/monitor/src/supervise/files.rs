//! The container's directory, which has what its root was changed by, and its log.

use std::os::fd::{AsFd, OwnedFd};

use hull_runtime::RootFs;
use rustix::fs::{Mode, OFlags};

use crate::{Handover, LogWriter, MonitorError, Rootfs};

/// The directory, open.
#[derive(Debug)]
pub(super) struct Files {
    directory: OwnedFd,
}

impl Files {
    pub(super) fn open(order: &Handover) -> Result<Self, MonitorError> {
        let path = order
            .root
            .join(format!("pods/{}/{}", order.pod, order.place));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory =
            rustix::fs::open(&path, flags, Mode::empty()).map_err(|source| MonitorError::File {
                what: "open",
                path,
                source,
            })?;
        Ok(Self { directory })
    }

    /// Says what the container's root is put together from.
    pub(super) fn root(
        &self,
        order: &Handover,
        layers: Vec<OwnedFd>,
    ) -> Result<RootFs, MonitorError> {
        let linux = order.spec.linux.as_ref();
        Ok(match &order.rootfs {
            Rootfs::Overlay => RootFs::Overlay {
                lower: layers,
                scratch: self.copy()?,
                idmap: linux.is_some_and(|linux| !linux.uid_mappings.is_empty()),
                volatile: order.remove,
            },
            Rootfs::Host { hide } => RootFs::HostOverlay { hide: hide.clone() },
        })
    }

    /// Opens the log.
    pub(super) fn log(self, order: &Handover) -> LogWriter {
        LogWriter::new(self.directory, order.log)
    }

    fn copy(&self) -> Result<OwnedFd, MonitorError> {
        rustix::io::fcntl_dupfd_cloexec(self.directory.as_fd(), 3).map_err(|source| {
            MonitorError::System {
                what: "copy a descriptor",
                source,
            }
        })
    }
}
