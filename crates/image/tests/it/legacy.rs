//! Archives of old dockers: links for layers that are there already, and no `manifest.json` at all.

use serde_json::json;
use tar::EntryType;

use crate::home::{Home, Parts, files, header, is_root, pack, sha256};

#[test]
fn root_a_layer_may_be_a_link_to_another_images_layer() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let layer = files(&[("a", b"a")]);
    let parts = Parts::of(&[layer.clone(), layer.clone()]);
    let config = parts.config();
    let manifest = json!([{
        "Config": "config.json", "RepoTags": ["busybox:latest", "<none>:<none>"],
        "Layers": ["one/layer.tar", "two/layer.tar"],
    }])
    .to_string();
    let mut archive = tar::Builder::new(Vec::new());
    // The link comes before what it leads to.
    let link = header("two/layer.tar", EntryType::Symlink, 0, "../one/layer.tar");
    archive.append(&link, &b""[..]).unwrap();
    let dir = header("one/", EntryType::Directory, 0, "");
    archive.append(&dir, &b""[..]).unwrap();
    for (name, content) in [
        ("one/layer.tar", &layer[..]),
        ("manifest.json", manifest.as_bytes()),
        ("config.json", &config[..]),
    ] {
        let header = header(name, EntryType::Regular, content.len(), "");
        archive.append(&header, content).unwrap();
    }
    let image = home.load(&archive.into_inner().unwrap()).unwrap().remove(0);
    assert_eq!(image.id, sha256(&config));
    assert_eq!(image.names.len(), 1);
    assert_eq!(
        image.names[0].to_string(),
        "docker.io/library/busybox:latest"
    );
    assert_eq!(image.layers().len(), 2);
}

/// An archive as docker 1.9 wrote it.
fn ancient(parent_of_lower: Option<&str>) -> Vec<(String, Vec<u8>)> {
    let lower = json!({
        "id": "a1", "parent": parent_of_lower, "created": "2015-01-01T00:00:00Z",
        "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) ADD file"]},
        "architecture": "amd64", "os": "linux", "Size": 1,
    });
    let upper = json!({
        "id": "b2", "parent": "a1", "created": "2015-01-02T00:00:00Z", "author": "somebody",
        "container_config": {"Cmd": ["/bin/sh", "-c", "make"]},
        "config": {"Cmd": ["/bin/app"], "Env": ["A=b"]},
        "architecture": "amd64", "os": "linux", "Size": 2, "throwaway": true,
    });
    let member = |name: &str, bytes: Vec<u8>| (name.to_owned(), bytes);
    vec![
        member("a1/VERSION", b"1.0".to_vec()),
        member("a1/json", lower.to_string().into_bytes()),
        member("a1/layer.tar", files(&[("a", b"lower")])),
        member("b2/VERSION", b"1.0".to_vec()),
        member("b2/json", upper.to_string().into_bytes()),
        member("b2/layer.tar", files(&[("b", b"upper")])),
        member(
            "repositories",
            json!({"example.org/old": {"1": "b2", "2": "b2"}})
                .to_string()
                .into_bytes(),
        ),
    ]
}

#[test]
fn root_archives_without_a_manifest_are_read_by_their_chains() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let images = home.load(&pack(&ancient(None))).unwrap();
    assert_eq!(images.len(), 1);
    let image = &images[0];
    let names: Vec<String> = image.names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["example.org/old:1", "example.org/old:2"]);
    assert_eq!(image.config.config.cmd, ["/bin/app"]);
    assert_eq!(image.config.author.as_deref(), Some("somebody"));
    assert_eq!(image.config.history.len(), 2);
    let made_by = image.config.history[0].created_by.as_deref();
    assert_eq!(made_by, Some("/bin/sh -c #(nop) ADD file"));
    assert!(home.tree_of(image, 0).join("a").exists());
    assert!(home.tree_of(image, 1).join("b").exists());
    assert_eq!(home.load(&pack(&ancient(None))).unwrap()[0].id, image.id);
}

#[test]
fn root_chains_that_lead_nowhere_or_round_are_refused() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    for (parent, word) in [
        ("b2", "never ends"),
        ("../../etc", "no layer id"),
        ("c3", "no member"),
    ] {
        let archive = pack(&ancient(Some(parent)));
        let error = home.refuses(parent, || home.load(&archive));
        assert!(error.contains(word), "{parent}: {error}");
    }
}
