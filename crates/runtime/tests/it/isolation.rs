//! What the app sees, and what it must not.

use std::path::Path;

use hull_runtime::{Filter, StartError};
use hull_spec::runtime::{Device, DeviceKind, NamespaceKind};

use crate::support::{BASE, Group, Home, bind, run, run_with, shell, spec};
use hull_suites::Case;

pub(crate) const CASES: &[Case] = &[
    ("root_no_descriptor_leaks", no_descriptor_leaks),
    ("root_process_starts_clean", process_starts_clean),
    ("root_default_filter_is_loaded", default_filter),
    ("root_masked_paths_are_hidden", masks),
    ("root_nothing_of_the_host_is_mounted", mount_table),
    ("root_read_only_root", read_only_root),
    ("root_dev_is_complete", dev_is_complete),
    ("root_devices_are_added", devices_are_added),
    ("root_files_are_in_place", files_in_place),
    ("root_cgroup_is_joined_and_shown", cgroup_joined),
    ("root_binds_keep_to_their_words", binds),
    ("root_destinations_cannot_escape", destinations),
    ("root_sysctls_are_the_containers", sysctls),
    ("root_lower_directories_can_be_renamed", renames),
    ("root_privileged_in_the_hosts_user_namespace", privileged),
    ("root_host_network_shows_the_hosts_sys", host_network),
    ("root_a_second_container_joins_the_first", joins),
];

fn no_descriptor_leaks() {
    let home = Home::new();
    // The fourth is the directory `ls` reads.
    let _extra = std::fs::File::open("/dev/zero").unwrap();
    let ended = run(&home, &spec(&["ls", "/proc/self/fd"])).unwrap();
    assert_eq!(ended.out, "0\n1\n2\n3\n");
}

fn process_starts_clean() {
    let home = Home::new();
    hull_sys::signal::ignore(rustix::process::Signal::HUP).unwrap();
    let status = run(&home, &spec(&["cat", "/proc/self/status"]))
        .unwrap()
        .out;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once('\t').unwrap().1.to_owned()
    };
    assert_eq!(field("SigIgn"), "0000000000000000");
    assert_eq!(field("SigBlk"), "0000000000000000");
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("CapEff"), "00000000a80425fb");
    assert_eq!(field("CapBnd"), "00000000a80425fb");
    assert_eq!(field("CapInh"), "0000000000000000");
    assert_eq!(field("CapAmb"), "0000000000000000");
    assert_eq!(field("Groups").trim(), "");
    assert_eq!(field("Umask"), "0022");
    let ours = std::fs::read_link("/proc/self/ns/ipc").unwrap();
    let theirs = shell(&home, "readlink /proc/self/ns/ipc");
    assert_ne!(ours.to_str().unwrap(), theirs.trim());
}

fn default_filter() {
    let home = Home::new();
    for no_new_privileges in [true, false] {
        let mut spec = spec(&[
            "sh",
            "-c",
            "grep Seccomp: /proc/self/status; grep CapEff /proc/self/status",
        ]);
        spec.process.as_mut().unwrap().no_new_privileges = no_new_privileges;
        spec.process.as_mut().unwrap().user.uid = 33;
        let ended = run_with(&spec, home.overlay(), |launch| {
            launch.filter = Filter::Default
        })
        .unwrap();
        assert_eq!(
            ended.out, "Seccomp:\t2\nCapEff:\t0000000000000000\n",
            "{}",
            ended.err
        );
    }
}

fn masks() {
    let home = Home::new();
    let out = shell(
        &home,
        "cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c; ls /sys/firmware | wc -l
         echo 1 2>/dev/null > /proc/sys/kernel/shmmax || echo refused
         echo b 2>/dev/null > /proc/sysrq-trigger || echo refused
         touch /sys/x 2>/dev/null || echo refused
         umount /proc/kcore 2>/dev/null || echo refused",
    );
    assert_eq!(out, "0\n0\nrefused\nrefused\nrefused\nrefused\n");
}

fn mount_table() {
    let home = Home::new();
    let out = shell(&home, "cut -d' ' -f5- /proc/self/mountinfo");
    let lines: Vec<_> = out.lines().collect();
    assert!(
        lines[0].starts_with("/ ") && lines[0].contains(" - overlay overlay "),
        "{out}"
    );
    let mut places: Vec<_> = lines
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert!(
        places.iter().all(|place| *place == "/"
            || place.starts_with("/dev")
            || place.starts_with("/proc")
            || place.starts_with("/sys")),
        "{out}"
    );
    let all = places.len();
    places.dedup();
    assert_eq!(places.len(), all, "{out}");
    assert!(!out.contains("ext4"), "{out}");
}

fn read_only_root() {
    let home = Home::new();
    let mut spec = spec(&[
        "sh",
        "-c",
        "touch /x 2>/dev/null || echo refused; touch /dev/shm/x /vol/x && echo ok",
    ]);
    spec.root.as_mut().unwrap().readonly = true;
    let vol = tempfile::tempdir_in("/var/tmp").unwrap();
    spec.mounts.push(bind(vol.path(), "/vol", &["idmap"]));
    let ended = run(&home, &spec).unwrap();
    assert_eq!(
        (ended.out.as_str(), ended.err.as_str()),
        ("refused\nok\n", "")
    );
}

fn dev_is_complete() {
    let home = Home::new();
    let out = shell(
        &home,
        "ls /dev; echo x > /dev/null; head -c 5 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c
         stat -c '%u:%g %a %t:%T' /dev/null /dev/tty; stat -c '%u:%g %a' /dev /dev/shm /dev/mqueue
         echo a > /dev/shm/x; cat /dev/shm/x; mknod /dev/y c 1 3 2>/dev/null || echo refused
         echo to-stderr > /dev/stdout; readlink /dev/ptmx; ls -d /dev/pts/ptmx",
    );
    let expected = "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n\
        5\n5\n0:0 666 1:3\n0:0 666 5:0\n0:0 755\n0:0 1777\n0:0 1777\na\nrefused\nto-stderr\npts/ptmx\n/dev/pts/ptmx\n";
    assert_eq!(out, expected);
}

fn devices_are_added() {
    let home = Home::new();
    let device = |path: &str, minor, mode, gid| Device {
        path: path.into(),
        kind: DeviceKind::Char,
        major: Some(1),
        minor: Some(minor),
        file_mode: Some(mode),
        uid: None,
        gid: Some(gid),
    };
    let spec = spec(&[
        "sh",
        "-c",
        "stat -c '%n %a %u:%g %t:%T' /dev/more/z /opt/full; head -c 2 /dev/more/z | wc -c; echo x 2>/dev/null > /opt/full || echo full",
    ]);
    let ended = run_with(&spec, home.overlay(), |launch| {
        launch.devices = vec![
            device("/dev/more/z", 5, 0o640, 7),
            device("/opt/full", 7, 0o666, 0),
            device("/dev/null", 3, 0o600, 0),
        ];
    })
    .unwrap();
    assert_eq!(
        ended.out, "/dev/more/z 640 0:7 1:5\n/opt/full 666 0:0 1:7\n2\nfull\n",
        "{}",
        ended.err
    );
}

fn files_in_place() {
    let home = Home::new();
    let spec = spec(&[
        "sh",
        "-c",
        "cat /etc/hosts /etc/resolv.conf; echo more >> /etc/hosts; cat /etc/hosts; ls /files 2>/dev/null; stat -c %a:%u /etc/hosts",
    ]);
    let ended = run_with(&spec, home.overlay(), |launch| {
        launch.files = vec![
            ("/etc/hosts".into(), b"127.0.0.1 localhost\n".to_vec()),
            ("/etc/resolv.conf".into(), b"nameserver 10.0.0.1\n".to_vec()),
        ];
    })
    .unwrap();
    assert_eq!(
        ended.out, "127.0.0.1 localhost\nnameserver 10.0.0.1\n127.0.0.1 localhost\nmore\n644:0\n",
        "{}",
        ended.err
    );
}

fn cgroup_joined() {
    let home = Home::new();
    let group = Group::new("joined");
    let spec = spec(&[
        "sh",
        "-c",
        "cat /proc/self/cgroup; ls /sys/fs/cgroup; cat /sys/fs/cgroup/memory/cgroup.procs; mkdir /sys/fs/cgroup/memory/x 2>/dev/null || echo refused; stat -c %a /sys/fs/cgroup",
    ]);
    let ended = run_with(&spec, home.overlay(), |launch| {
        launch.cgroup = Some(&group.0)
    })
    .unwrap();
    assert_eq!(ended.err, "");
    let lines: Vec<_> = ended.out.lines().collect();
    let memory = lines.iter().find(|line| line.contains("memory"));
    assert!(
        memory.is_some_and(|line| line.ends_with(":/")),
        "{}",
        ended.out
    );
    let unified = lines.iter().find(|line| line.starts_with("0::"));
    assert_eq!(unified, Some(&"0::/"), "{}", ended.out);
    assert!(
        lines.contains(&"unified") && lines.contains(&"1") && lines.contains(&"refused"),
        "{}",
        ended.out
    );
    // Root at the namespace's root: nothing above or beside is shown.
    assert!(!ended.out.contains("hull"), "{}", ended.out);
}

fn binds() {
    let home = Home::new();
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    std::fs::File::create(dir.path().join("file")).unwrap();
    let mut spec = spec(&[
        "sh",
        "-c",
        "
        touch /rw/new && stat -c %u /rw/new
        touch /ro/x 2>/dev/null || echo refused; touch /ro/sub/x 2>/dev/null || echo refused
        echo text > /deep/er/file; stat -c %u /plain
        stat -c %u /rw",
    ]);
    spec.mounts.extend([
        bind(dir.path(), "/rw", &["idmap"]),
        bind(dir.path(), "/ro", &["ro", "idmap"]),
        bind(&dir.path().join("file"), "/deep/er/file", &["idmap"]),
        bind(dir.path(), "/plain", &[]),
    ]);
    let ended = run(&home, &spec).unwrap();
    assert_eq!(
        (ended.out.as_str(), ended.err.as_str()),
        ("0\nrefused\nrefused\n65534\n0\n", "")
    );
    assert_eq!(
        std::fs::read_to_string(dir.path().join("file")).unwrap(),
        "text\n"
    );
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(dir.path().join("new")).unwrap().uid(), 0);

    spec.mounts
        .push(bind(Path::new("/no/such/source"), "/x", &[]));
    let error = run(&home, &spec).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot open the mount source `/no/such/source`"
    );
    assert_eq!(error.kind(), hull_types::ErrorKind::NotFound);
}

fn destinations() {
    let home = Home::new();
    std::os::unix::fs::symlink("../../../../../../..", home.layer().join("up")).unwrap();
    std::os::unix::fs::symlink("/etc", home.layer().join("abs")).unwrap();
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let name = format!("hull-escape-{}", std::process::id());
    let mut spec = spec(&["sh", "-c", &format!("ls -d /{name} /etc/{name}")]);
    spec.mounts.extend([
        bind(dir.path(), &format!("/up/{name}"), &[]),
        bind(dir.path(), &format!("/abs/{name}"), &[]),
    ]);
    let ended = run(&home, &spec).unwrap();
    assert_eq!(
        ended.out,
        format!("/etc/{name}\n/{name}\n"),
        "{}",
        ended.err
    );
    for escaped in ["/", "/etc/", "/var/tmp/"] {
        assert!(!Path::new(escaped).join(&name).exists());
    }

    // An image whose /proc is a link is refused, not followed.
    let home = Home::new();
    std::os::unix::fs::symlink("/tmp", home.layer().join("proc")).unwrap();
    let error = run(&home, &crate::support::spec(&["true"])).unwrap_err();
    assert_eq!(error.to_string(), "cannot make the mount point `/proc`");
}

fn sysctls() {
    let home = Home::new();
    let mut spec = spec(&[
        "sh",
        "-c",
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced",
    ]);
    let linux = spec.linux.as_mut().unwrap();
    for (key, value) in [
        ("net.ipv4.ip_forward", "0"),
        ("net.ipv4.ip_unprivileged_port_start", "7"),
        ("kernel.shm_rmid_forced", "1"),
    ] {
        linux.sysctl.insert(key.to_owned(), value.to_owned());
    }
    let ended = run(&home, &spec).unwrap();
    assert_eq!((ended.out.as_str(), ended.err.as_str()), ("0\n7\n1\n", ""));
    let linux = spec.linux.as_mut().unwrap();
    linux
        .sysctl
        .insert("kernel.core_pattern".to_owned(), "|/x".to_owned());
    assert!(matches!(run(&home, &spec), Err(StartError::Invalid(_))));
}

fn renames() {
    let home = Home::new();
    let out = shell(
        &home,
        "mv /home /house && ls /house; stat -c %d /house /bin/busybox | uniq | wc -l",
    );
    assert_eq!(out, "www\n1\n");
}

fn privileged() {
    let home = Home::new();
    let mut spec = spec(&[
        "sh",
        "-c",
        "id -u; cat /proc/self/uid_map | tr -s ' '; grep CapEff /proc/self/status; mknod /n c 1 3 && echo x > /n && echo node; stat -c %u /proc/1",
    ]);
    let linux = spec.linux.as_mut().unwrap();
    linux
        .namespaces
        .retain(|namespace| namespace.kind != NamespaceKind::User);
    (linux.uid_mappings, linux.gid_mappings) = Default::default();
    (linux.masked_paths, linux.readonly_paths) = Default::default();
    let all: Vec<String> = hull_sys::caps::names(hull_sys::caps::all()).collect();
    let process = spec.process.as_mut().unwrap();
    process.no_new_privileges = false;
    let sets = process.capabilities.as_mut().unwrap();
    sets.bounding = all.clone();
    sets.effective = all.clone();
    sets.permitted = all;
    let ended = run(&home, &spec).unwrap();
    let own = hull_sys::caps::current().unwrap().permitted & hull_sys::caps::all();
    let expected = format!(" 0 0 4294967295\nCapEff:\t{:016x}\nnode\n0\n", own.bits());
    assert_eq!(ended.out, format!("0\n{expected}"), "{}", ended.err);
}

fn host_network() {
    let home = Home::new();
    let mut spec = spec(&[
        "sh",
        "-c",
        "readlink /proc/self/ns/net; ls /sys/class/net | wc -l; touch /sys/x 2>/dev/null || echo refused; ls /sys/fs/cgroup",
    ]);
    let linux = spec.linux.as_mut().unwrap();
    linux
        .namespaces
        .retain(|namespace| namespace.kind != NamespaceKind::Network);
    let ended = run(&home, &spec).unwrap();
    let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
    let interfaces = std::fs::read_dir("/sys/class/net").unwrap().count();
    assert_eq!(
        ended.out,
        format!("{}\n{interfaces}\nrefused\n", ours.display()),
        "{}",
        ended.err
    );
}

fn joins() {
    use std::os::fd::OwnedFd;
    let first_home = Home::new();
    let (stdio, _streams) = crate::support::pipes();
    let spec_first = spec(&["sleep", "100"]);
    let launch = crate::support::launch(&spec_first, first_home.overlay(), stdio);
    let created = hull_runtime::create(launch).unwrap();
    let open = |kind| -> OwnedFd { created.namespace(kind).unwrap() };
    let join = hull_runtime::Join {
        net: Some(open(NamespaceKind::Network)),
        ipc: Some(open(NamespaceKind::Ipc)),
        uts: Some(open(NamespaceKind::Uts)),
        pid: Some(open(NamespaceKind::Pid)),
        mounts: None,
    };
    let links = |pid: &str| {
        ["net", "ipc", "uts"].map(|kind| {
            std::fs::read_link(format!("/proc/{pid}/ns/{kind}"))
                .unwrap()
                .display()
                .to_string()
        })
    };
    let expected = links(&created.pid().as_raw_pid().to_string()).join("\n");
    let ours = links("self");
    let first = created.start().unwrap();

    let second_home = Home::new();
    let mut spec_second = spec(&[
        "sh",
        "-c",
        "cd /proc/self/ns; for kind in net ipc uts; do readlink $kind; done; cat /proc/1/comm; ls /sys/class/net; hostname",
    ]);
    spec_second.hostname = None;
    let linux = spec_second.linux.as_mut().unwrap();
    linux.uid_mappings[0].host_id = BASE + 65_536;
    linux.gid_mappings[0].host_id = BASE + 65_536;
    let ended = run_with(&spec_second, second_home.overlay(), |launch| {
        launch.join = join
    })
    .unwrap();
    assert_eq!(
        ended.out,
        format!("{expected}\nsleep\nlo\ntesting\n"),
        "{}",
        ended.err
    );
    assert_eq!(links("self"), ours, "the caller is home again");
    rustix::process::pidfd_send_signal(&first.pidfd, rustix::process::Signal::KILL).unwrap();
    assert_eq!(crate::support::wait(&first), 137);
}
