//! The socket for clients: `attach` in the pod's directory below the run directory.

use std::{os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{AtFlags, Mode, OFlags},
    io::Errno,
};

use crate::{Handover, MonitorError, attach};

/// Makes the socket for clients. Its path may be longer than the 108 bytes that an address has, so it is bound through the
/// directory's descriptor.
pub(super) fn listen(order: &Handover) -> Result<OwnedFd, MonitorError> {
    let path = order.run.join(format!("pods/{}", order.pod));
    make_run_directory(order, &path).map_err(|source| MonitorError::File {
        what: "make",
        path: path.clone(),
        source,
    })?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory =
        rustix::fs::open(&path, flags, Mode::empty()).map_err(|source| MonitorError::File {
            what: "open",
            path: path.clone(),
            source,
        })?;
    // A monitor that was killed left its socket.
    rustix::fs::unlinkat(&directory, "attach", AtFlags::empty()).ok();
    attach::listen_in(&directory).map_err(|source| MonitorError::File {
        what: "listen at",
        path,
        source,
    })
}

fn make_run_directory(order: &Handover, path: &Path) -> Result<(), Errno> {
    let exists = |result| match result {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    };
    // An ordinary user without a directory for the session: in /tmp anybody may have made one of that name.
    if let Some(own) = order.run.parent()
        && own.parent() == Some(Path::new("/tmp"))
    {
        exists(rustix::fs::mkdir(own, Mode::RWXU))?;
        if rustix::fs::lstat(own)?.st_uid != rustix::process::geteuid().as_raw() {
            return Err(Errno::PERM);
        }
    }
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Err(Errno::NOENT) => {
            exists(rustix::fs::mkdir(&order.run, Mode::RWXU))?;
            exists(rustix::fs::mkdir(order.run.join("pods"), Mode::RWXU))?;
            exists(rustix::fs::mkdir(path, Mode::RWXU))
        }
        other => exists(other),
    }
}

/// A socket that stays is found by `gc`.
pub(super) fn remove(order: &Handover) {
    let path = order.run.join(format!("pods/{}", order.pod));
    rustix::fs::unlink(path.join("attach")).ok();
    rustix::fs::rmdir(path).ok();
}
