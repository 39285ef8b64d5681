use super::*;

const V1: &str = "\
31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,nosuid shared:10 - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw,nosuid shared:11 - cgroup cgroup rw,freezer
38 31 0:35 / /sys/fs/cgroup/blkio rw,nosuid shared:12 - cgroup cgroup rw,blkio
40 31 0:37 / /sys/fs/cgroup/systemd rw,nosuid shared:13 - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
";
const V1_OWN: &str = "5:blkio:/\n4:freezer:/\n3:memory:/user.slice\n2:cpu,cpuacct:/\n1:name=systemd:/user.slice/user-0.slice\n";
const UNIFIED: &str =
    "41 31 0:38 / /sys/fs/cgroup/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";

fn as_root(mountinfo: &str, own: &str) -> Hierarchies {
    Hierarchies::parse(mountinfo, own, &|_| true)
}

#[test]
fn v1_hierarchies_are_told_apart() {
    let found = as_root(V1, V1_OWN);
    assert_eq!(found.mode(), Mode::V1);
    assert_eq!(found.v1.len(), 5);
    assert_eq!(
        found.v1_with(Controller::Cpuacct).unwrap().base,
        Path::new("/sys/fs/cgroup/cpu,cpuacct")
    );
    assert_eq!(
        found.v1_with(Controller::Cpu),
        found.v1_with(Controller::Cpuacct)
    );
    assert_eq!(
        found.v1_with(Controller::Io).unwrap().base,
        Path::new("/sys/fs/cgroup/blkio")
    );
    let systemd = found.v1.last().unwrap();
    assert_eq!(
        (systemd.name.as_deref(), systemd.controllers.len()),
        (Some("systemd"), 0)
    );
    assert_eq!(found.v1_with(Controller::Pids), None);
}

#[test]
fn hybrid_and_v2_are_told_apart() {
    let hybrid = as_root(&format!("{V1}{UNIFIED}"), &format!("{V1_OWN}0::/\n"));
    assert_eq!(hybrid.mode(), Mode::Hybrid);
    assert_eq!(
        hybrid.unified.unwrap().base,
        Path::new("/sys/fs/cgroup/unified")
    );
    let v2 = as_root(V2, "0::/user.slice/user-0.slice/session-1.scope\n");
    assert_eq!(v2.mode(), Mode::V2);
    assert_eq!(v2.unified.unwrap().base, Path::new("/sys/fs/cgroup"));
    assert_eq!(as_root("", ""), Hierarchies::default());
}

#[test]
fn in_a_container_the_writable_mount_is_used() {
    // Docker without a cgroup namespace: the own group is bound at each mount point.
    let docker = "\
50 49 0:32 /docker/abc /sys/fs/cgroup/memory ro,nosuid master:10 - cgroup cgroup rw,memory
51 49 0:38 /docker/abc /sys/fs/cgroup/unified ro,nosuid master:4 - cgroup2 cgroup2 rw
60 49 0:32 /docker/abc /run/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
";
    let found = as_root(docker, "3:memory:/docker/abc\n0::/docker/abc\n");
    assert_eq!(
        found.v1_with(Controller::Memory).unwrap().base,
        Path::new("/run/cgroup/memory")
    );
    assert_eq!(
        found.unified.unwrap().base,
        Path::new("/sys/fs/cgroup/unified")
    );
}

#[test]
fn a_later_mount_hides_an_earlier_one() {
    let twice = format!(
        "{V2}99 31 0:28 / /sys/fs/cgroup rw - cgroup2 none rw\n98 1 0:28 / /mnt rw - cgroup2 none rw\n"
    );
    assert_eq!(
        as_root(&twice, "0::/\n").unified.unwrap().base,
        Path::new("/sys/fs/cgroup")
    );
    // Without the usual place, any place will do.
    let elsewhere = "98 1 0:28 / /mnt rw - cgroup2 none rw\n";
    assert_eq!(
        as_root(elsewhere, "0::/\n").unified.unwrap().base,
        Path::new("/mnt")
    );
}

#[test]
fn an_ordinary_user_works_where_systemd_lets_it() {
    let own = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-u7.scope\n";
    let service = Path::new("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service");
    let delegated = |dir: &Path| dir.starts_with(service);
    let found = Hierarchies::parse(V2, own, &delegated);
    assert_eq!(found.unified.unwrap().base, service);
    // A login session is not delegated: the kernel's refusal at the top tells it.
    let session = "0::/user.slice/user-1000.slice/session-3.scope\n";
    let found = Hierarchies::parse(V2, session, &delegated);
    assert_eq!(found.unified.unwrap().base, Path::new("/sys/fs/cgroup"));
}

#[test]
fn a_group_outside_the_namespace_is_not_climbed() {
    let outside = "31 23 0:28 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    let found = Hierarchies::parse(outside, "0::/../x\n", &|dir| {
        dir != Path::new("/sys/fs/cgroup")
    });
    assert_eq!(found.unified.unwrap().base, Path::new("/sys/fs/cgroup"));
}

#[test]
fn what_was_found_can_be_kept() {
    let found = as_root(&format!("{V1}{UNIFIED}"), V1_OWN);
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Hierarchies>(&text).unwrap(), found);
}
