use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{InvalidRequest, mount::clean};

/// A device of the host that the container gets: docker's `HOST[:CONTAINER][:rwm]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// A device node, or a directory of them.
    pub host: PathBuf,
    pub container: PathBuf,
    pub access: DeviceAccess,
}

/// What the device cgroup lets the container do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAccess {
    pub read: bool,
    pub write: bool,
    pub mknod: bool,
}

impl DeviceAccess {
    pub const ALL: Self = Self {
        read: true,
        write: true,
        mknod: true,
    };
}

impl FromStr for DeviceAccess {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let has = |letter: char| text.matches(letter).count();
        let (r, w, m) = (has('r'), has('w'), has('m'));
        if text.is_empty() || r + w + m != text.len() || r.max(w).max(m) > 1 {
            return Err(InvalidRequest::Malformed {
                what: "an access to a device",
                word: text.to_owned(),
                example: "some of the letters `r`, `w` and `m`",
            });
        }
        Ok(Self {
            read: r == 1,
            write: w == 1,
            mknod: m == 1,
        })
    }
}

impl FromStr for DeviceRequest {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let malformed = || InvalidRequest::Malformed {
            what: "a device",
            word: text.to_owned(),
            example: "/dev/NAME, /dev/NAME:/dev/INSIDE or /dev/NAME:/dev/INSIDE:rwm",
        };
        if text.contains('=') && !text.starts_with('/') {
            return Err(InvalidRequest::NotSupported {
                what: "CDI device names",
                word: text.to_owned(),
                instead: "name the device's path, such as /dev/dri",
            });
        }
        let parts: Vec<&str> = text.split(':').collect();
        let (host, container, access) = match parts[..] {
            [host] => (host, host, DeviceAccess::ALL),
            [host, inside] if inside.starts_with('/') => (host, inside, DeviceAccess::ALL),
            [host, access] => (host, host, access.parse()?),
            [host, inside, access] => (host, inside, access.parse()?),
            _ => return Err(malformed()),
        };
        if !host.starts_with('/') || !container.starts_with('/') {
            return Err(malformed());
        }
        Ok(Self {
            host: clean(Path::new(host)),
            container: clean(Path::new(container)),
            access,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_docker_writes_them() {
        let read = DeviceAccess {
            read: true,
            write: false,
            mknod: false,
        };
        for (text, host, container, access) in [
            ("/dev/fuse", "/dev/fuse", "/dev/fuse", DeviceAccess::ALL),
            ("/dev/sda:/dev/x", "/dev/sda", "/dev/x", DeviceAccess::ALL),
            ("/dev/sda:r", "/dev/sda", "/dev/sda", read),
            ("/dev/sda:/dev//x:r", "/dev/sda", "/dev/x", read),
        ] {
            let device: DeviceRequest = text.parse().unwrap();
            assert_eq!(device.host, Path::new(host));
            assert_eq!(device.container, Path::new(container));
            assert_eq!(device.access, access);
        }
        for bad in [
            "",
            "fuse",
            "/dev/a:b",
            "/dev/a:/dev/b:x",
            "/a:/b:r:w",
            "/a:rr",
            "nvidia.com/gpu=0",
        ] {
            assert!(bad.parse::<DeviceRequest>().is_err(), "{bad}");
        }
    }
}
