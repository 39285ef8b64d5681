//! `@host`: the host's own files under a throw-away layer (design.md §6).
//!
//! As root it is one overlay: the host's `/` below, *not* id-mapped, so that root inside is a stranger to the host's files
//! and reads what every user of the host may read; an upper layer on the backstage tmpfs. Directories that shall be empty
//! are opaque directories in that upper layer, which cost no mount.
//!
//! An ordinary user's mount namespace is a locked copy of the host's: overlayfs refuses a lower directory that has mounts
//! below it, because the copy could look under them. So the root is a skeleton of plain directories, with one overlay on
//! each branch that has no mount below. [`Branch::plan`] decides; [`Skeleton`] does.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use hull_fs::overlay::{Scratch, Stacked};
use hull_sys::Errno;
use hull_sys::mount::MountAttr;
use rustix::fs::{
    CWD, Dir, FileType, Mode, OFlags, Stat, XattrFlags, chmodat, fsetxattr, fstat, mkdirat, openat,
    readlinkat, symlinkat,
};
use rustix::mount::MountAttrFlags;

use super::inside::{Inside, Shape};
use super::mounts::attach;
use super::overlay::{Marks, Overlay};
use super::superblock::{Depth, clone_mount};
use crate::error::{At as _, Failure, Step};

/// Directories the container has of its own, and their modes.
const OWN: [(&str, u32); 10] = [
    ("proc", 0o755),
    ("sys", 0o755),
    ("dev", 0o755),
    ("run", 0o755),
    ("tmp", 0o1777),
    ("home", 0o755),
    ("root", 0o700),
    ("boot", 0o755),
    ("mnt", 0o755),
    ("media", 0o755),
];

/// What is mounted below the host's `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostMounts {
    mounts: Vec<HostMount>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct HostMount {
    place: PathBuf,
    /// A file system of files, not of the kernel's or of memory.
    disk: bool,
}

impl HostMounts {
    /// Reads them from the caller's own mount table.
    pub(crate) fn read() -> Result<Self, Failure> {
        let path = Path::new("/proc/self/mountinfo");
        let text = std::fs::read(path)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            .at(Step::HostRoot, path)?;
        Ok(Self::parse(&text))
    }

    fn parse(mountinfo: &[u8]) -> Self {
        let mut mounts: Vec<HostMount> = mountinfo
            .split(|&byte| byte == b'\n')
            .filter_map(HostMount::parse)
            .filter(|mount| mount.place != Path::new("/"))
            .collect();
        mounts.sort_by(|one, other| one.place.cmp(&other.place));
        mounts.dedup_by(|later, first| later.place == first.place);
        Self { mounts }
    }

    /// Returns the places of disk file systems the container shall see, those above first.
    pub(crate) fn visible_disks(&self) -> impl Iterator<Item = &Path> {
        self.mounts
            .iter()
            .filter(|mount| mount.disk && !is_own(&mount.place))
            .map(|mount| mount.place.as_path())
    }

    fn has_below(&self, dir: &Path) -> bool {
        self.mounts
            .iter()
            .any(|mount| mount.place != dir && mount.place.starts_with(dir))
    }

    fn at(&self, place: &Path) -> Option<&HostMount> {
        self.mounts.iter().find(|mount| mount.place == place)
    }
}

impl HostMount {
    /// Reads a line of mountinfo: `36 35 98:0 /root /place rw,… tags… - fstype source options`.
    fn parse(line: &[u8]) -> Option<Self> {
        const FILE_SYSTEMS_WITHOUT_A_DEVICE: [&[u8]; 5] =
            [b"zfs", b"btrfs", b"bcachefs", b"virtiofs", b"9p"];
        let mut fields = line.split(|&byte| byte == b' ');
        let place = fields.nth(4)?;
        let mut after = fields.skip_while(|field| *field != b"-").skip(1);
        let (kind, source) = (after.next()?, after.next()?);
        Some(Self {
            place: PathBuf::from(OsString::from_vec(unescape(place))),
            disk: source.starts_with(b"/dev/") || FILE_SYSTEMS_WITHOUT_A_DEVICE.contains(&kind),
        })
    }
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let digits = (first == b'\\').then(|| after.get(..3)).flatten();
        let octal = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        (plain, rest) = match octal {
            Some(byte) => ([plain, vec![byte]].concat(), &after[3..]),
            None => ([plain, vec![first]].concat(), after),
        };
    }
    plain
}

/// Says whether a path lies in a directory the container has of its own.
fn is_own(path: &Path) -> bool {
    OWN.iter()
        .any(|(name, _)| path.starts_with(Path::new("/").join(name)))
}

/// Makes the overlay of `@host` for root. `backstage` has `upper` and `work`.
pub(crate) fn overlay(backstage: BorrowedFd<'_>) -> Result<Stacked, Failure> {
    let lower = clone_mount(CWD, "/", Depth::One, &MountAttr::default()).at(Step::HostRoot, "/")?;
    let open = |name: &str| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(backstage, name, flags, Mode::empty()).at(Step::Tmpfs, name)
    };
    let (upper, work) = (open("upper")?, open("work")?);
    for (name, mode) in OWN {
        let shown = match openat(&lower, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            Ok(_) => true,
            Err(Errno::NOENT) => matches!(name, "proc" | "sys" | "dev" | "tmp" | "run"),
            Err(errno) => return Err(Failure::new(Step::HostRoot, name, errno)),
        };
        if shown {
            opaque(upper.as_fd(), name, mode).at(Step::HostRoot, name)?;
        }
    }
    Overlay {
        lower: vec![lower.as_fd()],
        apart: None,
        upper: upper.as_fd(),
        work: work.as_fd(),
        scratch: Scratch {
            dir: backstage,
            upper: "upper",
            work: "work",
        },
        marks: Marks::Trusted,
        volatile: false,
        attr: MountAttrFlags::MOUNT_ATTR_NODEV,
    }
    .mount()
}

fn opaque(upper: BorrowedFd<'_>, name: &str, mode: u32) -> Result<(), Errno> {
    mkdirat(upper, name, Mode::from_raw_mode(mode))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(upper, name, flags, Mode::empty())?;
    fsetxattr(dir, "trusted.overlay.opaque", b"y", XattrFlags::empty())
}

/// Clones a disk file system of the host for the container: to be looked at.
pub(crate) fn disk(place: &Path) -> Result<OwnedFd, Failure> {
    let attr = MountAttr {
        set: MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOSUID,
        ..MountAttr::default()
    };
    clone_mount(CWD, place, Depth::One, &attr).at(Step::HostRoot, place)
}

/// What becomes of one directory entry of the host in an ordinary user's `@host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Branch {
    /// An empty directory of this mode.
    Own(u32),
    /// An overlay on it.
    Overlay,
    /// A plain directory, whose entries are looked at one by one.
    Descend,
    /// The same link.
    Link,
    /// A single file, bound read-only.
    File,
    /// Nothing the container shall see.
    Absent,
}

impl Branch {
    fn plan(place: &Path, kind: FileType, mounts: &HostMounts) -> Self {
        let own = OWN
            .iter()
            .find(|(name, _)| place == Path::new("/").join(name));
        let kernels = mounts.at(place).is_some_and(|mount| !mount.disk);
        match kind {
            _ if own.is_some() => Self::Own(own.map_or(0o755, |own| own.1)),
            FileType::Directory if kernels => Self::Own(0o755),
            FileType::Directory if mounts.has_below(place) => Self::Descend,
            FileType::Directory => Self::Overlay,
            FileType::Symlink => Self::Link,
            FileType::RegularFile => Self::File,
            _ => Self::Absent,
        }
    }
}

/// The root of an ordinary user's `@host` while it grows.
#[derive(Debug)]
pub(crate) struct Skeleton<'a> {
    mounts: &'a HostMounts,
    backstage: BorrowedFd<'a>,
    upper: OwnedFd,
    work: OwnedFd,
    overlays: usize,
}

impl<'a> Skeleton<'a> {
    /// Branches with mounts below are followed this far; deeper ones are left out.
    const DEPTH: usize = 8;

    /// Builds the root on the attached backstage tmpfs and returns a mount of it.
    pub(crate) fn build(
        mounts: &'a HostMounts,
        backstage: BorrowedFd<'a>,
    ) -> Result<OwnedFd, Failure> {
        let open = |name: &str| {
            Inside(backstage)
                .mount_point(Path::new(name), Shape::Directory)
                .at(Step::Tmpfs, name)
        };
        let place = open("/root")?;
        let mut skeleton = Self {
            mounts,
            backstage,
            upper: open("/upper")?,
            work: open("/work")?,
            overlays: 0,
        };
        let root = clone_mount(backstage, "root", Depth::One, &MountAttr::default())
            .at(Step::HostRoot, "/")?;
        // What is mounted on the branches has to be mounted on something that is attached itself.
        attach(root.as_fd(), place.as_fd()).at(Step::HostRoot, "/")?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let host = openat(CWD, "/", flags, Mode::empty()).at(Step::HostRoot, "/")?;
        skeleton.grow(host.as_fd(), root.as_fd(), Path::new("/"))?;
        Ok(root)
    }

    fn grow(
        &mut self,
        host: BorrowedFd<'_>,
        inside: BorrowedFd<'_>,
        at: &Path,
    ) -> Result<(), Failure> {
        if at.components().count() > Self::DEPTH {
            return Ok(());
        }
        // A directory the user may not list stays empty.
        let Ok(entries) = Dir::read_from(host) else {
            return Ok(());
        };
        for entry in entries {
            let entry = entry.at(Step::HostRoot, at)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let place = at.join(name);
            self.branch(host, inside, name, &place)
                .at(Step::HostRoot, &place)?;
            self.follow(host, inside, name, &place)?;
        }
        Ok(())
    }

    /// Makes what stands for one entry.
    fn branch(
        &mut self,
        host: BorrowedFd<'_>,
        inside: BorrowedFd<'_>,
        name: &OsStr,
        place: &Path,
    ) -> Result<(), Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let entry = openat(host, name, flags, Mode::empty())?;
        let stat = fstat(&entry)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        match Branch::plan(place, kind, self.mounts) {
            Branch::Absent => Ok(()),
            Branch::Own(mode) => mkdirat(inside, name, Mode::from_raw_mode(mode)),
            Branch::Descend => mkdirat(inside, name, Mode::from_raw_mode(0o755)),
            Branch::Link => symlinkat(readlinkat(&entry, "", Vec::new())?, inside, name),
            Branch::File => {
                let Ok(file) = clone_mount(&entry, "", Depth::One, &MountAttr::default()) else {
                    return Ok(());
                };
                let target = Inside(inside).mount_point(Path::new(name), Shape::File)?;
                attach(file.as_fd(), target.as_fd())
            }
            Branch::Overlay => {
                mkdirat(inside, name, Mode::from_raw_mode(0o755))?;
                let target = Inside(inside).find(Path::new(name), OFlags::DIRECTORY)?;
                match self.overlay(entry.as_fd(), &stat) {
                    Ok(overlay) => attach(overlay.as_fd(), target.as_fd()),
                    // A file system that cannot lie under an overlay, or a directory closed to this user: shown empty.
                    Err(_) => Ok(()),
                }
            }
        }
    }

    /// Goes into an entry that was made a plain directory because something is mounted below it.
    fn follow(
        &mut self,
        host: BorrowedFd<'_>,
        inside: BorrowedFd<'_>,
        name: &OsStr,
        place: &Path,
    ) -> Result<(), Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(dir) = openat(host, name, flags, Mode::empty()) else {
            return Ok(());
        };
        if Branch::plan(place, FileType::Directory, self.mounts) != Branch::Descend {
            return Ok(());
        }
        let into = openat(inside, name, flags, Mode::empty()).at(Step::HostRoot, place)?;
        self.grow(dir.as_fd(), into.as_fd(), place)
    }

    fn overlay(&mut self, lower: BorrowedFd<'_>, stat: &Stat) -> Result<OwnedFd, Failure> {
        let number = self.overlays.to_string();
        self.overlays += 1;
        let room = |dir: &OwnedFd, mode: u32| {
            let name = number.as_str();
            mkdirat(dir, name, Mode::from_raw_mode(0o700)).at(Step::Tmpfs, name)?;
            // The merged directory shows the upper one's mode.
            chmodat(
                dir,
                name,
                Mode::from_raw_mode(mode),
                rustix::fs::AtFlags::empty(),
            )
            .at(Step::Tmpfs, name)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            openat(dir, name, flags, Mode::empty()).at(Step::Tmpfs, name)
        };
        let upper = room(&self.upper, stat.st_mode & 0o7777 | 0o700)?;
        let work = room(&self.work, 0o700)?;
        Overlay {
            lower: vec![lower],
            apart: None,
            upper: upper.as_fd(),
            work: work.as_fd(),
            scratch: Scratch {
                dir: self.backstage,
                upper: &format!("upper/{number}"),
                work: &format!("work/{number}"),
            },
            marks: Marks::User,
            volatile: false,
            attr: MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID,
        }
        .mount()
        .map(|stacked| stacked.tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
        22 27 0:21 / /proc rw,relatime - proc proc rw\n\
        40 27 8:1 / /srv/big\\040disk rw shared:3 - xfs /dev/sdb1 rw\n\
        41 40 0:40 / /srv/big\\040disk/run rw - tmpfs tmpfs rw\n\
        42 27 8:2 / /home rw - ext4 /dev/sdc1 rw\n\
        43 27 0:9 / /pool rw - zfs pool/data rw\n";

    #[test]
    fn disks_are_told_from_the_kernels_file_systems() {
        let mounts = HostMounts::parse(TABLE);
        let disks: Vec<_> = mounts.visible_disks().collect();
        assert_eq!(disks, [Path::new("/pool"), Path::new("/srv/big disk")]);
    }

    #[test]
    fn branches_with_mounts_below_are_walked() {
        let mounts = HostMounts::parse(TABLE);
        let plan = |path: &str| Branch::plan(Path::new(path), FileType::Directory, &mounts);
        assert_eq!(plan("/usr"), Branch::Overlay);
        assert_eq!(plan("/srv"), Branch::Descend);
        assert_eq!(plan("/srv/big disk"), Branch::Descend);
        assert_eq!(plan("/srv/big disk/run"), Branch::Own(0o755));
        assert_eq!(plan("/tmp"), Branch::Own(0o1777));
        assert_eq!(plan("/pool"), Branch::Overlay);
        let link = Branch::plan(Path::new("/bin"), FileType::Symlink, &mounts);
        assert_eq!(link, Branch::Link);
    }
}
