use super::*;
use crate::limits::{DeviceWeight, HugepageBound};

fn lines(limits: &Limits) -> Vec<String> {
    plan(limits)
        .writes
        .iter()
        .map(|write| format!("{}={}", write.file, write.value))
        .collect()
}

fn memory_lines(limit: Option<Bound>, with_swap: Option<Bound>) -> Vec<String> {
    lines(&Limits {
        memory: MemoryLimits {
            limit,
            with_swap,
            ..MemoryLimits::default()
        },
        ..Limits::default()
    })
}

#[test]
fn nothing_asked_writes_nothing() {
    assert_eq!(plan(&Limits::default()), Plan::default());
}

#[test]
fn swap_is_what_is_left_of_both_together() {
    use Bound::{At, Unlimited};
    assert_eq!(memory_lines(Some(At(64)), None), ["memory.max=64"]);
    assert_eq!(
        memory_lines(Some(At(64)), Some(At(64))),
        ["memory.max=64", "memory.swap.max=0"]
    );
    assert_eq!(
        memory_lines(Some(At(64)), Some(At(100))),
        ["memory.max=64", "memory.swap.max=36"]
    );
    assert_eq!(
        memory_lines(Some(At(64)), Some(Unlimited)),
        ["memory.max=64", "memory.swap.max=max"]
    );
    assert_eq!(
        memory_lines(Some(Unlimited), Some(Unlimited)),
        ["memory.max=max", "memory.swap.max=max"]
    );
}

#[test]
fn quota_and_period_share_a_file() {
    for (quota, period, expected) in [
        (Some(Bound::At(5)), None, "cpu.max=5"),
        (Some(Bound::At(5)), Some(10), "cpu.max=5 10"),
        (None, Some(10), "cpu.max=max 10"),
        (Some(Bound::Unlimited), Some(10), "cpu.max=max 10"),
        (Some(Bound::Unlimited), None, "cpu.max=max"),
    ] {
        let cpu = CpuLimits {
            quota,
            period,
            ..CpuLimits::default()
        };
        assert_eq!(
            lines(&Limits {
                cpu,
                ..Limits::default()
            }),
            [expected]
        );
    }
}

#[test]
fn shares_map_to_weights_with_the_defaults_on_each_other() {
    for (shares, weight) in [
        (0, 1),
        (2, 1),
        (3, 2),
        (128, 21),
        (512, 59),
        (1024, 100),
        (2048, 174),
        (4096, 303),
        (262_143, 10_000),
        (262_144, 10_000),
        (u64::MAX, 10_000),
    ] {
        assert_eq!(weight_from_shares(shares), weight, "{shares}");
    }
    let weights: Vec<u64> = (2..=262_144).map(weight_from_shares).collect();
    assert!(weights.is_sorted());
}

#[test]
fn the_rest_becomes_files() {
    let rows: [(Limits, &[&str]); 5] = [
        (
            Limits {
                pids: Some(Bound::At(7)),
                ..Limits::default()
            },
            &["pids.max=7"],
        ),
        (
            Limits {
                cpu: CpuLimits {
                    shares: Some(1024),
                    idle: Some(false),
                    burst: Some(3),
                    cpus: Some("1".into()),
                    ..CpuLimits::default()
                },
                ..Limits::default()
            },
            &[
                "cpu.weight=100",
                "cpu.max.burst=3",
                "cpu.idle=0",
                "cpuset.cpus=1",
            ],
        ),
        (
            Limits {
                io: IoLimits {
                    weight: Some(1000),
                    device_weights: vec![DeviceWeight {
                        major: 8,
                        minor: 0,
                        weight: 10,
                    }],
                    read_bytes: vec![DeviceRate {
                        major: 8,
                        minor: 0,
                        rate: 1,
                    }],
                    write_operations: vec![DeviceRate {
                        major: 8,
                        minor: 0,
                        rate: 2,
                    }],
                    ..IoLimits::default()
                },
                ..Limits::default()
            },
            &[
                "io.bfq.weight=default 1000",
                "io.bfq.weight=8:0 10",
                "io.max=8:0 rbps=1",
                "io.max=8:0 wiops=2",
            ],
        ),
        (
            Limits {
                hugepages: vec![HugepageBound {
                    page_size: "1GB".into(),
                    limit: 5,
                }],
                ..Limits::default()
            },
            &["hugetlb.1GB.max=5", "hugetlb.1GB.rsvd.max=5"],
        ),
        (
            Limits {
                rdma: [(
                    "mlx".to_owned(),
                    RdmaLimit {
                        handles: Some(3),
                        objects: Some(4),
                    },
                )]
                .into(),
                unified: [
                    ("memory.high".to_owned(), "9".to_owned()),
                    ("cgroup.max.depth".to_owned(), "1".to_owned()),
                ]
                .into(),
                ..Limits::default()
            },
            &[
                "rdma.max=mlx hca_handle=3 hca_object=4",
                "cgroup.max.depth=1",
                "memory.high=9",
            ],
        ),
    ];
    for (limits, expected) in rows {
        assert_eq!(lines(&limits), expected);
    }
}

#[test]
fn weights_of_io_cost_spread_over_its_range() {
    let value = |weight| {
        let IfAbsent::Else(other) = weight_write(None, weight).if_absent else {
            panic!()
        };
        other.value
    };
    assert_eq!(
        (value(10), value(1000)),
        ("default 1".to_owned(), "default 10000".to_owned())
    );
}

#[test]
fn what_v2_does_not_know_is_named() {
    let limits = Limits {
        memory: MemoryLimits {
            swappiness: Some(1),
            oom_killer_off: true,
            ..MemoryLimits::default()
        },
        cpu: CpuLimits {
            realtime_runtime: Some(1),
            ..CpuLimits::default()
        },
        network: crate::NetworkMarks {
            class_id: Some(1),
            ..crate::NetworkMarks::default()
        },
        ..Limits::default()
    };
    let names: Vec<_> = plan(&limits)
        .unsupported
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert_eq!(
        names,
        [
            "memory.swappiness",
            "memory.disableOOMKiller",
            "cpu.realtimeRuntime",
            "network.classID"
        ]
    );
}
