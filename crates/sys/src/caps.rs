//! Capabilities by name, and the two sets that are changed one capability at a time.
//!
//! The type is rustix's, under a shorter name, so that there is one. A capability this build does not know by name (a
//! newer kernel's) is a plain bit of the set and is dropped like the others.

use crate::{Errno, Result};
use rustix::thread;

pub use rustix::thread::{CapabilitySet as CapSet, CapabilitySets as CapSets};

/// Returns the capability called `name`: `CAP_CHOWN`, `chown`, in any case.
pub fn parse(name: &str) -> Option<CapSet> {
    let upper = name.to_ascii_uppercase();
    CapSet::from_name(upper.strip_prefix("CAP_").unwrap_or(&upper))
}

/// Returns the names in `set`, as the runtime specification spells them (`CAP_CHOWN`), in the kernel's order.
pub fn names(set: CapSet) -> impl Iterator<Item = String> {
    set.iter_names().map(|(name, _)| format!("CAP_{name}"))
}

/// Returns every capability this build knows by name: up to `CAP_CHECKPOINT_RESTORE` of Linux 5.9.
pub fn all() -> CapSet {
    // `CapSet::all()` has all 64 bits: rustix lets unknown ones pass.
    CapSet::all()
        .iter_names()
        .fold(CapSet::empty(), |set, (_, one)| set | one)
}

/// Returns the calling thread's effective, permitted and inheritable sets.
pub fn current() -> Result<CapSets> {
    thread::capabilities(None)
}

/// Sets the calling thread's effective, permitted and inheritable sets.
///
/// <https://man7.org/linux/man-pages/man2/capset.2.html>
pub fn set(sets: CapSets) -> Result<()> {
    thread::set_capabilities(None, sets)
}

/// Makes every permitted capability effective again, as after [`crate::ids::set_fs_ids`] took some away.
pub fn raise_effective() -> Result<()> {
    let sets = current()?;
    set(CapSets {
        effective: sets.permitted,
        ..sets
    })
}

/// Returns the calling thread's bounding set.
pub fn bounding() -> Result<CapSet> {
    let mut set = CapSet::empty();
    for capability in kernel_capabilities() {
        match thread::capability_is_in_bounding_set(capability) {
            Ok(true) => set |= capability,
            Ok(false) => {}
            // The kernel's list ends here.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(set)
}

/// Drops every capability but those in `keep` from the calling thread's bounding set.
///
/// <https://man7.org/linux/man-pages/man2/PR_CAPBSET_DROP.2const.html>
pub fn drop_bounding_except(keep: CapSet) -> Result<()> {
    for capability in kernel_capabilities().filter(|&one| !keep.contains(one)) {
        match thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Makes the calling thread's ambient set exactly `set`. `EPERM`: one is not both permitted and inheritable.
///
/// <https://man7.org/linux/man-pages/man2/PR_CAP_AMBIENT.2const.html>
pub fn set_ambient(set: CapSet) -> Result<()> {
    thread::clear_ambient_capability_set()?;
    singles(set).try_for_each(|one| thread::configure_capability_in_ambient_set(one, true))
}

/// Every bit a kernel may know: the capabilities of a kernel newer than this build have to be dropped too.
fn kernel_capabilities() -> impl Iterator<Item = CapSet> {
    (0..u64::BITS).map(|bit| CapSet::from_bits_retain(1 << bit))
}

fn singles(set: CapSet) -> impl Iterator<Item = CapSet> {
    kernel_capabilities().filter(move |&one| set.contains(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn names_are_read_with_and_without_prefix_in_any_case() {
        let rows = [
            ("CAP_CHOWN", Some(CapSet::CHOWN)),
            ("chown", Some(CapSet::CHOWN)),
            ("cap_net_bind_service", Some(CapSet::NET_BIND_SERVICE)),
            ("CAP_SYS_ADMIN", Some(CapSet::SYS_ADMIN)),
            ("CHECKPOINT_RESTORE", Some(CapSet::CHECKPOINT_RESTORE)),
            ("CAP_CAP_CHOWN", None),
            ("CAP_", None),
            ("ALL", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn there_are_41_and_each_is_read_back() {
        assert_eq!(all().bits(), (1 << 41) - 1);
        let back = names(all())
            .map(|name| parse(&name).unwrap())
            .fold(CapSet::empty(), |a, b| a | b);
        assert_eq!(back, all());
        let two = CapSet::KILL | CapSet::CHOWN;
        assert_eq!(names(two).collect::<Vec<_>>(), ["CAP_CHOWN", "CAP_KILL"]);
    }

    #[test]
    fn root_bounding_and_ambient_sets_become_what_was_asked() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("needs root");
        }
        let before = bounding().unwrap();
        // All of it belongs to the thread.
        thread::spawn(|| {
            let keep = CapSet::CHOWN | CapSet::KILL;
            drop_bounding_except(keep).unwrap();
            assert_eq!(bounding().unwrap(), keep);
            assert_eq!(set_ambient(CapSet::KILL).unwrap_err(), Errno::PERM);
            set(CapSets {
                inheritable: keep,
                effective: keep,
                permitted: keep,
            })
            .unwrap();
            set_ambient(CapSet::KILL).unwrap();
            let kill = rustix::thread::capability_is_in_ambient_set(CapSet::KILL).unwrap();
            let chown = rustix::thread::capability_is_in_ambient_set(CapSet::CHOWN).unwrap();
            assert!(kill && !chown);
            set(CapSets {
                effective: CapSet::empty(),
                ..current().unwrap()
            })
            .unwrap();
            raise_effective().unwrap();
            assert_eq!(current().unwrap().effective, keep);
        })
        .join()
        .unwrap();
        assert_eq!(bounding().unwrap(), before);
    }
}
