//! The policy has its say over everything that comes in.

use hull_types::ErrorKind;

use crate::home::{Home, Parts, files, is_root, open, sha256, write};

fn pin(home: &Home, name: &str, digest: &hull_types::Digest) {
    std::fs::create_dir_all(home.path("trust")).unwrap();
    let policy = serde_json::json!({
        "version": 1, "rules": [{"prefix": name, "pin": digest.to_string()}],
    });
    write(
        &home.path("trust/policy.json"),
        policy.to_string().as_bytes(),
    );
}

#[test]
fn root_a_pinned_name_takes_only_its_digest() {
    if !is_root() {
        return;
    }
    let mut home = Home::new();
    let good = Parts::of(&[files(&[("a", b"good")])]);
    let bad = Parts::of(&[files(&[("a", b"bad")])]);
    let digest = sha256(good.manifest().to_string().as_bytes());
    pin(&home, "example.org/x", &digest);
    home.images = open(home.dir.path());
    let error = home.refuses("unpinned", || home.load(&bad.oci_archive()));
    assert!(error.contains(&digest.to_string()), "{error}");
    home.refuses("unpinned import", || {
        home.import(&files(&[]), "example.org/x:1")
    });
    let image = home.load(&good.oci_archive()).unwrap().remove(0);
    assert_eq!(image.digest, digest);

    // A policy that changes later is obeyed at the next use.
    let trusted = home.images.trusted(&image, image.names.first()).unwrap();
    home.images
        .ensure_unpacked(&trusted, &image.config)
        .unwrap();
    pin(&home, "example.org/x", &sha256(b"something else"));
    let images = open(home.dir.path());
    let error = images.trusted(&image, image.names.first()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    assert!(error.hint().unwrap().contains(&digest.to_string()));
}

#[test]
fn root_what_is_accepted_is_in_the_ledger_once() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let image = home.import(&files(&[("a", b"a")]), "x:1").unwrap();
    for _ in 0..3 {
        home.images.trusted(&image, image.names.first()).unwrap();
    }
    let ledger = std::fs::read_to_string(home.path("ledger/ledger.jsonl")).unwrap();
    assert_eq!(ledger.lines().count(), 1, "{ledger}");
    assert!(ledger.contains(&image.digest.to_string()));
    assert!(ledger.contains("docker.io/library/x:1"));
}
