//! Every format in every compression, from a file and from a pipe, with the members in any order.

use std::io::Read;

use hull_image::{Format, Input};
use hull_types::Platform;

use crate::home::{Home, Parts, busybox, files, gzip, is_root, pack, pipe, run, sha256, tree};

const COMPRESSORS: [(&str, &[&str]); 5] = [
    ("none", &["cat"]),
    ("gzip", &["gzip", "-c"]),
    ("zstd", &["zstd", "-q", "-c"]),
    ("bzip2", &["bzip2", "-c"]),
    ("xz", &["xz", "-0", "-c"]),
];

#[test]
fn root_a_bare_tar_is_imported_in_any_compression() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let source = home.path("source");
    busybox(&source);
    let bare = run(&["tar", "-C", source.to_str().unwrap(), "-c", "."]);
    for (compression, program) in COMPRESSORS {
        let bytes = pipe(program, &bare);
        let name = format!("busybox:{compression}");
        let image = home.import(&bytes, &name).unwrap();
        assert_eq!(
            tree(&home.tree_of(&image, 0)),
            tree(&source),
            "{compression}"
        );
        assert_eq!(image.layers()[0].0, sha256(&bare));
        let layer = &image.manifest.layers[0];
        let (suffix, stored) = match compression {
            "gzip" => ("tar+gzip", &bytes),
            "zstd" => ("tar+zstd", &bytes),
            // OCI has no names for these.
            _ => ("tar", &bare),
        };
        assert!(layer.media_type.as_str().ends_with(suffix), "{compression}");
        assert_eq!(
            layer.digest,
            sha256(stored),
            "the bytes are kept as they came"
        );
        assert_eq!(image.config.os, "linux");
        assert_eq!(image.platform(), Platform::host());
        assert_eq!(
            image.names[0].to_string(),
            format!("docker.io/library/{name}")
        );
        home.images.content().read(&layer.digest, u64::MAX).unwrap();
    }
    // All have the same tree; it is there once.
    assert_eq!(home.images.layers().list().unwrap().len(), 1);
}

#[test]
fn root_archives_are_loaded_in_any_compression_and_order() {
    if !is_root() {
        return;
    }
    let lower = files(&[("etc/a", b"lower"), ("etc/b", b"lower")]);
    let upper = files(&[("etc/.wh.a", b""), ("etc/c", b"upper")]);
    let parts = Parts::of(&[lower.clone(), upper.clone()]);
    let oci = parts.members(parts.manifest().to_string().as_bytes());
    let docker = parts.docker_members();
    for (format, members) in [("oci", oci), ("docker", docker)] {
        let mut id = None;
        for (turn, (compression, program)) in COMPRESSORS.iter().enumerate() {
            let mut members = members.clone();
            let turn = turn % members.len();
            members.rotate_left(turn);
            let home = Home::new();
            let bytes = pipe(program, &pack(&members));
            let images = home.load(&bytes).unwrap();
            assert_eq!(images.len(), 1, "{format} {compression}");
            let image = &images[0];
            assert_eq!(image.names[0].to_string(), "example.org/x:1");
            assert_eq!(
                image.id,
                sha256(&parts.config()),
                "the configuration is kept as it came"
            );
            assert!(home.tree_of(image, 0).join("etc/a").exists());
            assert!(home.tree_of(image, 1).join("etc/c").exists());
            let again = id.get_or_insert_with(|| image.digest.clone());
            assert_eq!(
                *again, image.digest,
                "the same archive makes the same manifest"
            );
            // From a file too, and a second time changes nothing.
            let before = home.everything();
            let path = home.dir.path().with_extension("archive");
            crate::home::write(&path, &bytes);
            assert_eq!(home.load_path(&path).unwrap()[0].digest, image.digest);
            std::fs::remove_file(&path).unwrap();
            assert_eq!(home.everything(), before);
        }
    }
}

#[test]
fn root_layers_inside_archives_may_be_compressed_too() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let layer = files(&[("etc/a", b"a")]);
    for (compression, program) in COMPRESSORS {
        let parts = Parts {
            layers: vec![pipe(program, &layer)],
            diff_ids: vec![sha256(&layer).to_string()],
            name: Some(format!("example.org/x:{compression}")),
        };
        for archive in [parts.oci_archive(), pack(&parts.docker_members())] {
            let image = home.load(&archive).unwrap().remove(0);
            assert_eq!(image.id, sha256(&parts.config()));
            assert_eq!(image.layers()[0].0, sha256(&layer));
        }
    }
    assert_eq!(
        home.images.list().unwrap().images.len(),
        5 + 3,
        "oci manifests and made ones"
    );
    assert_eq!(home.images.layers().list().unwrap().len(), 1);
}

#[test]
fn root_multi_member_gzip_is_one_layer() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let layer = files(&[("etc/a", &[b'a'; 5_000])]);
    let (first, second) = layer.split_at(1_234);
    let bytes = [gzip(first), gzip(second)].concat();
    let image = home.import(&bytes, "x:1").unwrap();
    assert_eq!(image.layers()[0].0, sha256(&layer));
    assert_eq!(image.manifest.layers[0].digest, sha256(&bytes));
}

#[test]
fn root_what_is_saved_is_what_is_loaded() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let source = home.path("source");
    busybox(&source);
    let bare = run(&["tar", "-C", source.to_str().unwrap(), "-c", "."]);
    let image = home.import(&gzip(&bare), "busybox:1").unwrap();
    home.images
        .tag("busybox:1", &"example.org/b:2".parse().unwrap())
        .unwrap();
    for format in [Format::OciArchive, Format::DockerArchive] {
        let save = |asked: &[&str]| {
            let mut bytes = Vec::new();
            home.images.save(asked, &mut bytes, format).unwrap();
            bytes
        };
        let bytes = save(&["busybox:1", "example.org/b:2"]);
        assert_eq!(
            bytes,
            save(&["busybox:1", "example.org/b:2"]),
            "the same bytes each time"
        );
        let other = Home::new();
        let loaded = other.load(&bytes).unwrap().remove(0);
        assert_eq!(loaded.digest, image.digest);
        assert_eq!(loaded.id, image.id);
        let names: Vec<String> = loaded.names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["docker.io/library/busybox:1", "example.org/b:2"]);
        assert_eq!(tree(&other.tree_of(&loaded, 0)), tree(&source));
        // By id it travels without a name.
        let nameless = Home::new();
        let loaded = nameless.load(&save(&[image.id.hex()])).unwrap().remove(0);
        assert!(loaded.names.is_empty());
        assert_eq!(loaded.id, image.id);
    }
    // A damaged blob does not get out.
    let digest = &image.manifest.layers[0].digest;
    let blob = home.path("images/blobs/sha256").join(digest.hex());
    let mut bytes = Vec::new();
    std::fs::File::open(&blob)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    bytes[100] ^= 1;
    crate::home::write(&blob, &bytes);
    assert!(
        home.images
            .save(&["busybox:1"], &mut Vec::new(), Format::OciArchive)
            .is_err()
    );
}

#[test]
fn root_a_missing_file_is_named() {
    let home = Home::new();
    let error = home.refuses("missing", || {
        let path = std::path::Path::new("/nonexistent/archive.tar");
        home.images.load(Input::Path(path), &Platform::host())
    });
    assert!(error.contains("/nonexistent/archive.tar"), "{error}");
}
