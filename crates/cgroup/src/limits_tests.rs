use hull_spec::runtime::{BlockIo, Cpu, HugepageLimit, Memory, Pids, WeightDevice};

use super::*;

fn limits(change: impl FnOnce(&mut Resources)) -> Result<Limits, InvalidLimit> {
    let mut resources = Resources::default();
    change(&mut resources);
    Limits::try_from(&resources)
}

fn memory_of(limit: Option<i64>, swap: Option<i64>) -> Result<MemoryLimits, InvalidLimit> {
    let memory = Memory {
        limit,
        swap,
        ..Memory::default()
    };
    limits(|resources| resources.memory = Some(memory)).map(|limits| limits.memory)
}

#[test]
fn memory_and_swap_are_counted_together() {
    use Bound::{At, Unlimited};
    for (limit, swap, expected) in [
        (None, None, Ok((None, None))),
        (Some(0), Some(0), Ok((None, None))),
        (Some(100), None, Ok((Some(At(100)), None))),
        (Some(100), Some(100), Ok((Some(At(100)), Some(At(100))))),
        (Some(100), Some(-1), Ok((Some(At(100)), Some(Unlimited)))),
        (Some(-1), None, Ok((Some(Unlimited), Some(Unlimited)))),
        (Some(-1), Some(100), Ok((Some(Unlimited), Some(At(100))))),
        (None, Some(-1), Ok((None, Some(Unlimited)))),
        (None, Some(100), Err(InvalidLimit::SwapWithoutMemory)),
        (
            Some(100),
            Some(99),
            Err(InvalidLimit::SwapBelowMemory {
                with_swap: 99,
                limit: 100,
            }),
        ),
    ] {
        let found = memory_of(limit, swap).map(|memory| (memory.limit, memory.with_swap));
        assert_eq!(found, expected, "{limit:?} {swap:?}");
    }
}

#[test]
fn values_no_kernel_takes_are_refused() {
    let cpu = |cpu: Cpu| limits(|resources| resources.cpu = Some(cpu));
    for cpus in ["0", "0-3", "0-3,7", "1,2,3", " 5 "] {
        assert!(
            cpu(Cpu {
                cpus: Some(cpus.to_owned()),
                ..Cpu::default()
            })
            .is_ok(),
            "{cpus}"
        );
    }
    let long = vec!["1"; 5000].join(",");
    for cpus in [
        "x",
        "3-1",
        "1,,2",
        "-1",
        "+1",
        "1\n2",
        "99999",
        "0-18446744073",
        &long,
    ] {
        let found = cpu(Cpu {
            cpus: Some(cpus.to_owned()),
            ..Cpu::default()
        });
        assert!(matches!(found, Err(InvalidLimit::NumberList(_))), "{cpus}");
    }
    assert!(
        cpu(Cpu {
            idle: Some(2),
            ..Cpu::default()
        })
        .is_err()
    );
    let swappiness = |value| {
        limits(|resources| {
            resources.memory = Some(Memory {
                swappiness: Some(value),
                ..Memory::default()
            })
        })
    };
    assert_eq!(swappiness(100).unwrap().memory.swappiness, Some(100));
    assert_eq!(swappiness(u64::MAX).unwrap().memory.swappiness, None);
    assert_eq!(swappiness(101), Err(InvalidLimit::Swappiness(101)));
    for weight in [9, 1001] {
        let found = limits(|resources| {
            let one = WeightDevice {
                weight: Some(weight),
                ..WeightDevice::default()
            };
            resources.block_io = Some(BlockIo {
                weight_device: vec![one],
                ..BlockIo::default()
            });
        });
        assert_eq!(found, Err(InvalidLimit::IoWeight(weight)));
    }
}

#[test]
fn what_becomes_a_file_name_is_checked() {
    for (size, good) in [
        ("2MB", true),
        ("1GB", true),
        ("64KB", true),
        ("MB", false),
        ("2/..", false),
        ("2mb", false),
        ("", false),
    ] {
        let page = HugepageLimit {
            page_size: size.to_owned(),
            limit: 1,
        };
        assert_eq!(
            limits(|resources| resources.hugepage_limits.push(page)).is_ok(),
            good,
            "{size}"
        );
    }
    for (file, good) in [
        ("memory.high", true),
        ("io.max", true),
        ("hugetlb.2MB.max", true),
        ("cgroup.max.depth", true),
        ("cgroup.procs", false),
        ("cgroup.kill", false),
        ("cgroup.subtree_control", false),
        ("../memory.high", false),
        ("memory./x", false),
        ("memory.", false),
        ("blkio.weight", false),
        ("x.y", false),
        ("memory", false),
    ] {
        let found = limits(|resources| {
            resources.unified.insert(file.to_owned(), "1".to_owned());
        });
        assert_eq!(found.is_ok(), good, "{file}");
    }
}

#[test]
fn zero_says_nothing_and_negative_lifts() {
    for (limit, expected) in [
        (None, None),
        (Some(0), None),
        (Some(-1), Some(Bound::Unlimited)),
        (Some(5), Some(Bound::At(5))),
    ] {
        let found = limits(|resources| resources.pids = Some(Pids { limit })).unwrap();
        assert_eq!(found.pids, expected);
    }
    let cpu = Cpu {
        shares: Some(1),
        quota: Some(-1),
        period: Some(0),
        ..Cpu::default()
    };
    let found = limits(|resources| resources.cpu = Some(cpu)).unwrap().cpu;
    assert_eq!(
        (found.shares, found.quota, found.period),
        (Some(2), Some(Bound::Unlimited), None)
    );
}
