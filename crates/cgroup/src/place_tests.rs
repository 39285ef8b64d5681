use super::*;
use crate::{Bound, devices};

/// A machine with these v1 hierarchies.
fn machine(v1: &[&str], unified: bool) -> Hierarchies {
    let line = |(number, name): (usize, &&str)| {
        let option = if *name == "systemd" {
            "name=systemd"
        } else {
            name
        };
        format!("{number} 1 0:{number} / /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{option}\n")
    };
    let mut text: String = v1.iter().enumerate().map(line).collect();
    if unified {
        text.push_str("99 1 0:99 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    }
    Hierarchies::parse(&text, "", &|_| true)
}

const ALL: [&str; 9] = [
    "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd",
];

fn chosen(hierarchies: &Hierarchies, limits: &Limits) -> Vec<String> {
    let name = |place: Place| {
        hierarchies
            .base(place)
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    places(hierarchies, limits).into_iter().map(name).collect()
}

#[test]
fn the_fewest_hierarchies_are_joined() {
    let hybrid = machine(&ALL, true);
    let none = Limits::default();
    let pids = Limits {
        pids: Some(Bound::At(9)),
        ..Limits::default()
    };
    let quota = crate::CpuLimits {
        quota: Some(Bound::At(9)),
        ..crate::CpuLimits::default()
    };
    let cpu = Limits {
        cpu: quota,
        ..pids.clone()
    };
    let devices = Limits {
        devices: devices::default_rules(),
        ..Limits::default()
    };
    assert_eq!(chosen(&hybrid, &none), ["unified", "memory"]);
    assert_eq!(chosen(&hybrid, &pids), ["unified", "memory", "pids"]);
    assert_eq!(chosen(&hybrid, &cpu), ["unified", "cpu", "memory", "pids"]);
    assert_eq!(chosen(&hybrid, &devices), ["unified", "memory", "devices"]);
    assert_eq!(
        chosen(&machine(&ALL, false), &none),
        ["cpuacct", "memory", "freezer", "systemd"]
    );
    assert_eq!(chosen(&machine(&[], true), &cpu), ["unified"]);
    assert_eq!(hybrid.places().len(), 10);
}

#[test]
fn a_controller_that_is_not_on_v1_is_looked_for_on_v2() {
    let hybrid = machine(&["memory"], true);
    assert_eq!(hybrid.place_of(Controller::Memory), Some(Place::V1(0)));
    assert_eq!(hybrid.place_of(Controller::Hugetlb), Some(Place::Unified));
    assert_eq!(
        machine(&["memory"], false).place_of(Controller::Hugetlb),
        None
    );
}
