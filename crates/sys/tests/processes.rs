//! What needs a process with one thread: forks, namespaces of its own, signals that arrive. Run by this file's `main`
//! one after the other; `cargo test -p hull-sys --test processes WORD` runs those with WORD in their names.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "all of this file is tests"
)]

use hull_sys::clone::{Clone3, CloneFlags, Forked, fork};
use hull_sys::exec::{CStrings, execve, execveat};
use hull_sys::mount::{At, MountAttr, mount_setattr};
use hull_sys::seccomp::{self, SeccompFlags, SockFilter};
use hull_sys::signal::{self, SignalSet};
use hull_sys::{Errno, inherited, namespaces, process};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, geteuid, getpid, kill_process, waitid,
};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

const TESTS: &[(&str, fn())] = &[
    ("one_thread_is_seen", one_thread_is_seen),
    (
        "a_second_thread_forbids_forking",
        a_second_thread_forbids_forking,
    ),
    ("fork_gives_a_whole_program", fork_gives_a_whole_program),
    ("clone_gives_a_whole_program", clone_gives_a_whole_program),
    ("pidfd_is_the_child", pidfd_is_the_child),
    (
        "first_child_in_new_namespaces_is_pid_1",
        first_child_in_new_namespaces_is_pid_1,
    ),
    (
        "sibling_belongs_to_the_parent",
        sibling_belongs_to_the_parent,
    ),
    ("cgroup_is_joined_at_birth", cgroup_is_joined_at_birth),
    (
        "older_clone_stands_in_for_clone3",
        older_clone_stands_in_for_clone3,
    ),
    (
        "threads_are_counted_where_unshare_is_hidden",
        threads_are_counted_where_unshare_is_hidden,
    ),
    (
        "blocked_signals_are_read_from_a_descriptor",
        blocked_signals_are_read_from_a_descriptor,
    ),
    (
        "actions_are_ignored_and_reset",
        actions_are_ignored_and_reset,
    ),
    ("another_program_takes_over", another_program_takes_over),
    (
        "inherited_descriptor_is_taken_once",
        inherited_descriptor_is_taken_once,
    ),
    ("mount_shows_ids_as_mapped", mount_shows_ids_as_mapped),
    (
        "namespaces_of_a_process_are_entered_by_pidfd",
        namespaces_of_a_process_are_entered_by_pidfd,
    ),
];

fn main() {
    let words: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    for (name, test) in TESTS {
        if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
            eprintln!("test {name} ...");
            test();
        }
    }
}

fn plain_clone() -> Clone3<'static> {
    Clone3 {
        flags: CloneFlags::empty(),
        cgroup: None,
    }
}

#[expect(clippy::exit, reason = "a child must not come back into `main`")]
fn leave(code: i32) -> ! {
    std::process::exit(code)
}

/// Runs `child` in a forked process, where a panic means exit code 101, and says how that ended.
fn end_of(child: impl FnOnce()) -> WaitIdStatus {
    end_of_forked(fork().unwrap(), child)
}

fn end_of_forked(forked: Forked, child: impl FnOnce()) -> WaitIdStatus {
    match forked {
        Forked::Child => {
            child();
            leave(0)
        }
        Forked::Parent { pidfd, .. } => end(&pidfd),
    }
}

fn end(pidfd: &OwnedFd) -> WaitIdStatus {
    waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
        .unwrap()
        .unwrap()
}

fn assert_succeeds(child: impl FnOnce()) {
    assert_eq!(end_of(child).exit_status(), Some(0));
}

/// Makes system call `number` answer `errno` in this process.
fn hide(number: libc::c_long, errno: i32) {
    let ret = |k| SockFilter {
        code: 0x06,
        jt: 0,
        jf: 0,
        k,
    };
    let filter = [
        SockFilter {
            code: 0x20,
            jt: 0,
            jf: 0,
            k: 0,
        },
        SockFilter {
            code: 0x15,
            jt: 0,
            jf: 1,
            k: u32::try_from(number).unwrap(),
        },
        ret(0x0005_0000 | errno.unsigned_abs()),
        ret(0x7fff_0000),
    ];
    rustix::thread::set_no_new_privs(true).unwrap();
    seccomp::load(&filter, SeccompFlags::empty()).unwrap();
}

fn one_thread_is_seen() {
    assert!(process::is_single_threaded().unwrap());
}

fn a_second_thread_forbids_forking() {
    let (stop, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv());
    assert!(!process::is_single_threaded().unwrap());
    assert_eq!(fork().unwrap_err(), Errno::DEADLK);
    assert_eq!(plain_clone().spawn().unwrap_err(), Errno::DEADLK);
    drop(stop);
    thread.join().unwrap().unwrap_err();
    // The kernel lets `join` return a moment before the thread is gone.
    while !process::is_single_threaded().unwrap() {
        std::thread::yield_now();
    }
    assert_succeeds(|| {});
}

fn do_what_programs_do() {
    let text: String = (0..10_000).map(|number| number.to_string()).collect();
    assert!(std::thread::spawn(move || text.len()).join().unwrap() > 10_000);
    assert!(
        std::process::Command::new("true")
            .status()
            .unwrap()
            .success()
    );
    eprintln!("  (pid {} works)", getpid());
}

fn fork_gives_a_whole_program() {
    assert_succeeds(do_what_programs_do);
}

fn clone_gives_a_whole_program() {
    let end = end_of_forked(plain_clone().spawn().unwrap(), do_what_programs_do);
    assert_eq!(end.exit_status(), Some(0));
}

fn pidfd_is_the_child() {
    let forked = plain_clone().spawn().unwrap();
    let Forked::Parent { pid, pidfd } = forked else {
        loop {
            std::thread::park();
        }
    };
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    assert!(
        waitid(WaitId::PidFd(pidfd.as_fd()), look)
            .unwrap()
            .is_none()
    );
    assert!(fcntl_getfd(&pidfd).unwrap().contains(FdFlags::CLOEXEC));
    rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).unwrap();
    assert_eq!(
        end(&pidfd).terminating_signal(),
        Some(Signal::KILL.as_raw())
    );
    assert_eq!(kill_process(pid, Signal::KILL).unwrap_err(), Errno::SRCH);
}

fn first_child_in_new_namespaces_is_pid_1() {
    let flags = CloneFlags::NEWUSER
        | CloneFlags::NEWPID
        | CloneFlags::NEWNS
        | CloneFlags::NEWUTS
        | CloneFlags::NEWIPC
        | CloneFlags::NEWNET
        | CloneFlags::NEWCGROUP;
    let forked = match (Clone3 {
        flags,
        cgroup: None,
    })
    .spawn()
    {
        Err(Errno::PERM | Errno::NOSPC) => return eprintln!("  no user namespaces here"),
        forked => forked.unwrap(),
    };
    let end = end_of_forked(forked, || {
        assert_eq!(getpid(), Pid::INIT);
        hull_sys::net::lo_up().unwrap();
        rustix::system::sethostname(b"inside").unwrap();
        let nested = Clone3 {
            flags: CloneFlags::NEWTIME,
            cgroup: None,
        }
        .spawn();
        match nested {
            Ok(forked) => {
                let end = end_of_forked(forked, || assert_eq!(getpid().as_raw_pid(), 2));
                assert_eq!(end.exit_status(), Some(0));
            }
            Err(errno) => assert_eq!(errno, Errno::INVAL, "no time namespaces before 5.6"),
        }
    });
    assert_eq!(end.exit_status(), Some(0));
    assert_ne!(rustix::system::uname().nodename(), c"inside");
}

fn sibling_belongs_to_the_parent() {
    let child = || {
        let flags = CloneFlags::PARENT;
        match (Clone3 {
            flags,
            cgroup: None,
        })
        .spawn()
        .unwrap()
        {
            Forked::Child => leave(23),
            // Not ours to wait for.
            Forked::Parent { pidfd, .. } => {
                let wait = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
                assert_eq!(wait.unwrap_err(), Errno::CHILD);
            }
        }
    };
    assert_succeeds(child);
    let sibling = waitid(WaitId::All, WaitIdOptions::EXITED).unwrap().unwrap();
    assert_eq!(sibling.exit_status(), Some(23));
}

fn cgroup_is_joined_at_birth() {
    let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    let unified = mounts
        .into_iter()
        .find(|path| File::open(format!("{path}/cgroup.procs")).is_ok());
    let Some(unified) = unified.filter(|_| geteuid().is_root()) else {
        return eprintln!("  needs root and cgroup v2");
    };
    let name = format!("hull-sys-test-{}", getpid());
    let path = format!("{unified}/{name}");
    std::fs::create_dir(&path).unwrap();
    let directory = File::open(&path).unwrap();
    let clone = Clone3 {
        flags: CloneFlags::empty(),
        cgroup: Some(directory.as_fd()),
    };
    let end = clone.spawn().map(|forked| {
        end_of_forked(forked, || {
            let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
            assert!(
                groups
                    .lines()
                    .any(|line| line.starts_with("0::") && line.ends_with(&name))
            );
        })
    });
    std::fs::remove_dir(&path).unwrap();
    assert_eq!(end.unwrap().exit_status(), Some(0));
}

fn older_clone_stands_in_for_clone3() {
    assert_succeeds(|| {
        hide(libc::SYS_clone3, libc::ENOSYS);
        let forked = Clone3 {
            flags: CloneFlags::PARENT,
            cgroup: None,
        }
        .spawn()
        .unwrap();
        let Forked::Parent { .. } = forked else {
            leave(5)
        };
        let end = end_of_forked(plain_clone().spawn().unwrap(), || {});
        assert_eq!(end.exit_status(), Some(0));
        let directory = File::open("/").unwrap();
        let cgroup = Clone3 {
            flags: CloneFlags::empty(),
            cgroup: Some(directory.as_fd()),
        };
        assert_eq!(cgroup.spawn().unwrap_err(), Errno::NOSYS);
        let time = Clone3 {
            flags: CloneFlags::NEWTIME,
            cgroup: None,
        };
        assert_eq!(time.spawn().unwrap_err(), Errno::NOSYS);
    });
    let sibling = waitid(WaitId::All, WaitIdOptions::EXITED).unwrap().unwrap();
    assert_eq!(sibling.exit_status(), Some(5));
}

fn threads_are_counted_where_unshare_is_hidden() {
    assert_succeeds(|| {
        hide(libc::SYS_unshare, libc::EPERM);
        assert!(process::is_single_threaded().unwrap());
        std::thread::spawn(|| assert!(!process::is_single_threaded().unwrap()))
            .join()
            .unwrap();
    });
}

fn blocked_signals_are_read_from_a_descriptor() {
    assert_succeeds(|| {
        let real_time = signal::from_raw(37).unwrap();
        let set = SignalSet::from_iter([Signal::CHILD, Signal::TERM, real_time]);
        signal::block(set).unwrap();
        let signals = signal::signalfd(set).unwrap();
        kill_process(getpid(), Signal::TERM).unwrap();
        let term = signal::read(&signals).unwrap().unwrap();
        assert_eq!((term.signal, term.pid), (Signal::TERM, Some(getpid())));
        kill_process(getpid(), real_time).unwrap();
        assert_eq!(signal::read(&signals).unwrap().unwrap().signal, real_time);
        let Forked::Parent { pid, pidfd } = plain_clone().spawn().unwrap() else {
            leave(7)
        };
        let end = end(&pidfd);
        let child = signal::read(&signals).unwrap().unwrap();
        assert_eq!((child.signal, child.pid), (Signal::CHILD, Some(pid)));
        assert_eq!((child.code, child.status), (libc::CLD_EXITED, 7));
        assert_eq!(end.exit_status(), Some(7));
        assert_eq!(signal::read(&signals).unwrap(), None);
    });
}

fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:\t"))
        .unwrap();
    u64::from_str_radix(line, 16).unwrap()
}

fn actions_are_ignored_and_reset() {
    let end = end_of(|| {
        // An ancestor may ignore some, even numbers libc does not let go of.
        let inherited = ignored();
        signal::ignore(Signal::TERM).unwrap();
        kill_process(getpid(), Signal::TERM).unwrap();
        let (pipe, term) = (1 << (13 - 1), 1 << (15 - 1));
        assert_eq!(inherited & pipe, pipe, "Rust ignores SIGPIPE");
        assert_eq!(ignored(), inherited | term);
        signal::reset_all().unwrap();
        assert_eq!(ignored(), 0);
        kill_process(getpid(), Signal::TERM).unwrap();
    });
    assert_eq!(end.terminating_signal(), Some(Signal::TERM.as_raw()));
}

fn another_program_takes_over() {
    let argv = CStrings::new(["sh", "-c", "exit $CODE"]).unwrap();
    let envp = CStrings::new(["CODE=42"]).unwrap();
    let end = end_of(|| {
        execve(c"/bin/sh", &argv, &envp);
    });
    assert_eq!(end.exit_status(), Some(42));
    let shell = File::open("/bin/sh").unwrap();
    let end = end_of(|| {
        execveat(&shell, &argv, &envp);
    });
    assert_eq!(end.exit_status(), Some(42));
}

fn inherited_descriptor_is_taken_once() {
    let file = fcntl_dupfd_cloexec(File::open("/etc/passwd").unwrap(), 50).unwrap();
    let number = file.as_raw_fd();
    assert_succeeds(|| {
        assert_eq!(inherited::take(number).unwrap_err(), Errno::BUSY);
        // What whoever starts a program does, and what the exec makes of it: open, and owned by nobody.
        fcntl_setfd(&file, FdFlags::empty()).unwrap();
        std::mem::forget(file);
        let taken = inherited::take(number).unwrap();
        assert!(fcntl_getfd(&taken).unwrap().contains(FdFlags::CLOEXEC));
        assert_eq!(inherited::take(number).unwrap_err(), Errno::BUSY);
        drop(taken);
        assert_eq!(inherited::take(number).unwrap_err(), Errno::BADF);
    });
}

/// A process in a new user namespace in which 0 is `outside` of here, for as long as it is not killed.
fn sleeper_in_user_namespace(flags: CloneFlags, outside: u32) -> Option<(Pid, OwnedFd)> {
    let clone = Clone3 {
        flags: flags | CloneFlags::NEWUSER,
        cgroup: None,
    };
    let (pid, pidfd) = match clone.spawn() {
        Ok(Forked::Parent { pid, pidfd }) => (pid, pidfd),
        Ok(Forked::Child) => loop {
            std::thread::park();
        },
        Err(errno) => {
            eprintln!("  no user namespaces here: {errno}");
            return None;
        }
    };
    for map in ["uid_map", "gid_map"] {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .open(format!("/proc/{pid}/{map}"))
            .unwrap();
        std::io::Write::write_all(&mut file, format!("0 {outside} 1000").as_bytes()).unwrap();
    }
    Some((pid, pidfd))
}

fn mount_shows_ids_as_mapped() {
    use rustix::mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen,
    };
    if !geteuid().is_root() {
        return eprintln!("  needs root");
    }
    let Some((pid, pidfd)) = sleeper_in_user_namespace(CloneFlags::empty(), 70_000) else {
        return;
    };
    let userns = File::open(format!("/proc/{pid}/ns/user")).unwrap();
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    fsconfig_create(&context).unwrap();
    let mount = fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
    .unwrap();
    let attr = MountAttr {
        userns: Some(userns.as_fd()),
        ..MountAttr::default()
    };
    match mount_setattr(&mount, "", At::EMPTY_PATH, &attr) {
        Ok(()) => assert_eq!(File::from(mount).metadata().unwrap().uid(), 70_000),
        Err(errno) => assert_eq!(errno, Errno::INVAL, "no mapped tmpfs before 6.3"),
    }
    rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).unwrap();
    end(&pidfd);
}

fn namespaces_of_a_process_are_entered_by_pidfd() {
    if !geteuid().is_root() {
        return eprintln!("  needs root");
    }
    let flags = CloneFlags::NEWUTS | CloneFlags::NEWNET | CloneFlags::NEWPID;
    let Some((pid, pidfd)) = sleeper_in_user_namespace(flags, 70_000) else {
        return;
    };
    let network = |pid: Pid| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    let there = network(pid);
    assert_succeeds(|| {
        namespaces::setns(&pidfd, flags | CloneFlags::NEWUSER).unwrap();
        assert_eq!(network(getpid()), there);
        let end = end_of_forked(fork().unwrap(), || assert_eq!(getpid().as_raw_pid(), 2));
        assert_eq!(end.exit_status(), Some(0));
    });
    rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).unwrap();
    end(&pidfd);
}
