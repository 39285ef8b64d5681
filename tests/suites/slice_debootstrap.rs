//! A real distribution: debootstrap's output as an image. Minutes, and a network; the other suites make do with busybox.

use hull_suites::{Hull, require};

#[test]
fn debootstrap_is_run_entered_logged_stopped_removed() {
    require!("debootstrap");
    let hull = Hull::new();
    let mirror = "http://deb.debian.org/debian";
    // The machine's own mirror: this namespace has no way out, so it is fetched from the first one.
    let ran = hull.sh(&format!("nsenter --net=/proc/1/ns/net timeout 1500 debootstrap --variant=minbase bookworm rootfs {mirror} > debootstrap.log 2>&1"));
    if ran.code != 0 {
        hull_suites::skip("debootstrap found no mirror");
        return;
    }
    hull.ok("tar -C rootfs -c . | hull import - debian:mine");
    hull.ok("hull run -d --name x --network none debian:mine sh -c 'echo hello; sleep 1000'");
    assert!(
        hull.ok("hull exec x cat /etc/os-release")
            .contains("bookworm")
    );
    assert_eq!(hull.ok("hull logs x"), "hello");
    hull.ok("hull stop -t 0 x && hull rm x");
    hull.assert_nothing_left();
}
