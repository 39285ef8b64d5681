//! A container starts, is isolated, ends.

use crate::support::{BASE, Home, run, shell, spec};
use hull_suites::Case;

pub(crate) const CASES: &[Case] = &[
    ("root_true_runs", true_runs),
    ("root_exit_codes_are_the_apps", exit_codes),
    ("root_ids_are_mapped", ids_are_mapped),
    ("root_writes_land_in_the_upper_layer_from_id_0", writes_land),
];

fn true_runs() {
    let home = Home::new();
    let ended = run(&home, &spec(&["true"])).unwrap();
    assert_eq!(
        (ended.code, ended.out.as_str(), ended.err.as_str()),
        (0, "", "")
    );
}

fn exit_codes() {
    let home = Home::new();
    for (script, code) in [
        ("exit 7", 7),
        ("kill -KILL $$; exit 1", 1),
        ("exit 255", 255),
    ] {
        // Pid 1 of a namespace does not die of signals it sends itself.
        assert_eq!(
            run(&home, &spec(&["sh", "-c", script])).unwrap().code,
            code,
            "{script}"
        );
    }
}

fn ids_are_mapped() {
    let home = Home::new();
    let out = shell(
        &home,
        "id -u; id -g; cat /proc/self/uid_map; echo $$; hostname",
    );
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(&lines[..2], ["0", "0"]);
    let map: Vec<_> = lines[2].split_whitespace().collect();
    assert_eq!(map, ["0", BASE.to_string().as_str(), "65536"]);
    assert_eq!(&lines[3..], ["1", "testing"]);
}

fn writes_land() {
    use std::os::unix::fs::MetadataExt;
    let home = Home::new();
    shell(
        &home,
        "echo hi > /new; chown 33:34 /new; mv /etc /etc2; rm /etc2/group; mv /etc2 /etc",
    );
    let new = std::fs::metadata(home.upper().join("new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (33, 34));
    let upper = std::fs::metadata(home.upper()).unwrap();
    assert_eq!((upper.uid(), upper.gid()), (0, 0));
}
