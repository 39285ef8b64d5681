//! Work in another network namespace, done by the calling thread, which goes there and comes back.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::thread::LinkNameSpaceType;

use crate::error::NetError;

/// Runs `work` with the calling thread in the network namespace `netns`.
///
/// Descriptors opened before, sockets too, keep the namespace they were opened in.
pub(crate) fn inside<T>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<T, NetError>,
) -> Result<T, NetError> {
    let here = current()?;
    enter(netns).map_err(|source| NetError::Enter { source })?;
    let done = work();
    // A thread that stayed behind would do the host's work in a container's network: this error outranks the other.
    enter(std::os::fd::AsFd::as_fd(&here)).map_err(|source| NetError::Return { source })?;
    done
}

/// Opens the calling thread's network namespace (`self` would be the first thread's).
pub(crate) fn current() -> Result<OwnedFd, NetError> {
    rustix::fs::open(
        "/proc/thread-self/ns/net",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|source| NetError::Enter { source })
}

fn enter(netns: BorrowedFd<'_>) -> rustix::io::Result<()> {
    rustix::thread::move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
}
