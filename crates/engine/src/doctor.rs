//! What this host can do for containers: each ability is tried, not looked up.
//!
//! What changes anything of this process is tried in a child, which says by its exit code what the kernel answered. An
//! ordinary user's mounts are tried in a user namespace, where that user's containers make theirs.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use hull_cgroup::{Controller, Hierarchies, Mode};
use hull_snapshot::{Layers, SnapshotError, WhiteoutMarks};
use hull_sys::{
    clone::{Clone3, CloneFlags, Forked, fork},
    mount::{At, MountAttr, mount_setattr},
    seccomp::{SeccompFlags, SockFilter},
};
use rustix::{
    fs::{CWD, Mode as FileMode, OFlags},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsmount, fsopen,
        open_tree,
    },
    process::{PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid},
};
use serde::Serialize;

use crate::{Engine, ids};

/// How it stands with one ability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// Containers run, with less.
    Degraded,
    /// Containers do not run.
    Missing,
}

/// What was found out about one ability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// The command or setting that mends it.
    pub mend: Option<String>,
}

/// What a missing ability means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Essential,
    Useful,
}

/// Bytes that must be free before that is worth a word.
const ROOM: u64 = 1 << 30;

impl Engine {
    /// Tries everything that containers need of this host. The caller must have one thread.
    pub fn doctor(&self) -> Vec<Check> {
        let root = self.caller().is_root();
        let marks = match root {
            true => WhiteoutMarks::Trusted,
            false => WhiteoutMarks::User,
        };
        let mut checks = vec![
            tried(
                "user namespaces",
                Need::Essential,
                user_namespace(),
                "sysctl -w user.max_user_namespaces=15000 (and kernel.unprivileged_userns_clone=1 on older Debian)",
            ),
            tried(
                "mounts by descriptor",
                Need::Essential,
                self.mounting(tmpfs),
                "Linux 5.2 or later",
            ),
            tried(
                "overlay",
                Need::Essential,
                self.mounting_scratch(|scratch| overlay(scratch, marks)),
                "modprobe overlay; the store's file system must be one that overlay can stand on (ext4, xfs with ftype=1, btrfs), not overlay itself: --root DIR",
            ),
            tried(
                "process descriptors",
                Need::Essential,
                pidfd(),
                "Linux 5.3 or later",
            ),
            tried(
                "seccomp filters",
                Need::Essential,
                seccomp(),
                "a kernel with CONFIG_SECCOMP_FILTER",
            ),
            tried(
                "terminals",
                Need::Useful,
                terminal(),
                "mount -t devpts devpts /dev/pts",
            ),
        ];
        if root {
            checks.push(tried("id-mapped mounts", Need::Useful, self.idmapped(), "a file system that can be id-mapped for the store (ext4, xfs, btrfs): --root DIR; or --userns host"));
            checks.push(tried(
                "id-mapped layers",
                Need::Useful,
                self.idmapped_layers(),
                "Linux 5.19 or later, where overlay stands on id-mapped mounts; or --userns host",
            ));
            checks.extend(self.cgroup_checks());
            checks.push(tried("nftables", Need::Useful, nftables(), "modprobe nf_tables nft_chain_nat nft_masq (bridge networks and -p need it; --network host and none do not)"));
            checks.push(forwarding());
            checks.push(id_ranges());
        }
        checks.push(self.disk_space());
        checks
    }

    /// Tries a mount, in a namespace of its own.
    fn mounting(&self, probe: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        let flags = match self.caller().is_root() {
            true => CloneFlags::NEWNS,
            false => CloneFlags::NEWNS | CloneFlags::NEWUSER,
        };
        in_child(flags, probe)
    }

    /// Tries something with directories on the store's file system, and removes them again.
    fn mounting_scratch(
        &self,
        probe: impl FnOnce(&Path) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let scratch = Scratch::make(&self.places().root)?;
        self.mounting(|| probe(&scratch.0))
    }

    /// Tries to give a directory of the store another user namespace's ids.
    fn idmapped(&self) -> Result<(), Errno> {
        let scratch = Scratch::make(&self.places().root)?;
        with_userns(|userns| idmapped(&scratch.0, userns).map(drop))
    }

    /// Tries to lay an overlay over such directories.
    fn idmapped_layers(&self) -> Result<(), Errno> {
        let scratch = Scratch::make(&self.places().root)?;
        with_userns(|userns| {
            let one = idmapped(&scratch.0.join("lower"), userns)?;
            let other = idmapped(&scratch.0.join("upper"), userns)?;
            let layers = [one.as_fd(), other.as_fd()];
            let tree = hull_snapshot::view(&layers, WhiteoutMarks::Trusted);
            tree.map(drop).map_err(answer)
        })
    }

    fn cgroup_checks(&self) -> Vec<Check> {
        let hierarchies = match Hierarchies::detect() {
            Ok(hierarchies) => hierarchies,
            Err(error) => {
                return vec![Check {
                    name: "cgroups",
                    verdict: Verdict::Degraded,
                    detail: error.to_string(),
                    mend: Some("mount -t cgroup2 cgroup2 /sys/fs/cgroup".to_owned()),
                }];
            }
        };
        vec![
            cgroups(&hierarchies),
            tried(
                "birth in a cgroup",
                Need::Useful,
                birth(&hierarchies),
                "Linux 5.7 with a cgroup v2 hierarchy that may be written; without it joining costs a little",
            ),
            swap(&hierarchies),
        ]
    }

    fn disk_space(&self) -> Check {
        let root = &self.places().root;
        let (verdict, detail) = match rustix::fs::statvfs(root) {
            Ok(space) => {
                let free = space.f_bavail.saturating_mul(space.f_frsize);
                let inodes = space.f_files == 0 || space.f_favail > 10_000;
                let verdict = match free >= ROOM && inodes {
                    true => Verdict::Ok,
                    false => Verdict::Degraded,
                };
                let detail = format!(
                    "{} MiB and {} files free in {}",
                    free >> 20,
                    space.f_favail,
                    root.display()
                );
                (verdict, detail)
            }
            Err(error) => (Verdict::Degraded, error.to_string()),
        };
        Check {
            name: "disk space",
            verdict,
            detail,
            mend: (verdict != Verdict::Ok)
                .then(|| "hull prune -a removes what is stopped or unused".to_owned()),
        }
    }
}

/// Makes a check of what a try came to.
fn tried(name: &'static str, need: Need, outcome: Result<(), Errno>, mend: &str) -> Check {
    let verdict = match (outcome, need) {
        (Ok(()), _) => Verdict::Ok,
        (Err(_), Need::Essential) => Verdict::Missing,
        (Err(_), Need::Useful) => Verdict::Degraded,
    };
    Check {
        name,
        verdict,
        detail: match outcome {
            Ok(()) => "works".to_owned(),
            Err(errno) => std::io::Error::from(errno).to_string(),
        },
        mend: outcome.is_err().then(|| mend.to_owned()),
    }
}

/// Directories to try mounts with, removed when dropped.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn make(root: &Path) -> Result<Self, Errno> {
        // What stays after a crash is garbage to everybody.
        let path = root.join(format!("garbage/doctor-{}", std::process::id()));
        let scratch = Self(path);
        for directory in ["lower", "upper", "work"] {
            std::fs::create_dir_all(scratch.0.join(directory))
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Overlay leaves a directory that nobody may enter.
        if let (Some(parent), Some(name)) = (self.0.parent(), self.0.file_name())
            && let Ok(parent) = std::fs::File::open(parent)
        {
            hull_fs::remove_tree(&parent, name).ok();
        }
    }
}

/// Runs a try in a child of its own, which ends with what the kernel answered. In a user namespace of its own it has ids.
fn in_child(flags: CloneFlags, probe: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
    let (wait, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let clone = Clone3 {
        flags,
        cgroup: None,
    };
    match clone.spawn()? {
        Forked::Child => {
            drop(go);
            end(wait_for_end(&wait).and_then(|()| probe()))
        }
        Forked::Parent { pid, pidfd } => {
            let mapped = match flags.contains(CloneFlags::NEWUSER) {
                true => map_ids(pid.as_raw_pid()),
                false => Ok(()),
            };
            drop(go);
            mapped.and(outcome(&pidfd))
        }
    }
}

/// Waits until the other end of a pipe is closed.
fn wait_for_end(wait: &OwnedFd) -> Result<(), Errno> {
    let mut byte = [0];
    rustix::io::read(wait, &mut byte[..]).map(drop)
}

#[expect(
    clippy::exit,
    reason = "a child that only tried something has no way back"
)]
fn end(answer: Result<(), Errno>) -> ! {
    std::process::exit(match answer {
        Ok(()) => 0,
        Err(errno) => errno.raw_os_error(),
    })
}

fn outcome(child: &OwnedFd) -> Result<(), Errno> {
    loop {
        match waitid(WaitId::PidFd(child.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                return match status.exit_status() {
                    Some(0) => Ok(()),
                    Some(errno) => Err(Errno::from_raw_os_error(errno)),
                    None => Err(Errno::FAULT),
                };
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn user_namespace() -> Result<(), Errno> {
    with_userns(|_| Ok(()))
}

/// Gives the try a user namespace with ids, which lives as long as a child that waits in it.
fn with_userns(probe: impl FnOnce(&OwnedFd) -> Result<(), Errno>) -> Result<(), Errno> {
    let (wait, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let clone = Clone3 {
        flags: CloneFlags::NEWUSER,
        cgroup: None,
    };
    match clone.spawn()? {
        Forked::Child => {
            drop(go);
            end(wait_for_end(&wait))
        }
        Forked::Parent { pid, pidfd } => {
            let pid = pid.as_raw_pid();
            let answer = map_ids(pid).and_then(|()| {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                let path = format!("/proc/{pid}/ns/user");
                probe(&rustix::fs::open(path, flags, FileMode::empty())?)
            });
            drop(go);
            outcome(&pidfd)?;
            answer
        }
    }
}

fn map_ids(pid: i32) -> Result<(), Errno> {
    let write = |file: &str, text: &str| {
        let path = format!("/proc/{pid}/{file}");
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, FileMode::empty())?;
        rustix::io::write(file, text.as_bytes()).map(drop)
    };
    let caller = rustix::process::geteuid();
    if caller.is_root() {
        write("uid_map", "0 524288 65536")?;
        return write("gid_map", "0 524288 65536");
    }
    write("uid_map", &format!("0 {} 1", caller.as_raw()))?;
    // Whoever maps only a group of his own has to give up changing groups first.
    write("setgroups", "deny")?;
    let group = rustix::process::getegid().as_raw();
    write("gid_map", &format!("0 {group} 1"))
}

fn tmpfs() -> Result<(), Errno> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    fsmount(context.as_fd(), flags, MountAttrFlags::empty()).map(drop)
}

/// Mounts an overlay that can be written, with directories named as this kernel wants it.
fn overlay(scratch: &Path, marks: WhiteoutMarks) -> Result<(), Errno> {
    let lower = directory(&scratch.join("lower"))?;
    let upper = directory(&scratch.join("upper"))?;
    let layers = Layers {
        upper: upper.as_fd(),
        lowers: &[lower.as_fd()],
        marks,
    };
    let scratch = directory(scratch)?;
    let scratch = hull_snapshot::Scratch {
        dir: scratch.as_fd(),
        upper: "upper",
        work: "work",
    };
    let tree = hull_snapshot::merged(&layers, scratch);
    tree.map(drop).map_err(answer)
}

/// Clones a directory's mount with the ids of a user namespace.
fn idmapped(path: &Path, userns: &OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, path, flags)?;
    let attr = MountAttr {
        userns: Some(userns.as_fd()),
        ..MountAttr::default()
    };
    mount_setattr(&tree, "", At::EMPTY_PATH, &attr)?;
    Ok(tree)
}

fn directory(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, FileMode::empty())
}

/// What the kernel said when layers could not be stacked.
fn answer(error: SnapshotError) -> Errno {
    match error {
        SnapshotError::Mount { source, .. } => source,
        SnapshotError::ReadOnly => Errno::ROFS,
        _ => Errno::IO,
    }
}

fn pidfd() -> Result<(), Errno> {
    pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).map(drop)
}

/// Loads a filter that lets everything pass.
fn seccomp() -> Result<(), Errno> {
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    let filter = [SockFilter {
        code: RETURN,
        jt: 0,
        jf: 0,
        k: ALLOW,
    }];
    match fork()? {
        Forked::Child => end(rustix::thread::set_no_new_privs(true)
            .and_then(|()| hull_sys::seccomp::load(&filter, SeccompFlags::empty()).map(drop))),
        Forked::Parent { pidfd, .. } => outcome(&pidfd),
    }
}

fn terminal() -> Result<(), Errno> {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    ioctl_tiocgptpeer(&master, flags).map(drop)
}

/// Says which version of cgroups there is, and which of the controllers that limits need are not.
fn cgroups(hierarchies: &Hierarchies) -> Check {
    let unified = hierarchies.unified.as_ref().map(|unified| {
        let file = unified.base.join("cgroup.controllers");
        std::fs::read_to_string(file).unwrap_or_default()
    });
    let absent: Vec<&str> = [Controller::Memory, Controller::Cpu, Controller::Pids]
        .into_iter()
        .filter(|controller| {
            let name = controller.v2_name();
            hierarchies.v1_with(*controller).is_none()
                && !unified
                    .as_deref()
                    .is_some_and(|text| text.split_ascii_whitespace().any(|word| word == name))
        })
        .map(Controller::v2_name)
        .collect();
    let mode = match hierarchies.mode() {
        Mode::V1 => "version 1",
        Mode::Hybrid => "version 1 with a unified hierarchy beside it",
        Mode::V2 => "version 2",
    };
    let detail = match absent.is_empty() {
        true => mode.to_owned(),
        false => format!("{mode}, without {}", absent.join(", ")),
    };
    Check {
        name: "cgroups",
        verdict: match absent.is_empty() {
            true => Verdict::Ok,
            false => Verdict::Degraded,
        },
        detail,
        mend: (!absent.is_empty()).then(|| {
            format!(
                "echo {} > /sys/fs/cgroup/cgroup.subtree_control, or boot with cgroup_enable=memory",
                absent.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ")
            )
        }),
    }
}

/// Starts a child right in a cgroup.
fn birth(hierarchies: &Hierarchies) -> Result<(), Errno> {
    let unified = hierarchies.unified.as_ref().ok_or(Errno::NOENT)?;
    let path = unified
        .base
        .join(format!("hull-doctor-{}", std::process::id()));
    rustix::fs::mkdir(&path, FileMode::RWXU)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let tried = rustix::fs::open(&path, flags, FileMode::empty()).and_then(|group| {
        let clone = Clone3 {
            flags: CloneFlags::empty(),
            cgroup: Some(group.as_fd()),
        };
        match clone.spawn()? {
            Forked::Child => end(Ok(())),
            Forked::Parent { pidfd, .. } => outcome(&pidfd),
        }
    });
    rustix::fs::rmdir(&path)?;
    tried
}

/// Says whether swap counts towards a container's limit.
fn swap(hierarchies: &Hierarchies) -> Check {
    let counted = match hierarchies.v1_with(Controller::Memory) {
        Some(memory) => memory.base.join("memory.memsw.limit_in_bytes").exists(),
        // The top has no such file; any other group has.
        None => Path::new("/proc/swaps").exists(),
    };
    Check {
        name: "swap accounting",
        verdict: if counted {
            Verdict::Ok
        } else {
            Verdict::Degraded
        },
        detail: match counted {
            true => "swap counts towards limits".to_owned(),
            false => "--memory-swap has no effect".to_owned(),
        },
        mend: (!counted).then(|| "boot with swapaccount=1".to_owned()),
    }
}

/// Asks the kernel's nftables for its generation: the smallest question it answers.
fn nftables() -> Result<(), Errno> {
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
    };
    const REQUEST: u16 = 1;
    // NFNL_SUBSYS_NFTABLES in the high byte, NFT_MSG_GETGEN in the low one.
    const GET_GENERATION: u16 = 10 << 8 | 16;
    const ERROR: u16 = 2;
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(rustix::net::netlink::NETFILTER),
    )?;
    let mut message = Vec::with_capacity(20);
    message.extend(20_u32.to_ne_bytes());
    message.extend(GET_GENERATION.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    // Sequence and port, then the family (any), version and resource.
    message.extend([0; 12]);
    send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0_u8; 1024];
    let (count, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    match answer.get(..count.min(20)) {
        Some([_, _, _, _, low, high, .., a, b, c, d])
            if u16::from_ne_bytes([*low, *high]) == ERROR =>
        {
            match i32::from_ne_bytes([*a, *b, *c, *d]) {
                0 => Ok(()),
                errno => Err(Errno::from_raw_os_error(-errno)),
            }
        }
        Some(_) => Ok(()),
        None => Err(Errno::PROTO),
    }
}

fn forwarding() -> Check {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap_or_default();
    let on = text.trim() == "1";
    // Hull turns it on with its first bridge; it has to be able to.
    let writable = rustix::fs::open(
        "/proc/sys/net/ipv4/ip_forward",
        OFlags::WRONLY | OFlags::CLOEXEC,
        FileMode::empty(),
    )
    .is_ok();
    Check {
        name: "forwarding",
        verdict: match on || writable {
            true => Verdict::Ok,
            false => Verdict::Degraded,
        },
        detail: match (on, writable) {
            (true, _) => "on".to_owned(),
            (false, true) => {
                "off; Hull turns it on with the first container on a bridge".to_owned()
            }
            (false, false) => "off, and cannot be turned on from here".to_owned(),
        },
        mend: (!on && !writable).then(|| "sysctl -w net.ipv4.ip_forward=1".to_owned()),
    }
}

/// Looks whether the host has given away ids that containers would have.
fn id_ranges() -> Check {
    let lost = ids::given_away();
    Check {
        name: "user ids",
        verdict: match lost < ids::COUNT / 2 {
            true => Verdict::Ok,
            false => Verdict::Degraded,
        },
        detail: match lost {
            0 => format!("{} ranges for containers", ids::COUNT),
            lost => format!(
                "{} ranges for containers; {lost} are somebody's in /etc/subuid or /etc/subgid and left out",
                ids::COUNT - lost
            ),
        },
        mend: (lost >= ids::COUNT / 2)
            .then(|| "shorten the ranges in /etc/subuid and /etc/subgid".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_essential_is_missing_and_the_rest_degraded() {
        let check = tried("x", Need::Essential, Err(Errno::PERM), "do this");
        assert_eq!(check.verdict, Verdict::Missing);
        assert_eq!(check.mend.as_deref(), Some("do this"));
        let check = tried("x", Need::Useful, Err(Errno::NOSYS), "do this");
        assert_eq!(check.verdict, Verdict::Degraded);
        let check = tried("x", Need::Essential, Ok(()), "do this");
        assert_eq!((check.verdict, check.mend), (Verdict::Ok, None));
    }
}
