//! The few kernel settings Hull changes, each only where it is not what is needed.
//!
//! `/proc/sys/net` shows the calling thread's network namespace.

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::error::NetError;

const ON: &str = "1";

/// Whether a setting had to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Was {
    So,
    Otherwise,
}

/// Makes the setting `1`.
pub(crate) fn turn_on(path: &str) -> Result<Was, NetError> {
    let failed = |source| NetError::Sysctl {
        path: path.to_owned(),
        value: ON,
        source,
    };
    // Looked at first: /proc/sys may be read-only where Hull itself runs in a container that has all it needs.
    if read(path).map_err(failed)?.starts_with(ON.as_bytes()) {
        return Ok(Was::So);
    }
    write(path, ON).map_err(failed)?;
    Ok(Was::Otherwise)
}

/// Makes the setting `1` where it exists: a kernel without IPv6 has no settings for it.
pub(crate) fn turn_on_if_there(path: &str) -> Result<(), NetError> {
    match write(path, ON) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(source) => Err(NetError::Sysctl {
            path: path.to_owned(),
            value: ON,
            source,
        }),
    }
}

fn read(path: &str) -> Result<Vec<u8>, Errno> {
    let file = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [0; 16];
    let length = rustix::io::read(&file, &mut buffer)?;
    Ok(buffer[..length].to_vec())
}

fn write(path: &str, value: &str) -> Result<(), Errno> {
    let file = rustix::fs::openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, value.as_bytes()).map(drop)
}
