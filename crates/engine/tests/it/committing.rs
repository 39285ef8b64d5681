//! `diff`, `commit` and `export`: what a container changed, as a list, as an image, as an archive.

use std::fs;

use hull_engine::{Commit, Image, ImageError, Input};
use hull_image::Format;

use crate::home::{Home, home, read, said, write};

pub(crate) const CASES: &[crate::Case] = crate::cases![
    root_diff_tells_what_the_container_did_and_nothing_else,
    root_a_committed_container_is_an_image_that_others_can_read,
    root_commits_stand_on_each_other,
    root_a_commit_that_fails_leaves_the_container_running,
    root_an_export_is_the_whole_container,
];

/// Changes of every sort. The image has no /proc, no /etc/hosts and the like: Hull makes them.
const CHANGES: &str = "echo new > /srv/new; echo more >> /srv/changed; rm -r /srv/gone; mv /srv/old /srv/moved;
    chmod 700 /srv/mode; rm -r /srv/replaced; mkdir /srv/replaced; echo r > /srv/replaced/r; ln /srv/new /srv/link; chown 5:6 /srv/new";

fn changed(home: &Home) {
    home.import("busybox", |tree| {
        write(tree.join("srv/changed"), "was\n");
        write(tree.join("srv/gone/inner"), "");
        write(tree.join("srv/old/inner"), "moved\n");
        write(tree.join("srv/mode"), "");
        write(tree.join("srv/replaced/before"), "");
        write(tree.join("srv/same"), "same\n");
    });
    home.run("box", CHANGES);
}

const LINES: &str = "C /srv\nC /srv/changed\nD /srv/gone\nA /srv/link\nC /srv/mode\nA /srv/moved\nA /srv/moved/inner\nA /srv/new\nD /srv/old\nC /srv/replaced\nD /srv/replaced/before\nA /srv/replaced/r\n";

fn lines(home: &Home, name: &str) -> String {
    let changes = home.engine.diff(name).unwrap();
    changes.iter().map(|line| format!("{line}\n")).collect()
}

fn root_diff_tells_what_the_container_did_and_nothing_else() {
    let Some(home) = home() else { return };
    home.create(Home::request("idle", &["true"]));
    assert_eq!(lines(&home, "idle"), "");
    changed(&home);
    assert_eq!(lines(&home, "box"), LINES, "while it runs");
    home.stop("box");
    assert_eq!(lines(&home, "box"), LINES, "after it has ended");
    let first = home.engine.diff("box").unwrap().remove(0);
    assert_eq!(
        serde_json::to_string(&first).unwrap(),
        r#"{"Type":"C","Path":"/srv"}"#
    );
}

fn commit(home: &Home, name: &str) -> Image {
    let commit = Commit {
        name: Some(name.to_owned()),
        author: Some("a person".to_owned()),
        message: Some("with changes".to_owned()),
        changes: vec![
            r#"CMD ["cat", "/srv/new"]"#.to_owned(),
            "ENV LANG=C.UTF-8".to_owned(),
        ],
        pause: true,
    };
    home.engine.commit("box", &commit).unwrap()
}

fn root_a_committed_container_is_an_image_that_others_can_read() {
    let Some(home) = home() else { return };
    changed(&home);
    let image = commit(&home, "changed:1");
    let listed = home.engine.find("box").unwrap();
    assert_eq!(
        listed.status.word(),
        "running",
        "it was frozen only meanwhile"
    );
    assert_eq!(image.layers().len(), 2);
    assert_eq!(image.config.author.as_deref(), Some("a person"));
    assert_eq!(image.config.config.cmd, ["cat", "/srv/new"]);
    assert_eq!(image.config.config.env, ["LANG=C.UTF-8"]);
    let last = image.config.history.last().unwrap();
    assert_eq!(last.comment.as_deref(), Some("with changes"));
    // As others see it: the store in place, and an archive of it.
    let store = format!(
        "oci:{}:{}",
        home.path("hull/images").display(),
        image.names[0]
    );
    let out = home.path("layout");
    said(&[
        "skopeo",
        "copy",
        "-q",
        &store,
        &format!("oci:{}:x", out.display()),
    ]);
    let bundle = home.path("bundle");
    let layout = format!("{}:x", out.display());
    said(&[
        "umoci",
        "unpack",
        "--image",
        &layout,
        bundle.to_str().unwrap(),
    ]);
    let root = bundle.join("rootfs");
    assert_eq!(read(root.join("srv/new")), "new\n");
    assert_eq!(read(root.join("srv/changed")), "was\nmore\n");
    assert_eq!(read(root.join("srv/moved/inner")), "moved\n");
    assert_eq!(read(root.join("srv/same")), "same\n");
    for gone in [
        "srv/gone",
        "srv/old",
        "srv/replaced/before",
        "proc",
        "etc/hosts",
    ] {
        assert!(!root.join(gone).exists(), "{gone}");
    }
    use std::os::unix::fs::MetadataExt;
    let new = fs::metadata(root.join("srv/new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (5, 6), "owners are the container's");
    assert_eq!(
        new.ino(),
        fs::metadata(root.join("srv/link")).unwrap().ino()
    );
    // And as Hull sees it, through an archive, in another place.
    let mut archive = Vec::new();
    home.engine
        .save_images(&["changed:1"], &mut archive, Format::DockerArchive)
        .unwrap();
    let other = crate::home::home().unwrap();
    let loaded = other
        .engine
        .load_images(Input::Stream(&mut archive.as_slice()), None)
        .unwrap();
    assert_eq!(loaded[0].id, image.id);
    let mut request = Home::request("again", &[]);
    request.image = "changed:1".parse().unwrap();
    other.create(request);
    other.take("again", "/srv/new", "new").unwrap();
    assert_eq!(read(other.path("new")), "new\n");
}

fn root_commits_stand_on_each_other() {
    let Some(home) = home() else { return };
    home.run("box", "echo 1 > /one");
    commit(&home, "first");
    let mut request = Home::request("second", &[]);
    request.image = "first".parse().unwrap();
    home.run_as(request, "echo 2 > /two; rm /one");
    home.stop("second");
    let commit = Commit {
        name: Some("second".to_owned()),
        ..Commit::default()
    };
    let image = home.engine.commit("second", &commit).unwrap();
    assert_eq!(image.layers().len(), 3);
    assert_eq!(
        image.config.config.cmd[0], "sh",
        "it runs what the container ran"
    );
    let mut request = Home::request("third", &["true"]);
    request.image = "second".parse().unwrap();
    home.create(request);
    home.take("third", "/two", "two").unwrap();
    assert!(home.take("third", "/one", "one").is_err());
}

fn root_a_commit_that_fails_leaves_the_container_running() {
    let Some(home) = home() else { return };
    home.run("box", "");
    for commit in [
        Commit {
            changes: vec!["RUN make".to_owned()],
            ..Commit::default()
        },
        Commit {
            name: Some("Bad Name".to_owned()),
            ..Commit::default()
        },
        Commit {
            name: Some(format!("x@sha256:{}", "a".repeat(64))),
            ..Commit::default()
        },
    ] {
        let error = home.engine.commit("box", &commit).unwrap_err();
        assert_eq!(error.kind(), hull_types::ErrorKind::InvalidInput, "{error}");
        assert_eq!(home.engine.find("box").unwrap().status.word(), "running");
    }
    assert_eq!(home.engine.image_rows(&[]).unwrap().rows.len(), 1);
    // An image that is gone cannot be stood on; the files can still be had.
    let images = home.engine.images().unwrap();
    images
        .remove("busybox", &Default::default(), hull_image::Force::Yes)
        .unwrap();
    let error = home.engine.commit("box", &Commit::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the image of container `box`, `busybox`, is not here any more"
    );
    assert!(!matches!(
        error,
        hull_engine::EngineError::Image(ImageError::NotFound { .. })
    ));
    let mut archive = Vec::new();
    home.engine.export("box", &mut archive).unwrap();
    assert!(!archive.is_empty());
}

fn root_an_export_is_the_whole_container() {
    let Some(home) = home() else { return };
    changed(&home);
    write(home.path("hull/volumes-are-not-in-it"), "");
    for state in ["running", "exited"] {
        let mut archive = Vec::new();
        home.engine.export("box", &mut archive).unwrap();
        let file = home.path("export.tar");
        crate::home::write_bytes(&file, &archive);
        let out = home.path(state);
        fs::create_dir(&out).unwrap();
        said(&[
            "tar",
            "-C",
            out.to_str().unwrap(),
            "-xpf",
            file.to_str().unwrap(),
        ]);
        assert_eq!(read(out.join("srv/changed")), "was\nmore\n");
        assert!(out.join("bin/busybox").exists() && !out.join("srv/gone").exists());
        assert_eq!(fs::read_dir(out.join("proc")).unwrap().count(), 0);
        let owner =
            std::os::unix::fs::MetadataExt::uid(&fs::metadata(out.join("srv/new")).unwrap());
        assert_eq!(owner, 5);
        if state == "running" {
            home.stop("box");
        }
    }
    // What was exported can be imported and run.
    let file = home.path("export.tar");
    home.engine
        .import_image(Input::Path(&file), Some("imported"), Default::default())
        .unwrap();
    let mut request = Home::request("imported", &[]);
    request.image = "imported".parse().unwrap();
    home.run_as(request, "test $(cat /srv/new) = new");
}
