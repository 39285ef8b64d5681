//! Who the app is, how it is found, and why it cannot be run.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use hull_runtime::{Problem, StartError, Warning, create};
use hull_spec::runtime::{Rlimit, RlimitKind, Spec};
use hull_sys::clone::{Forked, fork};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::support::{Group, Home, launch, pipes, run, run_with, spec, words};
use hull_suites::Case;

pub(crate) const CASES: &[Case] = &[
    ("root_user_is_found_in_the_images_files", users),
    ("root_unknown_users_are_named", unknown_users),
    ("root_working_directory", working_directory),
    ("root_commands_are_diagnosed", diagnosis),
    (
        "root_commands_are_diagnosed_under_the_filter",
        diagnosis_filtered,
    ),
    ("root_limits_are_set_or_clamped", limits),
    ("root_ambient_capabilities_survive_the_user", ambient),
    ("root_container_dies_with_its_parent", parent_death),
    ("root_create_waits_until_start", create_waits),
    ("root_two_hundred_starts_leave_nothing", nothing_left),
    ("root_unsupported_requests_are_refused", unsupported),
];

fn output(home: &Home, spec: &Spec, user: Option<&str>) -> Result<String, StartError> {
    let ended = run_with(spec, home.overlay(), |launch| {
        launch.user = user.map(str::to_owned)
    })?;
    assert_eq!(ended.err, "");
    Ok(ended.out)
}

fn users() {
    let home = Home::new();
    let spec = spec(&["sh", "-c", "id -u; id -g; id -G; echo $HOME"]);
    for (user, expected) in [
        (Some("www"), "33\n34\n34 4\n/home/www\n"),
        (Some("33:4"), "33\n4\n4\n/home/www\n"),
        (Some("1234"), "1234\n0\n0\n/\n"),
        (None, "0\n0\n0\n/root\n"),
    ] {
        assert_eq!(output(&home, &spec, user).unwrap(), expected, "{user:?}");
    }
    let mut numbers = spec.clone();
    let process = numbers.process.as_mut().unwrap();
    process.user.uid = 7;
    process.user.gid = 8;
    process.user.additional_gids = vec![9, 10];
    process.user.umask = Some(0o077);
    process.args = words(&["sh", "-c", "id -u; id -G; umask; echo x > /dev/stdout"]);
    assert_eq!(
        output(&home, &numbers, None).unwrap(),
        "7\n8 9 10\n0077\nx\n"
    );
}

fn unknown_users() {
    let home = Home::new();
    let spec = spec(&["true"]);
    for (user, message) in [
        ("nobody", "the container has no user `nobody`"),
        ("www:none", "the container has no group `none`"),
        (
            "99999999999",
            "cannot find the user `99999999999` (ids are numbers from 0 to 2147483647)",
        ),
        ("70000", "cannot become the user 70000"),
    ] {
        let error = output(&home, &spec, Some(user)).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.exit_code(), 125);
    }
    // Somebody else's file, or no file at all, is not read.
    std::fs::remove_file(home.layer().join("etc/passwd")).unwrap();
    std::os::unix::fs::symlink(
        "/../../../../../../etc/passwd",
        home.layer().join("etc/passwd"),
    )
    .unwrap();
    let error = output(&home, &spec, Some("www")).unwrap_err();
    assert_eq!(error.kind(), hull_types::ErrorKind::Unavailable, "{error}");
}

fn working_directory() {
    let home = Home::new();
    let mut spec = spec(&["sh", "-c", "pwd; stat -c %u:%a ."]);
    let cwd = |spec: &mut Spec, path: &str| spec.process.as_mut().unwrap().cwd = path.into();
    cwd(&mut spec, "/srv/new/dir");
    assert_eq!(
        output(&home, &spec, Some("www")).unwrap(),
        "/srv/new/dir\n0:755\n"
    );
    cwd(&mut spec, "/etc/passwd");
    let error = output(&home, &spec, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot change to the working directory `/etc/passwd`"
    );
    assert!(error.hint().unwrap().contains("is a file"));
    // Descriptors of the host are not there to be used as a directory.
    let _host = std::fs::File::open("/").unwrap();
    for number in 3..30 {
        cwd(&mut spec, &format!("/proc/self/fd/{number}"));
        assert!(output(&home, &spec, None).is_err(), "{number}");
    }
}

const COMMANDS: &[(&str, Problem, u8)] = &[
    ("nope", Problem::NotInPath, 127),
    ("/bin/nope", Problem::Missing, 127),
    ("/etc", Problem::Directory, 126),
    ("/etc/passwd", Problem::NotExecutable, 126),
    ("/crlf", Problem::CarriageReturn, 127),
    ("/noshebang", Problem::NoShebang, 126),
    ("/nointerpreter", Problem::MissingInterpreter, 127),
    ("/foreign", Problem::WrongArchitecture, 126),
    ("/dynamic", Problem::MissingLoader, 127),
    ("/garbage", Problem::UnknownFormat, 126),
];

fn home_of_commands() -> Home {
    let home = Home::new();
    home.write("crlf", "#!/bin/sh\r\necho\r\n", 0o755);
    home.write("noshebang", "echo hello\n", 0o755);
    home.write("nointerpreter", "#!/usr/bin/python3\n", 0o755);
    home.write("garbage", [0, 1, 2, 3], 0o755);
    let mut foreign = std::fs::read("/bin/busybox").unwrap();
    foreign[18] = 183;
    home.write("foreign", foreign, 0o755);
    home.write("dynamic", std::fs::read("/bin/ls").unwrap(), 0o755);
    home
}

fn diagnosis() {
    let home = home_of_commands();
    for (command, problem, code) in COMMANDS {
        match run(&home, &spec(&[command])) {
            Err(error @ StartError::Command(_)) => {
                assert_eq!(error.exit_code(), *code, "{command}");
                let StartError::Command(error) = error else {
                    unreachable!()
                };
                assert_eq!(error.problem, *problem, "{command}: {error}");
            }
            other => panic!("{command}: {other:?}"),
        }
    }
}

fn diagnosis_filtered() {
    let home = home_of_commands();
    for (command, problem, _) in COMMANDS {
        let spec = spec(&[command]);
        let started = run_with(&spec, home.overlay(), |launch| {
            launch.filter = hull_runtime::Filter::Default;
            launch.user = Some("www".to_owned());
        });
        match started {
            Err(StartError::Command(error)) => assert_eq!(error.problem, *problem, "{command}"),
            other => panic!("{command}: {other:?}"),
        }
    }
}

fn limits() {
    let home = Home::new();
    let mut spec = spec(&[
        "sh",
        "-c",
        "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj",
    ]);
    let process = spec.process.as_mut().unwrap();
    process.rlimits = vec![
        Rlimit {
            kind: RlimitKind::Nofile,
            soft: 128,
            hard: 256,
        },
        Rlimit {
            kind: RlimitKind::Core,
            soft: 0,
            hard: 0,
        },
    ];
    process.oom_score_adj = Some(300);
    assert_eq!(output(&home, &spec, None).unwrap(), "128\n256\n300\n");

    let process = spec.process.as_mut().unwrap();
    process.rlimits = vec![Rlimit {
        kind: RlimitKind::Nofile,
        soft: 1024,
        hard: 1 << 30,
    }];
    process.oom_score_adj = Some(-500);
    let (stdio, streams) = pipes();
    let created = create(launch(&spec, home.overlay(), stdio)).unwrap();
    let may = hull_sys::caps::current()
        .unwrap()
        .effective
        .contains(hull_sys::caps::CapSet::SYS_RESOURCE);
    let warned = created.warnings().to_vec();
    let running = created.start().unwrap();
    let ended = streams.finish(&running);
    if may {
        // fs.nr_open is the last word then.
        return;
    }
    let ours = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .maximum
        .unwrap();
    assert_eq!(
        warned,
        [
            Warning::OomScoreClamped { wanted: -500 },
            Warning::RlimitClamped {
                name: "RLIMIT_NOFILE".to_owned(),
                wanted: 1 << 30,
                got: ours
            },
        ]
    );
    assert_eq!(ended.out, format!("1024\n{ours}\n0\n"));
}

fn ambient() {
    let home = Home::new();
    let mut spec = spec(&["grep", "Cap[EA]", "/proc/self/status"]);
    let process = spec.process.as_mut().unwrap();
    let bind = words(&["CAP_NET_BIND_SERVICE"]);
    let sets = process.capabilities.as_mut().unwrap();
    sets.inheritable = bind.clone();
    sets.ambient = bind.clone();
    sets.effective = bind.clone();
    sets.permitted = bind;
    for no_new_privileges in [true, false] {
        spec.process.as_mut().unwrap().no_new_privileges = no_new_privileges;
        let ended = run_with(&spec, home.overlay(), |launch| {
            launch.user = Some("www".to_owned());
            launch.filter = hull_runtime::Filter::Default;
        })
        .unwrap();
        assert_eq!(
            ended.out, "CapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n",
            "{}",
            ended.err
        );
    }
}

fn parent_death() {
    let home = Home::new();
    for started in [false, true] {
        let group = Group::new("death");
        // A parent of the container's own, to be killed; it says when it is done through the pipe.
        let (ready, done) = rustix::pipe::pipe().unwrap();
        let spec = spec(&[
            "sh",
            "-c",
            "trap '' TERM INT HUP; while true; do sleep 1; done",
        ]);
        match fork().unwrap() {
            Forked::Child => {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
                let null = || {
                    std::fs::File::options()
                        .read(true)
                        .write(true)
                        .open("/dev/null")
                        .unwrap()
                        .into()
                };
                let stdio = hull_runtime::Stdio::Streams {
                    stdin: null(),
                    stdout: null(),
                    stderr: null(),
                };
                let mut launch = launch(&spec, home.overlay(), stdio);
                launch.cgroup = Some(&group.0);
                let created = create(launch).unwrap();
                let _running = match started {
                    true => (Some(created.start().unwrap()), None),
                    false => (None, Some(created)),
                };
                rustix::io::write(&done, b"x").unwrap();
                loop {
                    std::thread::sleep(Duration::from_secs(60));
                }
            }
            Forked::Parent { pidfd, .. } => {
                drop(done);
                let mut byte = [0];
                assert_eq!(rustix::io::read(&ready, &mut byte), Ok(1));
                assert!(!group.0.is_empty().unwrap());
                pidfd_send_signal(&pidfd, Signal::KILL).unwrap();
                waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).unwrap();
                let patience = Instant::now() + Duration::from_secs(5);
                while !group.0.is_empty().unwrap() {
                    assert!(
                        Instant::now() < patience,
                        "the container outlives its parent"
                    );
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}

fn create_waits() {
    let home = Home::new();
    let spec = spec(&["touch", "/ran"]);
    let (stdio, streams) = pipes();
    let created = create(launch(&spec, home.overlay(), stdio)).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(!home.upper().join("ran").exists());
    let running = created.start().unwrap();
    assert_eq!(streams.finish(&running).code, 0);
    assert!(home.upper().join("ran").exists());

    // What is created and dropped is gone, and reaped.
    let (stdio, _streams) = pipes();
    let created = create(launch(&spec, home.overlay(), stdio)).unwrap();
    let proc = format!("/proc/{}", created.pid().as_raw_pid());
    assert!(std::fs::exists(&proc).unwrap());
    drop(created);
    assert!(!std::fs::exists(&proc).unwrap());
}

fn nothing_left() {
    let home = Home::new();
    let count = |path: &str| std::fs::read_dir(path).unwrap().count();
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let (descriptors, before) = (count("/proc/self/fd"), mounts());
    let links = ["net", "ipc", "uts", "mnt", "pid", "user", "cgroup"];
    let namespaces =
        || links.map(|kind| std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap());
    let own = namespaces();
    let good = spec(&["true"]);
    let bad = spec(&["/nope"]);
    for round in 0..200 {
        let group = Group::new("many");
        if round % 4 == 0 {
            run_with(&bad, home.overlay(), |launch| {
                launch.cgroup = Some(&group.0)
            })
            .unwrap_err();
        } else {
            let ended = run_with(&good, home.overlay(), |launch| {
                launch.cgroup = Some(&group.0)
            })
            .unwrap();
            assert_eq!(ended.code, 0);
        }
    }
    assert_eq!(count("/proc/self/fd"), descriptors);
    assert_eq!(mounts(), before);
    assert_eq!(namespaces(), own);
    let children = format!("/proc/self/task/{}/children", std::process::id());
    assert_eq!(std::fs::read_to_string(children).unwrap_or_default(), "");
}

fn unsupported() {
    let home = Home::new();
    let mut spec = spec(&["true"]);
    spec.process.as_mut().unwrap().apparmor_profile = Some("x".to_owned());
    assert!(matches!(run(&home, &spec), Err(StartError::Unsupported(_))));
    let mut spec = crate::support::spec(&[]);
    assert!(matches!(run(&home, &spec), Err(StartError::Invalid(_))));
    spec.linux = None;
    assert!(matches!(run(&home, &spec), Err(StartError::Invalid(_))));
}
