//! Images that lie: each is refused with a clear error, leaves nothing behind, and touches nothing outside.

use std::path::PathBuf;

use hull_suites::{Entry, Hull, OciLayout, Tree, gzip, tar};
use serde_json::{Value, json};

/// Somebody else's file, which hostile images aim at.
const TARGET: &str = "/var/tmp/hull-hostile-target";

struct Scene {
    hull: Hull,
    before: Tree,
    target: PathBuf,
}

impl Scene {
    /// A store that has seen an honest image, and a victim beside it.
    fn new() -> Self {
        let hull = Hull::with_busybox();
        hull.ok("hull gc");
        let target = PathBuf::from(format!(
            "{TARGET}-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::create_dir_all(&target).expect("/var/tmp is writable");
        std::fs::File::create(target.join("victim")).expect("/var/tmp is writable");
        let before = of_store(&hull);
        Self {
            hull,
            before,
            target,
        }
    }

    /// Loads the layout; it must be refused with one of these words, and everything be as before.
    #[track_caller]
    fn refuses(&self, name: &str, image: &OciLayout, words: &[&str]) {
        let outside = Tree::of(&self.target);
        let dir = self.hull.dir().join("hostile");
        std::fs::remove_dir_all(&dir).ok();
        image.write(&dir, "hostile:1");
        let ran = self.hull.sh("timeout 50 hull load -i hostile");
        assert_ne!(ran.code, 0, "{name} is taken: {}", ran.text());
        assert!(
            ran.code != 124 && ran.code < 128,
            "{name} hangs or dies: {}",
            ran.text()
        );
        assert!(
            ran.err.starts_with("error: ") && words.iter().any(|word| ran.err.contains(word)),
            "{name}: {}",
            ran.text()
        );
        self.as_before(name);
        outside.assert_is(&Tree::of(&self.target));
    }

    #[track_caller]
    fn as_before(&self, name: &str) {
        assert!(
            self.hull.left().is_empty(),
            "{name} left {:?}",
            self.hull.left()
        );
        self.before.assert_is(&of_store(&self.hull));
    }

    /// Loads a layer that may be taken or refused, but must not reach out.
    #[track_caller]
    fn stays_inside(&self, name: &str, image: &OciLayout) {
        let outside = Tree::of(&self.target);
        let dir = self.hull.dir().join("hostile");
        std::fs::remove_dir_all(&dir).ok();
        image.write(&dir, "hostile:1");
        let ran = self.hull.sh("timeout 50 hull load -i hostile");
        outside.assert_is(&Tree::of(&self.target));
        if ran.code == 0 {
            self.hull.ok("hull rmi hostile:1 && hull gc");
        }
        self.as_before(name);
    }

    fn outside(&self, name: &str) -> String {
        self.target.join(name).display().to_string()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.target).ok();
    }
}

/// Everything but the ledger: that somebody asked for this manifest and the policy let it in is a fact, whatever its layers turn
/// out to be.
fn of_store(hull: &Hull) -> Tree {
    Tree::of(hull.root()).without(&hull.root().join("ledger"))
}

fn layer(entries: &[Entry]) -> OciLayout {
    OciLayout::default().layer(entries)
}

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
fn blobs_are_what_they_say() {
    let scene = Scene::new();
    let honest = layer(&[Entry::file("f", vec![1; 50_000])]);
    scene.refuses(
        "other bytes",
        &OciLayout {
            change_blob: |blob| blob[20] ^= 1,
            ..honest.clone()
        },
        &["digest", "sha256", "corrupt"],
    );
    scene.refuses(
        "truncated",
        &OciLayout {
            change_blob: |blob| blob.truncate(blob.len() / 2),
            ..honest.clone()
        },
        &["digest", "sha256", "size", "ends", "bytes"],
    );
    scene.refuses(
        "longer",
        &OciLayout {
            change_blob: |blob| blob.extend([0; 10]),
            ..honest.clone()
        },
        &["digest", "sha256", "size", "bytes"],
    );
    scene.refuses(
        "other diff id",
        &OciLayout {
            change_config: |config| {
                config["rootfs"]["diff_ids"][0] = json!(format!("sha256:{}", "1".repeat(64)))
            },
            ..honest.clone()
        },
        &["diff", "sha256"],
    );
    let full = tar(&[Entry::file("f", vec![1; 50_000])]);
    let cut = full[..20_000].to_vec();
    let blob = gzip(&cut);
    scene.refuses(
        "tar that stops",
        &OciLayout::default().raw_layer(cut, blob),
        &["ends", "truncated", "cut", "archive"],
    );
    let mut broken = gzip(&full);
    broken.truncate(broken.len() - 10);
    scene.refuses(
        "gzip that stops",
        &OciLayout::default().raw_layer(full.clone(), broken),
        &["ends", "truncated", "cut", "gzip", "compress"],
    );
}

#[test]
fn documents_are_unambiguous() {
    let scene = Scene::new();
    let honest = layer(&[Entry::file("f", "x")]);
    let manifest = |change: fn(&mut Value)| OciLayout {
        change_manifest: change,
        ..honest.clone()
    };
    let config = |change: fn(&mut Value)| OciLayout {
        change_config: change,
        ..honest.clone()
    };
    scene.refuses(
        "manifest and index",
        &manifest(|m| m["manifests"] = json!([])),
        &["manifest", "index"],
    );
    scene.refuses(
        "more layers",
        &config(|c| c["rootfs"]["diff_ids"] = json!([])),
        &["layer", "diff"],
    );
    scene.refuses(
        "climbing digest",
        &manifest(|m| m["layers"][0]["digest"] = json!("sha256:../../../../etc/passwd")),
        &["digest"],
    );
    scene.refuses(
        "unknown digest",
        &manifest(|m| m["layers"][0]["digest"] = json!("md5:d41d8cd98f00b204e9800998ecf8427e")),
        &["digest", "algorithm"],
    );
    scene.refuses(
        "negative size",
        &manifest(|m| m["layers"][0]["size"] = json!(-5)),
        &["size", "manifest", "invalid"],
    );
    scene.refuses("foreign layer", &manifest(|m| m["layers"][0] = json!({"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": format!("sha256:{}", "2".repeat(64)), "size": 5, "urls": ["http://169.254.169.254/x"]})), &["layer", "foreign", "blob", "sha256"]);
    scene.refuses(
        "schema 1",
        &manifest(|m| m["schemaVersion"] = json!(1)),
        &["schema"],
    );
}

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

#[test]
fn configurations_that_lie_are_refused_or_harmless() {
    let hull = Hull::new();
    for (name, config) in [
        ("env", json!({"Env": ["A=\u{0}B"], "Cmd": ["true"]})),
        (
            "envname",
            json!({"Env": ["=x", "no-value"], "Cmd": ["true"]}),
        ),
        ("cmd", json!({"Cmd": ["tr\u{0}ue"]})),
        (
            "workdir",
            json!({"Cmd": ["true"], "WorkingDir": "/a\u{0}b"}),
        ),
        (
            "volume",
            json!({"Cmd": ["true"], "Volumes": {"/../../x": {}, "relative": {}, "/": {}}}),
        ),
        (
            "ports",
            json!({"Cmd": ["true"], "ExposedPorts": {"foo": {}, "99999/tcp": {}}}),
        ),
        ("signal", json!({"Cmd": ["true"], "StopSignal": "NOPE"})),
        ("user", json!({"Cmd": ["true"], "User": "-1:4294967295"})),
        ("type", json!({"Cmd": "true"})),
    ] {
        let dir = hull.dir().join(name);
        OciLayout::default()
            .busybox()
            .config(config)
            .write(&dir, name);
        let line = format!(
            "hull load -i {name} && hull create --name {name} {name} && hull inspect {name} && hull ps -a && hull run --rm -P {name} true"
        );
        let ran = hull.sh(&line);
        assert!(
            ran.code < 126 && (ran.code == 0 || ran.err.starts_with("error: ")),
            "{name}: {}",
            ran.text()
        );
    }
}

#[test]
fn terminals_are_not_written_to_by_images() {
    let hull = Hull::new();
    let escape = "\u{1b}]0;owned\u{7}";
    OciLayout::default()
        .busybox()
        .config(json!({"Cmd": ["echo", escape], "Labels": {"x": escape}, "User": "0"}))
        .write(&hull.dir().join("oci"), &format!("name{escape}"));
    let ran = hull.sh("hull load -i oci");
    assert!(!ran.text().contains('\u{1b}'), "{}", ran.text());
    OciLayout::default()
        .busybox()
        .config(json!({"Cmd": ["sleep", "1", escape], "Labels": {"x": escape}}))
        .write(&hull.dir().join("oci2"), "plain");
    hull.ok("hull load -i oci2 && hull create --name x plain");
    for line in [
        "hull images",
        "hull ps -a --no-trunc",
        "hull inspect x plain",
    ] {
        let ran = hull.sh(line);
        assert_eq!(ran.code, 0, "{}", ran.text());
        assert!(!ran.out.contains('\u{1b}'), "{line}: {}", ran.text());
    }
}

#[test]
fn documents_have_one_reading() {
    let scene = Scene::new();
    let honest = layer(&[Entry::file("f", "x")]);
    let manifest = |change: fn(&mut Value)| OciLayout {
        change_manifest: change,
        ..honest.clone()
    };
    scene.refuses(
        "index by its own word",
        &manifest(|m| m["mediaType"] = json!("application/vnd.oci.image.index.v1+json")),
        &["index", "manifest", "type"],
    );
    scene.refuses(
        "digest in capitals",
        &manifest(|m| {
            let digest = m["layers"][0]["digest"].as_str().unwrap().to_uppercase();
            m["layers"][0]["digest"] = json!(digest.replace("SHA256", "sha256"));
        }),
        &["digest"],
    );
    scene.refuses(
        "five megabytes of manifest",
        &manifest(|m| m["annotations"] = json!({"x": "y".repeat(5 << 20)})),
        &["large", "bytes", "MiB"],
    );
    scene.refuses(
        "a thousand layers",
        &manifest(|m| {
            let layer = m["layers"][0].clone();
            m["layers"] = json!(vec![layer; 1000]);
        }),
        &["1000 entries"],
    );
    // The same key twice: whoever judges might read the one, whoever unpacks the other.
    let dir = scene.hull.dir().join("twice");
    honest.write(&dir, "hostile:1");
    let index = std::fs::read_to_string(dir.join("index.json")).unwrap();
    scene.hull.write(
        "twice/index.json",
        index.replacen('{', r#"{"manifests":[],"#, 1),
    );
    let ran = scene.hull.sh("hull load -i twice");
    assert!(
        ran.code == 1 && ran.err.starts_with("error: "),
        "{}",
        ran.text()
    );
    scene.as_before("keys twice");
}
