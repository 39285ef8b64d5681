//! Which extended attributes a layer may have.
//!
//! | attribute | |
//! |---|---|
//! | `user.*` | kept |
//! | `security.capability`, `system.posix_acl_*` | kept |
//! | `trusted.overlay.*`, `user.overlay.*` | refused: overlayfs would obey them |
//! | other `security.*`, `trusted.*`, `system.*` | left out and noted: they belong to the host's policy, not an image's |

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use hull_fs::tar::{Entry, EntryPath, Kind, Xattr};
use rustix::fs::{Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use crate::{Refusal, SnapshotError};

/// The attributes of an entry that are kept.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a>(Vec<&'a Xattr>);

impl<'a> Attributes<'a> {
    /// Chooses from an entry's attributes, and notes the names of those left out.
    pub(super) fn choose(
        entry: &'a Entry,
        dropped: &mut BTreeSet<Vec<u8>>,
    ) -> Result<Self, SnapshotError> {
        let mut kept = Vec::new();
        for xattr in &entry.xattrs {
            match verdict(&xattr.name) {
                // The kernel has user attributes on files and directories only, and capabilities on files.
                Verdict::Keep if fits(&entry.kind, &xattr.name) => kept.push(xattr),
                Verdict::Keep | Verdict::Drop => {
                    dropped.insert(xattr.name.clone());
                }
                Verdict::Refuse => {
                    let name = xattr.name.escape_ascii().to_string();
                    let refusal = Refusal::OverlayAttribute(name);
                    return Err(SnapshotError::Refused {
                        path: entry.path.clone(),
                        refusal,
                    });
                }
            }
        }
        Ok(Self(kept))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns copies, to be set later.
    pub(super) fn to_owned(&self) -> Vec<Xattr> {
        self.0.iter().map(|xattr| (*xattr).clone()).collect()
    }

    /// Sets them on an open file.
    pub(super) fn set(&self, file: BorrowedFd<'_>, path: &EntryPath) -> Result<(), SnapshotError> {
        self.0.iter().try_for_each(|xattr| set(file, xattr, path))
    }

    /// Sets them on something that must not be opened, like a pipe.
    pub(super) fn set_without_opening(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &EntryPath,
    ) -> Result<(), SnapshotError> {
        if self.is_empty() {
            return Ok(());
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let node = rustix::fs::openat(dir, name, flags, Mode::empty())
            .map_err(|source| fail("open", path, source))?;
        // An O_PATH descriptor takes no attributes itself; its entry in /proc leads to the node and nowhere else.
        let node = format!("/proc/self/fd/{}", node.as_fd().as_raw_fd());
        self.0.iter().try_for_each(|xattr| {
            let name = xattr.name.as_slice();
            rustix::fs::setxattr(&node, name, &xattr.value, XattrFlags::empty())
                .map_err(|source| fail("set an attribute of", path, source))
        })
    }
}

/// Sets one attribute on an open file or directory.
pub(super) fn set(
    file: BorrowedFd<'_>,
    xattr: &Xattr,
    path: &EntryPath,
) -> Result<(), SnapshotError> {
    rustix::fs::fsetxattr(
        file,
        xattr.name.as_slice(),
        &xattr.value,
        XattrFlags::empty(),
    )
    .map_err(|source| fail("set an attribute of", path, source))
}

fn fail(action: &'static str, path: &EntryPath, source: Errno) -> SnapshotError {
    SnapshotError::Entry {
        action,
        path: path.clone(),
        source,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Drop,
    Refuse,
}

fn verdict(name: &[u8]) -> Verdict {
    let starts = |prefix: &[u8]| name.starts_with(prefix);
    if starts(b"trusted.overlay.") || starts(b"user.overlay.") {
        return Verdict::Refuse;
    }
    match name {
        b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => {
            Verdict::Keep
        }
        _ if starts(b"user.") => Verdict::Keep,
        _ => Verdict::Drop,
    }
}

/// Says whether a layer may have an attribute of this name.
pub(crate) fn is_kept(name: &[u8]) -> bool {
    verdict(name) == Verdict::Keep
}

fn fits(kind: &Kind, name: &[u8]) -> bool {
    match kind {
        Kind::File => name != b"system.posix_acl_default",
        Kind::Directory => name != b"security.capability",
        Kind::Fifo => name == b"system.posix_acl_access",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_attributes_are_kept() {
        for (name, expected) in [
            ("user.mime_type", Verdict::Keep),
            ("user.overlayfs", Verdict::Keep),
            ("user.overlay.opaque", Verdict::Refuse),
            ("trusted.overlay.redirect", Verdict::Refuse),
            ("trusted.overlay.metacopy", Verdict::Refuse),
            ("trusted.other", Verdict::Drop),
            ("security.capability", Verdict::Keep),
            ("security.selinux", Verdict::Drop),
            ("security.ima", Verdict::Drop),
            ("system.posix_acl_access", Verdict::Keep),
            ("system.nfs4_acl", Verdict::Drop),
            ("made.up", Verdict::Drop),
        ] {
            assert_eq!(verdict(name.as_bytes()), expected, "{name}");
        }
    }
}
