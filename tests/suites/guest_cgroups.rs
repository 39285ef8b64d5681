//! cgroup v2 alone, in a guest whose kernel has no other; and an older kernel than Hull is made for (Linux 6.1): overlayfs
//! takes no descriptors there, tmpfs no id map. Few starts: they are slow there.

use hull_suites::{Hull, eventually, skip};

fn in_guest() -> Option<Hull> {
    if std::env::var_os("HULL_GUEST").is_none() {
        skip("only in the guest: `cargo xtask test` starts one");
        return None;
    }
    Some(Hull::with_busybox())
}

/// Returns a running container's directory below `/sys/fs/cgroup`.
#[track_caller]
fn group(hull: &Hull, name: &str) -> String {
    let path = hull.ok(&format!("cut -d: -f3 /proc/{}/cgroup", hull.pid(name)));
    format!("/sys/fs/cgroup{path}")
}

#[test]
fn memory_that_runs_out_is_recorded() {
    let Some(hull) = in_guest() else { return };
    hull.fails(
        137,
        "hull run --name x --network none -m 32m busybox sh -c 'x=a; while :; do x=$x$x; done'",
    );
    assert_eq!(
        hull.ok("hull inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' x"),
        "true 137"
    );
    hull.ok("hull run -d --name y --network none -m 32m busybox sleep 1000 && hull kill y");
    assert_eq!(hull.ok("hull wait y"), "137");
    assert_eq!(hull.ok("hull inspect -f '{{.State.OOMKilled}}' y"), "false");
}

#[test]
fn limits_are_set_and_felt() {
    let Some(hull) = in_guest() else { return };
    hull.ok("hull run -d --name x --network none -m 64m --memory-swap 96m --pids-limit 20 --cpus 0.5 --cpu-shares 2048 busybox sh -c 'while :; do :; done'");
    let group = group(&hull, "x");
    for (file, value) in [
        ("memory.max", "67108864"),
        ("memory.swap.max", "33554432"),
        ("pids.max", "20"),
        ("cpu.max", "50000 100000"),
        ("cpu.weight", "174"),
    ] {
        assert_eq!(hull.ok(&format!("cat {group}/{file}")), value, "{file}");
    }
    let throttled = || -> u64 {
        let count = hull.ok(&format!(
            "awk '/nr_throttled/ {{ print $2 }}' {group}/cpu.stat"
        ));
        count.parse().expect("a number")
    };
    eventually("it is throttled", || throttled() > 0);
    let before = throttled();
    eventually("it goes on being throttled", || throttled() > before);
    let ran = hull.sh("hull exec x sh -c 'for i in $(seq 30); do sleep 20 & done'");
    assert!(
        ran.code != 0 && ran.err.contains("can't fork"),
        "{}",
        ran.text()
    );
    assert_ne!(hull.ok(&format!("cat {group}/pids.events")), "max 0");
    // The container sees its own groups, and may not change them.
    assert_eq!(hull.ok("hull exec x cat /sys/fs/cgroup/pids.max"), "20");
    assert_eq!(hull.ok("hull exec x cat /proc/self/cgroup"), "0::/");
    hull.fails(1, "hull exec x sh -c 'echo max > /sys/fs/cgroup/pids.max'");
}

#[test]
fn life_goes_on() {
    let Some(hull) = in_guest() else { return };
    hull.fails(3, "hull run --rm --network none busybox sh -c 'exit 3'");
    hull.ok("hull run -d --name x --network none busybox sh -c 'while :; do echo tick; sleep 0.1; done'");
    hull.ok("hull pause x");
    assert_eq!(hull.state("x"), "paused");
    assert_eq!(
        hull.ok(&format!("grep frozen {}/cgroup.events", group(&hull, "x"))),
        "frozen 1"
    );
    let lines = || hull.ok("hull logs x | wc -l");
    let before = lines();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(lines(), before);
    hull.ok("hull unpause x && hull exec x true");
    eventually("it goes on", || lines() != before);
    hull.ok("hull kill x");
    assert_eq!(hull.ok("hull wait x"), "137");
    hull.ok("hull rm x");
    hull.assert_nothing_left();
}

#[test]
fn app_that_outlives_its_monitor_is_lost_and_can_be_removed() {
    let Some(hull) = in_guest() else { return };
    for verb in ["kill", "rm -f"] {
        hull.ok("hull run -d --name x @host -- setpriv --pdeathsig clear sh -c 'trap \"\" HUP INT QUIT TERM USR1 USR2; echo up; while :; do sleep 0.2; done'");
        eventually("it is up", || hull.sh("hull logs x").out == "up\n");
        let (pid, monitor) = (hull.pid("x"), hull.monitor("x"));
        hull.ok(&format!("kill -9 {monitor}"));
        eventually("it is lost", || hull.state("x") == "lost");
        hull.ok(&format!("kill -0 {pid} && hull {verb} x"));
        hull.fails(1, &format!("kill -0 {pid}"));
        hull.sh("hull rm -f x");
        hull.assert_nothing_left();
    }
}

#[test]
fn root_and_volumes_are_what_newer_kernels_make_of_them() {
    let Some(hull) = in_guest() else { return };
    // It ends with 1 when something is missing.
    hull.ok("hull doctor > said; cat said; grep -q '^ok *id-mapped layers' said && ! grep -q ^missing said");
    hull.ok("hull run --name x --network none -v v:/v busybox sh -c 'echo new > /etc/new && mkdir /d && mv /etc /d/etc && rm /bin/vi && echo in > /v/f'");
    let changes = hull.ok("hull diff x");
    for line in ["A /d/etc/new", "D /bin/vi", "D /etc"] {
        assert!(
            changes.lines().any(|change| change == line),
            "{line} not in\n{changes}"
        );
    }
    // Of a container that does not run: its own files, and its volumes at their place.
    assert_eq!(
        hull.ok("hull cp x:/d/etc/new - | tar -xO && hull cp x:/v/f - | tar -xO"),
        "new\nin"
    );
    hull.ok("echo back > f && hull cp f x:/v/g && hull commit x made");
    assert_eq!(
        hull.ok("hull run --rm --network none -v v:/v:ro made cat /v/g /d/etc/new"),
        "back\nnew"
    );
    assert_eq!(
        hull.ok("hull run --rm --network none --userns host --read-only made sh -c 'touch /x 2>/dev/null || cat /d/etc/new'"),
        "new"
    );
    let refused = hull.fails(125, "hull run --rm --network none -v /run:/x busybox true");
    assert!(refused.contains("noidmap"), "{refused}");
    assert_eq!(
        hull.ok("hull run --rm @host -- sh -c 'cat /etc/shadow 2>/dev/null || id -u'"),
        "0"
    );
    hull.ok("hull rm -v x && hull volume rm v");
    hull.assert_nothing_left();
}
