//! The cgroup lines of `/proc/self/mountinfo`, and `/proc/self/cgroup`. Pure.

use std::path::PathBuf;

/// One mounted hierarchy, as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CgroupMount {
    pub(crate) unified: bool,
    /// The directory of the hierarchy that lies at the mount point, as seen from the cgroup namespace (it may begin with `/..`).
    pub(crate) root: PathBuf,
    pub(crate) mount_point: PathBuf,
    pub(crate) read_only: bool,
    /// v1: controllers and `name=…` among the super block's options.
    pub(crate) options: Vec<String>,
}

/// Reads all cgroup mounts, in mount order. Lines that are not as proc(5) says are passed over.
pub(crate) fn cgroup_mounts(mountinfo: &str) -> Vec<CgroupMount> {
    mountinfo.lines().filter_map(cgroup_mount).collect()
}

/// `36 35 98:0 /root /mount/point rw,noatime master:1 - cgroup cgroup rw,memory`
fn cgroup_mount(line: &str) -> Option<CgroupMount> {
    // Most lines are other file systems: tell them apart before taking anything to pieces.
    let (mount, filesystem) = line.split_once(" - cgroup")?;
    let mut fields = filesystem.split(' ');
    let unified = match fields.next()? {
        "2" => true,
        "" => false,
        _ => return None,
    };
    let super_options = fields.nth(1)?;
    let mut fields = mount.split(' ').skip(3);
    let (root, mount_point, flags) = (fields.next()?, fields.next()?, fields.next()?);
    let read_only = |options: &str| options.split(',').any(|option| option == "ro");
    Some(CgroupMount {
        unified,
        root: unescape(root).into(),
        mount_point: unescape(mount_point).into(),
        read_only: read_only(flags) || read_only(super_options),
        options: super_options.split(',').map(str::to_owned).collect(),
    })
}

/// Blanks and backslashes stand as `\040`.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) if byte.is_ascii() => {
                out.push(char::from(byte));
                out.push_str(&part[3..]);
            }
            _ => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    out
}

/// Where this process is in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnGroup {
    /// Controllers, or `name=…`; empty for the unified hierarchy.
    pub(crate) controllers: Vec<String>,
    pub(crate) path: PathBuf,
}

/// Reads `/proc/self/cgroup`: `4:memory:/path`, `0::/path`.
pub(crate) fn own_groups(text: &str) -> Vec<OwnGroup> {
    let read = |line: &str| {
        let mut parts = line.splitn(3, ':');
        let (_id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        Some(OwnGroup {
            controllers: controllers
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            path: path.into(),
        })
    };
    text.lines().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_optional_fields_are_read() {
        let line = r"42 31 0:29 /a\040b /sys/fs/cgroup/cpu\134x rw,nosuid shared:9 master:3 - cgroup cgroup rw,cpu,cpuacct";
        let mounts = cgroup_mounts(line);
        assert_eq!(mounts[0].root, PathBuf::from("/a b"));
        assert_eq!(
            mounts[0].mount_point,
            PathBuf::from(r"/sys/fs/cgroup/cpu\x")
        );
        assert_eq!(mounts[0].options, ["rw", "cpu", "cpuacct"]);
        assert!(!mounts[0].read_only && !mounts[0].unified);
    }

    #[test]
    fn other_lines_are_passed_over() {
        for line in [
            "",
            "garbage",
            "1 2 3 - cgroup",
            "1 1 0:1 / / rw - cgroupx a rw,b",
            "1 1 0:1 / / rw - ext4 /dev/x rw",
        ] {
            assert!(cgroup_mounts(line).is_empty(), "{line}");
        }
    }

    #[test]
    fn own_groups_may_have_colons_in_their_path() {
        let groups = own_groups("4:cpu,cpuacct:/a:b\n1:name=systemd:/\n0::/x\nbroken\n");
        assert_eq!(groups.len(), 3);
        assert_eq!(groups[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(groups[0].path, PathBuf::from("/a:b"));
        assert!(groups[2].controllers.is_empty());
    }
}
