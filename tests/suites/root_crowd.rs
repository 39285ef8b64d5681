//! Many at once: what a machine's worst minute looks like.

use hull_suites::{Hull, eventually};

/// Starts 200 containers, 25 at a time, then removes them, eight commands at a time.
#[track_caller]
fn two_hundred(hull: &Hull, options: &str) {
    hull.ok(&format!(
        "for i in $(seq 200); do hull run -d --name c$i {options} busybox sleep 1000 > /dev/null & [ $((i % 25)) = 0 ] && wait; done; wait"
    ));
    assert_eq!(hull.ok("hull ps -q | wc -l"), "200");
    let ran = hull.sh("hull ps -a > /dev/null");
    assert!(ran.took.as_millis() < 1000, "{:?}", ran.took);
}

#[track_caller]
fn remove_all(hull: &Hull) {
    hull.ok("hull ps -q | xargs -P 8 -n 5 hull rm -f");
    hull.assert_nothing_left();
    assert_eq!(hull.ok("ip -o link | grep -c veth || true"), "0");
}

#[test]
fn two_hundred_in_parallel_leave_nothing() {
    let hull = Hull::with_busybox();
    two_hundred(&hull, "");
    let addresses = hull.ok("hull ps -q | xargs hull inspect -f '{{.NetworkSettings.IPAddress}}'");
    let mut addresses: Vec<&str> = addresses.lines().collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 200, "each has an address of its own");
    remove_all(&hull);
}

#[test]
fn two_hundred_without_a_network_leave_nothing() {
    let hull = Hull::with_busybox();
    two_hundred(&hull, "--network none");
    remove_all(&hull);
}

#[test]
fn forty_published_ports_are_taken_and_given_back_in_parallel() {
    hull_suites::require!("curl");
    let hull = Hull::with_busybox();
    for round in 0..2 {
        hull.ok("for i in $(seq 40); do hull run -d --name p$i -p 127.0.0.1:$((9000 + i)):80 busybox sh -c \"mkdir /www; echo $i > /www/index.html; exec httpd -f -h /www\" > /dev/null & [ $((i % 20)) = 0 ] && wait; done; wait");
        assert_eq!(hull.ok("hull ps -q | wc -l"), "40", "round {round}");
        for i in [1, 20, 40] {
            let line = format!("curl -s -m 2 http://127.0.0.1:{}/", 9000 + i);
            eventually(&line, || hull.sh(&line).out == format!("{i}\n"));
        }
        remove_all(&hull);
    }
}
