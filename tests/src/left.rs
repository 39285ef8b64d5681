//! What an installation has in the kernel and on disk besides images: at a test's end there must be nothing.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Things that are left, each in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left(pub Vec<String>);

impl Left {
    /// Looks everywhere.
    pub fn of(root: &Path) -> Self {
        let mut left = Vec::new();
        left.extend(mounts(root));
        left.extend(processes(root));
        left.extend(groups(root));
        left.extend(claims(root));
        left.extend(interfaces());
        left.extend(elements());
        Self(left)
    }

    /// Tells whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns the name of the cgroup that the pods of this root lie in.
pub fn cgroup_parent(root: &Path) -> Option<String> {
    let meta = root.metadata().ok()?;
    Some(format!("hull-{:x}-{:x}", meta.dev(), meta.ino()))
}

fn mounts(root: &Path) -> Vec<String> {
    let root = root.display().to_string();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .lines()
        .filter(|line| line.contains(&root))
        .map(|line| format!("mount {line}"))
        .collect()
}

/// Processes other than this one with something of the installation open.
fn processes(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let dir = entry.path();
        let own = std::process::id().to_string();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) || name == own {
            continue;
        }
        let links = std::fs::read_dir(dir.join("fd"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|fd| fd.path())
            .chain([dir.join("cwd"), dir.join("root")]);
        let open = links
            .filter_map(|link| std::fs::read_link(link).ok())
            .find(|target| target.starts_with(root));
        if let Some(open) = open {
            let words = std::fs::read_to_string(dir.join("cmdline")).unwrap_or_default();
            let words = words.replace('\0', " ");
            found.push(format!("process {name} ({words}) has {}", open.display()));
        }
    }
    found
}

fn hierarchies() -> Vec<PathBuf> {
    let base = Path::new("/sys/fs/cgroup");
    let below = std::fs::read_dir(base).into_iter().flatten().flatten();
    let dirs = below.map(|entry| entry.path()).filter(|path| path.is_dir());
    dirs.chain([base.to_owned()]).collect()
}

fn groups(root: &Path) -> Vec<String> {
    let own = cgroup_parent(root).into_iter().flat_map(|parent| {
        let dirs = hierarchies()
            .into_iter()
            .map(move |base| base.join(&parent));
        dirs.flat_map(|dir| directories(&dir)).collect::<Vec<_>>()
    });
    // What a test names with --cgroup-parent it names after its own directory.
    let test = root.parent().and_then(Path::file_name).unwrap_or_default();
    let named = hierarchies().into_iter().map(|base| base.join(test));
    own.chain(named.filter(|dir| dir.is_dir()))
        .map(|dir| format!("cgroup {}", dir.display()))
        .collect()
}

fn directories(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.is_dir()).collect()
}

/// Removes the parent cgroups of a root, and says which cannot be removed.
pub(crate) fn remove_parents(root: &Path) -> Vec<String> {
    let Some(parent) = cgroup_parent(root) else {
        return Vec::new();
    };
    let dirs = hierarchies().into_iter().map(|base| base.join(&parent));
    dirs.filter(|dir| dir.exists() && std::fs::remove_dir(dir).is_err())
        .map(|dir| format!("cgroup {}", dir.display()))
        .collect()
}

/// Entries of directories in which every entry is a pod's claim on something.
fn claims(root: &Path) -> Vec<String> {
    let fixed = ["pods", "names", "garbage", "run/pods", "images/ingest"];
    let mut dirs: Vec<PathBuf> = fixed.iter().map(|name| root.join(name)).collect();
    let networks = std::fs::read_dir(root.join("networks"));
    for network in networks.into_iter().flatten().flatten() {
        dirs.push(network.path().join("leases"));
        dirs.push(network.path().join("ports"));
    }
    let entries = dirs
        .iter()
        .flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten());
    let unfinished = ["", "run", "volumes", "networks", "images", "layers"];
    let halves = unfinished
        .iter()
        .flat_map(|name| {
            std::fs::read_dir(root.join(name))
                .into_iter()
                .flatten()
                .flatten()
        })
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(".tmp") || name.starts_with(".unpacking")
        });
    entries
        .chain(halves)
        .map(|entry| entry.path())
        .chain(id_ranges(root))
        .map(|path| format!("file {}", path.display()))
        .collect()
}

/// Ranges of user ids that pods of this root have: all roots of the host claim them in one place.
fn id_ranges(root: &Path) -> Vec<PathBuf> {
    let Some(mark) = cgroup_parent(root) else {
        return Vec::new();
    };
    let entries = std::fs::read_dir("/run/hull/ids")
        .into_iter()
        .flatten()
        .flatten();
    let paths = entries.map(|entry| entry.path());
    let is_ours =
        |path: &PathBuf| std::fs::read_link(path).is_ok_and(|text| text.starts_with(&mark));
    paths.filter(is_ours).collect()
}

/// Interfaces of pods in this test's network namespace.
fn interfaces() -> Vec<String> {
    said("ip", &["-o", "link", "show", "type", "veth"])
        .lines()
        .map(|line| format!("interface {line}"))
        .collect()
}

/// Published ports in this test's network namespace.
fn elements() -> Vec<String> {
    let text = said("nft", &["list", "table", "ip", "hull"]);
    let mut found = Vec::new();
    let mut inside = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("map ") {
            inside = name;
        } else if line.starts_with("set ") || line.starts_with("chain ") {
            inside = "";
        } else if line.starts_with("elements") && !inside.is_empty() {
            found.push(format!("published port {inside} {line}"));
        }
    }
    found
}

fn said(program: &str, words: &[&str]) -> String {
    let output = std::process::Command::new(program)
        .args(words)
        .stdin(std::process::Stdio::null())
        .output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}
