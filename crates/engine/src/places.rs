//! Where Hull keeps things, for whom.

use std::path::PathBuf;

/// The two directories of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// What outlives a boot: images, layers, pods, volumes.
    pub root: PathBuf,
    /// What does not: sockets and what was found out about this boot's kernel.
    pub run: PathBuf,
}

impl Places {
    /// Returns root's own places, or those of an ordinary user by the XDG directories; `--root` (or `HULL_ROOT`) moves both.
    pub fn of(root: Option<PathBuf>, uid: u32, variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let absolute = |name| variable(name).filter(|path| path.is_absolute());
        match root.or_else(|| absolute("HULL_ROOT")) {
            Some(root) => Self {
                run: root.join("run"),
                root,
            },
            None if uid == 0 => Self {
                root: "/var/lib/hull".into(),
                run: "/run/hull".into(),
            },
            None => {
                let home = || absolute("HOME").map(|home| home.join(".local/share"));
                let data = absolute("XDG_DATA_HOME").or_else(home);
                let own = || PathBuf::from(format!("/tmp/hull-{uid}"));
                Self {
                    root: data.map_or_else(|| own().join("data"), |data| data.join("hull")),
                    run: absolute("XDG_RUNTIME_DIR")
                        .map_or_else(|| own().join("run"), |run| run.join("hull")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_the_caller() {
        let none = |_: &str| None;
        let xdg = |name: &str| match name {
            "XDG_DATA_HOME" => Some("/data".into()),
            "XDG_RUNTIME_DIR" => Some("/run/user/1".into()),
            "HOME" => Some("/home/a".into()),
            _ => None,
        };
        let home = |name: &str| (name == "HOME").then(|| "/home/a".into());
        let of = |root: &str, run: &str| Places {
            root: root.into(),
            run: run.into(),
        };
        assert_eq!(Places::of(None, 0, xdg), of("/var/lib/hull", "/run/hull"));
        assert_eq!(
            Places::of(None, 1, xdg),
            of("/data/hull", "/run/user/1/hull")
        );
        assert_eq!(
            Places::of(None, 1, home),
            of("/home/a/.local/share/hull", "/tmp/hull-1/run")
        );
        assert_eq!(
            Places::of(None, 1, none),
            of("/tmp/hull-1/data", "/tmp/hull-1/run")
        );
        assert_eq!(Places::of(Some("/x".into()), 0, none), of("/x", "/x/run"));
    }
}
