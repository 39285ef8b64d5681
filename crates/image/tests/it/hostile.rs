//! What hostile archives and layers try. Each gets a clear error, leaves nothing behind and touches nothing outside.

use std::io::Write;

use hull_image::Limits;
use tar::EntryType;

use crate::home::{Home, Parts, entries, files, gzip, header, is_root, pack, sha256};

/// Layers, and a word of the error each must get.
fn bad_layers() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let device = || {
        let mut header = header("etc/mem", EntryType::Char, 0, "");
        header.set_device_major(1).unwrap();
        header.set_device_minor(1).unwrap();
        header.set_cksum();
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&header, &b""[..]).unwrap();
        archive.into_inner().unwrap()
    };
    let whiteout_of_overlay = || {
        let mut header = header("etc/passwd", EntryType::Char, 0, "");
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
        header.set_cksum();
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&header, &b""[..]).unwrap();
        archive.into_inner().unwrap()
    };
    let through_link = |target| {
        let mut archive = tar::Builder::new(Vec::new());
        let link = header("link", EntryType::Symlink, 0, target);
        archive.append(&link, &b""[..]).unwrap();
        let file = header("link/evil", EntryType::Regular, 4, "");
        archive.append(&file, &b"evil"[..]).unwrap();
        archive.into_inner().unwrap()
    };
    vec![
        ("climbing name", files(&[("../evil", b"evil")]), "climbs"),
        (
            "climbing inside",
            files(&[("a/../../evil", b"evil")]),
            "climbs",
        ),
        (
            "absolute name",
            files(&[("/tmp/hull-evil", b"evil")]),
            "absolute",
        ),
        ("write through link", through_link("/tmp"), "symbolic link"),
        (
            "write through relative link",
            through_link("../../../../tmp"),
            "symbolic link",
        ),
        (
            "hard link out",
            entries(&[("passwd", EntryType::Link, "../../../etc/passwd")]),
            "climbs",
        ),
        (
            "absolute hard link",
            entries(&[("passwd", EntryType::Link, "/etc/passwd")]),
            "absolute",
        ),
        (
            "hard link to nothing",
            entries(&[("passwd", EntryType::Link, "etc/passwd")]),
            "before it",
        ),
        (
            "hard link through link",
            entries(&[
                ("etc", EntryType::Symlink, "/etc"),
                ("passwd", EntryType::Link, "etc/passwd"),
            ]),
            "etc",
        ),
        ("device node", device(), "device"),
        ("whiteout of overlayfs", whiteout_of_overlay(), "0:0"),
        ("whiteout of dot", files(&[("etc/.wh..", b"")]), "whiteout"),
        (
            "whiteout of parent",
            files(&[("etc/.wh...", b"")]),
            "whiteout",
        ),
        (
            "whiteout of nothing",
            files(&[("etc/.wh.", b"")]),
            "whiteout",
        ),
        (
            "root as link",
            entries(&[(".", EntryType::Symlink, "/")]),
            "root",
        ),
        (
            "root as link, spelled out",
            entries(&[("./", EntryType::Symlink, "/")]),
            "root",
        ),
    ]
}

#[test]
fn root_hostile_layers_are_refused_however_they_come() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    for (what, layer, word) in bad_layers() {
        let parts = Parts::of(&[files(&[("fine", b"")]), layer.clone()]);
        let as_gzip = Parts {
            layers: vec![gzip(&layer)],
            diff_ids: vec![sha256(&layer).to_string()],
            name: None,
        };
        for (how, error) in [
            (
                "load oci",
                home.refuses(what, || home.load(&parts.oci_archive())),
            ),
            (
                "load oci gzip",
                home.refuses(what, || home.load(&as_gzip.oci_archive())),
            ),
            (
                "load docker",
                home.refuses(what, || home.load(&pack(&parts.docker_members()))),
            ),
            ("import", home.refuses(what, || home.import(&layer, "x:1"))),
            (
                "import gzip",
                home.refuses(what, || home.import(&gzip(&layer), "x:1")),
            ),
        ] {
            assert!(error.contains(word), "{what}, {how}: {error}");
        }
    }
    assert!(!std::path::Path::new("/tmp/hull-evil").exists());
    assert!(!std::path::Path::new("/tmp/evil").exists());
}

#[test]
fn root_content_that_is_not_what_was_promised_is_refused() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let layer = files(&[("etc/os-release", b"ID=hull\n")]);
    let good = Parts::of(std::slice::from_ref(&layer));
    let manifest = good.manifest().to_string();

    // The layer's bytes are not those of its name.
    let mut members = good.members(manifest.as_bytes());
    let (_, content) = members
        .iter_mut()
        .find(|(_, bytes)| *bytes == layer)
        .unwrap();
    content[600] ^= 1;
    let error = home.refuses("changed layer", || home.load(&pack(&members)));
    assert!(error.contains("not the one in its name"), "{error}");

    // The same for the configuration.
    let mut members = good.members(manifest.as_bytes());
    members[0].1.push(b' ');
    let error = home.refuses("changed config", || home.load(&pack(&members)));
    assert!(error.contains("not the one in its name"), "{error}");

    // A size that is not true.
    let text = manifest.replace(&format!("\"size\":{}", layer.len()), "\"size\":17");
    let error = home.refuses("wrong size", || {
        home.load(&pack(&good.members(text.as_bytes())))
    });
    assert!(error.contains("17"), "{error}");

    // A diff ID that is not true, and one too many.
    let wrong = Parts {
        diff_ids: vec![sha256(b"other").to_string()],
        ..Parts::of(std::slice::from_ref(&layer))
    };
    let error = home.refuses("wrong diff id", || home.load(&wrong.oci_archive()));
    assert!(error.contains("promises"), "{error}");
    let error = home.refuses("wrong diff id", || {
        home.load(&pack(&wrong.docker_members()))
    });
    assert!(error.contains("promises"), "{error}");
    let longer = Parts {
        diff_ids: vec![sha256(&layer).to_string(); 2],
        ..Parts::of(std::slice::from_ref(&layer))
    };
    let error = home.refuses("more diff ids", || home.load(&longer.oci_archive()));
    assert!(error.contains("1 layers"), "{error}");

    // A member that is missing.
    let mut members = good.members(manifest.as_bytes());
    members.retain(|(_, bytes)| *bytes != layer);
    let error = home.refuses("missing layer", || home.load(&pack(&members)));
    assert!(error.contains("no member"), "{error}");
}

#[test]
fn root_layers_that_are_cut_off_are_refused() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let layer = files(&[("a", &[7; 9_000]), ("b", &[8; 9_000])]);
    let compressed = gzip(&layer);
    for length in [1, 100, compressed.len() / 2, compressed.len() - 1] {
        let parts = Parts {
            layers: vec![compressed[..length].to_vec()],
            diff_ids: vec![sha256(&layer).to_string()],
            name: None,
        };
        home.refuses("truncated gzip", || home.load(&parts.oci_archive()));
        home.refuses("truncated gzip", || {
            home.import(&compressed[..length], "x:1")
        });
    }
    // Cut off between two members: nothing but the missing end tells.
    let error = home.refuses("truncated tar", || home.import(&layer[..10 * 1024], "x:1"));
    assert!(error.contains("cut off"), "{error}");
    home.refuses("empty", || home.import(b"", "x:1"));
    home.refuses("no tar", || home.import(&[b'x'; 5_000], "x:1"));
    home.refuses("garbage behind", || {
        home.import(&[&compressed[..], b"garbage"].concat(), "x:1")
    });
}

#[test]
fn root_ambiguous_manifests_are_refused() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let parts = Parts::of(&[files(&[("a", b"")])]);
    let mut both = parts.manifest();
    both["manifests"] = serde_json::json!([]);
    let mut typed = parts.manifest();
    typed["mediaType"] = "application/vnd.oci.image.index.v1+json".into();
    let mut twice = parts.manifest().to_string();
    twice.insert_str(1, r#""layers":[],"#);
    for (what, manifest) in [
        ("layers and manifests", both.to_string()),
        ("index as manifest", typed.to_string()),
        ("layers twice", twice),
        ("no JSON", "{".to_owned()),
        ("empty", "{}".to_owned()),
    ] {
        home.refuses(what, || {
            home.load(&pack(&parts.members(manifest.as_bytes())))
        });
    }
    let mut artifact = parts.manifest();
    artifact["config"]["mediaType"] = "application/vnd.example.signature+json".into();
    let artifact = artifact.to_string();
    let error = home.refuses("artifact", || {
        home.load(&pack(&parts.members(artifact.as_bytes())))
    });
    assert!(error.contains("no container image"), "{error}");
}

#[test]
fn root_members_cannot_lead_out_of_an_archive() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let parts = Parts::of(&[files(&[("a", b"")])]);
    let with = |kind, name: &str, link: &str| {
        let mut archive = tar::Builder::new(Vec::new());
        archive
            .append(&header(name, kind, 0, link), &b""[..])
            .unwrap();
        for (name, content) in parts.docker_members() {
            let mut header = header("", EntryType::Regular, content.len(), "");
            archive
                .append_data(&mut header, name, &content[..])
                .unwrap();
        }
        archive.into_inner().unwrap()
    };
    for (what, archive, word) in [
        (
            "link out",
            with(EntryType::Symlink, "x/layer.tar", "../../etc/passwd"),
            "climbs",
        ),
        (
            "absolute link",
            with(EntryType::Symlink, "x/layer.tar", "/etc/passwd"),
            "absolute",
        ),
        (
            "hard link out",
            with(EntryType::Link, "x/layer.tar", "../etc/passwd"),
            "climbs",
        ),
        (
            "climbing name",
            with(EntryType::Regular, "../x", ""),
            "climbs",
        ),
        (
            "absolute name",
            with(EntryType::Regular, "/etc/x", ""),
            "absolute",
        ),
        ("pipe", with(EntryType::Fifo, "x", ""), "pipe"),
    ] {
        let error = home.refuses(what, || home.load(&archive));
        assert!(error.contains(word), "{what}: {error}");
    }
    // A manifest that names what is not there, or what is outside.
    for bad in ["../../etc/passwd", "/etc/passwd", "x/../../y"] {
        let manifest = serde_json::json!([{"Config": bad, "RepoTags": [], "Layers": []}]);
        let members = [(
            "manifest.json".to_owned(),
            manifest.to_string().into_bytes(),
        )];
        home.refuses(bad, || home.load(&pack(&members)));
    }
    let circle = entries(&[
        ("manifest.json", EntryType::Symlink, "a"),
        ("a", EntryType::Symlink, "manifest.json"),
    ]);
    home.refuses("circle", || home.load(&circle));
    let mut twice = parts.docker_members();
    twice.push((twice[0].0.clone(), b"{}".to_vec()));
    let error = home.refuses("member twice", || home.load(&pack(&twice)));
    assert!(error.contains("twice"), "{error}");
    let error = home.refuses("bare root", || home.load(&files(&[("etc/passwd", b"")])));
    assert!(error.contains("neither"), "{error}");
}

#[test]
fn root_bombs_are_stopped() {
    if !is_root() {
        return;
    }
    let limits = Limits {
        unpacked_bytes: 8 << 20,
        ratio: 50,
        ratio_from: 1 << 20,
        members: 100,
        ..Limits::default()
    };
    let home = Home::limited(limits);
    let zeros = |mebibytes: usize| files(&[("zeros", &vec![0; mebibytes << 20])]);
    let error = home.refuses("too large", || home.import(&zeros(9), "x:1"));
    assert!(error.contains("more than"), "{error}");
    let bomb = zeros(4);
    for (compressor, program) in [
        ("gzip", &["gzip", "-c"][..]),
        ("zstd", &["zstd", "-q", "-c"]),
        ("bzip2", &["bzip2", "-c"]),
        ("xz", &["xz", "-c"]),
    ] {
        let compressed = crate::home::pipe(program, &bomb);
        let error = home.refuses(compressor, || home.import(&compressed, "x:1"));
        assert!(
            error.contains("times its compressed size"),
            "{compressor}: {error}"
        );
        let parts = Parts {
            layers: vec![compressed],
            diff_ids: vec![sha256(&bomb).to_string()],
            name: None,
        };
        let error = home.refuses(compressor, || home.load(&parts.oci_archive()));
        assert!(
            error.contains("times its compressed size"),
            "{compressor}: {error}"
        );
        home.refuses(compressor, || home.load(&pack(&parts.docker_members())));
    }
    // An archive that is one itself.
    let error = home.refuses("archive", || home.load(&gzip(&bomb)));
    assert!(error.contains("times its compressed size"), "{error}");
    let mut many = tar::Builder::new(Vec::new());
    for number in 0..101 {
        let name = format!("member{number}");
        many.append(&header(&name, EntryType::Regular, 0, ""), &b""[..])
            .unwrap();
    }
    let error = home.refuses("many members", || home.load(&many.into_inner().unwrap()));
    assert!(error.contains("100"), "{error}");
    // What is large but honest passes.
    let mut noise = Vec::new();
    for number in 0u64..200_000 {
        noise
            .write_all(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
            .unwrap();
    }
    home.import(&gzip(&files(&[("noise", &noise)])), "x:1")
        .unwrap();
}

#[test]
fn root_several_images_come_in_all_or_none() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let good = Parts::of(&[files(&[("a", b"good")])]);
    let bad = Parts {
        name: Some("example.org/y:1".into()),
        diff_ids: vec![sha256(b"wrong").to_string()],
        ..Parts::of(&[files(&[("b", b"bad")])])
    };
    let mut members = good.docker_members();
    let (_, first) = members.pop().unwrap();
    let mut more = bad.docker_members();
    let (_, second) = more.pop().unwrap();
    members.extend(more);
    let mut manifest: Vec<serde_json::Value> = serde_json::from_slice(&first).unwrap();
    manifest.extend(serde_json::from_slice::<Vec<serde_json::Value>>(&second).unwrap());
    let manifest = serde_json::to_vec(&manifest).unwrap();
    members.push(("manifest.json".into(), manifest));
    home.refuses("one good, one bad", || home.load(&pack(&members)));
}
