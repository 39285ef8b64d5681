//! The root of a container that may mount (`CAP_SYS_ADMIN` in a user namespace of its own).
//!
//! What the parent hands to the child is attached by the child, and what one has attached one can take off: a mask, or the
//! read-only of a bind. The kernel locks mounts when it copies a mount namespace for a user namespace that has less power.
//! So the root of such a container is put together by a third process, in a mount namespace of the host's user namespace;
//! it then becomes one of the container's user namespace, copies its mount namespace, and the child enters the copy.
//!
//! ```text
//!   parent                 smith, in a mount namespace of its own        child
//!     ├── "the maps are written" ─────────────────────────────────────────▶ │
//!     │ ◀──────────────── proc, sysfs, devpts, tmpfs: in its namespaces only it can make them
//!     ├── clone3 ──▶ attach root, mounts, files, masks ─ pivot
//!     │              enter user namespace ─ copy mount namespace: locked
//!     │ ◀── namespace ───┘
//!     └── namespace ──────────────────────────────────────────────────────▶ setns ─ terminal ─ …
//! ```
//! The copy is complete when the child gets there, so nothing of it can be touched in between. Only these containers pay
//! for it, with one process.

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use hull_sys::clone::{Clone3, CloneFlags, Forked};
use hull_sys::namespaces::{setns, unshare};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::channel::{self, Channel};
use crate::create::{Go, Newborn};
use crate::error::{At as _, StartError, Step};
use crate::init::{Init, Stop, end, leave_peer_groups};
use crate::launch::Launch;
use crate::plan::Plan;
use crate::rootfs::overlay::as_container_root;
use crate::rootfs::{Parts, Slot};

/// Parent: has the root put together, and returns the mount namespace it is in.
pub(crate) fn root(
    child: &Channel,
    plan: &Plan,
    launch: &Launch<'_>,
    cgroups: &[(String, PathBuf)],
    parts: Parts,
    userns: &OwnedFd,
) -> Result<OwnedFd, StartError> {
    let died = StartError::InitDied { during: "create" };
    // A child that is gone by now has said why, or says nothing; either way it is heard next.
    let _told = child.send_parts(&[]);
    let made = child.receive_parts()?.ok_or(died)?;
    let mut visited: Vec<_> = plan.mounts.iter().map(|_| None).collect();
    for (slot, mount) in made {
        match slot {
            Slot::Mount(index) if usize::from(index) < visited.len() => {
                visited[usize::from(index)] = Some(mount);
            }
            _ => return Err(StartError::BadMessage),
        }
    }
    let (ours, theirs) = channel::pair().at(Step::Channel, "")?;
    let clone = Clone3 {
        flags: CloneFlags::NEWNS,
        cgroup: None,
    };
    let smith = match clone.spawn().at(Step::Clone, "")? {
        Forked::Child => {
            drop(ours);
            let init = Init {
                plan,
                launch,
                filter: None,
                tasks: &[],
                cgroups,
                visited,
                reaper: None,
                go: Go::WhenTold,
            };
            run(&init, &parts, userns, &theirs)
        }
        Forked::Parent { pid, pidfd } => Newborn::new(pid, pidfd),
    };
    drop((theirs, parts, visited));
    let namespace = ours.receive_parts()?.and_then(|mut slots| slots.pop());
    drop(smith);
    match namespace {
        Some((Slot::Namespace, namespace)) => Ok(namespace),
        Some(_) => Err(StartError::BadMessage),
        None => Err(StartError::InitDied { during: "create" }),
    }
}

/// The smith.
fn run(init: &Init<'_>, parts: &Parts, userns: &OwnedFd, channel: &Channel) -> ! {
    let Err(stop) = story(init, parts, userns, channel);
    if let Stop::Failed(error) = stop {
        channel.report(error);
    }
    end(1)
}

fn story(
    init: &Init<'_>,
    parts: &Parts,
    userns: &OwnedFd,
    channel: &Channel,
) -> Result<Infallible, Stop> {
    leave_peer_groups().at(Step::Unshare, "mount")?;
    // Later there is no procfs in which this process exists.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let own = openat(CWD, "/proc/self", flags, Mode::empty()).at(Step::Proc, "/proc/self")?;
    // What is made on the way, mount points and the working directory, belongs to the container.
    as_container_root(init.plan.namespaces.host_root(), || init.build_root(parts))?;
    setns(userns, CloneFlags::NEWUSER).at(Step::Namespace, "user")?;
    unshare(CloneFlags::NEWNS).at(Step::Unshare, "mount")?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let namespace = openat(&own, "ns/mnt", flags, Mode::empty()).at(Step::Namespace, "mount")?;
    channel
        .send_parts(&[(Slot::Namespace, namespace)])
        .map_err(|_| Stop::Orphaned)?;
    end(0)
}
