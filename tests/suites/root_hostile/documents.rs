//! Documents and blobs: indices, manifests, configurations, and the bytes they name.

use hull_suites::{Entry, Hull, OciLayout, gzip, tar};
use serde_json::{Value, json};

use crate::scene::{Scene, layer};

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
