//! What images come in: layouts, docker's archives, bare trees.

use hull_suites::{Entry, OciLayout, Tree, tar};

use crate::scene::{Scene, layer};

#[test]
fn archives_of_docker_stay_inside() {
    let scene = Scene::new();
    let outside = scene.outside("victim");
    for (name, entries) in [
        (
            "config elsewhere",
            vec![Entry::file(
                "manifest.json",
                format!(
                    r#"[{{"Config": "../../../../../../../..{outside}", "RepoTags": ["x:1"], "Layers": []}}]"#
                ),
            )],
        ),
        (
            "layer is a link",
            vec![
                Entry::file(
                    "manifest.json",
                    r#"[{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["l.tar"]}]"#,
                ),
                Entry::file(
                    "c.json",
                    r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:1111111111111111111111111111111111111111111111111111111111111111"]}}"#,
                ),
                Entry::symlink("l.tar", &outside),
            ],
        ),
        (
            "climbing entry",
            vec![
                Entry::file(format!("../../../../../../../..{outside}-made"), "x"),
                Entry::file("manifest.json", "[]"),
            ],
        ),
    ] {
        scene.hull.write("docker.tar", tar(&entries));
        let outside = Tree::of(&scene.target);
        let ran = scene.hull.sh("hull load -i docker.tar");
        assert!(
            ran.code != 0 && ran.err.starts_with("error: "),
            "{name}: {}",
            ran.text()
        );
        outside.assert_is(&Tree::of(&scene.target));
        scene.as_before(name);
    }
}

#[test]
fn layout_with_links_is_not_followed() {
    let scene = Scene::new();
    let dir = scene.hull.dir().join("hostile");
    layer(&[Entry::file("f", "x")]).write(&dir, "hostile:1");
    std::fs::rename(dir.join("index.json"), scene.hull.dir().join("index")).unwrap();
    std::os::unix::fs::symlink(scene.hull.dir().join("index"), dir.join("index.json")).unwrap();
    let ran = scene.hull.sh("hull load -i hostile");
    assert_ne!(ran.code, 0, "{}", ran.text());
    scene.as_before("index is a link");
}

#[test]
fn bare_trees_are_as_dangerous() {
    let scene = Scene::new();
    for entries in [
        vec![Entry::file("../../../../../../../../../tmp/x", "x")],
        vec![Entry::hard_link("l", scene.outside("victim"))],
        vec![Entry::device("d", 8, 0)],
    ] {
        scene.hull.write("bare.tar", tar(&entries));
        let ran = scene.hull.sh("hull import bare.tar bare");
        assert!(
            ran.code != 0 && ran.err.starts_with("error: "),
            "{}",
            ran.text()
        );
        scene.as_before("bare tree");
    }
}

#[test]
fn archives_have_one_reading() {
    let scene = Scene::new();
    for (name, entry) in [
        ("NUL in a name", Entry::file("x", "").pax("path", b"a\0b")),
        (
            "NUL in a link",
            Entry::symlink("x", "y").pax("linkpath", b"a\0b"),
        ),
        ("negative size", Entry::file("x", "").pax("size", "-1")),
        (
            "size beyond numbers",
            Entry::file("x", "").pax("size", "99999999999999999999999"),
        ),
        (
            "holes outside the file",
            Entry::file("x", "y")
                .pax("GNU.sparse.major", "0")
                .pax("GNU.sparse.minor", "1")
                .pax("GNU.sparse.map", "999999999999,1")
                .pax("GNU.sparse.size", "1"),
        ),
    ] {
        scene.refuses(name, &layer(&[entry]), &["archive entry"]);
    }
    // What PAX says of the size holds: the archive inside the file is content (CVE-2025-62518).
    let inner = tar(&[Entry::file("smuggled", "x")]);
    let size = inner.len().to_string();
    OciLayout::default()
        .busybox()
        .layer(&[Entry::file("outer", inner).claims(0).pax("size", &size)])
        .write(&scene.hull.dir().join("hostile"), "odd");
    scene.hull.ok("hull load -i hostile");
    assert_eq!(
        scene
            .hull
            .ok("hull run --rm --network none odd sh -c 'stat -c %s /outer; ls /smuggled 2>/dev/null || echo none'"),
        format!("{size}\nnone")
    );
}
