//! A container changes its tree, the changes are told and committed, and image plus commit is what the container saw.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use hull_fs::tar::EntryPath;
use proptest::prelude::*;
use rustix::fs::XattrFlags;
use tempfile::TempDir;

use super::{directories, home, is_root};
use crate::conformance::layer::Layer;
use crate::conformance::tree::{self, Tree};
use crate::conformance::{id, try_unpack};
use crate::{
    ChangeKind, Directories, Driver, Layers, SnapshotError, WhiteoutMarks, changes, export, merged,
    view, write_layer,
};

/// An image of two layers and a container that is not running.
struct Container {
    home: TempDir,
    driver: Directories,
    layers: Vec<OwnedFd>,
    upper: OwnedFd,
    /// Where `upper` lies, and `work`.
    scratch: OwnedFd,
}

impl Container {
    fn new() -> Self {
        let home = home();
        let driver = directories(home.path());
        let bottom = Layer::new()
            .directory("etc")
            .file("etc/passwd", "root")
            .file("etc/group", "root")
            .directory("usr")
            .directory("usr/lib")
            .file("usr/lib/a", "aaaa")
            .file("usr/lib/b", "bbbb")
            .directory("usr/lib/deep")
            .file("usr/lib/deep/c", "cccc")
            .hard_link("usr/hard", "usr/lib/a")
            .directory("gone")
            .file("gone/x", "xxxx")
            .symlink("link", "etc/passwd")
            .end();
        let top = Layer::new()
            .directory("usr")
            .file("usr/top", "tttt")
            .file(".wh.gone", "")
            .directory("etc")
            .file("etc/group", "wheel")
            .directory("var")
            .directory("var/log")
            .file("var/log/one", "1111")
            .end();
        try_unpack(&driver, 1, &bottom).unwrap();
        try_unpack(&driver, 2, &top).unwrap();
        let layers = vec![driver.open(&id(2)).unwrap(), driver.open(&id(1)).unwrap()];
        let [scratch, upper, _work] = ["scratch", "scratch/upper", "scratch/work"].map(|name| {
            let path = home.path().join(name);
            fs::create_dir(&path).unwrap();
            OwnedFd::from(File::open(path).unwrap())
        });
        Self {
            home,
            driver,
            layers,
            upper,
            scratch,
        }
    }

    fn lowers(&self) -> Vec<BorrowedFd<'_>> {
        self.layers.iter().map(AsFd::as_fd).collect()
    }

    fn with_layers<T>(&self, what: impl FnOnce(&Layers<'_>) -> T) -> T {
        let lowers = self.lowers();
        let marks = WhiteoutMarks::Trusted;
        what(&Layers {
            upper: self.upper.as_fd(),
            lowers: &lowers,
            marks,
        })
    }

    /// Runs something with the tree, as the container would.
    fn run(&self, what: impl FnOnce(&Path)) {
        let tree = self
            .with_layers(|layers| {
                let scratch = crate::Scratch {
                    dir: self.scratch.as_fd(),
                    upper: "upper",
                    work: "work",
                };
                merged(layers, scratch)
            })
            .unwrap();
        what(&PathBuf::from(format!(
            "/proc/self/fd/{}",
            tree.as_raw_fd()
        )));
    }

    fn sees(&self) -> Tree {
        comparable(&self.with_layers(|layers| layers.view()).unwrap())
    }

    fn changes(&self) -> Vec<String> {
        let changes = self.with_layers(changes).unwrap();
        changes
            .iter()
            .map(|change| format!("{} {}", change.kind, change.path))
            .collect()
    }

    /// Commits the changes as layer 3, and returns what the new image looks like.
    fn commit(&self) -> Tree {
        let archive = self
            .with_layers(|layers| write_layer(layers, &changes(layers).unwrap(), Vec::new()))
            .unwrap();
        try_unpack(&self.driver, 3, &archive).unwrap();
        let top = self.driver.open(&id(3)).unwrap();
        let all = [&[top.as_fd()], self.lowers().as_slice()].concat();
        let tree = comparable(&view(&all, WhiteoutMarks::Trusted).unwrap());
        self.driver.remove(&id(3)).unwrap();
        tree
    }
}

/// Reads a tree without its root, which is no change of the container's, and without counting blocks.
fn comparable(root: &OwnedFd) -> Tree {
    let mut tree = tree::read(root);
    tree.remove(&Vec::new());
    for node in tree.values_mut() {
        node.blocks = 0;
    }
    tree
}

fn assert_same(left: &Tree, right: &Tree) {
    for (path, node) in left {
        assert_eq!(right.get(path), Some(node), "{}", path.escape_ascii());
    }
    assert_eq!(
        left.len(),
        right.len(),
        "{:?} {:?}",
        left.keys(),
        right.keys()
    );
}

fn write(path: PathBuf, contents: &str) {
    use std::io::Write;
    File::create(path)
        .unwrap()
        .write_all(contents.as_bytes())
        .unwrap();
}

#[test]
fn root_a_container_that_did_nothing_changed_nothing() {
    if is_root() {
        let container = Container::new();
        container.run(|root| {
            fs::read(root.join("etc/passwd")).unwrap();
            // Opening for writing copies the file up, and its directory with it, before anything is written.
            fs::OpenOptions::new()
                .write(true)
                .open(root.join("usr/lib/deep/c"))
                .unwrap();
        });
        assert_eq!(
            container.changes(),
            ["C usr", "C usr/lib", "C usr/lib/deep", "C usr/lib/deep/c"]
        );
        assert_same(&container.commit(), &container.sees());
    }
}

#[test]
fn root_changes_are_told_as_docker_tells_them() {
    if !is_root() {
        return;
    }
    let container = Container::new();
    container.run(|root| {
        write(root.join("etc/new"), "new");
        write(root.join("etc/passwd"), "changed");
        fs::remove_file(root.join("etc/group")).unwrap();
        fs::remove_dir_all(root.join("var")).unwrap();
        fs::create_dir(root.join("gone")).unwrap();
        fs::remove_file(root.join("link")).unwrap();
        fs::create_dir(root.join("link")).unwrap();
        write(root.join("link/in"), "in");
        // Changed and changed back: deleted, made again.
        fs::remove_file(root.join("usr/top")).unwrap();
        write(root.join("usr/top"), "tttt");
    });
    assert_eq!(
        container.changes(),
        [
            "C etc",
            "D etc/group",
            "A etc/new",
            "C etc/passwd",
            "A gone",
            "C link",
            "A link/in",
            "C usr",
            "C usr/top",
            "D var",
        ]
    );
    assert_same(&container.commit(), &container.sees());
}

#[test]
fn root_renamed_directories_and_metadata_only_copies_are_followed() {
    if !is_root() {
        return;
    }
    let container = Container::new();
    container.run(|root| {
        // A redirect: nothing of it is copied.
        fs::rename(root.join("usr/lib"), root.join("moved")).unwrap();
        write(root.join("moved/deep/d"), "dddd");
        fs::remove_file(root.join("moved/b")).unwrap();
        // A directory of the same name as another one before.
        fs::rename(root.join("var"), root.join("usr/lib")).unwrap();
        // Metadata only: the data stay below.
        fs::set_permissions(root.join("moved/a"), PermissionsExt::from_mode(0o4711)).unwrap();
        chown(root.join("etc/passwd"), Some(1), Some(2)).unwrap();
        rustix::fs::setxattr(root.join("etc"), "user.x", b"y", XattrFlags::empty()).unwrap();
    });
    let metacopy = container.home.path().join("scratch/upper/etc/passwd");
    let mut value = [0; 64];
    rustix::fs::lgetxattr(metacopy, "trusted.overlay.metacopy", &mut value[..]).unwrap();
    assert_eq!(
        container.changes(),
        [
            "C etc",
            "C etc/passwd",
            "A moved",
            "A moved/a",
            "A moved/deep",
            "A moved/deep/c",
            "A moved/deep/d",
            "C usr",
            "C usr/lib",
            "D usr/lib/a",
            "D usr/lib/b",
            "D usr/lib/deep",
            "A usr/lib/log",
            "A usr/lib/log/one",
            "D var",
        ]
    );
    assert_same(&container.commit(), &container.sees());
}

#[test]
fn root_an_exported_tree_is_the_tree() {
    if !is_root() {
        return;
    }
    let container = Container::new();
    container.run(|root| {
        write(root.join("new"), "new");
        fs::hard_link(root.join("new"), root.join("etc/same")).unwrap();
        symlink("/nowhere", root.join("usr/sym")).unwrap();
        std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    });
    let mut expected = container.sees();
    assert!(expected.remove(&b"socket"[..]).is_some());
    let tree = container.with_layers(|layers| layers.view()).unwrap();
    let archive = export(tree.as_fd(), Vec::new()).unwrap();
    let again = export(tree.as_fd(), Vec::new()).unwrap();
    assert!(archive == again, "equal trees give equal archives");
    try_unpack(&container.driver, 3, &archive).unwrap();
    let unpacked = container.driver.open(&id(3)).unwrap();
    assert_same(&comparable(&unpacked), &expected);
}

#[test]
fn root_trees_too_deep_are_refused() {
    if !is_root() {
        return;
    }
    let container = Container::new();
    container.run(|root| {
        let deep = (0..300).fold(root.to_owned(), |path, _| path.join("d"));
        fs::create_dir_all(deep).unwrap();
    });
    let error = container.with_layers(changes).unwrap_err();
    assert!(matches!(error, SnapshotError::TooDeep { .. }), "{error}");
    let tree = container.with_layers(|layers| layers.view()).unwrap();
    let error = export(tree.as_fd(), Vec::new()).unwrap_err();
    assert!(matches!(error, SnapshotError::TooDeep { .. }), "{error}");
}

#[test]
fn root_some_of_the_changes_can_be_committed() {
    if !is_root() {
        return;
    }
    let container = Container::new();
    container.run(|root| {
        write(root.join("etc/wanted"), "");
        write(root.join("etc/unwanted"), "");
    });
    let archive = container
        .with_layers(|layers| {
            let unwanted = EntryPath::parse(b"etc/unwanted").unwrap();
            let mut some = changes(layers).unwrap();
            some.retain(|change| change.path != unwanted);
            assert_eq!(some.last().unwrap().kind, ChangeKind::Added);
            write_layer(layers, &some, Vec::new())
        })
        .unwrap();
    try_unpack(&container.driver, 3, &archive).unwrap();
    let tree = tree::read(container.driver.open(&id(3)).unwrap());
    let paths: Vec<_> = tree
        .keys()
        .map(|path| String::from_utf8_lossy(path))
        .collect();
    assert_eq!(paths, ["", "etc", "etc/wanted"]);
}

/// Something a container does; what makes no sense at the moment fails and does nothing.
#[derive(Clone, Debug)]
enum Deed {
    Write(usize),
    MakeDirectory(usize),
    Remove(usize),
    Rename(usize, usize),
    Link(usize, usize),
    Symlink(usize),
    Mode(usize, u32),
    Own(usize, u32),
    Attribute(usize),
}

const PLACES: [&str; 16] = [
    "etc",
    "etc/passwd",
    "etc/group",
    "etc/new",
    "usr",
    "usr/lib",
    "usr/lib/a",
    "usr/lib/deep",
    "usr/lib/deep/c",
    "usr/lib/deep/new",
    "usr/hard",
    "gone",
    "gone/x",
    "link",
    "new",
    "new/lib",
];

fn deed() -> impl Strategy<Value = Deed> {
    let place = || 0..PLACES.len();
    prop_oneof![
        place().prop_map(Deed::Write),
        place().prop_map(Deed::MakeDirectory),
        place().prop_map(Deed::Remove),
        (place(), place()).prop_map(|(from, to)| Deed::Rename(from, to)),
        (place(), place()).prop_map(|(from, to)| Deed::Rename(from, to)),
        (place(), place()).prop_map(|(from, to)| Deed::Link(from, to)),
        place().prop_map(Deed::Symlink),
        (place(), 0u32..0o1000).prop_map(|(at, mode)| Deed::Mode(at, mode)),
        (place(), 0u32..100).prop_map(|(at, id)| Deed::Own(at, id)),
        place().prop_map(Deed::Attribute),
    ]
}

fn act(root: &Path, deed: &Deed) {
    use std::io::Write;
    let at = |place: &usize| root.join(PLACES[*place]);
    match deed {
        Deed::Write(place) => {
            let file = fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(at(place));
            file.and_then(|mut file| file.write_all(b"more")).ok();
        }
        Deed::MakeDirectory(place) => drop(fs::create_dir(at(place))),
        Deed::Remove(place) => {
            let path = at(place);
            drop(fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)));
        }
        Deed::Rename(from, to) => drop(fs::rename(at(from), at(to))),
        Deed::Link(from, to) => drop(fs::hard_link(at(from), at(to))),
        Deed::Symlink(place) => drop(symlink("somewhere", at(place))),
        Deed::Mode(place, mode) => {
            drop(fs::set_permissions(
                at(place),
                PermissionsExt::from_mode(*mode),
            ));
        }
        Deed::Own(place, id) => drop(chown(at(place), Some(*id), None)),
        Deed::Attribute(place) => {
            rustix::fs::setxattr(at(place), "user.x", b"y", XattrFlags::empty()).ok();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn root_whatever_a_container_does_its_commit_shows(deeds in prop::collection::vec(deed(), 1..25)) {
        if is_root() {
            let container = Container::new();
            let before = comparable(&view(&container.lowers(), WhiteoutMarks::Trusted).unwrap());
            container.run(|root| deeds.iter().for_each(|deed| act(root, deed)));
            let after = container.sees();
            // A layer cannot link to a file of a layer below: names that were one file may be two now.
            let [mut committed, mut seen] = [container.commit(), after.clone()];
            for node in committed.values_mut().chain(seen.values_mut()) {
                node.same_as.clear();
            }
            assert_same(&committed, &seen);
            let told: Vec<_> = container.with_layers(changes).unwrap();
            for change in &told {
                let path = change.path.as_bytes();
                let expected = match (before.contains_key(path), after.contains_key(path)) {
                    (false, true) => ChangeKind::Added,
                    (true, true) => ChangeKind::Modified,
                    (true, false) => ChangeKind::Deleted,
                    (false, false) => panic!("{change:?} never was"),
                };
                prop_assert_eq!(change.kind, expected, "{}", &change.path);
            }
        }
    }
}
