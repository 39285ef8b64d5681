//! The words of a mount's `options`, as `mount(8)`, runc and docker spell them. Pure.

use rustix::mount::{MountAttrFlags, MountPropagationFlags};

/// What a list of options says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Properties to set. None is ever cleared: what the host made read-only or nodev stays so in a clone of it.
    pub(crate) set: MountAttrFlags,
    /// Whether they go for the mounts below as well.
    pub(crate) recursive: bool,
    /// How mount events travel; none is private.
    pub(crate) propagation: MountPropagationFlags,
    /// A bind mount, with the mounts below or without.
    pub(crate) bind: Option<Bind>,
    /// Owners go through the container's id map.
    pub(crate) idmap: bool,
    /// The rest: the file system's own options.
    pub(crate) data: Vec<(String, Option<String>)>,
}

/// How much a bind mount brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bind {
    One,
    Tree,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            set: MountAttrFlags::empty(),
            recursive: false,
            propagation: MountPropagationFlags::empty(),
            bind: None,
            idmap: false,
            data: Vec::new(),
        }
    }
}

impl Options {
    /// Reads the words in order; later ones win.
    pub(crate) fn parse<S: AsRef<str>>(words: &[S]) -> Self {
        let mut options = Self::default();
        for word in words {
            options.take(word.as_ref());
        }
        // docker and everyone's expectation: a read-only recursive bind is read-only all the way down.
        if options.bind == Some(Bind::Tree) {
            options.recursive = true;
        }
        options
    }

    fn take(&mut self, word: &str) {
        if let Some((attr, on)) = attribute(word) {
            return self.attribute(attr, on);
        }
        if let Some((attr, on)) = word.strip_prefix('r').and_then(attribute) {
            self.recursive = true;
            return self.attribute(attr, on);
        }
        if let Some(propagation) = propagation(word) {
            self.propagation = propagation;
            return;
        }
        match word {
            "bind" => self.bind = self.bind.or(Some(Bind::One)),
            "rbind" => self.bind = Some(Bind::Tree),
            "idmap" | "ridmap" => self.idmap = true,
            "noidmap" => self.idmap = false,
            // The defaults of this API, the words of mount(8) that concern other tools, and docker's volume words.
            "" | "defaults" | "async" | "loud" | "norelatime" | "nostrictatime" | "tmpcopyup"
            | "nocopy" | "z" | "Z" => {}
            _ => self.data.push(match word.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (word.to_owned(), None),
            }),
        }
    }

    fn attribute(&mut self, attr: MountAttrFlags, on: bool) {
        self.set.set(attr, on);
    }
}

/// A property of a mount and whether the word turns it on.
fn attribute(word: &str) -> Option<(MountAttrFlags, bool)> {
    Some(match word {
        "ro" => (MountAttrFlags::MOUNT_ATTR_RDONLY, true),
        "rw" => (MountAttrFlags::MOUNT_ATTR_RDONLY, false),
        "nosuid" => (MountAttrFlags::MOUNT_ATTR_NOSUID, true),
        "suid" => (MountAttrFlags::MOUNT_ATTR_NOSUID, false),
        "nodev" => (MountAttrFlags::MOUNT_ATTR_NODEV, true),
        "dev" => (MountAttrFlags::MOUNT_ATTR_NODEV, false),
        "noexec" => (MountAttrFlags::MOUNT_ATTR_NOEXEC, true),
        "exec" => (MountAttrFlags::MOUNT_ATTR_NOEXEC, false),
        "noatime" => (MountAttrFlags::MOUNT_ATTR_NOATIME, true),
        "atime" => (MountAttrFlags::MOUNT_ATTR_NOATIME, false),
        "strictatime" => (MountAttrFlags::MOUNT_ATTR_STRICTATIME, true),
        "nodiratime" => (MountAttrFlags::MOUNT_ATTR_NODIRATIME, true),
        "diratime" => (MountAttrFlags::MOUNT_ATTR_NODIRATIME, false),
        "nosymfollow" => (MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW, true),
        "symfollow" => (MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW, false),
        // The value of the access time field that is zero: nothing to set.
        "relatime" => (MountAttrFlags::empty(), true),
        _ => return None,
    })
}

fn propagation(word: &str) -> Option<MountPropagationFlags> {
    let (word, depth) = match word.strip_prefix('r') {
        Some(rest) => (rest, MountPropagationFlags::REC),
        None => (word, MountPropagationFlags::empty()),
    };
    let kind = match word {
        "private" => MountPropagationFlags::PRIVATE,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "shared" => MountPropagationFlags::SHARED,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        _ => return None,
    };
    Some(kind | depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_docker_means() {
        let shm = Options::parse(&["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]);
        assert_eq!(
            shm.set,
            MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NOEXEC
                | MountAttrFlags::MOUNT_ATTR_NODEV
        );
        assert_eq!(
            shm.data,
            [
                ("mode".to_owned(), Some("1777".to_owned())),
                ("size".to_owned(), Some("65536k".to_owned()))
            ]
        );

        let bind = Options::parse(&["rbind", "ro", "rslave", "idmap"]);
        assert_eq!(bind.bind, Some(Bind::Tree));
        assert!(bind.recursive && bind.idmap && bind.data.is_empty());
        assert_eq!(
            bind.propagation,
            MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC
        );

        let plain = Options::parse(&["bind", "ro"]);
        assert!(!plain.recursive);
        assert!(Options::parse(&["bind", "rro"]).recursive);
    }

    #[test]
    fn later_words_win() {
        let options = Options::parse(&["ro", "rw", "exec", "noexec"]);
        assert_eq!(options.set, MountAttrFlags::MOUNT_ATTR_NOEXEC);
        assert_eq!(Options::parse(&["rbind", "bind"]).bind, Some(Bind::Tree));
    }
}
