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
