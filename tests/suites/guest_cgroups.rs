//! cgroup v2 alone, in a guest whose kernel has no other. Few starts: they are slow there.

use hull_suites::{Hull, eventually, skip};

fn in_guest() -> Option<Hull> {
    if std::env::var_os("HULL_GUEST").is_none() {
        skip("only in the guest: `cargo xtask test` starts one");
        return None;
    }
    Some(Hull::with_busybox())
}

#[test]
fn limits_are_felt() {
    let Some(hull) = in_guest() else { return };
    hull.fails(
        137,
        "hull run --name x --network none -m 32m busybox sh -c 'x=a; while :; do x=$x$x; done'",
    );
    assert_eq!(hull.ok("hull inspect -f '{{.State.OOMKilled}}' x"), "true");
    hull.ok("hull run -d --name y --network none -m 64m --pids-limit 20 --cpus 0.5 busybox sh -c 'while :; do :; done'");
    let group = hull.ok(&format!("cut -d: -f3 /proc/{}/cgroup", hull.pid("y")));
    for (file, value) in [
        ("memory.max", "67108864"),
        ("pids.max", "20"),
        ("cpu.max", "50000 100000"),
    ] {
        assert_eq!(hull.ok(&format!("cat /sys/fs/cgroup{group}/{file}")), value);
    }
    eventually("it is throttled", || {
        !hull
            .sh(&format!(
                "grep 'nr_throttled 0$' /sys/fs/cgroup{group}/cpu.stat"
            ))
            .out
            .contains('0')
    });
}

#[test]
fn life_goes_on() {
    let Some(hull) = in_guest() else { return };
    hull.fails(3, "hull run --rm --network none busybox sh -c 'exit 3'");
    hull.ok("hull run -d --name x --network none busybox sh -c 'while :; do echo tick; sleep 0.1; done'");
    hull.ok("hull pause x");
    assert_eq!(hull.state("x"), "paused");
    hull.ok("hull unpause x && hull exec x true && hull kill x");
    assert_eq!(hull.ok("hull wait x"), "137");
    hull.ok("hull rm x");
    hull.assert_nothing_left();
}
