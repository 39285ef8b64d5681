//! What every [`Driver`] must do, as one suite. It needs root: owners, devices and attributes are what it looks at.

mod hostile;
pub(crate) mod layer;
pub(crate) mod tree;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use hull_fs::tar::{Entry, Kind, Mtime};
use hull_types::{DiffId, Digest};
use rustix::fs::FileType;

use crate::{Driver, RootDirectory, SnapshotError};
use layer::{Layer, entry, with_xattrs};
use tree::{Node, Tree};

type Check = fn(&dyn Driver, &Path);

/// Runs the suite in a directory of its own, which the caller removes. `open` opens a driver below a new root.
///
/// # Panics
///
/// When the driver does not do what drivers do.
pub fn conformance(home: &Path, open: &dyn Fn(&Path) -> Box<dyn Driver>) {
    let checks: [(&str, Check); 10] = [
        ("metadata", keeps_everything_about_entries),
        ("replaced", later_entries_replace_earlier_ones),
        ("whiteouts", whiteouts_become_overlayfs_marks),
        ("devices", device_nodes_below_dev_are_left_out),
        ("hostile", hostile_layers_leave_nothing),
        ("unfinished", unfinished_layers_are_invisible_and_vanish),
        ("twice", a_layer_committed_twice_stays),
        ("collect", only_what_nobody_names_or_holds_is_collected),
        (
            "use",
            what_is_in_use_is_asked_when_nobody_can_hold_it_any_more,
        ),
        ("mount points", mount_points_are_below_every_image),
    ];
    for (name, check) in checks {
        let root: PathBuf = home.join(name);
        std::fs::create_dir(&root).expect("a directory for the check");
        check(&*open(&root), &root);
    }
}

/// Returns an ID that is not the archive's digest: drivers do not look.
pub(crate) fn id(number: u8) -> DiffId {
    DiffId(Digest::sha256(&[number; 32]))
}

fn unpack(driver: &dyn Driver, number: u8, archive: &[u8]) -> Tree {
    try_unpack(driver, number, archive).expect("the layer is good");
    tree::read(driver.open(&id(number)).expect("the layer is there"))
}

pub(crate) fn try_unpack(
    driver: &dyn Driver,
    number: u8,
    mut archive: &[u8],
) -> Result<(), SnapshotError> {
    let mut unpacking = driver.begin()?;
    unpacking.write_from(&mut archive)?;
    assert!(archive.is_empty(), "the stream is read to its end");
    unpacking.commit(&id(number)).map(drop)
}

fn kind(node: &Node) -> FileType {
    FileType::from_raw_mode(node.mode)
}

fn mount_points_are_below_every_image(driver: &dyn Driver, root: &Path) {
    let path = root.join(driver.mount_points().expect("they are made"));
    assert_eq!(
        driver.mount_points().ok().map(|path| root.join(path)),
        Some(path.clone())
    );
    let collected = driver.collect(&HashSet::new()).expect("the store is good");
    assert_eq!(collected.foreign, Vec::<String>::new());
    assert_eq!(driver.list().expect("the store is good"), []);
    let tree = tree::read(driver.open_mount_points().expect("they are still there"));
    let names: Vec<_> = tree.keys().filter(|name| !name.is_empty()).collect();
    for name in [
        "dev",
        "etc/hostname",
        "etc/hosts",
        "etc/resolv.conf",
        "proc",
        "sys",
    ] {
        assert!(path.join(name).exists(), "{name}");
        assert!(
            names.iter().any(|found| ***found == *name.as_bytes()),
            "{name}"
        );
    }
}

fn keeps_everything_about_entries(driver: &dyn Driver, _: &Path) {
    let archive = everything()
        .into_iter()
        .fold(Layer::new(), |layer, (entry, contents)| {
            layer.entry(&entry, &contents)
        });
    let tree = unpack(driver, 1, &archive.end());
    for (entry, contents) in everything() {
        let node = &tree[entry.path.as_bytes()];
        let place = entry.path.to_string();
        if let Kind::HardLink(target) = &entry.kind {
            assert_eq!(node.same_as, target.as_bytes(), "{place}");
            continue;
        }
        if !matches!(entry.kind, Kind::Symlink(_)) {
            assert_eq!(node.mode & 0o7777, entry.mode, "{place}");
        }
        assert_eq!(node.owner, (entry.uid, entry.gid), "{place}");
        let mtime = (entry.mtime.seconds, i64::from(entry.mtime.nanoseconds));
        assert_eq!(node.mtime, mtime, "{place}");
        let xattrs: Vec<_> = node.xattrs.iter().collect();
        let expected: Vec<_> = entry.xattrs.iter().map(|x| (&x.name, &x.value)).collect();
        assert_eq!(xattrs, expected, "{place}");
        match &entry.kind {
            Kind::File => assert_eq!(node.contents, contents, "{place}"),
            Kind::Symlink(target) => assert_eq!(&node.contents, target, "{place}"),
            _ => {}
        }
    }
    assert_eq!(tree.len(), everything().len(), "and nothing else: {tree:?}");
    let record = driver.record(&id(1)).expect("it has a record");
    assert_eq!(
        (record.diff_id, record.entries),
        (id(1), everything().len() as u64)
    );
    assert_eq!(record.size, 5 + 300_000 + 3 + 1);
    let root = RootDirectory {
        mode: 0o751,
        uid: 1,
        gid: 2,
    };
    assert_eq!(record.root, Some(root));
}

/// One entry of each kind, with everything that can be said about it.
fn everything() -> Vec<(Entry, Vec<u8>)> {
    // Version 2, effective, CAP_NET_RAW; a newline among the flags, where a careless PAX parser stops.
    let capability = [
        1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0, 0, 0,
    ];
    let acl = acl();
    let set = |path, kind, mode, owner: (u32, u32), xattrs: &[(&str, &[u8])], contents: &[u8]| {
        let mut entry = with_xattrs(entry(path, kind), xattrs);
        entry.mode = mode;
        (entry.uid, entry.gid) = owner;
        entry.size = contents.len() as u64;
        entry.mtime = Mtime {
            seconds: 1_234_567_890,
            nanoseconds: 123_456_789,
        };
        (entry, contents.to_vec())
    };
    let directory = Kind::Directory;
    vec![
        set(
            ".",
            directory.clone(),
            0o751,
            (1, 2),
            &[("user.root", b"r")],
            b"",
        ),
        set("d", directory.clone(), 0o2775, (33, 44), &[], b""),
        set(
            "d/file",
            Kind::File,
            0o640,
            (1000, 65_535),
            &[("user.a", b"1"), ("user.b", b"")],
            b"hello",
        ),
        set("d/setuid", Kind::File, 0o6755, (65_535, 7), &[], b"abc"),
        set(
            "d/capable",
            Kind::File,
            0o755,
            (5, 6),
            &[("security.capability", &capability[..20])],
            b"x",
        ),
        set("d/large", Kind::File, 0o600, (0, 0), &[], &vec![7; 300_000]),
        set(
            "d/link",
            Kind::Symlink(b"/etc/../passwd".to_vec()),
            0o777,
            (9, 9),
            &[],
            b"",
        ),
        set("d/pipe", Kind::Fifo, 0o622, (3, 4), &[], b""),
        set(
            "d/same",
            Kind::HardLink(layer::entry_path("d/file")),
            0,
            (0, 0),
            &[],
            b"",
        ),
        set("sticky", directory.clone(), 0o1777, (0, 0), &[], b""),
        set(
            "acl",
            directory.clone(),
            0o755,
            (0, 0),
            &[("system.posix_acl_default", &acl)],
            b"",
        ),
        set("acl/plain", Kind::File, 0o644, (0, 0), &[], b""),
        set("closed", directory, 0o000, (1, 1), &[], b""),
        set("closed/\u{e9}\n", Kind::File, 0o000, (1, 1), &[], b""),
    ]
}

/// An access control list in the kernel's form: user rwx, user 1000 r-x, group r-x, mask rwx, other none.
fn acl() -> Vec<u8> {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    let none = u32::MAX;
    for (tag, permissions, id) in [
        (1u16, 7u16, none),
        (2, 5, 1000),
        (4, 5, none),
        (16, 7, none),
        (32, 0, none),
    ] {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&permissions.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    bytes
}

fn later_entries_replace_earlier_ones(driver: &dyn Driver, _: &Path) {
    let archive = Layer::new()
        .file("file-to-file", "old")
        .file("file-to-file", "new")
        .file("file-to-dir", "old")
        .directory("file-to-dir")
        .file("file-to-dir/in", "new")
        .directory("dir-to-link")
        .file("dir-to-link/in", "old")
        .symlink("dir-to-link", "nowhere")
        .symlink("link-to-file", "/etc/passwd")
        .file("link-to-file", "new")
        .directory("dir-to-dir")
        .file("dir-to-dir/in", "old")
        .directory("dir-to-dir")
        .file("kept", "kept")
        .hard_link("linked", "kept")
        .file("linked", "alone")
        .directory("dir-to-file")
        .directory("dir-to-file/deep")
        .directory("dir-to-file/deep/er")
        .file("dir-to-file", "new")
        .file("implied/by/this", "")
        .end();
    let tree = unpack(driver, 1, &archive);
    let contents =
        |path: &str| String::from_utf8_lossy(&tree[path.as_bytes()].contents).into_owned();
    assert_eq!(contents("file-to-file"), "new");
    assert_eq!(contents("file-to-dir/in"), "new");
    assert_eq!(contents("dir-to-link"), "nowhere");
    assert!(!tree.contains_key(&b"dir-to-link/in"[..]));
    assert_eq!(contents("link-to-file"), "new");
    assert_eq!(contents("dir-to-dir/in"), "old");
    assert_eq!(contents("kept"), "kept");
    assert_eq!(contents("linked"), "alone");
    assert_eq!(contents("dir-to-file"), "new");
    assert_eq!(tree[&b"implied/by"[..]].mode & 0o7777, 0o755);
    assert_eq!(tree[&b"implied/by"[..]].mtime, (1_000_000_000, 0));
}

fn whiteouts_become_overlayfs_marks(driver: &dyn Driver, _: &Path) {
    let archive = Layer::new()
        .directory("d")
        .file("d/.wh.gone", "")
        .file(".wh.top", "")
        // Only layers below are affected, whatever comes first.
        .file("d/stays", "here")
        .file("d/.wh.stays", "")
        .file("d/.wh.after", "")
        .file("d/after", "here")
        .directory("o")
        .file("o/before", "here")
        .file("o/.wh..wh..opq", "")
        .file("o/after", "here")
        .file("implied/.wh..wh..opq", "")
        // A directory that replaces what was deleted shows nothing of it.
        .file(".wh.again", "")
        .directory("again")
        .directory("again2")
        .file(".wh.again2", "")
        .file(".wh.again3", "")
        .file("again3/in", "")
        .hard_link("d/.wh.aufs", "d/stays")
        .directory("plain")
        .end();
    let tree = unpack(driver, 1, &archive);
    let is_whiteout = |path: &str| {
        let node = &tree[path.as_bytes()];
        kind(node) == FileType::CharacterDevice && node.device == 0
    };
    let is_opaque = |path: &str| {
        let xattrs = &tree[path.as_bytes()].xattrs;
        let mark = [&b"trusted.overlay.opaque"[..], b"user.overlay.opaque"];
        mark.iter()
            .any(|name| xattrs.get(*name).is_some_and(|value| value == b"y"))
    };
    for path in ["d/gone", "top", "d/aufs"] {
        assert!(is_whiteout(path), "{path}");
    }
    for path in ["d/stays", "d/after", "o/before", "o/after"] {
        assert_eq!(tree[path.as_bytes()].contents, b"here", "{path}");
    }
    for path in ["o", "implied", "again", "again2", "again3"] {
        assert!(is_opaque(path), "{path}");
    }
    for path in ["", "d", "plain"] {
        assert!(!is_opaque(path), "{path}");
    }
    assert!(
        !tree
            .keys()
            .any(|path| path.windows(4).any(|part| part == b".wh."))
    );
}

fn device_nodes_below_dev_are_left_out(driver: &dyn Driver, _: &Path) {
    let archive = Layer::new()
        .directory("dev")
        .char_device("dev/null", 1, 3)
        .block_device("dev/disk/sda", 8, 0)
        .hard_link("dev/zero", "dev/null")
        .file("dev/file", "")
        .end();
    let tree = unpack(driver, 1, &archive);
    let paths: Vec<_> = tree
        .keys()
        .map(|path| String::from_utf8_lossy(path))
        .collect();
    assert_eq!(paths, ["", "dev", "dev/file"]);
    let record = driver.record(&id(1)).expect("it has a record");
    assert_eq!(record.skipped, ["dev/disk/sda", "dev/null", "dev/zero"]);
}

fn hostile_layers_leave_nothing(driver: &dyn Driver, root: &Path) {
    let outside = root.join("outside");
    std::fs::create_dir(&outside).expect("a directory to guard");
    std::fs::copy("/proc/self/status", outside.join("guarded")).expect("a file to guard");
    let guarded = || {
        let dir = std::fs::File::open(&outside).expect("the guarded directory");
        tree::read(dir)
    };
    let before = guarded();
    for (name, archive, reason) in hostile::layers() {
        let error = try_unpack(driver, 1, &archive).expect_err(name);
        let text = error.to_string();
        assert!(text.contains(reason), "{name}: {text}");
        assert!(driver.list().expect("list").is_empty(), "{name}");
    }
    let mut after = guarded();
    after
        .iter_mut()
        .for_each(|(path, node)| node.blocks = before[path].blocks);
    assert_eq!(after, before);
    let collected = driver.collect(&HashSet::new()).expect("collect");
    assert_eq!((collected.layers.len(), collected.unfinished), (0, 0));
}

fn unfinished_layers_are_invisible_and_vanish(driver: &dyn Driver, _: &Path) {
    let archive = Layer::new().file("f", "").end();
    let mut unpacking = driver.begin().expect("begin");
    unpacking
        .write_from(&mut archive.as_slice())
        .expect("the layer is good");
    assert!(unpacking.end_was_marked());
    assert!(driver.list().expect("list").is_empty());
    // Nobody else takes it for abandoned.
    assert_eq!(
        driver.collect(&HashSet::new()).expect("collect").unfinished,
        0
    );
    drop(unpacking);
    assert!(!driver.contains(&id(1)).expect("contains"));
    assert_eq!(
        driver.collect(&HashSet::new()).expect("collect").unfinished,
        0
    );
    let unknown = driver.open(&id(1)).expect_err("it is not there");
    assert!(matches!(unknown, SnapshotError::NotFound(_)));
    let mut unmarked = driver.begin().expect("begin");
    unmarked
        .write_from(&mut &archive[..512])
        .expect("readers accept a missing end mark");
    assert!(!unmarked.end_was_marked());
}

fn a_layer_committed_twice_stays(driver: &dyn Driver, _: &Path) {
    let one = Layer::new().file("f", "one").end();
    let two = Layer::new().file("f", "two").end();
    let mut first = driver.begin().expect("begin");
    let mut second = driver.begin().expect("begin");
    first
        .write_from(&mut one.as_slice())
        .expect("the layer is good");
    second
        .write_from(&mut two.as_slice())
        .expect("the layer is good");
    let (first, _hold) = first.commit(&id(1)).expect("commit");
    let (second, _hold) = second.commit(&id(1)).expect("the other one's is as good");
    assert_eq!(first, second);
    let tree = tree::read(driver.open(&id(1)).expect("open"));
    assert_eq!(tree[&b"f"[..]].contents, b"one");
    assert_eq!(driver.list().expect("list"), [id(1)]);
}

fn what_is_in_use_is_asked_when_nobody_can_hold_it_any_more(driver: &dyn Driver, _: &Path) {
    let archive = Layer::new().file("f", "").end();
    try_unpack(driver, 1, &archive).expect("the layer is good");
    let nothing = HashSet::new();
    let collect = |in_use: &dyn Fn() -> Option<HashSet<DiffId>>| {
        let collected = driver.collect_unused(&nothing, in_use).expect("collect");
        collected.layers
    };
    // Its holder may be about to write a record and let go: what was read of records before that counts for nothing.
    let hold = driver.hold(&id(1)).expect("hold");
    let too_early = || panic!("the only layer is held, so nothing can be removed");
    assert_eq!(collect(&too_early), []);
    drop(hold);
    assert_eq!(collect(&|| Some(HashSet::from([id(1)]))), []);
    assert_eq!(collect(&|| None), [], "nobody can tell");
    assert_eq!(collect(&|| Some(HashSet::new())), [id(1)]);
}

fn only_what_nobody_names_or_holds_is_collected(driver: &dyn Driver, _: &Path) {
    let archive = Layer::new().file("d/f", "").end();
    for number in 1..=4 {
        try_unpack(driver, number, &archive).expect("the layer is good");
    }
    assert_eq!(driver.list().expect("list"), [id(1), id(2), id(3), id(4)]);
    let hold = driver.hold(&id(2)).expect("hold");
    let _again = driver.hold(&id(2)).expect("any number may hold it");
    let collected = driver.collect(&HashSet::from([id(1)])).expect("collect");
    assert_eq!(collected.layers, [id(3), id(4)]);
    assert_eq!(driver.list().expect("list"), [id(1), id(2)]);
    assert!(matches!(driver.remove(&id(2)), Err(SnapshotError::Held(_))));
    drop(hold);
    drop(_again);
    driver.remove(&id(2)).expect("nobody holds it");
    assert!(matches!(
        driver.remove(&id(2)),
        Err(SnapshotError::NotFound(_))
    ));
    assert!(matches!(
        driver.hold(&id(2)),
        Err(SnapshotError::NotFound(_))
    ));
    assert_eq!(driver.list().expect("list"), [id(1)]);
}
