//! The app's standard streams: three given descriptors, or a terminal of the container's own.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use hull_sys::Errno;
use hull_sys::mount::MountAttr;
use rustix::fs::{FileType, Gid, Mode, OFlags, ResolveFlags, Uid, fchown, fstat, fstatfs, makedev};
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::error::{At as _, Failure, Step};
use crate::launch::{Stdio, TerminalSize};
use crate::namespaces::HostRoot;
use crate::rootfs::inside::{Inside, Shape};
use crate::rootfs::mounts::attach;
use crate::rootfs::superblock::{Depth, clone_mount};

/// A terminal made in the container.
#[derive(Debug)]
pub(crate) struct Terminal {
    pub(crate) master: OwnedFd,
    slave: OwnedFd,
}

impl Terminal {
    /// Opens one in the devpts that is mounted at `/dev/pts` inside `root`.
    pub(crate) fn open(root: Inside<'_>, size: TerminalSize) -> Result<Self, Failure> {
        Self::open_pair(root, size).at(Step::Terminal, "")
    }

    fn open_pair(root: Inside<'_>, size: TerminalSize) -> Result<Self, Errno> {
        const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let rules = ResolveFlags::NO_SYMLINKS;
        let master = root.open(Path::new("/dev/pts/ptmx"), flags, Mode::empty(), rules)?;
        // An image cannot pass something else off as the multiplexer.
        let stat = fstat(&master)?;
        let real = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == makedev(5, 2)
            && fstatfs(&master)?.f_type == DEVPTS_SUPER_MAGIC;
        if !real {
            return Err(Errno::NOTTY);
        }
        unlockpt(&master)?;
        // From the master, not by name: the name could be another mount's.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = ioctl_tiocgptpeer(&master, flags)?;
        let size = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&slave, size)?;
        Ok(Self { master, slave })
    }

    /// Binds it over `/dev/console`.
    pub(crate) fn become_console(&self, root: Inside<'_>) -> Result<(), Failure> {
        let place = root
            .mount_point(Path::new("/dev/console"), Shape::File)
            .at(Step::Terminal, "")?;
        clone_mount(&self.slave, "", Depth::One, &MountAttr::default())
            .and_then(|console| attach(console.as_fd(), place.as_fd()))
            .at(Step::Terminal, "")
    }
}

/// Parent: gives pipes of ours to the container's root, or nobody inside could open `/dev/stdout`.
///
/// Only nameless pipes: a file or terminal of the caller's keeps its owner.
pub(crate) fn hand_over(stdio: &Stdio, root: HostRoot) -> Result<(), Failure> {
    let Stdio::Streams {
        stdin,
        stdout,
        stderr,
    } = stdio
    else {
        return Ok(());
    };
    if root.uid == 0 && root.gid == 0 {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(root.uid), Gid::from_raw(root.gid));
    for stream in [stdin, stdout, stderr] {
        if is_pipe(stream.as_fd()) {
            fchown(stream, Some(uid), Some(gid)).at(Step::Streams, "")?;
        }
    }
    Ok(())
}

/// Child: begins a session and puts the streams in place, owned by the user the app will be.
pub(crate) fn install(stdio: &Stdio, terminal: Option<&Terminal>, uid: u32) -> Result<(), Failure> {
    setsid().at(Step::Streams, "")?;
    let installed = match (stdio, terminal) {
        (_, Some(terminal)) => {
            ioctl_tiocsctty(&terminal.slave).at(Step::Terminal, "")?;
            let slave = terminal.slave.as_fd();
            put([slave, slave, slave])
        }
        (
            Stdio::Streams {
                stdin,
                stdout,
                stderr,
            },
            None,
        ) => put([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]),
        (Stdio::Terminal(_), None) => Err(Errno::NOTTY),
    };
    installed.at(Step::Streams, "")?;
    if uid == 0 {
        return Ok(());
    }
    let uid = Some(Uid::from_raw(uid));
    match (stdio, terminal) {
        // The group stays `tty`.
        (_, Some(terminal)) => fchown(&terminal.slave, uid, None).at(Step::Terminal, ""),
        (
            Stdio::Streams {
                stdin,
                stdout,
                stderr,
            },
            None,
        ) => [stdin, stdout, stderr]
            .into_iter()
            .filter(|stream| is_pipe(stream.as_fd()))
            .try_for_each(|stream| match fchown(stream, uid, None) {
                // A pipe of a caller outside the map.
                Err(Errno::PERM | Errno::INVAL) => Ok(()),
                result => result,
            })
            .at(Step::Streams, ""),
        (Stdio::Terminal(_), None) => Ok(()),
    }
}

fn put(streams: [BorrowedFd<'_>; 3]) -> Result<(), Errno> {
    // A source that lies at 0, 1 or 2 itself would be overwritten before its turn.
    let mut moved: [Option<OwnedFd>; 3] = [None, None, None];
    for (stream, slot) in streams.iter().zip(&mut moved) {
        if stream.as_raw_fd() < 3 {
            *slot = Some(rustix::io::fcntl_dupfd_cloexec(stream, 3)?);
        }
    }
    let source = |index: usize| moved[index].as_ref().map_or(streams[index], AsFd::as_fd);
    dup2_stdin(source(0))?;
    dup2_stdout(source(1))?;
    dup2_stderr(source(2))
}

fn is_pipe(fd: BorrowedFd<'_>) -> bool {
    const PIPEFS_MAGIC: i64 = 0x5049_5045;
    fstatfs(fd).is_ok_and(|stat| stat.f_type == PIPEFS_MAGIC)
}
