//! An ordinary user, who has `@host` and clear words for the rest.

use hull_suites::{Hull, is_root, skip};

/// `None` as root: whoever runs this suite must be nobody special.
fn ordinary() -> Option<Hull> {
    if is_root() {
        skip("this suite is an ordinary user's: `cargo xtask test` runs it as one");
        return None;
    }
    Some(Hull::new())
}

#[test]
fn host_image_works_and_leaves_nothing() {
    let Some(hull) = ordinary() else { return };
    assert_eq!(
        hull.ok("hull run --rm @host -- cat /etc/os-release"),
        hull.ok("cat /etc/os-release")
    );
    assert_eq!(hull.ok("hull run --rm @host -- id -u"), "0");
    assert_eq!(
        hull.ok("hull run --rm @host -- sh -c 'echo x > /tmp/made && cat /tmp/made'"),
        "x"
    );
    assert!(!std::path::Path::new("/tmp/made").exists());
    assert!(!hull.root().exists(), "nothing is left afterwards");
}

#[test]
fn secrets_of_the_host_stay_secret() {
    let Some(hull) = ordinary() else { return };
    let ran = hull.sh("hull run --rm @host -- cat /etc/shadow");
    assert!(
        ran.code != 0 && ran.err.contains("Permission denied"),
        "{}",
        ran.text()
    );
    assert_eq!(
        hull.ok("hull run --rm @host -- sh -c 'ls -A /home /root | grep -v : | wc -w'"),
        "0"
    );
}

#[test]
fn exit_codes_are_dockers() {
    let Some(hull) = ordinary() else { return };
    for (words, code) in [
        ("true", 0),
        ("sh -c 'exit 3'", 3),
        ("nosuch-command", 127),
        ("/etc/passwd", 126),
    ] {
        hull.fails(code, &format!("hull run --rm @host -- {words}"));
    }
}

#[test]
fn what_root_can_do_is_refused_with_words() {
    let Some(hull) = ordinary() else { return };
    hull.ok("hull version");
    for line in ["hull images", "hull import /etc/hostname x", "hull pull x"] {
        let ran = hull.sh(line);
        assert!(
            ran.code == 0 || ran.err.contains("root"),
            "{line}: {}",
            ran.text()
        );
    }
    let ran = hull.sh("hull run --rm busybox true");
    assert!(
        ran.code == 125 && ran.err.contains("only root can") && ran.err.contains("@host"),
        "{}",
        ran.text()
    );
}
