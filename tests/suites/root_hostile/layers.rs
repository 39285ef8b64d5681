//! Layers: what their entries name, and what they do to the layers below.

use hull_suites::{Entry, Hull, OciLayout};

use crate::scene::{Scene, layer};

#[test]
fn paths_do_not_climb() {
    let scene = Scene::new();
    for name in [
        "../../../../../../../../../../tmp/x",
        "a/../../../../../../../../tmp/x",
        "..",
    ] {
        scene.refuses(
            name,
            &layer(&[Entry::file(name, "x")]),
            &["climb", "..", "outside", "path"],
        );
    }
    // A leading slash means the image's root.
    scene.stays_inside(
        "absolute",
        &layer(&[Entry::file(scene.outside("made"), "x")]),
    );
    scene.refuses(
        "empty name",
        &layer(&[Entry::file("", "x")]),
        &["name", "path", "root"],
    );
    scene.refuses(
        "root is a file",
        &layer(&[Entry::file(".", "x")]),
        &["root", "`.`", "path", "directory"],
    );
    scene.refuses(
        "root is a link",
        &layer(&[Entry::symlink(".", "/")]),
        &["root", "`.`", "directory"],
    );
}

#[test]
fn symbolic_links_lead_nowhere() {
    let scene = Scene::new();
    let target = scene.target.display().to_string();
    for (name, to) in [
        ("absolute", target.clone()),
        ("climbing", format!("../../../../../../../../..{target}")),
    ] {
        scene.stays_inside(
            name,
            &layer(&[
                Entry::symlink("l", &to),
                Entry::file("l/made", "x"),
                Entry::file("l/victim", "overwritten"),
            ]),
        );
        scene.stays_inside(
            name,
            &layer(&[Entry::symlink("l", &to)]).layer(&[Entry::file("l/made", "x")]),
        );
        scene.stays_inside(
            name,
            &layer(&[
                Entry::symlink("a", &to),
                Entry::symlink("b", "a"),
                Entry::file("b/made", "x"),
            ]),
        );
    }
    scene.stays_inside(
        "overwritten through",
        &layer(&[
            Entry::symlink("l", scene.outside("victim")),
            Entry::file("l", "x"),
        ]),
    );
}

#[test]
fn hard_links_stay_inside() {
    let scene = Scene::new();
    let outside = scene.outside("victim");
    scene.refuses(
        "to the host",
        &layer(&[Entry::hard_link("l", &outside)]),
        &["link", "absolute"],
    );
    scene.refuses(
        "climbing",
        &layer(&[Entry::hard_link(
            "l",
            format!("../../../../../../../../..{outside}"),
        )]),
        &["link", "climb", ".."],
    );
    let to = scene.target.display().to_string();
    scene.refuses(
        "through a link",
        &layer(&[Entry::symlink("s", to), Entry::hard_link("l", "s/victim")]),
        &["link"],
    );
    scene.refuses(
        "to a link",
        &layer(&[
            Entry::symlink("s", &outside),
            Entry::hard_link("l", "s"),
            Entry::file("l", "x").claims(1),
        ]),
        &["link"],
    );
    scene.refuses(
        "to itself",
        &layer(&[Entry::hard_link("l", "l")]),
        &["link"],
    );
    scene.refuses(
        "forward",
        &layer(&[Entry::hard_link("l", "later"), Entry::file("later", "x")]),
        &["link"],
    );
}

#[test]
fn devices_are_refused() {
    let scene = Scene::new();
    scene.refuses("device", &layer(&[Entry::device("sda", 8, 0)]), &["device"]);
    scene.refuses(
        "whiteout of overlayfs",
        &layer(&[Entry::device("gone", 0, 0)]),
        &["device", "whiteout"],
    );
}

#[test]
fn whiteouts_remove_what_they_name_and_nothing_else() {
    let scene = Scene::new();
    for name in [".wh.", ".wh...", ".wh..", "d/.wh..", ".wh.a/../../x"] {
        scene.refuses(
            name,
            &layer(&[Entry::dir("d"), Entry::file(name, "")]),
            &["whiteout", ".wh.", "climb", ".."],
        );
    }
    let to = scene.target.display().to_string();
    scene.stays_inside(
        "through a link",
        &layer(&[Entry::symlink("l", &to)]).layer(&[Entry::file("l/.wh.victim", "")]),
    );
    scene.stays_inside(
        "opaque through a link",
        &layer(&[Entry::symlink("l", &to), Entry::file("l/.wh..wh..opq", "")]),
    );
    for attribute in [
        "trusted.overlay.opaque",
        "trusted.overlay.redirect",
        "user.overlay.opaque",
    ] {
        scene.stays_inside(attribute, &layer(&[Entry::dir("d").xattr(attribute, "y")]));
    }
}

#[test]
fn smuggled_overlay_attributes_change_nothing() {
    let hull = Hull::new();
    OciLayout::default()
        .busybox()
        .layer(&[
            Entry::dir("etc").xattr("trusted.overlay.opaque", "y"),
            Entry::dir("x").xattr("trusted.overlay.redirect", "/etc"),
        ])
        .write(&hull.dir().join("oci"), "odd");
    if hull.sh("hull load -i oci").code == 0 {
        assert_eq!(
            hull.ok(
                "hull run --rm --network none odd sh -c 'test -e /etc/passwd && ls /x | wc -l'"
            ),
            "0"
        );
    }
}

#[test]
fn layers_replace_what_lies_below() {
    let hull = Hull::new();
    OciLayout::default()
        .busybox()
        .layer(&[
            Entry::dir("d"),
            Entry::file("d/x", "old"),
            Entry::symlink("s", "/etc"),
            Entry::file("f", "old"),
            Entry::dir("o"),
            Entry::file("o/old", ""),
            Entry::file("a", "old"),
            Entry::file("b", "old"),
        ])
        .layer(&[
            Entry::file("d", "file now"),
            Entry::dir("s"),
            Entry::file("s/made", "in a directory"),
            Entry::symlink("f", "/etc"),
            // A mark takes what is below, never what its own layer brings, wherever it stands.
            Entry::file("o/new", ""),
            Entry::file("o/.wh..wh..opq", ""),
            Entry::file(".wh.a", ""),
            Entry::file("a", "new"),
        ])
        .layer(&[
            Entry::dir("f"),
            Entry::file("f/y", "deep"),
            Entry::file(".wh.b", ""),
        ])
        .write(&hull.dir().join("oci"), "stack");
    hull.ok("hull load -i oci");
    assert_eq!(
        hull.ok("hull run --rm --network none stack sh -c 'cat /d; echo; cat /s/made; echo; ls /etc/made 2>/dev/null; cat /f/y; echo; ls /o; cat /a; echo; ls /b 2>/dev/null || echo gone'"),
        "file now\nin a directory\ndeep\nnew\nnew\ngone"
    );
}

#[test]
fn bombs_meet_a_limit() {
    let scene = Scene::new();
    let deep = "d/".repeat(3000);
    scene.refuses(
        "deep",
        &layer(&[Entry::file("x", "").pax("path", format!("{deep}x"))]),
        &["deep", "long", "limit", "path"],
    );
    scene.refuses(
        "long pax",
        &layer(&[Entry::file("x", "").pax("comment", vec![b'a'; 3 << 20])]),
        &["PAX", "pax", "header", "limit", "long"],
    );
    scene.refuses(
        "claims a petabyte",
        &layer(&[Entry::file("x", "y").claims(0o77_777_777_777)]),
        &["ends", "truncated", "limit", "large", "size", "cut"],
    );
    // A gibibyte of zeros in a megabyte is allowed; its claim to be 80 of them without an end is not. (Kept small: the limit on entries.)
    let many: Vec<Entry> = (0..40).map(|_| Entry::file("same", "x")).collect();
    scene.stays_inside("duplicates", &layer(&many));
    scene.refuses(
        "malformed pax",
        &layer(&[Entry::file("x", "").pax("size", "many")]),
        &["PAX", "pax", "size"],
    );
}

#[test]
fn stored_layers_are_for_nobody_else() {
    let hull = Hull::new();
    OciLayout::default()
        .busybox()
        .layer(&[Entry::file("bin/steal", "x").mode(0o6755)])
        .write(&hull.dir().join("oci"), "setuid");
    hull.ok("hull load -i oci && hull run -d --network none -v data:/data setuid sleep 1000");
    // CVE-2021-41091: programs of images that change who runs them must not be reached by users of the host.
    for directory in ["layers", "pods", "volumes", "images"] {
        let line = format!("setpriv --reuid 65534 --clear-groups ls $HULL_ROOT/{directory} 2>&1");
        let ran = hull.sh(&line);
        assert!(
            ran.code != 0 && ran.out.contains("Permission denied"),
            "{}",
            ran.text()
        );
    }
}
