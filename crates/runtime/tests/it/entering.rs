//! Terminals, and more processes in a running container.

use std::os::fd::{AsFd as _, OwnedFd};

use hull_runtime::{Exec, Filter, Running, StartError, Stdio, Target, TerminalSize, create, exec};
use hull_spec::runtime::{Process, Spec};
use rustix::process::{Signal, pidfd_send_signal};

use crate::support::{Ended, Group, Home, launch, pipes, spec, wait, words};
use hull_suites::Case;

pub(crate) const CASES: &[Case] = &[
    ("root_terminal_is_the_containers_own", terminal),
    ("root_exec_is_like_the_first_process", exec_is_alike),
    ("root_exec_of_a_terminal", exec_terminal),
    ("root_exec_says_what_is_wrong", exec_errors),
    ("root_small_init_passes_signals_and_reaps", small_init),
    (
        "root_small_init_leaves_the_terminal_to_the_app",
        init_with_a_terminal,
    ),
    ("root_exec_shows_nothing_of_the_host", exec_leaks_nothing),
];

const SIZE: TerminalSize = TerminalSize {
    rows: 33,
    columns: 77,
};

/// Reads a terminal's master until its other side is closed.
fn read_all(master: &OwnedFd) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    // The end of a terminal is EIO.
    while let Ok(length @ 1..) = rustix::io::read(master, &mut buffer) {
        text.extend(&buffer[..length]);
    }
    String::from_utf8(text).unwrap().replace("\r\n", "\n")
}

fn terminal() {
    let home = Home::new();
    let mut spec = spec(&[
        "sh",
        "-c",
        "tty; stty size; stat -c '%u:%g' /dev/pts/0; stat -c %t:%T /dev/console; echo c > /dev/console; echo t > /dev/tty; read line; echo got $line",
    ]);
    spec.process.as_mut().unwrap().user.uid = 33;
    let running = create(launch(&spec, home.overlay(), Stdio::Terminal(SIZE)))
        .unwrap()
        .start()
        .unwrap();
    let master = running.terminal.as_ref().unwrap();
    rustix::io::write(master, b"typed\n").unwrap();
    let seen = read_all(master);
    assert_eq!(
        seen,
        "typed\n/dev/pts/0\n33 77\n33:5\n88:0\nc\nt\ngot typed\n"
    );
    assert_eq!(wait(&running), 0);
}

/// A container that sleeps, with the default filter and a cgroup.
fn sleeper(spec: &Spec, home: &Home, group: &Group) -> Running {
    let null = || {
        std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .unwrap()
            .into()
    };
    let stdio = Stdio::Streams {
        stdin: null(),
        stdout: null(),
        stderr: null(),
    };
    let mut launch = launch(spec, home.overlay(), stdio);
    launch.cgroup = Some(&group.0);
    launch.filter = Filter::Default;
    create(launch).unwrap().start().unwrap()
}

fn request<'a>(
    running: &'a Running,
    group: &'a Group,
    process: &'a Process,
    stdio: Stdio,
) -> Exec<'a> {
    Exec {
        target: Target {
            pid: running.pid,
            pidfd: running.pidfd.as_fd(),
            cgroup: Some(&group.0),
        },
        process,
        user: None,
        stdio,
        filter: Filter::Default,
        die_with_caller: true,
    }
}

fn run_in(running: &Running, group: &Group, process: &Process) -> Result<Ended, StartError> {
    let (stdio, streams) = pipes();
    let entered = exec(request(running, group, process, stdio))?;
    Ok(streams.finish(&entered))
}

fn stop(running: &Running) {
    pidfd_send_signal(&running.pidfd, Signal::KILL).unwrap();
    assert_eq!(wait(running), 137);
}

fn exec_is_alike() {
    let home = Home::new();
    let group = Group::new("exec");
    let script = "cat /proc/self/cgroup /proc/self/uid_map; grep -E '^(Cap|NoNew|Seccomp|Groups|Sig[IB]|Uid)' /proc/self/status
        for kind in user mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$kind; done; pwd; ls /; ulimit -n; umask";
    let mut first = spec(&["sh", "-c", &format!("({script}) > /report; sleep 100")]);
    first.process.as_mut().unwrap().rlimits = vec![hull_spec::runtime::Rlimit {
        kind: hull_spec::runtime::RlimitKind::Nofile,
        soft: 99,
        hard: 99,
    }];
    let running = sleeper(&first, &home, &group);
    let mut process = first.process.clone().unwrap();
    process.args = words(&["sh", "-c", script]);
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let report = loop {
        let report = std::fs::read_to_string(home.upper().join("report")).unwrap_or_default();
        if report.ends_with("0022\n") || std::time::Instant::now() > patience {
            break report;
        }
    };
    let ended = run_in(&running, &group, &process).unwrap();
    assert_eq!((ended.out, ended.err.as_str(), ended.code), (report, "", 0));
    process.args = words(&["sh", "-c", "id -u; echo $HOME; cat /proc/1/comm; exit 3"]);
    let (stdio, streams) = pipes();
    let mut request = request(&running, &group, &process, stdio);
    request.user = Some("www");
    let ended = streams.finish(&exec(request).unwrap());
    assert_eq!(
        (ended.out.as_str(), ended.code),
        ("33\n/home/www\nsleep\n", 3)
    );
    stop(&running);
}

fn exec_terminal() {
    let home = Home::new();
    let group = Group::new("tty");
    let first = spec(&["sleep", "100"]);
    let running = sleeper(&first, &home, &group);
    let mut process = first.process.clone().unwrap();
    process.args = words(&["sh", "-c", "tty; stty size"]);
    let entered = exec(request(&running, &group, &process, Stdio::Terminal(SIZE))).unwrap();
    assert_eq!(
        read_all(entered.terminal.as_ref().unwrap()),
        "/dev/pts/0\n33 77\n"
    );
    assert_eq!(wait(&entered), 0);
    stop(&running);
}

fn exec_errors() {
    let home = Home::new();
    let group = Group::new("wrong");
    let first = spec(&["sleep", "100"]);
    let running = sleeper(&first, &home, &group);
    let mut process = first.process.clone().unwrap();
    process.args = words(&["nope"]);
    let error = run_in(&running, &group, &process).unwrap_err();
    assert_eq!(error.exit_code(), 127, "{error}");
    process.args = words(&["true"]);
    process.cwd = "/none".into();
    let error = run_in(&running, &group, &process).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot change to the working directory `/none`"
    );
    assert_eq!(
        group.0.processes().unwrap().len(),
        1,
        "failed ones are gone"
    );
    stop(&running);
    process.cwd = "/".into();
    let error = run_in(&running, &group, &process).unwrap_err();
    assert_eq!(error.kind(), hull_types::ErrorKind::WrongState, "{error}");
}

fn exec_leaks_nothing() {
    let home = Home::new();
    let group = Group::new("leak");
    let first = spec(&["sleep", "100"]);
    let running = sleeper(&first, &home, &group);
    let _host = std::fs::File::open("/etc").unwrap();
    let mut process = first.process.clone().unwrap();
    process.args = words(&["ls", "/proc/self/fd"]);
    assert_eq!(
        run_in(&running, &group, &process).unwrap().out,
        "0\n1\n2\n3\n"
    );
    for number in 3..30 {
        process.cwd = format!("/proc/self/fd/{number}").into();
        assert!(run_in(&running, &group, &process).is_err(), "{number}");
    }
    stop(&running);
}

/// What a test process has open is few enough to stay open in pid 1.
fn forget_nothing() {}

fn small_init() {
    let home = Home::new();
    // An orphan ends while the app waits: pid 1 reaps it. Signals reach the app.
    let script = "cat /proc/1/comm > /dev/null; (sleep 0.1 & ) ; trap 'echo term; exit 9' TERM; echo $$ > /ready
        sleep 0.4; ps -o stat | grep -c Z; readlink /proc/1/exe || echo hidden; ls /proc/1/fd 2>/dev/null || echo hidden; while true; do sleep 0.1; done";
    let spec = spec(&["sh", "-c", script]);
    let (stdio, streams) = pipes();
    let launch = launch(&spec, home.overlay(), stdio);
    let running = hull_runtime::create_with_init(launch, forget_nothing)
        .unwrap()
        .start()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(900));
    pidfd_send_signal(&running.pidfd, Signal::TERM).unwrap();
    let ended = streams.finish(&running);
    assert_eq!(
        (ended.code, ended.out.as_str(), ended.err.as_str()),
        (9, "0\nhidden\nhidden\nterm\n", "")
    );
    assert_eq!(
        std::fs::read_to_string(home.upper().join("ready")).unwrap(),
        "2\n"
    );

    // The app's own errors are still told, and nothing stays.
    let bad = crate::support::spec(&["/nope"]);
    let (stdio, _streams) = pipes();
    let launch = crate::support::launch(&bad, home.overlay(), stdio);
    let error = hull_runtime::create_with_init(launch, forget_nothing).unwrap_err();
    assert_eq!(error.exit_code(), 127);
}

fn init_with_a_terminal() {
    let home = Home::new();
    let spec = spec(&[
        "sh",
        "-c",
        "sleep 0.1; read line; echo got $line; kill -9 $$",
    ]);
    let launch = launch(&spec, home.overlay(), Stdio::Terminal(SIZE));
    let running = hull_runtime::create_with_init(launch, forget_nothing)
        .unwrap()
        .start()
        .unwrap();
    let master = running.terminal.as_ref().unwrap();
    rustix::io::write(master, b"typed\n").unwrap();
    assert_eq!(read_all(master), "typed\ngot typed\n");
    assert_eq!(wait(&running), 137);
}
