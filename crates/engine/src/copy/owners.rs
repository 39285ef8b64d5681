//! Whose a file is: what the host calls a user and what the container calls them.

use std::path::Path;

use hull_fs::tar::Xattr;

/// Ids of users and groups inside a container, and which the host uses for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdMaps {
    users: Vec<Range>,
    groups: Vec<Range>,
}

/// So many ids, first inside and first outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    inside: u32,
    outside: u32,
    count: u32,
}

/// What the kernel shows in place of an id that the map does not have.
const NOBODY: u32 = 65_534;

impl IdMaps {
    /// Every id means itself.
    pub(crate) fn identity() -> Self {
        Self::first(u32::MAX)
    }

    /// The first ids mean themselves, and there are no others.
    pub(crate) fn first(count: u32) -> Self {
        let range = Range {
            inside: 0,
            outside: 0,
            count,
        };
        Self {
            users: vec![range],
            groups: vec![range],
        }
    }

    /// Reads the maps of a process's user namespace, as this process sees them.
    pub(crate) fn of_process(pid: i32) -> std::io::Result<Self> {
        let read = |name: &str| {
            let path = Path::new("/proc").join(pid.to_string()).join(name);
            Ok::<_, std::io::Error>(ranges(&std::fs::read_to_string(path)?))
        };
        Ok(Self {
            users: read("uid_map")?,
            groups: read("gid_map")?,
        })
    }

    /// Returns what the container calls a user of the host's, or nobody.
    pub(crate) fn user_inside(&self, outside: u32) -> u32 {
        inside(&self.users, outside).unwrap_or(NOBODY)
    }

    pub(crate) fn group_inside(&self, outside: u32) -> u32 {
        inside(&self.groups, outside).unwrap_or(NOBODY)
    }

    /// Returns what the host calls a user of the container's, if the container has that one.
    pub(crate) fn user_outside(&self, inside: u32) -> Option<u32> {
        outside(&self.users, inside)
    }

    pub(crate) fn group_outside(&self, inside: u32) -> Option<u32> {
        outside(&self.groups, inside)
    }

    /// Returns an attribute as it is inside, or nothing if it means nothing there.
    pub(crate) fn attribute_inside(&self, xattr: Xattr) -> Option<Xattr> {
        let value = match xattr.name.as_slice() {
            b"security.capability" => {
                let (root, capability) = Capability::read(&xattr.value)?;
                (inside(&self.users, root)? == 0).then(|| capability.write(0))?
            }
            name if is_acl(name) => translate_acl(&xattr.value, |tag, id| match tag {
                ACL_USER => Some(self.user_inside(id)),
                _ => Some(self.group_inside(id)),
            })?,
            _ => return Some(xattr),
        };
        Some(Xattr { value, ..xattr })
    }

    /// Returns an attribute as the host has to write it, or nothing if it cannot be said.
    pub(crate) fn attribute_outside(&self, xattr: &Xattr) -> Option<Xattr> {
        let value = match xattr.name.as_slice() {
            b"security.capability" => {
                let (_, capability) = Capability::read(&xattr.value)?;
                capability.write(outside(&self.users, 0)?)
            }
            name if is_acl(name) => translate_acl(&xattr.value, |tag, id| match tag {
                ACL_USER => self.user_outside(id),
                _ => self.group_outside(id),
            })?,
            _ => return Some(xattr.clone()),
        };
        Some(Xattr {
            name: xattr.name.clone(),
            value,
        })
    }
}

fn ranges(text: &str) -> Vec<Range> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Range {
            inside: next()?,
            outside: next()?,
            count: next()?,
        })
    };
    text.lines().filter_map(range).collect()
}

fn inside(ranges: &[Range], id: u32) -> Option<u32> {
    let find = |range: &Range| {
        let offset = id.checked_sub(range.outside)?;
        (offset < range.count).then(|| range.inside + offset)
    };
    ranges.iter().find_map(find)
}

fn outside(ranges: &[Range], id: u32) -> Option<u32> {
    let find = |range: &Range| {
        let offset = id.checked_sub(range.inside)?;
        (offset < range.count).then(|| range.outside + offset)
    };
    ranges.iter().find_map(find)
}

/// Capabilities of a file, as `security.capability` has them (capabilities(7)): revision 2, good wherever the file is, or
/// revision 3, good where a certain user is root.
struct Capability<'a> {
    /// With the flag "effective".
    flags: u32,
    /// Permitted and inheritable.
    sets: &'a [u8],
}

const REVISION: u32 = 0xff00_0000;
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;

impl<'a> Capability<'a> {
    /// Reads an attribute; returns whose root it is for as well.
    fn read(value: &'a [u8]) -> Option<(u32, Self)> {
        let flags = u32::from_le_bytes(value.get(..4)?.try_into().ok()?);
        let capability = Self {
            flags: flags & !REVISION,
            sets: value.get(4..20)?,
        };
        match (flags & REVISION, value.len()) {
            (REVISION_2, 20) => Some((0, capability)),
            (REVISION_3, 24) => {
                let root = u32::from_le_bytes(value[20..].try_into().ok()?);
                Some((root, capability))
            }
            _ => None,
        }
    }

    fn write(&self, root: u32) -> Vec<u8> {
        let revision = if root == 0 { REVISION_2 } else { REVISION_3 };
        let mut value = (self.flags | revision).to_le_bytes().to_vec();
        value.extend_from_slice(self.sets);
        if root != 0 {
            value.extend_from_slice(&root.to_le_bytes());
        }
        value
    }
}

fn is_acl(name: &[u8]) -> bool {
    matches!(
        name,
        b"system.posix_acl_access" | b"system.posix_acl_default"
    )
}

const ACL_USER: u16 = 0x02;
const ACL_GROUP: u16 = 0x08;

/// Translates the ids of an access control list: a version, then entries of tag, permissions and id.
fn translate_acl(value: &[u8], translate: impl Fn(u16, u32) -> Option<u32>) -> Option<Vec<u8>> {
    let mut translated = value.get(..4)?.to_vec();
    for entry in value[4..].chunks(8) {
        let entry: &[u8; 8] = entry.try_into().ok()?;
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let id = match tag {
            ACL_USER | ACL_GROUP => translate(tag, id)?,
            _ => id,
        };
        translated.extend_from_slice(&entry[..4]);
        translated.extend_from_slice(&id.to_le_bytes());
    }
    Some(translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps() -> IdMaps {
        IdMaps {
            users: ranges("         0     524288      65536\n"),
            groups: ranges("0 600000 10\n10 700000 10\n"),
        }
    }

    #[test]
    fn ids_are_translated_both_ways() {
        let maps = maps();
        assert_eq!(maps.user_outside(0), Some(524_288));
        assert_eq!(maps.user_outside(65_535), Some(589_823));
        assert_eq!(maps.user_outside(65_536), None);
        assert_eq!(maps.user_inside(524_289), 1);
        assert_eq!(maps.user_inside(0), NOBODY);
        assert_eq!(maps.group_outside(12), Some(700_002));
        assert_eq!(maps.group_inside(600_009), 9);
        assert_eq!(maps.group_inside(600_010), NOBODY);
        assert_eq!(IdMaps::identity().user_outside(70_000), Some(70_000));
        assert_eq!(IdMaps::first(65_536).user_outside(70_000), None);
        assert_eq!(IdMaps::identity().user_inside(0), 0);
    }

    fn xattr(name: &str, value: &[u8]) -> Xattr {
        Xattr {
            name: name.as_bytes().to_vec(),
            value: value.to_vec(),
        }
    }

    #[test]
    fn capabilities_are_those_of_the_containers_root() {
        let mut plain = vec![1, 0, 0, 2];
        plain.extend_from_slice(&[7; 16]);
        let inside = xattr("security.capability", &plain);
        let outside = maps().attribute_outside(&inside).unwrap();
        assert_eq!(outside.value.len(), 24);
        assert_eq!(&outside.value[..4], &[1, 0, 0, 3]);
        assert_eq!(&outside.value[20..], 524_288_u32.to_le_bytes());
        assert_eq!(
            maps().attribute_inside(outside.clone()),
            Some(inside.clone())
        );
        assert_eq!(IdMaps::identity().attribute_outside(&inside), Some(inside));
        // Another container's root's, and something that is none.
        let mut other = outside;
        other.value[20] ^= 1;
        assert_eq!(maps().attribute_inside(other), None);
        assert_eq!(
            maps().attribute_inside(xattr("security.capability", b"x")),
            None
        );
    }

    #[test]
    fn access_lists_name_the_containers_users() {
        let entry = |tag: u16, id: u32| {
            let mut entry = tag.to_le_bytes().to_vec();
            entry.extend_from_slice(&6_u16.to_le_bytes());
            entry.extend_from_slice(&id.to_le_bytes());
            entry
        };
        let list = |user, group| {
            let entries = [entry(1, u32::MAX), entry(2, user), entry(8, group)];
            [vec![2, 0, 0, 0], entries.concat()].concat()
        };
        let inside = xattr("system.posix_acl_access", &list(5, 12));
        let outside = maps().attribute_outside(&inside).unwrap();
        assert_eq!(outside.value, list(524_293, 700_002));
        assert_eq!(maps().attribute_inside(outside), Some(inside));
        let unknown = xattr("system.posix_acl_default", &list(70_000, 0));
        assert_eq!(maps().attribute_outside(&unknown), None);
        let plain = xattr("user.a", b"b");
        assert_eq!(maps().attribute_outside(&plain), Some(plain.clone()));
    }
}
