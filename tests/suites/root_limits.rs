//! Limits that are really felt, and seen in `inspect`.

use std::time::Instant;

use hull_suites::Hull;

#[test]
fn memory_that_runs_out_is_told() {
    let hull = Hull::with_busybox();
    hull.fails(
        137,
        "hull run --name x --network none -m 32m busybox sh -c 'x=a; while :; do x=$x$x; done'",
    );
    assert_eq!(
        hull.ok(
            "hull inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}} {{.HostConfig.Memory}}' x"
        ),
        "true 137 33554432"
    );
    hull.fails(1, "hull run --name y --network none -m 32m busybox false");
    assert_eq!(hull.ok("hull inspect -f '{{.State.OOMKilled}}' y"), "false");
    // A file in memory counts as well.
    hull.fails(
        137,
        "hull run --rm --network none -m 16m --tmpfs /t:size=100m busybox dd if=/dev/zero of=/t/x bs=1M count=64",
    );
}

#[test]
fn processes_are_bounded() {
    let hull = Hull::with_busybox();
    let ran = hull.sh(
        "hull run --rm --network none --pids-limit 10 busybox sh -c 'for i in $(seq 30); do sleep 5 & done; wait'",
    );
    assert!(ran.err.contains("can't fork"), "{}", ran.text());
    // There is a bound without being asked, and none when asked.
    hull.ok("hull run -d --name x --network none busybox sleep 1000");
    let limit = |name: &str| {
        let pid = hull.pid(name);
        let group = hull.ok(&format!(
            "grep -E '^([0-9]+:pids:|0::)' /proc/{pid}/cgroup | head -n 1 | cut -d: -f3"
        ));
        hull.ok(&format!(
            "cat /sys/fs/cgroup/pids{group}/pids.max 2>/dev/null || cat /sys/fs/cgroup{group}/pids.max"
        ))
    };
    let usual: u32 = limit("x").parse().unwrap();
    assert!((100..=100_000).contains(&usual), "{usual}");
    hull.ok("hull run -d --name y --network none --pids-limit -1 busybox sleep 1000");
    assert_eq!(limit("y"), "max");
}

#[test]
fn processor_time_is_rationed() {
    let hull = Hull::with_busybox();
    // 0.4 s of work at 0.2 processors takes at least 1.5 s.
    let work = "sh -c 'i=0; end=$(($(cut -d. -f1 /proc/uptime)+2)); while [ $(cut -d. -f1 /proc/uptime) -lt $end ]; do :; done; cat /proc/self/stat | cut -d\" \" -f16,17'";
    let began = Instant::now();
    let times = hull.ok(&format!(
        "hull run --rm --network none --cpus 0.2 busybox {work}"
    ));
    let ticks: u64 = times
        .split_whitespace()
        .map(|n| n.parse::<u64>().unwrap())
        .sum();
    let elapsed = began.elapsed().as_secs_f64();
    assert!(
        (ticks as f64) < 100.0 * elapsed * 0.35,
        "{ticks} ticks in {elapsed} s"
    );
    hull.ok("hull run -d --name x --network none --cpus 0.2 -c 512 --cpuset-cpus 0 busybox sh -c 'while :; do :; done'");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let file = hull.ok(&format!(
        "v1=$(grep -E ':cpu[,:]' /proc/{0}/cgroup | cut -d: -f3); v2=$(grep ^0:: /proc/{0}/cgroup | cut -d: -f3); \
         [ -n \"$v1\" ] && echo /sys/fs/cgroup/cpu$v1/cpu.stat || echo /sys/fs/cgroup$v2/cpu.stat",
        hull.pid("x")
    ));
    let throttled = hull.ok(&format!("grep nr_throttled {file} | cut -d' ' -f2"));
    assert!(throttled.parse::<u32>().unwrap() > 2, "{throttled}");
    assert_eq!(
        hull.ok("hull exec x grep Cpus_allowed_list: /proc/1/status | cut -f2"),
        "0"
    );
    assert_eq!(
        hull.ok("hull inspect -f '{{.HostConfig.NanoCpus}} {{.HostConfig.CpuShares}} {{.HostConfig.CpusetCpus}}' x"),
        "200000000 512 0"
    );
}

#[test]
fn swap_and_reservation_are_written() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name x --network none -m 64m --memory-swap 64m --memory-reservation 32m busybox sleep 1000");
    assert_eq!(
        hull.ok("hull inspect -f '{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.MemoryReservation}}' x"),
        "67108864 67108864 33554432"
    );
    let group = hull.ok(&format!(
        "grep -E ':memory:' /proc/{}/cgroup | cut -d: -f3",
        hull.pid("x")
    ));
    if !group.is_empty() {
        let file = |name: &str| hull.ok(&format!("cat /sys/fs/cgroup/memory{group}/{name}"));
        assert_eq!(file("memory.limit_in_bytes"), "67108864");
        assert_eq!(file("memory.memsw.limit_in_bytes"), "67108864");
        assert_eq!(file("memory.soft_limit_in_bytes"), "33554432");
    }
    for wrong in [
        "-m 1k",
        "-m 64m --memory-swap 32m",
        "--cpus -1",
        "--cpuset-cpus 9999",
    ] {
        hull.fails(
            125,
            &format!("hull run --rm --network none {wrong} busybox true"),
        );
    }
    let there = hull.ok("cat /sys/devices/system/cpu/online");
    let said = hull.fails(125, "hull create --cpuset-cpus 0,9999 busybox true");
    assert!(
        said.contains("`--cpuset-cpus 0,9999`") && said.contains(&format!("hint: it has {there}")),
        "{said}"
    );
}

#[test]
fn group_can_lie_elsewhere() {
    let hull = Hull::with_busybox();
    let parent = format!("hull-test-parent-{}", std::process::id());
    hull.ok(&format!(
        "hull run -d --name x --network none --cgroup-parent /{parent} busybox sleep 1000"
    ));
    let groups = hull.ok(&format!("cat /proc/{}/cgroup", hull.pid("x")));
    assert!(groups.contains(&format!("/{parent}/")), "{groups}");
    // What Hull made goes with the last container in it.
    let run = |words: &str| {
        hull.ok(&format!(
            "hull run --network none --cgroup-parent /{parent}/below {words}"
        ))
    };
    run("-d --name y busybox sleep 1000");
    hull.ok("hull rm -f x");
    let there =
        format!("ls -d /sys/fs/cgroup/{parent} /sys/fs/cgroup/*/{parent} 2>/dev/null; true");
    assert_ne!(hull.ok(&there), "");
    run("--rm busybox true");
    assert_ne!(hull.ok(&there), "");
    hull.ok("hull rm -f y");
    assert_eq!(hull.ok(&there), "");
    run("--rm busybox true");
    assert_eq!(hull.ok(&there), "");
    hull.fails(
        127,
        &format!("hull run --rm --network none --cgroup-parent /{parent}/below busybox nosuch"),
    );
    assert_eq!(hull.ok(&there), "");
    assert_eq!(hull.ok("ls $HULL_ROOT/cgroups"), "");
    // What was there before stays.
    hull.ok(&format!(
        "for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do [ ! -e $d/cgroup.procs ] || mkdir $d/{parent}; done"
    ));
    let made = hull.ok(&there);
    run("--rm busybox true");
    let left = hull.ok(&there);
    hull.ok(&format!("rmdir {}", made.replace('\n', " ")));
    assert_eq!(left, made);
}
