//! What root in the container tries with `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`, and what it may do with them.

use std::path::Path;

use hull_runtime::Stdio;
use hull_spec::runtime::Spec;

use crate::support::{Ended, Group, Home, bind, run, run_with, spec};
use hull_suites::Case;

pub(crate) const CASES: &[Case] = &[
    ("root_masks_stay_on", masks_stay_on),
    ("root_read_only_stays_so", read_only_stays),
    ("root_unmasked_proc_cannot_be_had_again", no_other_proc),
    ("root_what_is_mounted_inside_is_its_own", own_mounts),
    ("root_nothing_masked_means_proc_can_be_mounted", unmasked),
    ("root_locked_root_is_as_complete_as_any", complete),
    ("root_locked_start_that_fails_says_why", failures),
];

/// A container that may mount, with a read-only bind of `volume` at `/vol`.
fn sys_admin(script: &str, volume: &Path) -> Spec {
    let mut spec = spec(&["sh", "-c", script]);
    let capabilities = spec
        .process
        .as_mut()
        .unwrap()
        .capabilities
        .as_mut()
        .unwrap();
    for set in [
        &mut capabilities.bounding,
        &mut capabilities.effective,
        &mut capabilities.permitted,
    ] {
        set.extend(["CAP_SYS_ADMIN".to_owned(), "CAP_NET_ADMIN".to_owned()]);
    }
    spec.mounts.push(bind(volume, "/vol", &["ro", "idmap"]));
    spec
}

/// Runs every line by itself; those that succeed say so.
fn attempts(lines: &[&str]) -> Ended {
    let home = Home::new();
    let volume = tempfile::tempdir_in("/var/tmp").unwrap();
    let script: String = lines
        .iter()
        .map(|line| format!("({line}) 2>/dev/null && echo 'done: {line}'\n"))
        .collect();
    let script = format!("mkdir /mnt\n{script}true");
    run(&home, &sys_admin(&script, volume.path())).unwrap()
}

fn masks_stay_on() {
    let ended = attempts(&[
        "umount /proc/kcore",
        "umount -l /proc/kcore",
        "umount /proc/timer_list",
        "umount /sys/firmware",
        "umount -l /proc/sys",
        "umount -l /proc",
        "umount -l /dev",
        "mount --move /proc/kcore /mnt",
        "mount --bind /proc /mnt",
        "mount -o remount,bind,rw /proc/sys && echo 1 > /proc/sys/kernel/shmmax",
        "mount -o remount,bind,rw /sys && mkdir /sys/fs/cgroup/x",
        "mount --rbind /proc /mnt && umount /mnt/kcore",
        "mount --make-rshared / && unshare -m umount /proc/kcore",
        "cat /mnt/kcore | head -c 1 | grep .",
    ]);
    assert_eq!((ended.out.as_str(), ended.code), ("", 0), "{}", ended.err);
}

fn read_only_stays() {
    let ended = attempts(&[
        "touch /vol/x",
        "mount -o remount,rw /vol",
        "mount -o remount,bind,rw /vol && touch /vol/x",
        "umount /vol",
        "umount -l /vol",
        "mount --bind /vol /mnt && mount -o remount,bind,rw /mnt && touch /mnt/x",
        "mount -o remount,bind,dev /",
        "mount -o remount,bind,suid,exec /proc",
    ]);
    assert_eq!((ended.out.as_str(), ended.code), ("", 0), "{}", ended.err);
}

fn no_other_proc() {
    let ended = attempts(&[
        "mount -t proc proc /mnt",
        "mount -t sysfs sysfs /mnt",
        "mkdir /mnt/ro && mount -t proc -o ro proc /mnt/ro",
    ]);
    assert_eq!((ended.out.as_str(), ended.code), ("", 0), "{}", ended.err);
}

fn own_mounts() {
    let ended = attempts(&[
        "mount -t tmpfs none /mnt && touch /mnt/x && umount /mnt",
        "mount --bind /etc /mnt && umount /mnt",
        "mount -t tmpfs none /tmp && mount --move /tmp /mnt && umount /mnt",
        "hostname other && test $(hostname) = other",
        "ip link set lo down",
    ]);
    assert_eq!(ended.out.lines().count(), 5, "{}{}", ended.out, ended.err);
}

fn unmasked() {
    let home = Home::new();
    let volume = tempfile::tempdir_in("/var/tmp").unwrap();
    let script = "mkdir /mnt && mount -t proc proc /mnt && mount -t tmpfs none /run && ls /mnt/1/comm
        echo 7 > /proc/sys/net/ipv4/ip_unprivileged_port_start && cat /mnt/sys/net/ipv4/ip_unprivileged_port_start
        touch /vol/x 2>/dev/null || mount -o remount,bind,rw /vol 2>/dev/null || umount /vol 2>/dev/null || echo refused";
    let mut spec = sys_admin(script, volume.path());
    let linux = spec.linux.as_mut().unwrap();
    linux.masked_paths.clear();
    linux.readonly_paths.clear();
    std::fs::create_dir_all(home.layer().join("run")).unwrap();
    let ended = run(&home, &spec).unwrap();
    assert_eq!(
        (ended.out.as_str(), ended.err.as_str()),
        ("/mnt/1/comm\n7\nrefused\n", "")
    );
}

/// The same container twice, once with nothing to lock: what it sees may not differ.
fn complete() {
    let look = "ls -ln / | tr -s ' ' | cut -d' ' -f1,3,4,9- ; ls -ln /dev /etc; cat /etc/hosts
        cat /proc/self/cgroup /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmax
        touch /root-is-read-only; pwd; umask; id; tty; stat -c %a /tmp /dev/shm; ls /proc/self/fd; readlink /proc/self/cwd
        echo $$; ps -o pid,args; cut -d' ' -f4- /proc/self/mountinfo";
    let see = |locked: bool| {
        let home = Home::new();
        let volume = tempfile::tempdir_in("/var/tmp").unwrap();
        let mut spec = sys_admin(look, volume.path());
        let process = spec.process.as_mut().unwrap();
        if !locked {
            let capabilities = process.capabilities.as_mut().unwrap();
            capabilities.bounding.retain(|name| name != "CAP_SYS_ADMIN");
            capabilities
                .effective
                .retain(|name| name != "CAP_SYS_ADMIN");
            capabilities
                .permitted
                .retain(|name| name != "CAP_SYS_ADMIN");
        }
        process.cwd = "/made/for/it".into();
        spec.root.as_mut().unwrap().readonly = true;
        let linux = spec.linux.as_mut().unwrap();
        let sysctls = [
            ("net.ipv4.ip_unprivileged_port_start", "7"),
            ("kernel.shmmax", "4096"),
        ];
        linux.sysctl = sysctls
            .map(|(key, value)| (key.into(), value.into()))
            .into();
        let group = Group::new(if locked { "locked" } else { "plain" });
        run_with(&spec, home.overlay(), |launch| {
            launch.cgroup = Some(&group.0);
            launch.files = vec![("/etc/hosts".into(), b"127.0.0.1 localhost\n".to_vec())];
        })
        .unwrap()
    };
    let (plain, locked) = (see(false), see(true));
    // A copy of mounts lists them in another order; names of the test's own directories and groups differ.
    let in_order = |text: &str| {
        let own = ["hull-runtime-test", "/var/tmp"];
        let (mounts, rest): (Vec<_>, Vec<_>) = text
            .lines()
            .filter(|line| !own.iter().any(|own| line.contains(own)))
            .partition(|line| line.contains(" - "));
        let mut mounts: Vec<_> = mounts.into_iter().map(str::to_owned).collect();
        mounts.sort();
        (mounts, rest.join("\n"))
    };
    let (mounts, rest) = in_order(&plain.out);
    assert!(mounts.len() > 15, "{mounts:?}");
    assert_eq!(in_order(&locked.out), (mounts, rest));
    assert_eq!(locked.err, plain.err);
    let before = std::fs::read_to_string("/proc/sys/kernel/shmmax").unwrap();
    assert_ne!(
        before.trim(),
        "4096",
        "the host's own setting is the host's"
    );
}

fn failures() {
    let home = Home::new();
    let volume = tempfile::tempdir_in("/var/tmp").unwrap();
    let failure = |change: &dyn Fn(&mut Spec)| {
        let mut spec = sys_admin("true", volume.path());
        change(&mut spec);
        run(&home, &spec).unwrap_err().to_string()
    };
    // Of the child, before and after the root is there; of whoever assembles; of the parent.
    assert_eq!(
        failure(&|spec| {
            let linux = spec.linux.as_mut().unwrap();
            linux.sysctl = [("net.no.such".to_owned(), "1".to_owned())].into();
        }),
        "cannot set the sysctl `net.no.such`"
    );
    assert!(
        failure(&|spec| spec.process.as_mut().unwrap().args = vec!["/nope".into()])
            .contains("/nope")
    );
    assert_eq!(
        failure(&|spec| spec.process.as_mut().unwrap().cwd = "/etc/passwd/x".into()),
        "cannot change to the working directory `/etc/passwd/x`"
    );
    assert!(
        failure(&|spec| spec.mounts.push(bind(Path::new("/no/such"), "/x", &[])))
            .contains("/no/such")
    );
    // A terminal is the child's, and comes last.
    let spec = sys_admin("tty; test -w /dev/console && echo console", volume.path());
    let size = hull_runtime::TerminalSize {
        rows: 10,
        columns: 20,
    };
    let launch = crate::support::launch(&spec, home.overlay(), Stdio::Terminal(size));
    let mut running = hull_runtime::create(launch)
        .and_then(hull_runtime::Created::start)
        .unwrap();
    let master = running.terminal.take().unwrap();
    let mut text = Vec::new();
    let mut bytes = [0; 256];
    while let Ok(length @ 1..) = rustix::io::read(&master, &mut bytes) {
        text.extend_from_slice(&bytes[..length]);
    }
    assert_eq!(crate::support::wait(&running), 0);
    assert_eq!(String::from_utf8_lossy(&text), "/dev/pts/0\r\nconsole\r\n");
}
