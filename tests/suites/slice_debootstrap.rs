//! A real distribution: debootstrap's output as an image. Minutes, and a network; the other suites make do with busybox.

use std::time::Duration;

use hull_suites::{Hull, require, skip};

/// What this machine's own apt takes Debian from.
struct Mirror {
    release: String,
    address: String,
    proxy: String,
}

impl Mirror {
    /// Asks apt: whatever its files look like, it knows what it would fetch.
    fn of_this_machine(hull: &Hull) -> Option<Self> {
        let targets = hull.sh(
            "apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages'",
        );
        let (release, address) = targets.out.lines().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            // Not updates and security: they are no whole distribution.
            match words[..] {
                [release, "main", address]
                    if address.starts_with("http") && !release.contains(['-', '/']) =>
                {
                    Some((release.to_owned(), address.to_owned()))
                }
                _ => None,
            }
        })?;
        let proxy = hull.ok("eval \"$(apt-config shell P Acquire::http::Proxy)\"; echo $P");
        Some(Self {
            release,
            address,
            proxy,
        })
    }
}

#[test]
fn debootstrap_is_run_entered_logged_stopped_removed() {
    require!("debootstrap", "apt-get", "nsenter");
    let hull = Hull::new();
    let Some(mirror) = Mirror::of_this_machine(&hull) else {
        skip("this machine's apt has no http source of a Debian release");
        return;
    };
    // This namespace has no way out: it is fetched from that of whoever runs the tests.
    let Mirror {
        release,
        address,
        proxy,
    } = &mirror;
    let outside = format!("/proc/{}/ns/net", std::os::unix::process::parent_id());
    let line = format!(
        "http_proxy='{proxy}' exec nsenter --net={outside} debootstrap --variant=minbase {release} rootfs {address} > debootstrap.log 2>&1"
    );
    let ran = hull.spawn(&line).wait_within(Duration::from_secs(1500));
    assert_eq!(
        ran.code,
        0,
        "debootstrap failed: {}",
        hull.sh("tail -n 20 debootstrap.log").out
    );
    hull.ok("tar -C rootfs -c . | hull import - debian:mine");
    hull.ok("hull import -c 'CMD [\"cat\", \"/etc/debian_version\"]' rootfs debian:dir");
    let version = hull.ok("cat rootfs/etc/debian_version");
    assert_eq!(
        hull.ok("hull run --rm --network none debian:dir"),
        version,
        "a directory is the same image"
    );
    hull.ok(
        "hull run -d --name x --network none debian:mine bash -c 'echo hello; exec sleep 1000'",
    );
    for (command, printed) in [
        (
            "bash -c '. /etc/os-release; echo $VERSION_CODENAME'",
            release.as_str(),
        ),
        ("perl -e 'print 6 * 7'", "42"),
        (
            "stat -c %U:%G:%a /var/mail /usr/bin/passwd",
            "root:mail:2775\nroot:root:4755",
        ),
        ("dpkg --verify base-files", ""),
    ] {
        assert_eq!(
            hull.ok(&format!("hull exec x {command}")),
            printed,
            "{command}"
        );
    }
    assert_eq!(
        hull.ok("hull exec -u www-data:mail x sh -c 'id -un; id -gn'"),
        "www-data\nmail"
    );
    assert_eq!(
        hull.ok("hull run --rm --network none -u mail debian:mine sh -c 'id -un; id -gn'"),
        "mail\nmail"
    );
    assert_eq!(hull.ok("hull logs x"), "hello");
    hull.ok("hull exec x sh -c 'echo changed > /etc/motd'");
    assert_eq!(hull.ok("hull diff x"), "C /etc\nC /etc/motd");
    hull.ok("hull stop -t 0 x && hull rm x");
    hull.assert_nothing_left();
}
