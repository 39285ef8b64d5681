//! Killed at every point: a verb is run again and again, and killed with SIGKILL before its first, second, third … system call
//! that changes anything outside it, until it gets through. After each death, `gc` must leave exactly the live set.
//!
//! The kernel's boundary is the failpoint: strace stops the process there, so the program under test is the one people run, and no
//! point is forgotten. What lies between two such calls changes nothing that a later command could see.

use hull_suites::{Hull, require};

/// System calls by which a process changes the disk, the kernel's state or another process.
const CHANGES: &str = "mkdir,mkdirat,rename,renameat,renameat2,symlink,symlinkat,link,linkat,unlink,unlinkat,rmdir,openat,openat2,\
                       write,pwrite64,ftruncate,sendto,sendmsg,clone,clone3,vfork,execve,execveat,mount,move_mount,fsmount,fsconfig,\
                       mount_setattr,setns,kill,pidfd_send_signal,fcntl,setxattr,fsetxattr,fchownat,fchmodat,fchmod,mknodat,bind";

/// How many points are skipped between two that are tried; `--all` sets none.
fn stride() -> usize {
    std::env::var("HULL_TEST_STRIDE")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1)
}

struct Sweep {
    hull: Hull,
}

impl Sweep {
    fn new() -> Self {
        Self {
            hull: Hull::with_busybox(),
        }
    }

    /// Runs `verb` killed at each point; before each time `prepare` is run, after it everything is collected.
    fn over(&self, prepare: &str, verb: &str, follow: &str) -> usize {
        let mut point = 1;
        loop {
            self.hull.ok(prepare);
            let line = format!(
                "exec strace -qq {follow} -o /dev/null -e trace={CHANGES} -e inject={CHANGES}:signal=SIGKILL:when={point} {verb}"
            );
            let ran = self.hull.sh(&line);
            let killed = ran.code == 137;
            self.collected(&format!("{verb} killed at point {point}"));
            if !killed {
                assert!(ran.code == 0, "{verb} fails by itself: {}", ran.text());
                return point;
            }
            point += stride();
            assert!(point < 3000, "{verb} never gets through");
        }
    }

    /// Collects, and looks: nothing is left but what records name; then removes those, and nothing at all is left.
    fn collected(&self, when: &str) {
        let hull = &self.hull;
        let gc = hull.sh("hull gc");
        assert!(gc.code == 0, "gc after {when}: {}", gc.text());
        let live = hull.sh("hull ps -a --format '{{.Names}}'").out;
        for name in live.lines() {
            let ran = hull.sh(&format!("hull rm -f {name}"));
            assert!(ran.code == 0, "rm after {when}: {}", ran.text());
        }
        for _ in 0..200 {
            if hull.left().is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(hull.left().is_empty(), "{when} left {:#?}", hull.left().0);
        let ran = hull.sh("hull run --rm --network none busybox true");
        assert!(ran.code == 0, "a run after {when}: {}", ran.text());
    }
}

#[test]
fn create() {
    require!("strace");
    Sweep::new().over("true", "hull create --name x -v /data busybox true", "");
}

#[test]
fn run_in_the_foreground() {
    require!("strace");
    Sweep::new().over("true", "hull run --rm --name x -p 8080:80 busybox true", "");
}

#[test]
fn start_and_its_monitor() {
    require!("strace");
    let sweep = Sweep::new();
    sweep.over(
        "hull create --name x -p 8080:80 busybox sleep 1000",
        "hull start x",
        "",
    );
    sweep.over(
        "hull create --name x busybox sleep 1000",
        "hull start x",
        "-f",
    );
}

#[test]
fn stop_and_remove() {
    require!("strace");
    let sweep = Sweep::new();
    sweep.over(
        "hull run -d --name x busybox sleep 1000",
        "hull stop -t 0 x",
        "",
    );
    sweep.over(
        "hull run -d --name x -v /data -p 8080:80 busybox sleep 1000",
        "hull rm -f -v x",
        "",
    );
}

#[test]
fn load_and_remove_an_image() {
    require!("strace");
    let sweep = Sweep::new();
    hull_suites::OciLayout::default()
        .layer(&[
            hull_suites::Entry::dir("d"),
            hull_suites::Entry::file("d/f", "x"),
        ])
        .write(&sweep.hull.dir().join("oci"), "other");
    let clean = "hull rmi -f other > /dev/null 2>&1; hull gc > /dev/null";
    sweep.over(clean, "hull load -q -i oci", "");
    sweep.over("hull load -q -i oci", "hull rmi other", "");
    sweep.hull.ok(clean);
    assert_eq!(sweep.hull.ok("ls $HULL_ROOT/layers | wc -l"), "1");
}
