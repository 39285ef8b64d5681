//! Groups on the machine's real hierarchies. The same tests run on v1, hybrid and, in the guest, v2:
//! `guest-test -- target/…/it-… root_`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step of a test should panic, a skipped one be told"
)]

mod fixture;

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use fixture::{Fixture, eventually, hierarchies};
use hull_cgroup::{Bound, CgroupError, CpuLimits, Group, Limits, MemoryLimits, Mode, devices};
use hull_types::ErrorKind;

const MIB: u64 = 1 << 20;

fn memory(limit: u64, with_swap: u64) -> Limits {
    let memory = MemoryLimits {
        limit: Some(Bound::At(limit)),
        with_swap: Some(Bound::At(with_swap)),
        ..MemoryLimits::default()
    };
    Limits {
        memory,
        ..Limits::default()
    }
}

fn pids(limit: u64) -> Limits {
    Limits {
        pids: Some(Bound::At(limit)),
        ..Limits::default()
    }
}

#[test]
fn root_a_process_above_its_memory_limit_is_killed_and_counted() {
    let Some(hierarchies) = hierarchies() else {
        return;
    };
    let fixture = Fixture::new(hierarchies, "memory", &memory(16 * MIB, 16 * MIB));
    assert_eq!(fixture.group.oom_kills().unwrap(), 0);
    let status = fixture.spawn("exec busybox tail /dev/zero").wait().unwrap();
    assert_eq!(status.signal(), Some(9));
    assert_eq!(fixture.group.oom_kills().unwrap(), 1);
    let stats = fixture.group.stats().unwrap().memory.unwrap();
    assert_eq!((stats.limit, stats.oom_kills), (Some(16 * MIB), 1));
    assert!(stats.peak.is_none_or(|peak| peak > 8 * MIB), "{stats:?}");
}

#[test]
fn root_memory_limits_can_be_raised_and_lowered_together_with_swap() {
    let Some(hierarchies) = hierarchies() else {
        return;
    };
    let mut fixture = Fixture::new(hierarchies, "raise", &memory(32 * MIB, 32 * MIB));
    let mut child = fixture.spawn("exec sleep 60");
    eventually("it uses memory", || {
        fixture.group.stats().unwrap().memory.unwrap().used > 0
    });
    for (limit, with_swap) in [(64, 64), (128, 256), (16, 16), (16, 32), (48, 48)] {
        fixture
            .group
            .apply(&memory(limit * MIB, with_swap * MIB))
            .unwrap();
        let stats = fixture.group.stats().unwrap().memory.unwrap();
        assert_eq!(stats.limit, Some(limit * MIB));
    }
    let unlimited = MemoryLimits {
        limit: Some(Bound::Unlimited),
        with_swap: Some(Bound::Unlimited),
        ..MemoryLimits::default()
    };
    fixture
        .group
        .apply(&Limits {
            memory: unlimited,
            ..Limits::default()
        })
        .unwrap();
    assert_eq!(fixture.group.stats().unwrap().memory.unwrap().limit, None);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn root_forks_above_the_limit_fail() {
    let Some(hierarchies) = hierarchies() else {
        return;
    };
    let fixture = Fixture::new(hierarchies, "pids", &pids(5));
    let mut child =
        fixture.spawn("for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done 2>/dev/null; wait");
    eventually("five tasks run", || {
        fixture.group.stats().unwrap().pids == Some(5)
    });
    assert_eq!(fixture.group.stats().unwrap().pids_limit, Some(5));
    assert!(fixture.group.processes().unwrap().len() <= 5);
    fixture.group.kill_all().unwrap();
    child.wait().unwrap();
}

#[test]
fn root_a_cpu_quota_throttles() {
    let Some(hierarchies) = hierarchies() else {
        return;
    };
    let cpu = CpuLimits {
        quota: Some(Bound::At(10_000)),
        period: Some(100_000),
        ..CpuLimits::default()
    };
    let fixture = Fixture::new(
        hierarchies,
        "cpu",
        &Limits {
            cpu,
            ..Limits::default()
        },
    );
    let mut child = fixture.spawn("while :; do :; done");
    eventually("the quota throttles", || {
        let cpu = fixture.group.stats().unwrap().cpu.unwrap();
        cpu.throttled_periods >= 3 && cpu.throttled > 0
    });
    let cpu = fixture.group.stats().unwrap().cpu.unwrap();
    // A tenth of each period, with the kernel's slack.
    assert!(cpu.used < cpu.periods * 100_000 / 2, "{cpu:?}");
    fixture.group.kill_all().unwrap();
    child.wait().unwrap();
}

#[test]
fn root_frozen_processes_stand_still_until_thawed() {
    let Some(hierarchies) = hierarchies() else {
        return;
    };
    for hierarchies in fixture::variants(hierarchies) {
        let fixture = Fixture::new(hierarchies, "freeze", &Limits::default());
        let used = || fixture.group.stats().unwrap().cpu.unwrap().used;
        let mut child = fixture.spawn("while :; do :; done");
        eventually("it runs", || used() > 10_000);
        assert!(!fixture.group.is_frozen().unwrap());
        fixture.group.freeze().unwrap();
        assert!(fixture.group.is_frozen().unwrap());
        let before = used();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(used(), before);
        fixture.group.thaw().unwrap();
        assert!(!fixture.group.is_frozen().unwrap());
        eventually("it runs again", || used() > before + 10_000);
        // Frozen processes are killed as well, and without being asked to go on first.
        fixture.group.freeze().unwrap();
        fixture.group.kill_all().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}

#[test]
fn root_killing_reaches_whoever_ignores_signals_forks_or_hides_in_a_group_below() {
    let Some(hierarchies) = hierarchies() else {
        return;
    };
    for hierarchies in fixture::variants(hierarchies) {
        let fixture = Fixture::new(hierarchies, "kill", &pids(64));
        let below: Vec<_> = fixture
            .group
            .paths()
            .map(|path| path.join("below"))
            .collect();
        let hide: String = below
            .iter()
            .map(|path| format!("mkdir {0}; echo 0 > {0}/cgroup.procs; ", path.display()))
            .collect();
        let mut child = fixture.spawn(&format!(
            "trap '' HUP INT QUIT TERM USR1 USR2 PIPE ALRM TSTP; \
             for i in 1 2 3; do setsid busybox sh -c 'trap \"\" TERM HUP; while :; do sleep 0.01; done' & done; \
             ({hide} exec sleep 60) & \
             while :; do sleep 0.01; done"
        ));
        let hidden = below[0].join("cgroup.procs");
        eventually("one hides", || {
            std::fs::read_to_string(&hidden).is_ok_and(|text| !text.is_empty())
        });
        eventually("all run", || fixture.group.processes().unwrap().len() >= 5);
        assert!(!fixture.group.is_empty().unwrap());
        assert!(!fixture.is_empty_within(Duration::from_millis(20)));
        fixture.group.kill_all().unwrap();
        child.wait().unwrap();
        assert!(fixture.is_empty_within(Duration::from_secs(5)));
        assert!(fixture.group.processes().unwrap().is_empty());
        let paths: Vec<_> = fixture
            .group
            .paths()
            .map(std::path::Path::to_owned)
            .collect();
        fixture.group.remove().unwrap();
        fixture.group.remove().unwrap();
        assert!(paths.iter().all(|path| !path.exists()));
    }
}

#[test]
fn root_a_limit_that_comes_late_takes_the_processes_along() {
    let Some(hierarchies) = hierarchies() else {
        return;
    };
    let mut fixture = Fixture::new(hierarchies, "late", &Limits::default());
    let mut child = fixture.spawn("sleep 60 & sleep 60");
    eventually("three processes run", || {
        fixture.group.processes().unwrap().len() == 3
    });
    fixture.group.apply(&pids(7)).unwrap();
    let stats = fixture.group.stats().unwrap();
    assert_eq!((stats.pids, stats.pids_limit), (Some(3), Some(7)));
    fixture.group.kill_all().unwrap();
    child.wait().unwrap();
}

#[test]
fn root_a_name_in_use_is_refused_and_an_empty_one_made_anew() {
    let Some(hierarchies) = hierarchies() else {
        return;
    };
    let mut fixture = Fixture::new(hierarchies.clone(), "again", &pids(7));
    let (path, limits) = (fixture.group.path().clone(), pids(9));
    let again = Group::create(&hierarchies, &path, &limits).unwrap();
    assert_eq!(
        again.stats().unwrap().pids_limit,
        None,
        "the old limit is gone"
    );
    drop(again);
    fixture.group = Group::open(&hierarchies, &path).unwrap();
    let mut child = fixture.spawn("exec sleep 60");
    eventually("it runs", || !fixture.group.is_empty().unwrap());
    let error = Group::create(&hierarchies, &path, &limits).unwrap_err();
    assert!(matches!(error, CgroupError::InUse { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    fixture.group.kill_all().unwrap();
    child.wait().unwrap();
    let missing = "hull-test-missing".parse().unwrap();
    assert!(matches!(
        Group::open(&hierarchies, &missing),
        Err(CgroupError::NotFound(_))
    ));
}

#[test]
fn root_new_parents_are_shared_by_many_who_take_them_away() {
    let Some(hierarchies) = hierarchies() else {
        return;
    };
    let parent = format!("hull-test-{}-shared", std::process::id());
    std::thread::scope(|scope| {
        for starter in 0..4 {
            let (hierarchies, parent) = (&hierarchies, &parent);
            scope.spawn(move || {
                for _ in 0..100 {
                    let path = format!("{parent}/a/b/{starter}").parse().unwrap();
                    let limits = Limits::default();
                    Group::create(hierarchies, &path, &limits)
                        .unwrap()
                        .remove()
                        .unwrap();
                    for above in ["/a/b", "/a", ""] {
                        let above = format!("{parent}{above}").parse().unwrap();
                        hierarchies.remove_if_empty(&above).unwrap();
                    }
                }
            });
        }
    });
    assert!(!hierarchies.has_group(&parent.parse().unwrap()));
}

#[test]
fn root_a_chosen_processor_is_the_only_one() {
    let Some(hierarchies) = hierarchies() else {
        return;
    };
    let mut limits = Limits::default();
    limits.cpu.cpus = Some("0".to_owned());
    let fixture = Fixture::new(hierarchies.clone(), "cpuset", &limits);
    let mut child = fixture.spawn("exec sleep 60");
    eventually("it is in every one of them", || {
        fixture.group.paths().all(|path| {
            std::fs::read_to_string(path.join("cgroup.procs"))
                .unwrap()
                .trim()
                == child.id().to_string()
        })
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    let parent = fixture.parent().parse().unwrap();
    assert!(
        hierarchies
            .groups_below(&parent)
            .unwrap()
            .contains("cpuset")
    );
    fixture.group.kill_all().unwrap();
    child.wait().unwrap();
}

#[test]
fn root_devices_outside_the_list_are_refused() {
    let Some(hierarchies) = hierarchies() else {
        return;
    };
    let limits = Limits {
        devices: devices::default_rules(),
        ..Limits::default()
    };
    let mut fixture = Fixture::unlimited(hierarchies.clone(), "devices", &limits);
    if let Err(error) = fixture.group.apply(&limits) {
        assert_eq!(hierarchies.mode(), Mode::V2, "{error}");
        eprintln!(
            "skipped: this kernel takes no device programs: {error}: {:?}",
            std::error::Error::source(&error)
        );
        return;
    }
    let code = |script: &str| fixture.spawn(script).wait().unwrap().code();
    assert_eq!(code("head -c 1 /dev/zero >/dev/null"), Some(0));
    assert_ne!(code("head -c 1 /dev/kmsg 2>/dev/null"), Some(0));
    assert_eq!(
        code("mknod /tmp/hull-$$ c 10 229 && rm /tmp/hull-$$"),
        Some(0)
    );
    if hierarchies.mode() == Mode::V2 {
        assert!(matches!(
            fixture.group.apply(&limits),
            Err(CgroupError::DevicesFixed)
        ));
    }
}

#[test]
fn root_values_the_kernel_refuses_name_the_file() {
    let Some(hierarchies) = hierarchies() else {
        return;
    };
    let cpu = CpuLimits {
        cpus: Some("60000".to_owned()),
        ..CpuLimits::default()
    };
    let limits = Limits {
        cpu,
        ..Limits::default()
    };
    let mut fixture = Fixture::unlimited(hierarchies, "refused", &limits);
    let error = fixture.group.apply(&limits).unwrap_err();
    // The guest's kernel has no cpuset at all.
    match error.kind() {
        ErrorKind::InvalidInput => assert!(
            error.to_string().contains("cpuset.cpus to `60000`"),
            "{error}"
        ),
        kind => assert_eq!(kind, ErrorKind::Unsupported, "{error}"),
    }
}
