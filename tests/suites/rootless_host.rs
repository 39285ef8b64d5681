//! An ordinary user, who has `@host` and clear words for the rest.

use hull_suites::{Hull, eventually, is_root, skip};

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
fn a_container_in_the_background_has_a_whole_life() {
    let Some(hull) = ordinary() else { return };
    hull.ok(
        "hull run -d --name a -e A=1 @host -- sh -c 'echo out; echo $A > /tmp/f; exec sleep 1000'",
    );
    eventually("the log has it", || hull.sh("hull logs a").out == "out\n");
    assert_eq!(
        hull.ok("hull exec -e B=2 a sh -c 'cat /tmp/f; echo $B'"),
        "1\n2"
    );
    assert_eq!(hull.ok("echo in | hull exec -i a cat"), "in");
    hull.fails(3, "hull exec a sh -c 'exit 3'");
    assert!(hull.ok("hull top a").contains("sleep 1000"));
    assert_eq!(hull.ok("hull cp a:/tmp/f . && cat f"), "1");
    hull.ok("echo there > g && hull cp g a:/tmp/");
    assert_eq!(hull.ok("hull exec a cat /tmp/g"), "there");
    assert_eq!(
        hull.ok("hull ps --format '{{.Names}} {{.State}}'"),
        "a running"
    );
    hull.ok("hull rename a b && hull restart -t 0 b && hull stop -t 0 b");
    assert_eq!(hull.ok("hull wait b"), "137");
    hull.ok("hull start b && hull kill b && hull wait b && hull rm b");
    hull.ok("hull run -d --rm --name c @host -- sleep 1000 && hull rm -f c && hull gc");
    assert_eq!(hull.ok("hull ps -aq | wc -l"), "0");
}

#[test]
fn a_session_without_a_directory_of_its_own_works() {
    let Some(hull) = ordinary() else { return };
    let id = hull.ok("id -u");
    let line =
        |line: &str| format!("env -u XDG_RUNTIME_DIR -u HULL_ROOT XDG_DATA_HOME=$T/data {line}");
    hull.ok(&line("hull run -d --name a @host -- sleep 1000"));
    hull.ok(&line("hull exec a true"));
    hull.ok(&line("hull rm -f a"));
    hull.ok(&format!(
        "rmdir /tmp/hull-{id}/run/pods /tmp/hull-{id}/run /tmp/hull-{id}"
    ));
}

#[test]
fn what_root_can_do_is_refused_with_words() {
    let Some(hull) = ordinary() else { return };
    hull.ok("hull version && hull info && hull doctor && hull ps -a");
    hull.ok("hull run -d --name a @host -- sleep 1000");
    for (line, words) in [
        ("hull images", "only root can use images"),
        ("hull import /etc/hostname x", "only root can use images"),
        ("hull load -i /etc/hostname", "only root can use images"),
        ("hull pull x", "only root can use images"),
        ("hull save x", "only root can use images"),
        ("hull tag x y", "only root can use images"),
        ("hull rmi x", "only root can use images"),
        ("hull volume create v", "only root can use volumes"),
        ("hull volume ls", "only root can use volumes"),
        ("hull run --rm busybox true", "only root can use images"),
        (
            "hull run --rm -v v:/v @host -- true",
            "only root can use volumes",
        ),
        (
            "hull run --rm -p 8080:80 @host -- true",
            "only root can publish ports",
        ),
        (
            "hull run --rm --network bridge @host -- true",
            "only root can connect",
        ),
        (
            "hull run --rm --userns host @host -- true",
            "only root can share",
        ),
        (
            "hull run --rm -u 1 @host -- true",
            "cannot become the user 1",
        ),
        ("hull exec -u 1 a true", "cannot become the user 1"),
        ("hull pause a", "no cgroup to freeze"),
        ("hull diff a", "whose changes are not kept"),
        ("hull commit a x", "whose changes are not kept"),
    ] {
        let ran = hull.sh(line);
        assert!(
            ran.code != 0 && ran.err.contains(words) && ran.err.contains("hint: "),
            "{line}: {}",
            ran.text()
        );
    }
    // Limits that cannot be set are not kept quiet about.
    let ran = hull.sh("hull run --rm -m 64m @host -- true");
    assert!(
        ran.code == 0 && ran.err.contains("limits are not set"),
        "{}",
        ran.text()
    );
    hull.ok("hull rm -f a");
}

#[test]
fn mounts_that_nobody_can_lock_are_told() {
    let Some(hull) = ordinary() else { return };
    let said = |words: &str| {
        let ran = hull.sh(&format!("hull run --rm {words} @host -- true"));
        assert_eq!(ran.code, 0, "{}", ran.text());
        ran.err
    };
    assert_eq!(said(""), "");
    let warned = said("--cap-add SYS_ADMIN");
    assert!(warned.contains("CAP_SYS_ADMIN"), "{warned}");
}
