//! Several installations on one host, and one that is made and taken away by many at once.

use hull_suites::{Hull, cgroup_parent, eventually};

/// The ranges of user ids that an installation's pods have.
fn ranges(hull: &Hull) -> Vec<String> {
    let mark = cgroup_parent(hull.root()).expect("the root is there");
    let listed = hull.ok("ls -l /run/hull/ids");
    listed
        .lines()
        .filter(|line| line.contains(&format!("{mark}/")))
        .filter_map(|line| line.split_whitespace().nth(8).map(str::to_owned))
        .collect()
}

/// What an installation has where it shares nothing with the others in this network namespace.
fn own(hull: &Hull) -> Vec<String> {
    let left = hull.left().0.into_iter();
    left.filter(|left| !left.starts_with("interface") && !left.starts_with("published"))
        .collect()
}

#[test]
fn collectors_leave_what_is_anothers() {
    let (one, other) = (Hull::with_busybox(), Hull::with_busybox());
    let parent = one.dir().file_name().expect("it has a name");
    let parent = parent.to_string_lossy().into_owned();
    for hull in [&one, &other] {
        hull.ok("hull run -d --name x -p 127.0.0.1::80 busybox sleep 1000");
        hull.ok(&format!(
            "hull run -d --name y --network none --cgroup-parent {parent}/p busybox sleep 1000"
        ));
    }
    assert_eq!((ranges(&one).len(), ranges(&other).len()), (2, 2));
    assert!(
        ranges(&one)
            .iter()
            .all(|range| !ranges(&other).contains(range))
    );
    let before = own(&other);
    let port = other.ok("hull port x 80");
    let port = port.rsplit_once(':').expect("address and port").1;
    for name in ["x", "y"] {
        one.ok(&format!("kill -9 {}", one.monitor(name)));
    }
    one.ok("hull gc");
    assert_eq!(own(&other), before);
    other.ok(&format!("nft list table ip hull | grep -w {port}"));
    for name in ["x", "y"] {
        eventually("the other root sees no end", || {
            other.state(name) == "running"
        });
        assert_eq!(one.state(name), "exited");
        other.ok(&format!("hull exec {name} true"));
    }
    assert!(ranges(&one).is_empty());
    one.ok("hull rm x y");
    other.ok("hull rm -f x y");
    other.ok("hull gc");
    one.ok("hull gc");
    one.fails(2, &format!("ls -d /sys/fs/cgroup/*/{parent}"));
}

#[test]
fn one_collects_without_end_while_the_other_runs() {
    let (one, other) = (Hull::with_busybox(), Hull::with_busybox());
    let collector = one.spawn("while hull gc > /dev/null; do :; done");
    let own = other.spawn("while hull gc > /dev/null; do :; done");
    other.ok("for i in $(seq 30); do hull run --rm busybox true || exit; done");
    other.ok("for i in $(seq 10); do hull run -d --name x$i busybox sleep 1000 || exit; done");
    other.ok("for i in $(seq 10); do hull exec x$i true || exit; done; hull rm -f x1 x2 x3");
    let running = other.ok("hull ps -q | wc -l");
    drop((collector, own));
    assert_eq!(running, "7");
}

#[test]
fn a_place_in_another_roots_group_is_refused() {
    let hull = Hull::with_busybox();
    let mark = cgroup_parent(hull.root()).expect("the root is there");
    for parent in ["hull", &mark, &format!("/{mark}/x")] {
        let said = hull.fails(
            125,
            &format!("hull run --rm --cgroup-parent {parent} busybox true"),
        );
        assert!(said.contains("--cgroup-parent"), "{said}");
    }
}

#[test]
fn many_make_and_leave_a_new_root_at_once() {
    let hull = Hull::new();
    let line = "for i in $(seq 12); do hull run --rm @host true & jobs=\"$jobs $!\"; done; \
                for job in $jobs; do wait $job || failed=$?; done; exit ${failed:-0}";
    for _ in 0..15 {
        let ran = hull.sh(line);
        assert!(ran.code == 0, "{}", ran.text());
        // Whoever made it takes it away, as far as another does not use it just then.
        let left = hull.ok("cd $HULL_ROOT 2> /dev/null && find . -mindepth 1; true");
        // Without it nobody would know whose the group of the root's pods is.
        hull.ok("[ ! -e $HULL_ROOT ] || hull gc; rm -rf $HULL_ROOT");
        let skeleton = ["./VERSION", "./garbage", "./names", "./pods"];
        assert!(
            left.lines().all(|file| skeleton.contains(&file)),
            "left: {left}"
        );
    }
}
