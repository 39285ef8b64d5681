//! Kernel settings of the container's own namespaces.
//!
//! Only keys of a namespace the container has to itself are let through; every other key would change the host
//! (CVE-2022-0811). They are written beneath the descriptor of the container's freshly mounted procfs, so that no link or
//! mount in the image can lead the write elsewhere (CVE-2025-52881).

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use hull_sys::Errno;
use hull_sys::clone::CloneFlags;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::error::{At as _, Failure, StartError, Step};
use crate::namespaces::is_procfs;

/// One setting, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sysctl {
    key: String,
    /// Below `/proc`.
    path: PathBuf,
    value: String,
}

impl Sysctl {
    /// Checks a key against the namespaces the container has of its own.
    pub(crate) fn parse(key: &str, value: &str, own: CloneFlags) -> Result<Self, StartError> {
        let refused = |why: &str| StartError::Invalid(format!("the sysctl `{key}` {why}"));
        // sysctl(8): with a slash first, slashes separate and dots are part of names (`net/ipv4/conf/eth0.1/…`).
        let separators_are_slashes = key
            .find(['/', '.'])
            .is_some_and(|at| key[at..].starts_with('/'));
        let parts: Vec<&str> = match separators_are_slashes {
            true => key.split('/').collect(),
            false => key.split('.').collect(),
        };
        let sound = |part: &&str| {
            !part.is_empty()
                && *part != "."
                && *part != ".."
                && !part.contains('/')
                && !part.contains('\0')
        };
        if !parts.iter().all(sound) {
            return Err(refused("is not a key"));
        }
        match namespace(&parts) {
            None => Err(refused(
                "belongs to the whole host and cannot be set for one container",
            )),
            Some((kind, word)) if !own.contains(kind) => Err(refused(&format!(
                "belongs to the {word} namespace, of which this container has none of its own"
            ))),
            Some(_) => Ok(Self {
                key: key.to_owned(),
                path: [&["sys"], &parts[..]].concat().iter().collect(),
                value: value.to_owned(),
            }),
        }
    }

    /// Writes it below `proc`, the container's procfs.
    pub(crate) fn write(&self, proc: BorrowedFd<'_>) -> Result<(), Failure> {
        self.put(proc).at(Step::Sysctl, &self.key)
    }

    fn put(&self, proc: BorrowedFd<'_>) -> Result<(), Errno> {
        let rules = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat2(proc, &self.path, flags, Mode::empty(), rules)?;
        is_procfs(file.as_fd())?;
        rustix::io::write(file, self.value.as_bytes()).map(drop)
    }
}

/// Returns the namespace a key belongs to; none if it is the host's.
fn namespace(parts: &[&str]) -> Option<(CloneFlags, &'static str)> {
    const IPC: [&str; 8] = [
        "msgmax",
        "msgmnb",
        "msgmni",
        "sem",
        "shmall",
        "shmmax",
        "shmmni",
        "shm_rmid_forced",
    ];
    match parts {
        ["net", _, ..] => Some((CloneFlags::NEWNET, "network")),
        ["kernel", name] if IPC.contains(name) => Some((CloneFlags::NEWIPC, "IPC")),
        ["fs", "mqueue", _] => Some((CloneFlags::NEWIPC, "IPC")),
        ["kernel", "hostname" | "domainname"] => Some((CloneFlags::NEWUTS, "UTS")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn only_keys_of_own_namespaces_pass() {
        let all = CloneFlags::NAMESPACES;
        for (key, path) in [
            ("net.ipv4.ip_forward", "sys/net/ipv4/ip_forward"),
            (
                "net/ipv4/conf/eth0.1/forwarding",
                "sys/net/ipv4/conf/eth0.1/forwarding",
            ),
            ("kernel.shmmax", "sys/kernel/shmmax"),
            ("fs.mqueue.msg_max", "sys/fs/mqueue/msg_max"),
        ] {
            assert_eq!(Sysctl::parse(key, "1", all).unwrap().path, Path::new(path));
        }
        for key in [
            "kernel.core_pattern",
            "vm.swappiness",
            "fs.file-max",
            "net",
            "net..x",
            "net/../kernel/core_pattern",
            "net.ipv4./x",
            "kernel.shm+",
            "",
        ] {
            assert!(Sysctl::parse(key, "1", all).is_err(), "{key}");
        }
        let without = all - CloneFlags::NEWNET;
        assert!(Sysctl::parse("net.core.somaxconn", "1", without).is_err());
    }
}
