//! With skopeo: what it makes is loaded, what is saved it reads, and the store it reads in place.

use hull_image::Format;

use crate::home::{Home, Parts, busybox, files, gzip, is_root, run, sha256, tree, write};

/// An image of two layers in a fresh installation, one of them gzip.
fn home_with_image() -> (Home, hull_image::Image) {
    let home = Home::new();
    let source = home.path("source");
    busybox(&source);
    let lower = run(&["tar", "-C", source.to_str().unwrap(), "-c", "."]);
    let upper = files(&[("etc/.wh.passwd", b""), ("etc/motd", b"hull\n")]);
    let parts = Parts {
        diff_ids: vec![sha256(&lower).to_string(), sha256(&upper).to_string()],
        layers: vec![gzip(&lower), upper],
        name: Some("docker.io/library/busybox:1".into()),
    };
    let image = home.load(&parts.oci_archive()).unwrap().remove(0);
    (home, image)
}

#[test]
fn root_skopeo_reads_the_store_in_place() {
    if !is_root() {
        return;
    }
    let (home, image) = home_with_image();
    let place = format!(
        "oci:{}:docker.io/library/busybox:1",
        home.path("images").display()
    );
    let raw = run(&["skopeo", "inspect", "--raw", &place]);
    assert_eq!(sha256(&raw), image.digest);
    let config = run(&["skopeo", "inspect", "--config", "--raw", &place]);
    assert_eq!(sha256(&config), image.id);
    // Copying out reads and verifies every blob.
    let out = home.path("out");
    run(&[
        "skopeo",
        "copy",
        "-q",
        &place,
        &format!("dir:{}", out.display()),
    ]);
}

#[test]
fn root_what_skopeo_writes_is_loaded() {
    if !is_root() {
        return;
    }
    let (home, image) = home_with_image();
    let place = format!(
        "oci:{}:docker.io/library/busybox:1",
        home.path("images").display()
    );
    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name);
    for (transport, name, target) in [
        ("oci", "layout", "layout:example.org/s:1"),
        ("oci-archive", "oci.tar", "oci.tar:example.org/s:1"),
        ("docker-archive", "docker.tar", "docker.tar:example.org/s:1"),
    ] {
        let target = format!("{transport}:{}", path(target).display());
        run(&["skopeo", "copy", "-q", &place, &target]);
        let other = Home::new();
        let loaded = other.load_path(&path(name)).unwrap().remove(0);
        assert_eq!(
            loaded.names[0].to_string(),
            "example.org/s:1",
            "{transport}"
        );
        assert_eq!(loaded.layers(), image.layers(), "{transport}");
        for layer in 0..2 {
            assert_eq!(
                tree(&other.tree_of(&loaded, layer)),
                tree(&home.tree_of(&image, layer)),
                "{transport}"
            );
        }
    }
}

#[test]
fn root_skopeo_reads_what_is_saved() {
    if !is_root() {
        return;
    }
    let (home, image) = home_with_image();
    let out = tempfile::tempdir().unwrap();
    for (format, transport) in [
        (Format::OciArchive, "oci-archive"),
        (Format::DockerArchive, "docker-archive"),
        (Format::DockerArchive, "oci-archive"),
    ] {
        let mut bytes = Vec::new();
        home.images
            .save(&["busybox:1"], &mut bytes, format)
            .unwrap();
        let path = out.path().join("saved.tar");
        write(&path, &bytes);
        let saved = format!("{transport}:{}", path.display());
        let config = run(&["skopeo", "inspect", "--config", "--raw", &saved]);
        assert_eq!(sha256(&config), image.id, "{transport}");
        let target = out.path().join(format!("{transport}-{format:?}"));
        run(&[
            "skopeo",
            "copy",
            "-q",
            &saved,
            &format!("oci:{}:x", target.display()),
        ]);
        let other = Home::new();
        let loaded = other.load_path(&target).unwrap().remove(0);
        assert_eq!(loaded.layers(), image.layers());
    }
    // The archive has the name docker would show.
    let path = out.path().join("saved.tar");
    let tags = run(&[
        "skopeo",
        "list-tags",
        &format!("docker-archive:{}", path.display()),
    ]);
    assert!(String::from_utf8(tags).unwrap().contains("busybox:1"));
}

#[test]
fn root_an_index_gives_this_platform() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let here = Parts::of(&[files(&[("here", b"")])]);
    let there = Parts::of(&[files(&[("there", b"")])]);
    let other_machine = |parts: &Parts, machine: &str| {
        let manifest = parts.manifest().to_string();
        serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": sha256(manifest.as_bytes()).to_string(),
            "size": manifest.len(),
            "platform": {"os": "linux", "architecture": machine},
        })
    };
    let machine = hull_types::Platform::host().architecture;
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [other_machine(&there, "s390x"), other_machine(&here, &machine)],
    })
    .to_string();
    let index_digest = sha256(index.as_bytes());
    let mut members = here.members(here.manifest().to_string().as_bytes());
    members.retain(|(name, _)| name != "index.json");
    let blob = format!("blobs/sha256/{}", index_digest.hex());
    members.push((blob, index.clone().into_bytes()));
    let list = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": index_digest.to_string(), "size": index.len(),
        "annotations": {"org.opencontainers.image.ref.name": "example.org/multi:1"},
    }]});
    members.push(("index.json".into(), list.to_string().into_bytes()));
    let image = home.load(&crate::home::pack(&members)).unwrap().remove(0);
    assert_eq!(image.digest, sha256(here.manifest().to_string().as_bytes()));
    assert_eq!(image.index, Some(index_digest.clone()));
    // The digest that registries show finds it, with and without the name; collecting keeps it.
    home.images.collect().unwrap();
    for asked in [
        index_digest.to_string(),
        format!("example.org/multi@{index_digest}"),
        format!("example.org/multi@{}", image.digest),
        "example.org/multi:1".to_owned(),
    ] {
        assert_eq!(
            home.images.resolve(&asked).unwrap().digest,
            image.digest,
            "{asked}"
        );
    }
    assert!(
        home.images
            .resolve(&format!("example.org/other@{index_digest}"))
            .is_err()
    );
    home.images.trusted(&image, image.names.first()).unwrap();
    let inspect = home.images.inspect("example.org/multi:1").unwrap();
    assert_eq!(
        inspect.repo_digests,
        [format!("example.org/multi@{index_digest}")]
    );
}

#[test]
fn root_links_in_a_layout_stay_inside_it() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let parts = Parts::of(&[files(&[("a", b"")])]);
    let outside = tempfile::tempdir().unwrap();
    let layout = outside.path().join("layout");
    std::fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    for (name, content) in parts.members(parts.manifest().to_string().as_bytes()) {
        write(&layout.join(&name), &content);
    }
    // The layer lies outside and a link leads there: right content, wrong place.
    let blob = layout.join(format!("blobs/sha256/{}", sha256(&parts.layers[0]).hex()));
    std::fs::rename(&blob, outside.path().join("layer")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("layer"), &blob).unwrap();
    home.refuses("link out of the layout", || home.load_path(&layout));
    std::fs::remove_file(&blob).unwrap();
    run(&["mkfifo", blob.to_str().unwrap()]);
    let error = home.refuses("pipe as blob", || home.load_path(&layout));
    assert!(error.contains("not a regular file"), "{error}");
    std::fs::remove_file(&blob).unwrap();
    std::fs::copy(outside.path().join("layer"), &blob).unwrap();
    assert_eq!(home.load_path(&layout).unwrap().len(), 1);
    let error = home.refuses("no layout", || home.load_path(outside.path()));
    assert!(error.contains("oci-layout"), "{error}");
}
