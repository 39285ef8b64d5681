//! Killed at every point: a verb is run again and again, killed each time before another of its system calls that changes
//! anything outside it. After each death `hull ps` answers, `hull gc` leaves exactly the live set, every record can be removed,
//! and then no file is left that was not there before.

use hull_suites::{Story, Sweep, Victim, require};

const COMMAND: Story<'_> = Story {
    prepare: "true",
    command: "",
    clean: "true",
    victim: Victim::Command,
};

const MONITOR: Story<'_> = Story {
    victim: Victim::Monitor,
    ..COMMAND
};

/// Something of everything that a pod can have.
const FULL: &str = "--name x -v /data -p 8080:80 --cgroup-parent ${T##*/}/below busybox";

/// Tells these stories, killed at each point.
fn sweep(stories: &[Story<'_>]) {
    require!("strace");
    let mut sweep = Sweep::new();
    for story in stories {
        sweep.over(*story);
    }
    sweep.conclude();
}

fn commands(stories: &[(&str, &str)]) {
    let stories: Vec<Story<'_>> = stories
        .iter()
        .map(|(prepare, command)| Story {
            prepare,
            command,
            ..COMMAND
        })
        .collect();
    sweep(&stories);
}

#[test]
fn create() {
    commands(&[("true", &format!("hull create {FULL} true"))]);
}

#[test]
fn run_in_the_foreground() {
    commands(&[("true", &format!("hull run --rm {FULL} true"))]);
}

#[test]
fn run_in_the_background() {
    commands(&[("true", &format!("hull run -d {FULL} sleep 1000"))]);
}

#[test]
fn start_and_restart() {
    commands(&[
        (&format!("hull create {FULL} sleep 1000"), "hull start x"),
        (
            &format!("hull run -d {FULL} sleep 1000"),
            "hull restart -t 0 x",
        ),
    ]);
}

#[test]
fn monitor() {
    sweep(&[
        Story {
            prepare: &format!("hull create {FULL} true"),
            command: "hull start x",
            ..MONITOR
        },
        Story {
            prepare: &format!("hull create --rm {FULL} true"),
            command: "hull start x",
            ..MONITOR
        },
    ]);
}

#[test]
fn monitor_that_does_not_take_its_app_along() {
    // Who becomes another user loses his death signal.
    sweep(&[Story {
        command: "hull run -d --name x busybox su -s /bin/sh nobody -c \"trap '' TERM; sleep 0.2\"",
        ..MONITOR
    }]);
}

#[test]
fn first_use() {
    let forget = "rm -rf $HULL_ROOT/networks $HULL_ROOT/VERSION; ip link delete hull0; nft delete table ip hull";
    commands(&[(
        &format!("{{ {forget}; }} 2> /dev/null; true"),
        "hull run --rm -p 8080:80 busybox true",
    )]);
}

#[test]
fn volumes() {
    sweep(&[
        Story {
            command: "hull volume create v",
            clean: "hull volume rm v 2> /dev/null",
            ..COMMAND
        },
        Story {
            prepare: "hull volume create v",
            command: "hull volume rm v",
            clean: "hull volume rm v 2> /dev/null",
            ..COMMAND
        },
    ]);
}

#[test]
fn stop_and_kill() {
    let run = format!("hull run -d {FULL} sleep 1000");
    commands(&[
        (&run, "hull stop -t 0 x"),
        (&run, "hull kill x"),
        (&run, "hull pause x"),
        (&format!("{run}; hull pause x"), "hull unpause x"),
    ]);
}

#[test]
fn remove() {
    let (run, create) = (
        format!("hull run -d {FULL} sleep 1000"),
        format!("hull create {FULL} true"),
    );
    sweep(&[
        Story {
            prepare: &run,
            command: "hull rm -f -v x",
            ..COMMAND
        },
        Story {
            prepare: &format!("hull run -d --name y busybox sleep 1000; {create}"),
            command: "hull rm -f -v x y",
            ..COMMAND
        },
        Story {
            prepare: &create,
            command: "hull prune -f --volumes",
            // Volumes whose container is gone are still somebody's, until they are pruned.
            clean: "hull volume prune -f",
            ..COMMAND
        },
    ]);
}

#[test]
fn collect() {
    // Half of everything: a killed monitor, killed makers.
    let prepare = format!(
        "hull run -d {FULL} sleep 1000; \
         kill -9 $(awk '/^PPid/ {{ print $2 }}' /proc/$(hull inspect --format '{{{{.State.Pid}}}}' x)/status); \
         mkdir $HULL_ROOT/pods/00000000-0000-4000-8000-000000000000; \
         ln -s 00000000-0000-4000-8000-000000000001 $HULL_ROOT/names/ghost; \
         mkdir -p $HULL_ROOT/garbage/z/y $HULL_ROOT/images/ingest/z"
    );
    commands(&[(&prepare, "hull gc")]);
}

#[test]
fn rename() {
    commands(&[
        (&format!("hull create {FULL} true"), "hull rename x z"),
        (&format!("hull run -d {FULL} sleep 1000"), "hull rename x z"),
    ]);
}

#[test]
fn exec() {
    let run = format!("hull run -d {FULL} sleep 1000");
    commands(&[
        (&run, "hull exec x true"),
        (&run, "hull exec -d x sleep 100"),
    ]);
}

#[test]
fn load_import_and_remove_images() {
    require!("strace");
    let mut sweep = Sweep::new();
    let hull = sweep.hull();
    hull_suites::OciLayout::default()
        .layer(&[
            hull_suites::Entry::dir("d"),
            hull_suites::Entry::file("d/f", "x"),
        ])
        .write(&hull.dir().join("oci"), "other");
    hull.write("tree/d/f", "y");
    hull.ok("tar -C tree -cf other.tar .");
    let clean = "hull rmi -f other third > /dev/null 2>&1";
    let stories = [
        ("true", "hull load -q -i oci"),
        ("true", "hull import other.tar other"),
        ("hull load -q -i oci", "hull rmi other"),
        (
            "hull load -q -i oci; hull tag other third",
            "hull rmi other third",
        ),
    ];
    for (prepare, command) in stories {
        sweep.over(Story {
            prepare,
            command,
            clean,
            ..COMMAND
        });
    }
    sweep.conclude();
}

#[test]
fn commit() {
    sweep(&[Story {
        prepare: "hull run --name x busybox sh -c 'echo x > /f'",
        command: "hull commit x other",
        clean: "hull rmi -f other > /dev/null 2>&1",
        ..COMMAND
    }]);
}

/// Where overlayfs takes no descriptors, a thread attaches the layers for a moment, in a mount namespace of its own. Here every
/// process and thread is killed, each before its own first, second, third … of such calls.
#[test]
fn run_as_on_an_older_kernel() {
    require!("strace", "gcc");
    let hull = hull_suites::Hull::with_busybox().with_older_kernel();
    let calls =
        "unshare,mount,move_mount,open_tree,mount_setattr,fsmount,fchdir,pivot_root,umount2";
    let before = hull.ok("cat /proc/self/mountinfo");
    for point in 1.. {
        let ran = hull.sh(&format!(
            "strace -f -q -o log -e trace={calls} -e inject={calls}:signal=SIGKILL:when={point} \
             ./older hull run --rm --name x --network none busybox true"
        ));
        hull.ok("hull gc; [ -z \"$(hull ps -aq)\" ] || hull rm -f x");
        hull.assert_nothing_left();
        assert_eq!(hull.ok("cat /proc/self/mountinfo"), before, "{point}");
        if ran.code == 0 {
            assert!(point > 10, "{point}");
            break;
        }
    }
}
