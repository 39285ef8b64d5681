//! `hull run`, as people who know docker type it.
use hull_suites::Hull;

#[test]
fn exit_codes_are_dockers() {
    let hull = Hull::with_busybox();
    for (line, code) in [
        ("true", 0),
        ("false", 1),
        ("sh -c 'exit 3'", 3),
        ("sh -c 'kill -TERM $$'", 143),
        ("sh -c 'kill -KILL $$'", 137),
        ("nosuch", 127),
        ("/nosuch", 127),
        ("/etc", 126),
        ("/etc/passwd", 126),
    ] {
        hull.fails(code, &format!("hull run --rm busybox {line}"));
    }
    hull.fails(125, "hull run --nosuch busybox true");
    hull.fails(125, "hull run --rm --pull never nosuch true");
    hull.fails(125, "hull run");
}
