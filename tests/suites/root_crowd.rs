//! Many at once: what a machine's worst minute looks like.

use hull_suites::Hull;

#[test]
fn two_hundred_in_parallel_leave_nothing() {
    let hull = Hull::with_busybox();
    hull.ok("for i in $(seq 200); do hull run -d --name c$i busybox sleep 1000 > /dev/null & [ $((i % 25)) = 0 ] && wait; done; wait");
    assert_eq!(hull.ok("hull ps -q | wc -l"), "200");
    let ran = hull.sh("hull ps -a > /dev/null");
    assert!(ran.took.as_millis() < 1000, "{:?}", ran.took);
    hull.ok("hull ps -q | xargs -P 8 -n 5 hull rm -f");
    hull.assert_nothing_left();
}
