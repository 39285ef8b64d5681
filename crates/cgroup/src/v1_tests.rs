use super::*;
use crate::limits::{Bound, DeviceWeight, HugepageBound};

/// `file=value` for every write, in order.
fn lines(limits: &Limits) -> Vec<String> {
    plan(limits)
        .writes
        .iter()
        .map(|write| format!("{}={}", write.file, write.value))
        .collect()
}

#[test]
fn nothing_asked_writes_nothing() {
    assert_eq!(plan(&Limits::default()), Plan::default());
}

#[test]
fn limits_become_files() {
    let rows: [(Limits, &[&str]); 9] = [
        (
            Limits {
                memory: MemoryLimits {
                    limit: Some(Bound::At(64)),
                    with_swap: Some(Bound::At(128)),
                    reservation: Some(Bound::At(32)),
                    swappiness: Some(10),
                    ..MemoryLimits::default()
                },
                ..Limits::default()
            },
            &[
                "memory.limit_in_bytes=64",
                "memory.memsw.limit_in_bytes=128",
                "memory.soft_limit_in_bytes=32",
                "memory.swappiness=10",
            ],
        ),
        (
            Limits {
                memory: MemoryLimits {
                    limit: Some(Bound::Unlimited),
                    with_swap: Some(Bound::Unlimited),
                    oom_killer_off: true,
                    kernel_tcp: Some(Bound::At(9)),
                    ..MemoryLimits::default()
                },
                ..Limits::default()
            },
            &[
                "memory.limit_in_bytes=-1",
                "memory.memsw.limit_in_bytes=-1",
                "memory.kmem.tcp.limit_in_bytes=9",
                "memory.oom_control=1",
            ],
        ),
        (
            Limits {
                cpu: CpuLimits {
                    shares: Some(512),
                    quota: Some(Bound::At(50_000)),
                    period: Some(100_000),
                    burst: Some(1000),
                    idle: Some(true),
                    ..CpuLimits::default()
                },
                ..Limits::default()
            },
            &[
                "cpu.shares=512",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=50000",
                "cpu.cfs_burst_us=1000",
                "cpu.idle=1",
            ],
        ),
        (
            Limits {
                cpu: CpuLimits {
                    quota: Some(Bound::Unlimited),
                    cpus: Some("0-1".into()),
                    mems: Some("0".into()),
                    ..CpuLimits::default()
                },
                ..Limits::default()
            },
            &["cpu.cfs_quota_us=-1", "cpuset.cpus=0-1", "cpuset.mems=0"],
        ),
        (
            Limits {
                pids: Some(Bound::At(7)),
                ..Limits::default()
            },
            &["pids.max=7"],
        ),
        (
            Limits {
                pids: Some(Bound::Unlimited),
                ..Limits::default()
            },
            &["pids.max=max"],
        ),
        (
            Limits {
                io: IoLimits {
                    weight: Some(500),
                    device_weights: vec![DeviceWeight {
                        major: 8,
                        minor: 0,
                        weight: 10,
                    }],
                    write_operations: vec![DeviceRate {
                        major: 8,
                        minor: 16,
                        rate: 5,
                    }],
                    ..IoLimits::default()
                },
                ..Limits::default()
            },
            &[
                "blkio.weight=500",
                "blkio.weight_device=8:0 10",
                "blkio.throttle.write_iops_device=8:16 5",
            ],
        ),
        (
            Limits {
                hugepages: vec![HugepageBound {
                    page_size: "2MB".into(),
                    limit: 0,
                }],
                ..Limits::default()
            },
            &[
                "hugetlb.2MB.limit_in_bytes=0",
                "hugetlb.2MB.rsvd.limit_in_bytes=0",
            ],
        ),
        (
            Limits {
                network: crate::NetworkMarks {
                    class_id: Some(3),
                    priorities: vec![("eth0".into(), 2)],
                },
                ..Limits::default()
            },
            &["net_cls.classid=3", "net_prio.ifpriomap=eth0 2"],
        ),
    ];
    for (limits, expected) in rows {
        assert_eq!(lines(&limits), expected);
    }
}

#[test]
fn io_weights_fall_back_to_bfq() {
    let plan = plan(&Limits {
        io: IoLimits {
            weight: Some(300),
            ..IoLimits::default()
        },
        ..Limits::default()
    });
    let IfAbsent::Else(other) = &plan.writes[0].if_absent else {
        panic!("{plan:?}")
    };
    assert_eq!(
        (&*other.file, other.value.as_str(), &other.if_absent),
        ("blkio.bfq.weight", "300", &IfAbsent::Report)
    );
}

#[test]
fn device_rules_come_first_and_in_order() {
    let limits = Limits {
        devices: devices::default_rules(),
        pids: Some(Bound::At(1)),
        ..Limits::default()
    };
    let lines = lines(&limits);
    assert_eq!(lines[0], "devices.deny=a");
    assert_eq!(lines[1], "devices.allow=c *:* m");
    assert_eq!(lines[3], "devices.allow=c 1:3 rwm");
    assert_eq!(lines[lines.len() - 2], "devices.allow=c 136:* rwm");
}
