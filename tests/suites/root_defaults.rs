//! What a container is like when nothing was asked for, and what each named relaxation changes.

use hull_suites::{Entry, Hull, OciLayout, eventually, require};

#[test]
fn root_inside_is_nobody_outside() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name x busybox sleep 1000");
    let uid = hull.ok(&format!("stat -c %u /proc/{}", hull.pid("x")));
    let uid: u32 = uid.parse().unwrap();
    assert!((524_288..1_879_048_192).contains(&uid), "{uid}");
    assert_eq!(uid % 65_536, 0);
    let map = hull.ok("hull exec x cat /proc/self/uid_map");
    let map: Vec<&str> = map.split_whitespace().collect();
    assert_eq!(map, ["0", &uid.to_string(), "65536"]);
    hull.ok("hull run -d --name y busybox sleep 1000");
    let other = hull.ok(&format!("stat -c %u /proc/{}", hull.pid("y")));
    assert_ne!(other, uid.to_string(), "each pod has ids of its own");
    hull.ok("hull run -d --name z --userns host busybox sleep 1000");
    assert_eq!(hull.ok(&format!("stat -c %u /proc/{}", hull.pid("z"))), "0");
    // Files of the image and new ones belong to root inside, and nothing on disk was chowned.
    hull.prints(&[(
        "busybox sh -c 'touch /new; stat -c %u:%g /bin/busybox /new'",
        "0:0\n0:0",
    )]);
}

#[test]
fn start_writes_nothing_into_the_containers_layer() {
    let hull = Hull::with_busybox();
    // An image without anything that is mounted on.
    hull.ok("hull create --name from busybox true && mkdir -p bare/bin && hull cp from:/bin/busybox bare/bin/ && hull rm from");
    hull.ok("tar -C bare -c . | hull import - bare");
    for image in ["busybox", "bare"] {
        hull.ok(&format!("hull create --name {image} --network none {image} busybox sh -c 'busybox cat /etc/hosts'"));
        assert!(
            hull.ok(&format!("hull start -a {image}"))
                .contains("localhost")
        );
        assert_eq!(hull.ok(&format!("hull diff {image}")), "");
        hull.ok(&format!(
            "hull export {image} | tar -t | grep -q '^etc/hosts$'"
        ));
    }
    assert_eq!(hull.ok("find $HULL_ROOT/pods/*/0.upper -mindepth 1"), "");
}

#[test]
fn privileges_are_dockers() {
    let hull = Hull::with_busybox();
    let status = |words: &str, field: &str| {
        hull.ok(&format!(
            "hull run --rm --network none {words} busybox grep {field}: /proc/self/status | cut -f2"
        ))
    };
    for field in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status("", field), "00000000a80425fb", "{field}");
    }
    assert_eq!(status("", "CapInh"), "0000000000000000");
    assert_eq!(status("", "CapAmb"), "0000000000000000");
    assert_eq!(status("", "Seccomp"), "2");
    assert_eq!(status("-u 1000", "CapEff"), "0000000000000000");
    assert_eq!(status("--cap-drop ALL", "CapEff"), "0000000000000000");
    assert_eq!(
        status("--cap-drop ALL --cap-add chown", "CapEff"),
        "0000000000000001"
    );
    assert_eq!(
        status("--cap-add CAP_NET_ADMIN", "CapEff"),
        "00000000a80435fb"
    );
    assert_eq!(status("--cap-drop NET_RAW", "CapEff"), "00000000a80405fb");
    assert_eq!(status("--security-opt seccomp=unconfined", "Seccomp"), "0");
    assert_eq!(
        status("--security-opt no-new-privileges", "NoNewPrivs"),
        "1"
    );
}

#[test]
fn seccomp_profile_can_be_given() {
    let hull = Hull::with_busybox();
    hull.write(
        "deny.json",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}"#,
    );
    let ran =
        hull.sh("hull run --rm --network none --security-opt seccomp=deny.json busybox mkdir /x");
    assert_eq!(ran.code, 1, "{}", ran.text());
    assert!(
        ran.err.contains("Operation not permitted"),
        "{}",
        ran.text()
    );
    hull.write("bad.json", "{");
    assert!(
        hull.fails(
            125,
            "hull run --rm --security-opt seccomp=bad.json busybox true"
        )
        .contains("bad.json")
    );
    hull.fails(
        125,
        "hull run --rm --security-opt seccomp=absent.json busybox true",
    );
    // The default refuses what docker's does.
    hull.fails(1, "hull run --rm --network none busybox unshare -U true");
}

#[test]
fn kernel_is_masked() {
    let hull = Hull::with_busybox();
    hull.prints(
        &[
            (
                "busybox sh -c 'cat /proc/kcore | wc -c; cat /proc/keys | wc -c; ls /proc/scsi /sys/firmware 2>/dev/null | grep -v : | wc -w'",
                "0\n0\n0",
            ),
            (
                "busybox sh -c 'for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/irq /sys/kernel/profiling; do [ -w $f ] && ( : > $f ) 2>/dev/null && echo $f; done; true'",
                "",
            ),
            (
                "busybox sh -c 'grep -c . /proc/mounts > /dev/null; grep \" /sys \" /proc/mounts | cut -d\" \" -f4 | cut -d, -f1'",
                "ro",
            ),
            (
                "busybox sh -c 'mount -t tmpfs t /tmp 2>/dev/null || echo refused'",
                "refused",
            ),
            (
                "busybox sh -c 'mknod /x c 1 3 2>/dev/null && echo made; ls -l /dev/null | cut -c1; echo x > /dev/null && echo ok'",
                "c\nok",
            ),
        ],
    );
}

#[test]
fn files_and_devices_are_as_images_expect() {
    let hull = Hull::with_busybox();
    hull.prints(
        &[
            (
                "busybox sh -c 'cd /dev; ls -d fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero 2>/dev/null | tr \"\\n\" \" \"'",
                "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ",
            ),
            (
                "busybox sh -c 'df -k /dev/shm | tail -n 1 | tr -s \" \" | cut -d\" \" -f2'",
                "65536",
            ),
            (
                "--shm-size 1m busybox sh -c 'df -k /dev/shm | tail -n 1 | tr -s \" \" | cut -d\" \" -f2'",
                "1024",
            ),
            (
                "busybox sh -c 'grep -c localhost /etc/hosts; test -s /etc/hostname && test -e /etc/resolv.conf && echo all'",
                "2\nall",
            ),
            // No descriptor but the streams and the one `ls` opens.
            ("busybox ls /proc/self/fd", "0\n1\n2\n3"),
            ("--init busybox ls /proc/self/fd", "0\n1\n2\n3"),
            ("busybox sh -c 'stat -c %a:%u / /tmp'", "755:0\n1777:0"),
            (
                "busybox sh -c 'cat /proc/1/cgroup | cut -d: -f3 | sort -u'",
                "/",
            ),
            ("busybox sh -c 'umask'", "0022"),
            ("busybox cat /proc/self/oom_score_adj", "0"),
            (
                "busybox sh -c 'cat /proc/self/setgroups /proc/self/loginuid 2>/dev/null | head -n 1'",
                "allow",
            ),
        ],
    );
}

#[test]
fn resource_limits_of_processes() {
    let hull = Hull::with_busybox();
    let host: u64 = hull.ok("ulimit -Hn").parse().unwrap();
    let soft = 1024.min(host);
    let hard = 524_288.min(host);
    hull.prints(&[
        (
            "busybox sh -c 'ulimit -Sn; ulimit -Hn'",
            &format!("{soft}\n{hard}"),
        ),
        (
            "--ulimit nofile=100:200 busybox sh -c 'ulimit -Sn; ulimit -Hn'",
            "100\n200",
        ),
        ("--ulimit core=0 busybox sh -c 'ulimit -c'", "0"),
        (
            "--oom-score-adj 500 busybox cat /proc/self/oom_score_adj",
            "500",
        ),
    ]);
    hull.fails(125, "hull run --rm --ulimit nosuch=1 busybox true");
}

#[test]
fn kernel_parameters_of_the_namespaces() {
    let hull = Hull::with_busybox();
    hull.prints(
        &[
            (
                "--sysctl net.ipv4.ip_unprivileged_port_start=81 busybox cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
                "81",
            ),
            (
                "--sysctl kernel.msgmax=4096 busybox cat /proc/sys/kernel/msgmax",
                "4096",
            ),
        ],
    );
    for refused in [
        "kernel.panic=1",
        "net.ipv4/../../kernel/panic=1",
        "kernel.msgmax=1+kernel.panic=1",
        "vm.swappiness=1",
    ] {
        hull.fails(
            125,
            &format!("hull run --rm --network none --sysctl {refused} busybox true"),
        );
    }
}

#[test]
fn devices_are_given_by_name() {
    let hull = Hull::with_busybox();
    hull.prints(
        &[(
            "--device /dev/zero:/dev/nought busybox sh -c 'head -c 4 /dev/nought | wc -c; stat -c %t:%T /dev/nought'",
            "4\n1:5",
        )],
    );
    // A directory stands for what is in it; the letters bind even who has a node.
    hull.ok("mkdir -p devs/deep && mknod devs/one c 1 5 && mknod devs/deep/two c 10 229");
    hull.prints(
        &[
            (
                "--device $T/devs:/dev/mine busybox sh -c 'cd /dev/mine; stat -c %t:%T one deep/two'",
                "1:5\na:e5",
            ),
            (
                "--device $T/devs/deep/two:/dev/two:r busybox sh -c ': < /dev/two && echo read; ( : > /dev/two ) 2>/dev/null && echo written; true'",
                "read",
            ),
            (
                "--device $T/devs/deep/two:/dev/two:rw busybox sh -c ': < /dev/two && : > /dev/two && echo both'",
                "both",
            ),
        ],
    );
    hull.fails(125, "hull run --rm --device /etc/passwd busybox true");
    hull.fails(125, "hull run --rm --device /dev/nosuch busybox true");
    // Not listed: not to be opened, not even by its own node.
    hull.prints(
        &[(
            "--userns host --cap-add MKNOD busybox sh -c 'mknod /kmsg c 1 11 && cat /kmsg 2>&1 | head -c 0; head -c 1 /kmsg 2>/dev/null || echo refused'",
            "refused",
        )],
    );
}

#[test]
fn privileged_is_root_on_the_host_and_says_so() {
    let hull = Hull::with_busybox();
    let all = hull.ok("grep CapBnd: /proc/self/status | cut -f2");
    hull.prints(
        &[
            (
                "--privileged busybox sh -c 'grep CapEff: /proc/self/status | cut -f2'",
                all.as_str(),
            ),
            (
                "--privileged busybox sh -c 'grep Seccomp: /proc/self/status | cut -f2; cut -c1-22 /proc/self/uid_map | tr -s \" \"'",
                "0\n 0 0 ",
            ),
            (
                "--privileged busybox sh -c 'mount -t tmpfs t /tmp && echo mounted'",
                "mounted",
            ),
            (
                "--privileged busybox sh -c 'test -e /dev/kmsg && echo device'",
                "device",
            ),
        ],
    );
    hull.ok("hull create --name x --privileged busybox true");
    assert_eq!(
        hull.ok("hull inspect -f '{{.HostConfig.Privileged}} {{.HostConfig.UsernsMode}}' x"),
        "true host"
    );
}

#[test]
fn who_may_mount_takes_no_mask_off_and_writes_nothing_read_only() {
    let hull = Hull::with_busybox();
    hull.prints(
        &[
            (
                "--cap-add SYS_ADMIN busybox sh -c 'umount /proc/kcore || umount -l /sys/firmware || umount -l /proc || mount -t proc p /tmp || echo refused' 2>/dev/null",
                "refused",
            ),
            (
                "--cap-add SYS_ADMIN -v $T:/v:ro busybox sh -c 'mount -o remount,bind,rw /v && touch /v/x || umount /v || echo refused' 2>/dev/null",
                "refused",
            ),
            (
                "--cap-add ALL --read-only busybox sh -c 'mount -o remount,bind,rw / && touch /x || echo refused' 2>/dev/null",
                "refused",
            ),
            (
                "--cap-add SYS_ADMIN busybox sh -c 'mount -t tmpfs t /tmp && touch /tmp/x && umount /tmp && hostname x && hostname'",
                "x",
            ),
            (
                "--cap-add SYS_ADMIN --security-opt systempaths=unconfined busybox sh -c 'mount -t proc p /tmp && ls /tmp/1/comm'",
                "/tmp/1/comm",
            ),
            (
                "--privileged --userns private busybox sh -c 'mount -t proc p /tmp && ls /tmp/1/comm && mount -t tmpfs t /home && echo mounted'",
                "/tmp/1/comm\nmounted",
            ),
        ],
    );
    hull.ok("hull run -d --name x --cap-add SYS_ADMIN busybox sleep 1000");
    assert_eq!(
        hull.ok("hull exec x sh -c 'umount /proc/kcore 2>/dev/null || hostname'"),
        hull.ok("hull exec x hostname")
    );
    hull.ok("hull stop -t 0 x && hull start x && hull rm -f x");
    hull.assert_nothing_left();
}

#[test]
fn namespaces_are_shared_when_named() {
    let hull = Hull::with_busybox();
    let own = |kind: &str| hull.ok(&format!("readlink /proc/self/ns/{kind}"));
    hull.prints(&[
        (
            "--pid host busybox sh -c '[ $$ != 1 ] && readlink /proc/self/ns/pid'",
            own("pid").as_str(),
        ),
        (
            "--ipc host busybox readlink /proc/self/ns/ipc",
            own("ipc").as_str(),
        ),
        (
            "--uts host busybox readlink /proc/self/ns/uts",
            own("uts").as_str(),
        ),
        (
            "--cgroupns host busybox readlink /proc/self/ns/cgroup",
            own("cgroup").as_str(),
        ),
    ]);
    hull.ok("hull run -d --name x --network none -h there busybox sleep 1000");
    for (option, kind) in [
        ("pid", "pid"),
        ("ipc", "ipc"),
        ("uts", "uts"),
        ("network", "net"),
    ] {
        let there = hull.ok(&format!("readlink /proc/{}/ns/{kind}", hull.pid("x")));
        let path = format!("ns:/proc/{}/ns/{kind}", hull.pid("x"));
        for from in ["container:x", path.as_str()] {
            let line =
                format!("hull run --rm --{option} {from} busybox readlink /proc/self/ns/{kind}");
            assert_eq!(hull.ok(&line), there, "{line}");
        }
        for refused in ["ns:/etc/passwd", "ns:/nosuch"] {
            let line = format!("hull run --rm --{option} {refused} busybox true");
            let text = hull.fails(125, &line);
            assert!(
                text.contains("namespace") && text.contains("hint: "),
                "{text}"
            );
        }
    }
}

#[test]
fn exec_privileged_does_not_undo_mounts() {
    let hull = Hull::with_busybox();
    let tries = "mount -o remount,bind,rw /v && touch /v/x || umount /v || umount -l /proc/kcore || mount -t tmpfs t /tmp && echo undone || echo refused";
    for (name, words) in [("x", ""), ("y", "--cap-add SYS_ADMIN")] {
        hull.ok(&format!(
            "hull run -d --name {name} --network none {words} -v $T:/v:ro busybox sleep 1000"
        ));
        let command = format!("hull exec --privileged {name} sh -c");
        let tried = hull.sh(&format!("{command} '({tries}) 2>/dev/null'"));
        let bounding = hull.ok(&format!(
            "{command} 'grep CapBnd: /proc/self/status' 2>/dev/null"
        ));
        // All capabilities but number 21.
        let (said, set) = match name {
            "x" => ("refused\n", "000001ffffdfffff"),
            _ => ("undone\n", "000001ffffffffff"),
        };
        assert_eq!(tried.out, said, "{}", tried.text());
        assert_eq!(tried.err.contains("--cap-add SYS_ADMIN"), name == "x");
        assert!(bounding.ends_with(set), "{bounding}");
        assert!(!hull.dir().join("x").exists());
    }
    // A namespace of its own is no way in.
    hull.fails(
        1,
        "hull exec --privileged x unshare -U -m --map-root-user mount -o remount,bind,rw /v",
    );
}

#[test]
fn shared_memory_goes_along_with_ipc() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name x --network none busybox sleep 1000");
    hull.ok("hull exec x sh -c 'echo shared > /dev/shm/f; chmod 600 /dev/shm/f'");
    hull.ok("hull run -d --name y --network none --ipc container:x busybox sleep 1000");
    for other in ["y", "x"] {
        hull.prints(&[
            (
                &format!(
                    "--ipc container:{other} busybox sh -c 'cat /dev/shm/f; echo from > /dev/shm/g'"
                ),
                "shared",
            ),
            // Root is root on both sides, though their numbers differ outside.
            (
                &format!("--ipc container:{other} busybox stat -c %u /dev/shm/f /dev/shm/g"),
                "0\n0",
            ),
            (
                &format!("--ipc container:{other} --cap-add SYS_ADMIN busybox cat /dev/shm/f"),
                "shared",
            ),
            (
                &format!("--ipc container:{other} --tmpfs /dev/shm busybox ls /dev/shm"),
                "",
            ),
        ]);
        let mounted = hull.ok(
            "hull exec y grep -E ' /dev/shm [^ ]*nosuid[^ ]*nodev[^ ]*noexec' /proc/self/mountinfo",
        );
        assert!(mounted.contains("tmpfs"), "{mounted}");
    }
    assert_eq!(
        hull.ok("hull exec x sh -c 'cat /dev/shm/g; stat -c %u /dev/shm/g'"),
        "from\n0"
    );
    // What the other has put in the place of its shared memory is not followed.
    hull.ok("hull run -d --name z --network none --pid host --ipc none busybox sleep 1000");
    for place in [
        "rmdir /dev/shm; ln -s /proc/1/root/etc /dev/shm",
        "rm /dev/shm",
    ] {
        hull.ok(&format!("hull exec z sh -c '{place}'"));
        let said = hull.fails(125, "hull run --rm --ipc container:z busybox ls /dev/shm");
        assert!(
            said.contains("/dev/shm") && said.contains("hint: "),
            "{said}"
        );
    }
}

#[test]
fn exec_gets_exactly_what_the_container_has() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name x --network none --cap-drop ALL --cap-add CHOWN --security-opt no-new-privileges -m 64m busybox sleep 1000");
    assert_eq!(
        hull.ok("hull exec x grep -E '^(CapEff|CapBnd|CapInh|Seccomp|NoNewPrivs):' /proc/self/status | tr -d '\\t'"),
        "CapInh:0000000000000000\nCapEff:0000000000000001\nCapBnd:0000000000000001\nNoNewPrivs:1\nSeccomp:2"
    );
    assert_eq!(
        hull.ok("hull exec x cat /proc/self/cgroup"),
        hull.ok("hull exec x cat /proc/1/cgroup")
    );
    assert_eq!(
        hull.ok("hull exec x readlink /proc/self/ns/user"),
        hull.ok(&format!("readlink /proc/{}/ns/user", hull.pid("x")))
    );
    assert_eq!(hull.ok("hull exec x ls /proc/self/fd"), "0\n1\n2\n3");
}

#[test]
fn image_cannot_choose_what_is_outside() {
    // Names and paths of an image's configuration stay inside it.
    let hull = Hull::new();
    OciLayout::default()
        .busybox()
        .layer(&[
            Entry::symlink("link", "/proc/self/fd/3/../../.."),
            Entry::symlink("escape", "../../../../../../etc"),
        ])
        .config(serde_json::json!({"Cmd": ["sh", "-c", "pwd; ls /escape/os-release"], "WorkingDir": "/link/x"}))
        .write(&hull.dir().join("oci"), "odd");
    hull.ok("hull load -i oci");
    // The image's own working directory leads through a descriptor: there is none to lead through.
    hull.fails(125, "hull run --rm --network none odd true");
    hull.ok("hull run --rm --network none -w /escape/made-by-hull-test odd pwd");
    assert!(!std::path::Path::new("/etc/made-by-hull-test").exists());
    hull.ok("hull run --rm --network none -w / -v $T:/escape/also-made-by-hull-test odd true");
    assert!(!std::path::Path::new("/etc/also-made-by-hull-test").exists());
    for user in [
        "4294967296",
        "-1",
        "0x0",
        "1000:9999999999",
        "99999999999999999999",
    ] {
        hull.fails(
            125,
            &format!("hull run --rm --network none -w / -u {user} odd true"),
        );
    }
}

#[test]
fn passwd_of_the_image_is_not_trusted() {
    let hull = Hull::new();
    OciLayout::default()
        .busybox()
        .layer(&[
            Entry::symlink("etc/passwd", "/proc/1/environ"),
            Entry::fifo("etc/group"),
        ])
        .write(&hull.dir().join("oci"), "odd");
    hull.ok("hull load -i oci");
    hull.fails(
        125,
        "timeout 20 hull run --rm --network none -u nobody odd true",
    );
    // Numbers need no such file, but an image like this may as well be refused.
    let ran = hull.sh("timeout 20 hull run --rm --network none -u 1000:50 odd id -u");
    assert!(ran.out == "1000\n" || ran.code == 125, "{}", ran.text());
}

#[test]
fn open_descriptors_of_the_caller_stay_outside() {
    let hull = Hull::with_busybox();
    hull.write("secret", "secret");
    assert_eq!(
        hull.ok("exec 9<secret; hull run --rm --network none busybox ls /proc/self/fd"),
        "0\n1\n2\n3"
    );
    hull.ok("exec 9<secret; hull run -d --name x --network none busybox sleep 1000");
    let monitor = hull.monitor("x");
    let links = hull.ok(&format!("ls -l /proc/{monitor}/fd"));
    assert!(!links.contains("secret"), "{links}");
    eventually("exec works", || {
        hull.sh("exec 9<secret; hull exec x true").code == 0
    });
}

#[test]
fn no_mount_of_a_pod_is_in_the_hosts_namespace() {
    require!("findmnt");
    let hull = Hull::with_busybox();
    let before = hull.ok("cat /proc/self/mountinfo | wc -l");
    hull.ok("hull run -d --network none -v $T:/t -v vol:/v busybox sleep 1000");
    assert_eq!(hull.ok("cat /proc/self/mountinfo | wc -l"), before);
}
