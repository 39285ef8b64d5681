//! Images from everywhere, into a store that others can read.

use hull_suites::{DockerRegistry, Entry, Hull, OciLayout, gzip, require, tar, whole_life};

fn layout(hull: &Hull, name: &str) {
    OciLayout::default()
        .busybox()
        .config(serde_json::json!({"Cmd": ["cat", "/etc/os-release"], "Env": ["A=1"]}))
        .write(&hull.dir().join("oci"), name);
}

#[test]
fn every_form_of_archive_is_taken() {
    require!("skopeo", "xz", "bzip2", "zstd");
    let hull = Hull::new();
    layout(&hull, "shop:1");
    hull.ok("tar -C oci -cf oci.tar . && skopeo copy -q oci:oci:shop:1 docker-archive:docker.tar:shop:2");
    hull.ok("skopeo copy -q oci:oci:shop:1 oci-archive:skopeo.tar:shop:3");
    hull.ok("for f in oci docker; do gzip -k $f.tar; xz -k -0 $f.tar; bzip2 -k $f.tar; zstd -q $f.tar; done; mv oci.tar.xz misnamed.gz");
    for (file, name) in [
        ("oci", "shop:1"),
        ("oci.tar", "shop:1"),
        ("skopeo.tar", "shop:3"),
        ("docker.tar", "shop:2"),
        ("oci.tar.gz", "shop:1"),
        ("misnamed.gz", "shop:1"),
        ("oci.tar.bz2", "shop:1"),
        ("docker.tar.zst", "shop:2"),
        ("docker.tar.xz", "shop:2"),
    ] {
        assert!(
            hull.ok(&format!("hull load -i {file}")).contains("shop"),
            "{file}"
        );
        assert!(
            hull.ok(&format!("hull run --rm --network none {name}"))
                .contains("busybox"),
            "{file}"
        );
        hull.ok(&format!("hull rmi {name}"));
    }
    hull.ok("hull load < docker.tar && hull load -i oci");
    whole_life(&hull, "shop:2");
    whole_life(&hull, "shop:1");
}

#[test]
fn bare_trees_are_imported() {
    require!("xz", "zstd");
    let hull = Hull::new();
    hull.ok("mkdir rootfs && tar -C rootfs -xf $HULL_ROOTFS");
    hull.ok("tar -C rootfs -c . | hull import - piped");
    hull.ok("hull import -c 'CMD [\"echo\", \"changed\"]' -c 'ENV A=1' ./rootfs fromdir:x");
    hull.ok("zstd -q < $HULL_ROOTFS > r.zst && hull import r.zst zst && xz -0 < $HULL_ROOTFS > r.xz && hull import r.xz xz");
    for image in ["piped", "fromdir:x", "zst", "xz"] {
        whole_life(&hull, image);
    }
    assert_eq!(hull.ok("hull run --rm --network none fromdir:x"), "changed");
}

#[test]
fn trees_keep_what_they_are() {
    let hull = Hull::new();
    OciLayout::default()
        .busybox()
        .layer(&[
            Entry::dir("t").mode(0o1777).owner(3, 4),
            Entry::file("t/owned", "x").owner(1000, 50).mode(0o4755),
            Entry::hard_link("t/link", "t/owned"),
            Entry::symlink("t/sym", "owned").owner(7, 8),
            Entry::file("t/cap", "x").xattr(
                "security.capability",
                b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            ),
            Entry::file("t/attr", "x").xattr("user.note", "kept"),
            Entry::fifo("t/fifo"),
            Entry::file("bin/.wh.vi", ""),
            Entry::file("home/.wh..wh..opq", ""),
        ])
        .write(&hull.dir().join("oci"), "tree");
    hull.ok("hull load -i oci");
    assert_eq!(
        hull.ok("hull run --rm --network none tree sh -c 'cd /t; stat -c \"%n %a %u:%g %h %Y\" . owned link sym fifo; readlink sym; [ ! -e /bin/vi ] && ls -A /home | wc -l'"),
        ". 1777 3:4 2 1700000000\nowned 4755 1000:50 2 1700000000\nlink 4755 1000:50 2 1700000000\nsym 777 7:8 1 1700000000\nfifo 644 0:0 1 1700000000\nowned\n0"
    );
    for (name, attribute) in [("cap", "security.capability"), ("attr", "user.note")] {
        let layers = std::fs::read_dir(hull.root().join("layers")).unwrap();
        let file = layers
            .map(|layer| layer.unwrap().path().join("fs/t").join(name))
            .find(|path| path.exists())
            .unwrap();
        let mut value = [0; 64];
        assert!(
            rustix::fs::getxattr(&file, attribute, &mut value).unwrap() > 3,
            "{attribute}"
        );
    }
}

#[test]
fn store_is_a_layout_that_skopeo_reads_in_place() {
    require!("skopeo", "jq");
    let hull = Hull::with_busybox();
    layout(&hull, "shop:1");
    hull.ok("hull load -i oci && hull tag shop:1 registry.test/other:2");
    let names = hull.ok("jq -r '.manifests[].annotations[\"org.opencontainers.image.ref.name\"]' $HULL_ROOT/images/index.json");
    assert!(names.lines().count() >= 3, "{names}");
    for name in names.lines() {
        assert!(
            hull.ok(&format!("skopeo inspect oci:$HULL_ROOT/images:{name}"))
                .contains("\"Os\": \"linux\""),
            "{name}"
        );
    }
}

#[test]
fn names_tags_and_removal() {
    let hull = Hull::with_busybox();
    hull.ok("hull tag busybox a:1 && hull tag a:1 example.test/team/b:2");
    assert_eq!(hull.ok("hull images -q | sort -u | wc -l"), "1");
    let id = hull.ok("hull images -q busybox | head -n 1");
    for name in [
        "busybox",
        "docker.io/library/busybox:latest",
        "a:1",
        "example.test/team/b:2",
        &id,
    ] {
        hull.ok(&format!(
            "hull run --rm --network none --pull never {name} true"
        ));
    }
    hull.ok("hull create --name user a:1 true && hull rmi a:1 example.test/team/b:2");
    hull.fails(1, "hull rmi a:1");
    hull.fails(1, "hull rmi busybox");
    hull.ok("hull rm user && hull rmi busybox && hull gc");
    assert_eq!(
        hull.ok("ls $HULL_ROOT/layers | grep -vc mount-points; ls $HULL_ROOT/images/blobs/sha256 | wc -l"),
        "0\n0"
    );
}

#[test]
fn saved_images_come_back() {
    require!("skopeo");
    let hull = Hull::with_busybox();
    hull.ok("hull save busybox -o docker.tar && hull save --format oci-archive -o oci.tar busybox");
    hull.ok("skopeo inspect docker-archive:docker.tar > /dev/null && skopeo inspect oci-archive:oci.tar > /dev/null");
    for file in ["docker.tar", "oci.tar"] {
        hull.ok(&format!("hull rmi busybox && hull gc && hull load -i {file} && hull run --rm --network none busybox true"));
    }
}

#[test]
fn registry_on_loopback_is_pulled_from() {
    require!("skopeo");
    let hull = Hull::new();
    let Some(registry) = DockerRegistry::start(hull.dir(), "") else {
        return;
    };
    let name = registry.name("team/shop");
    layout(&hull, "shop:1");
    hull.ok(&format!(
        "skopeo copy -q --dest-tls-verify=false oci:oci:shop:1 docker://{name}:1"
    ));
    hull.ok(&format!("hull pull {name}:1"));
    whole_life(&hull, &format!("{name}:1"));
    let digest = hull.ok(&format!(
        "skopeo inspect --tls-verify=false --format '{{{{.Digest}}}}' docker://{name}:1"
    ));
    hull.ok(&format!("hull rmi {name}:1 && hull gc"));
    assert!(
        hull.ok(&format!("hull run --rm --network none {name}@{digest}"))
            .contains("busybox")
    );
    let wrong = "0".repeat(64);
    hull.fails(1, &format!("hull pull {name}@sha256:{wrong}"));
    hull.fails(1, &format!("hull pull {name}-nosuch"));
    hull.fails(1, "timeout 30 hull pull 127.0.0.1:1/x");
}

#[test]
fn compressed_twice_and_in_parts_is_the_same_image() {
    let hull = Hull::new();
    let archive = tar(&[Entry::dir("d"), Entry::file("d/f", vec![7; 100_000])]);
    let (head, tail) = archive.split_at(40_000);
    let parts = [gzip(head), gzip(tail)].concat();
    OciLayout::default()
        .busybox()
        .raw_layer(archive, parts)
        .write(&hull.dir().join("oci"), "parts");
    hull.ok("hull load -i oci");
    assert_eq!(
        hull.ok("hull run --rm --network none parts stat -c %s /d/f"),
        "100000"
    );
}

#[test]
fn what_prune_says_is_what_the_disk_gets_back() {
    let hull = Hull::with_busybox();
    hull.ok(
        "mkdir -p tree/d && for i in $(seq 300); do head -c 5000 /dev/urandom > tree/d/$i; done",
    );
    hull.ok("tar -C tree -c . | hull import - big; sync -f .");
    let used = || -> f64 {
        let bytes = hull.ok("du -s --block-size=1 --exclude=ledger $HULL_ROOT | cut -f1");
        bytes.parse().expect("a number")
    };
    let before = used();
    let said = hull.ok("hull image prune -a -f");
    let freed = before - used();
    let (_, said) = said.rsplit_once(' ').expect("a sum at its end");
    let said: f64 = match said.strip_suffix("MB") {
        Some(number) => number.parse::<f64>().expect("a number") * 1e6,
        None => panic!("{said}"),
    };
    assert!((said - freed).abs() < 0.01 * freed, "{said} {freed}");
}

#[test]
fn templates_over_images_know_every_field_of_dockers() {
    let hull = Hull::with_busybox();
    assert_eq!(
        hull.ok("hull inspect --type image -f '{{.Config.User}}{{.Config.Cmd}}{{.Config.Entrypoint}}{{.Config.Labels}}{{len .Config.Env}}{{.Variant}}' busybox"),
        "[][]map[]0"
    );
    hull.ok("hull create --name c busybox true && hull commit -c 'CMD [\"a\"]' -c 'ENTRYPOINT [\"b\"]' c x && hull rm c");
    assert_eq!(
        hull.ok("hull inspect -f '{{.Config.Entrypoint}}{{.Config.Cmd}}' x"),
        "[b][a]"
    );
}
