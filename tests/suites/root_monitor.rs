//! Monitors that die, apps that will not, and many at once.

use std::process::Command;

use hull_suites::{Hull, eventually, require};

#[track_caller]
fn kill_monitor(hull: &Hull, name: &str) {
    let pid = rustix::process::Pid::from_raw(hull.monitor(name)).expect("a monitor has an id");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it lives");
}

fn exists(pid: i32) -> bool {
    // A zombie is not there any more for our purpose.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}

#[test]
fn monitor_of_another_version_is_named() {
    let mut hull = Hull::with_busybox();
    let (program, monitor) = (
        hull.program().to_owned(),
        hull.program().with_file_name("hull-monitor"),
    );
    let other = format!("#!/bin/sh\necho '{{}}' | {}\n", monitor.display());
    hull.write("other/hull-monitor", other);
    hull.ok(&format!(
        "chmod +x other/hull-monitor && cp {} other/hull",
        program.display()
    ));
    let other = hull.dir().join("other");
    hull.use_programs_in(&other);
    let said = hull.fails(125, "hull run -d --name x --network none busybox true");
    assert!(
        said.contains("the order to the monitor cannot be read"),
        "{said}"
    );
    assert!(said.contains("must be of one version"), "{said}");
    assert_eq!(hull.state("x"), "created");
}

#[test]
fn killed_monitor_takes_its_container_along() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name x -p 8080:80 busybox sh -c 'trap \"\" TERM INT HUP; sleep 1000'");
    let pid = hull.pid("x");
    kill_monitor(&hull, "x");
    eventually("init is dead", || !exists(pid));
    eventually("ps shows it", || hull.state("x") == "exited");
    assert_eq!(hull.ok("hull wait x"), "137");
    assert!(hull.ok("hull ps -a").contains("Exited (137)"));
    // It can be started again, and everything it had is free for it.
    hull.ok("hull start x");
    assert_eq!(hull.state("x"), "running");
    kill_monitor(&hull, "x");
    eventually("ps shows it", || hull.state("x") == "exited");
    hull.ok("hull rm x");
    hull.assert_nothing_left();
}

#[test]
fn gc_brings_everything_back_after_killed_monitors() {
    let hull = Hull::with_busybox();
    for index in 0..6 {
        hull.ok(&format!(
            "hull run -d --rm --name x{index} -p {}:80 -v /data busybox sleep 1000",
            9000 + index
        ));
    }
    (0..6).for_each(|index| kill_monitor(&hull, &format!("x{index}")));
    eventually("all are over", || hull.sh("hull ps -q").out.is_empty());
    hull.ok("hull gc");
    hull.assert_nothing_left();
    assert_eq!(hull.ok("ls $HULL_ROOT/volumes | wc -l"), "0");
}

/// An app that outlives its monitor: it takes back the parent-death signal and ignores whatever can be ignored.
const STUBBORN: &str = r#"
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(void) {
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, 0);
    if (fork() == 0) { prctl(PR_SET_PDEATHSIG, 0); for (;;) pause(); }
    write(1, "up\n", 3);
    for (;;) pause();
}
"#;

fn with_stubborn() -> Hull {
    let hull = Hull::with_busybox();
    hull.write("stubborn.c", STUBBORN);
    hull.ok("gcc -static -O -o stubborn stubborn.c");
    hull
}

#[track_caller]
fn lose(hull: &Hull, name: &str, options: &str) -> i32 {
    hull.ok(&format!(
        "hull run -d --name {name} {options} -v $T/stubborn:/stubborn:ro busybox /stubborn"
    ));
    eventually("it is up", || {
        hull.sh(&format!("hull logs {name}")).out == "up\n"
    });
    let pid = hull.pid(name);
    kill_monitor(hull, name);
    eventually("it is lost", || hull.state(name) == "lost");
    assert!(exists(pid), "the app outlives its monitor");
    pid
}

#[test]
fn app_that_outlives_its_monitor_is_lost_until_a_verb_kills_it() {
    require!("gcc");
    let hull = with_stubborn();
    for (name, verb) in [
        ("a", "gc"),
        ("b", "rm b"),
        ("c", "rm -f c"),
        ("d", "start d"),
        ("e", "stop -t 0 e"),
        ("f", "restart f"),
    ] {
        let pid = lose(&hull, name, "--network none");
        assert!(hull.ok("hull ps -a").to_lowercase().contains("lost"));
        hull.ok(&format!("hull {verb}"));
        assert!(!exists(pid), "`{verb}` kills it first");
        hull.sh(&format!("hull rm -f {name}"));
        hull.assert_nothing_left();
    }
}

#[test]
fn lost_container_with_a_port_gives_the_port_back() {
    require!("gcc");
    let hull = with_stubborn();
    lose(&hull, "x", "-p 8080:80");
    hull.ok("hull gc");
    hull.ok("hull run -d --name y -p 8080:80 busybox sleep 1000");
    hull.ok("hull rm -f x y");
    hull.assert_nothing_left();
}

#[test]
fn foreground_run_that_is_killed_leaves_nothing_after_gc() {
    let hull = Hull::with_busybox();
    for options in ["--rm", "--name kept"] {
        let child = hull.spawn(&format!(
            "exec hull run {options} busybox sh -c 'echo up > /up; sleep 1000'"
        ));
        eventually("it runs", || !hull.sh("hull ps -q").out.is_empty());
        let pid = hull.pid("$(hull ps -q)");
        child.signal(rustix::process::Signal::KILL);
        child.wait();
        eventually("init is dead", || !exists(pid));
    }
    hull.ok("hull gc");
    assert_eq!(hull.ok("hull ps -a --format '{{.Names}}'"), "kept");
    hull.ok("hull rm kept");
    hull.assert_nothing_left();
}

#[test]
fn hundred_starts_eight_at_a_time_leave_nothing() {
    let hull = Hull::with_busybox();
    let ran = hull.sh("seq 100 | xargs -P 8 -I{} sh -c 'hull run --rm busybox sh -c \"exit 5\"; [ $? = 5 ] || echo bad {}'");
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    hull.assert_nothing_left();
}

#[test]
fn start_races_have_one_winner() {
    let hull = Hull::with_busybox();
    hull.ok("for i in $(seq 12); do hull create --name same busybox true > made.$i 2>/dev/null & done; wait");
    assert_eq!(hull.ok("cat made.* | wc -l"), "1");
    hull.ok("hull rm same && hull create --name x busybox sleep 1000");
    hull.ok("for i in $(seq 8); do hull start x > /dev/null 2>&1 & done; wait");
    assert_eq!(hull.state("x"), "running");
    hull.ok("for i in $(seq 8); do hull rm -f x > /dev/null 2>&1 & done; wait");
    hull.assert_nothing_left();
}

#[test]
fn readers_never_wait() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name x busybox sleep 1000 && hull pause x");
    let mut command: Command = hull.command("flock");
    let mut holder = command
        .args(["root/images/index.lock", "true"])
        .spawn()
        .unwrap();
    holder.wait().unwrap();
    for line in ["hull ps -a", "hull inspect x", "hull logs x", "hull images"] {
        let ran = hull.sh(line);
        assert!(
            ran.code == 0 && ran.took.as_millis() < 2000,
            "{line}: {}",
            ran.text()
        );
    }
}
