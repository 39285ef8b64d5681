//! The same inside a user namespace, where overlayfs keeps its marks in `user.overlay.*`.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hull_fs::Durability;

use super::{home, is_root};
use crate::conformance::layer::Layer;
use crate::conformance::{conformance, id, tree, try_unpack};
use crate::{Directories, Driver, Options, WhiteoutMarks, view};

const CHILD: &str = "HULL_SNAPSHOT_TEST_ROOTLESS";

fn user_directories(root: &Path) -> Directories {
    let options = Options {
        marks: WhiteoutMarks::User,
        durability: Durability::Cached,
        ..Options::default()
    };
    Directories::open(root, options).unwrap()
}

/// Not a test of its own: what `root_a_user_namespace_is_enough` runs in one.
#[test]
fn root_child_in_a_user_namespace() {
    let Some(home) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    conformance(&home, &|root| Box::new(user_directories(root)));
    let root = home.join("stacked");
    std::fs::create_dir(&root).unwrap();
    let driver = user_directories(&root);
    let lower = Layer::new()
        .file("d/hidden", "")
        .file("gone", "")
        .file("kept", "")
        .end();
    let upper = Layer::new()
        .file("d/.wh..wh..opq", "")
        .file("d/new", "")
        .file(".wh.gone", "")
        .end();
    try_unpack(&driver, 1, &lower).unwrap();
    try_unpack(&driver, 2, &upper).unwrap();
    let layers = [driver.open(&id(2)).unwrap(), driver.open(&id(1)).unwrap()];
    let layers = layers.each_ref().map(AsFd::as_fd);
    let tree = tree::read(view(&layers, WhiteoutMarks::User).unwrap());
    let paths: Vec<_> = tree
        .keys()
        .map(|path| String::from_utf8_lossy(path))
        .collect();
    assert_eq!(paths, ["", "d", "d/new", "kept"]);
}

#[test]
fn root_a_user_namespace_is_enough() {
    if !is_root() {
        return;
    }
    let home = home();
    chown(home.path(), Some(100_000), Some(100_000)).unwrap();
    let script = "echo ready; read go; exec setpriv --reuid=0 --regid=0 --clear-groups \"$@\"";
    let mut child = Command::new("unshare")
        .args(["--user", "--mount", "--keep-caps", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "tests::rootless::root_child_in_a_user_namespace",
            "--nocapture",
        ])
        .env(CHILD, home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    output.read_line(&mut text).unwrap();
    // The map is written from outside: the one inside would need entries in /etc/subuid.
    for map in ["uid_map", "gid_map"] {
        let path = format!("/proc/{}/{map}", child.id());
        let mut map = OpenOptions::new().write(true).open(path).unwrap();
        map.write_all(b"0 100000 65536").unwrap();
    }
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    output.read_to_string(&mut text).unwrap();
    assert!(
        child.wait().unwrap().success() && text.contains("1 passed"),
        "{text}"
    );
}
