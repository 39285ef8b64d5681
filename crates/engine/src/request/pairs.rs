use std::str::FromStr;

use super::InvalidRequest;

/// A label or annotation as docker writes it: `NAME=value`, or `NAME` alone for an empty value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub name: String,
    pub value: String,
}

impl FromStr for Label {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        if name.is_empty() || text.contains('\0') {
            return Err(InvalidRequest::Malformed {
                what: "a label",
                word: text.to_owned(),
                example: "NAME=value",
            });
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// A kernel setting that belongs to a namespace of the container: `NAME=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    pub name: String,
    pub value: String,
}

/// What the IPC namespace has; the network's are all under `net.` (namespaces(7)).
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

impl FromStr for Sysctl {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let malformed = || InvalidRequest::Malformed {
            what: "a kernel setting",
            word: text.to_owned(),
            example: "NAME=value, such as net.core.somaxconn=1024",
        };
        let (name, value) = text.split_once('=').ok_or_else(malformed)?;
        // sysctl(8) takes both signs; a name with a slash has its dots inside components, as in net/ipv4/conf/eth0.1/…
        let slashes = name.contains('/');
        let path = if slashes {
            name.to_owned()
        } else {
            name.replace('.', "/")
        };
        let component = |part: &str| {
            !part.is_empty()
                && part != ".."
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        if !path.split('/').all(component) || text.contains('\0') {
            return Err(malformed());
        }
        let name = if slashes { path } else { name.to_owned() };
        let dotted = name.replace('/', ".");
        let belongs = dotted.starts_with("net.")
            || dotted.starts_with("fs.mqueue.")
            || IPC.contains(&dotted.as_str());
        if !belongs {
            return Err(InvalidRequest::NotSupported {
                what: "settings of the whole host",
                word: name,
                instead: "a container can have net.*, fs.mqueue.* and kernel.{msg*,sem,shm*}; set others on the host",
            });
        }
        Ok(Self {
            name,
            value: value.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_a_name() {
        let label: Label = "a.b=c=d".parse().unwrap();
        assert_eq!((label.name.as_str(), label.value.as_str()), ("a.b", "c=d"));
        assert_eq!("flag".parse::<Label>().unwrap().value, "");
        assert!("=x".parse::<Label>().is_err() && "".parse::<Label>().is_err());
    }

    #[test]
    fn only_settings_of_namespaces_are_accepted() {
        for (text, name) in [
            ("net.core.somaxconn=1024", "net.core.somaxconn"),
            (
                "net/ipv4/conf/eth0.1/forwarding=1",
                "net/ipv4/conf/eth0.1/forwarding",
            ),
            ("kernel.shmmax=1", "kernel.shmmax"),
            ("fs.mqueue.msg_max=10", "fs.mqueue.msg_max"),
        ] {
            assert_eq!(text.parse::<Sysctl>().unwrap().name, name);
        }
        for bad in [
            "",
            "net.x",
            "kernel.panic=1",
            "vm.swappiness=1",
            "net/../kernel/panic=1",
            "net..x=1",
            "kernel.hostname=x",
            "net. x=1",
        ] {
            assert!(bad.parse::<Sysctl>().is_err(), "{bad}");
        }
    }
}
