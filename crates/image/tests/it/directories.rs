//! Importing a directory loses nothing that a layer can hold.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use hull_image::{Import, Input};

use crate::home::{Home, busybox, is_root, run, tree, write};

fn import(home: &Home, path: &std::path::Path) -> hull_image::Image {
    let name = "dir:1".parse().unwrap();
    let changes = ["CMD [\"/bin/sh\"]".to_owned(), "ENV A=b".to_owned()];
    let import = Import {
        name: Some(&name),
        changes: &changes,
        message: Some("from a directory".to_owned()),
        platform: None,
    };
    home.images.import(Input::Path(path), &import).unwrap()
}

#[test]
fn root_a_directory_becomes_an_image_with_all_its_attributes() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let source = home.path("source");
    busybox(&source);
    let at = |name: &str| source.join(name);
    std::fs::hard_link(at("bin/busybox"), at("bin/again")).unwrap();
    std::fs::set_permissions(at("bin/ls"), PermissionsExt::from_mode(0o4755)).unwrap();
    std::os::unix::fs::lchown(at("etc/passwd"), Some(12), Some(34)).unwrap();
    std::os::unix::fs::symlink("/nowhere/at all", at("etc/dangling")).unwrap();
    run(&["mkfifo", at("tmp/pipe").to_str().unwrap()]);
    let _socket = std::os::unix::net::UnixListener::bind(at("tmp/socket")).unwrap();
    run(&[
        "setcap",
        "cap_net_raw+ep",
        at("bin/busybox").to_str().unwrap(),
    ]);
    run(&[
        "setfattr",
        "-n",
        "user.note",
        "-v",
        "hull",
        at("etc/passwd").to_str().unwrap(),
    ]);
    run(&[
        "touch",
        "-h",
        "-d",
        "2001-02-03T04:05:06.789012345Z",
        at("etc/dangling").to_str().unwrap(),
    ]);
    // A hole, data, a hole.
    let sparse = std::fs::File::create(at("tmp/sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"middle", 32 << 20).unwrap();
    sparse.sync_all().unwrap();
    let long = "long-".repeat(40);
    write(&at(&long), b"");

    let image = import(&home, &source);
    assert_eq!(image.config.config.cmd, ["/bin/sh"]);
    assert_eq!(image.config.config.env, ["A=b"]);
    assert_eq!(
        image.config.history[0].comment.as_deref(),
        Some("from a directory")
    );
    let unpacked = home.tree_of(&image, 0);
    let mut expected = tree(&source);
    expected.remove(std::path::Path::new("tmp/socket"));
    assert_eq!(tree(&unpacked), expected);

    let data = |name: &str| unpacked.join(name).symlink_metadata().unwrap();
    assert_eq!(data("bin/busybox").ino(), data("bin/again").ino());
    assert_eq!(
        (
            data("etc/dangling").mtime(),
            data("etc/dangling").mtime_nsec()
        ),
        (981_173_106, 789_012_345)
    );
    assert!(
        data("tmp/sparse").blocks() * 512 < 1 << 20,
        "the holes are still holes"
    );
    assert!(
        image.manifest.layers[0].size < 16 << 20,
        "and were not written into the layer"
    );
    let caps = run(&["getcap", unpacked.join("bin/again").to_str().unwrap()]);
    assert!(String::from_utf8(caps).unwrap().contains("cap_net_raw=ep"));
    let note = run(&[
        "getfattr",
        "--only-values",
        "-n",
        "user.note",
        unpacked.join("etc/passwd").to_str().unwrap(),
    ]);
    assert_eq!(note, b"hull");

    // The layer is one that others read: GNU tar finds the same.
    let blob = home
        .path("images/blobs/sha256")
        .join(image.manifest.layers[0].digest.hex());
    let out = tempfile::tempdir().unwrap();
    let options = [
        "--xattrs",
        "--xattrs-include=*",
        "-xpf",
        blob.to_str().unwrap(),
        "-C",
    ];
    run(&[&["tar"][..], &options, &[out.path().to_str().unwrap()]].concat());
    assert_eq!(tree(out.path()), expected);
    // And the same directory gives the same layer.
    assert_eq!(import(&home, &source).layers(), image.layers());
}

#[test]
fn root_devices_below_dev_are_left_out_and_others_refused() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let source = home.path("source");
    std::fs::create_dir_all(source.join("dev")).unwrap();
    run(&[
        "mknod",
        source.join("dev/null").to_str().unwrap(),
        "c",
        "1",
        "3",
    ]);
    let image = import(&home, &source);
    assert!(!home.tree_of(&image, 0).join("dev/null").exists());
    run(&["mknod", source.join("mem").to_str().unwrap(), "c", "1", "1"]);
    let error = home.refuses("device", || {
        home.images.import(Input::Path(&source), &Import::default())
    });
    assert!(error.contains("device"), "{error}");
}

#[test]
fn root_other_file_systems_are_not_taken() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let source = home.path("source");
    std::fs::create_dir_all(source.join("mnt")).unwrap();
    run(&[
        "mount",
        "-t",
        "tmpfs",
        "none",
        source.join("mnt").to_str().unwrap(),
    ]);
    write(&source.join("mnt/inside"), b"");
    let image = import(&home, &source);
    run(&["umount", source.join("mnt").to_str().unwrap()]);
    let unpacked = home.tree_of(&image, 0);
    assert!(unpacked.join("mnt").is_dir());
    assert!(!unpacked.join("mnt/inside").exists());
}

#[test]
fn root_tar_piped_from_a_tree_is_imported() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let source = home.path("source");
    busybox(&source);
    let path = source.to_str().unwrap();
    for options in [
        &["-c"][..],
        &["-c", "--format=posix"],
        &["-c", "--format=ustar"],
        &["-cS"],
    ] {
        let tar = run(&[&["tar", "-C", path][..], options, &["."]].concat());
        let image = home.import(&tar, "x:1").unwrap();
        assert_eq!(tree(&home.tree_of(&image, 0)), tree(&source), "{options:?}");
    }
}
