//! New volumes begin with what the image has at their place.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
};

use hull_engine::request::{Mount, RunRequest};

use crate::home::{Home, home, own, read, write};

pub(crate) const CASES: &[crate::Case] = crate::cases![
    root_a_new_volume_has_what_the_image_has,
    root_a_volume_begins_with_nothing_of_the_hosts,
    root_volumes_that_the_image_wants_go_with_the_container,
];

fn with_volume(name: &str, volume: &str) -> RunRequest {
    let mut request = Home::request(name, &["true"]);
    let mount = Mount::parse_volume(volume, || Ok("/".into())).unwrap();
    request.mounts.push(mount);
    request
}

fn root_a_new_volume_has_what_the_image_has() {
    let Some(home) = home() else { return };
    home.import("busybox", |tree| {
        write(tree.join("srv/data/file"), "from the image\n");
        write(tree.join("srv/data/deep/other"), "");
        own(tree.join("srv/data/file"), 70, 0o640);
        own(tree.join("srv/data/deep"), 70, 0o750);
        own(tree.join("srv/data"), 70, 0o2770);
        fs::hard_link(tree.join("srv/data/file"), tree.join("srv/data/same")).unwrap();
        symlink("/etc/passwd", tree.join("srv/data/link")).unwrap();
        let note = (c"user.note", b"kept");
        rustix::fs::setxattr(
            tree.join("srv/data"),
            note.0,
            note.1,
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
        symlink("/srv/data", tree.join("alias")).unwrap();
    });
    home.create(with_volume("one", "vol:/srv/data"));
    let data = home.path("hull/volumes/vol/data");
    let look = |name: &str| fs::symlink_metadata(data.join(name)).unwrap();
    assert_eq!(read(data.join("file")), "from the image\n");
    assert_eq!((look("").uid(), look("").mode() & 0o7777), (70, 0o2770));
    assert_eq!(
        (look("file").uid(), look("file").mode() & 0o7777),
        (70, 0o640)
    );
    assert_eq!(
        (look("deep").uid(), look("deep").mode() & 0o7777),
        (70, 0o750)
    );
    assert_eq!(look("file").ino(), look("same").ino());
    assert!(look("link").is_symlink());
    let mut note = [0; 4];
    rustix::fs::getxattr(&data, c"user.note", &mut note[..]).unwrap();
    assert_eq!(&note, b"kept");
    // Only a new one.
    fs::remove_file(data.join("file")).unwrap();
    home.create(with_volume("two", "vol:/srv/data"));
    assert!(!data.join("file").exists());
    // Not when it is not wanted, and through a link of the image's.
    home.create(with_volume("three", "bare:/srv/data:nocopy"));
    assert_eq!(
        fs::read_dir(home.path("hull/volumes/bare/data"))
            .unwrap()
            .count(),
        0
    );
    home.create(with_volume("four", "aliased:/alias"));
    assert_eq!(
        read(home.path("hull/volumes/aliased/data/file")),
        "from the image\n"
    );
    // Nothing there, or a file.
    home.create(with_volume("five", "none:/none/at/all"));
    home.create(with_volume("six", "file:/etc/passwd"));
    for name in ["none", "file"] {
        let data = home.path(format!("hull/volumes/{name}/data"));
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
        assert_eq!(fs::metadata(&data).unwrap().mode() & 0o7777, 0o755);
    }
}

/// CVE-2022-23648: an image whose volume is a link to the host's files.
fn root_a_volume_begins_with_nothing_of_the_hosts() {
    let Some(home) = home() else { return };
    write(home.path("outside/secret"), "the host's\n");
    let outside = home.path("outside").to_str().unwrap().to_owned();
    home.import("busybox", |tree| {
        symlink(&outside, tree.join("absolute")).unwrap();
        symlink(format!("../../../../../../..{outside}"), tree.join("dots")).unwrap();
        symlink("/proc/self/root", tree.join("magic")).unwrap();
    });
    for (name, place) in [
        ("a", "/absolute".to_owned()),
        ("b", "/dots".to_owned()),
        ("c", format!("/magic{outside}")),
        ("d", format!("/../../../..{outside}")),
    ] {
        home.create(with_volume(name, &format!("vol-{name}:{place}")));
        let data = home.path(format!("hull/volumes/vol-{name}/data"));
        assert_eq!(fs::read_dir(data).unwrap().count(), 0, "{place}");
    }
}

fn root_volumes_that_the_image_wants_go_with_the_container() {
    let Some(home) = home() else { return };
    let tree = home.path("tree");
    write(tree.join("bin/true"), "");
    write(tree.join("state/start"), "");
    let changes = [r#"VOLUME ["/state"]"#.to_owned()];
    let import = hull_image::Import {
        changes: &changes,
        ..Default::default()
    };
    let input = hull_image::Input::Path(&tree);
    home.engine
        .import_image(input, Some("stateful"), import)
        .unwrap();
    let mut request = Home::request("box", &["true"]);
    request.image = "stateful".parse().unwrap();
    home.create(request);
    let volumes = home.path("hull/volumes");
    let one = fs::read_dir(&volumes).unwrap().next().unwrap().unwrap();
    assert!(one.path().join("data/start").exists());
    home.engine
        .remove("box", hull_engine::Force::No, true)
        .unwrap();
    assert_eq!(fs::read_dir(&volumes).unwrap().count(), 0);
}
