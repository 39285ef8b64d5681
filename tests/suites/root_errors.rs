//! What people read when something is wrong: the thing, the cause, and a hint.

use hull_suites::{Entry, Hull, OciLayout};

/// What differs from machine to machine is replaced.
#[track_caller]
fn complaint(hull: &Hull, code: i32, line: &str) -> String {
    let dir = hull.dir().display().to_string();
    let text = hull.fails(code, line).replace(&dir, "$T");
    let is_id =
        |word: &str| word.len() >= 12 && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .map(|word| {
            let (text, end) = word.split_at(
                word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
                    .len(),
            );
            if is_id(text) {
                format!("ID{end}")
            } else {
                word.to_owned()
            }
        })
        .collect()
}

fn with_odd_programs() -> Hull {
    let hull = Hull::new();
    OciLayout::default()
        .busybox()
        .layer(&[
            Entry::file("bin/crlf", "#!/bin/sh\r\necho\r\n").mode(0o755),
            Entry::file("bin/bare", "echo no interpreter\n").mode(0o755),
            Entry::file("bin/lost", "#!/no/such/interpreter\n").mode(0o755),
            Entry::file("bin/foreign", elf(183, None)).mode(0o755),
            Entry::file("bin/dynamic", elf(62, Some("/lib64/no-such-loader.so"))).mode(0o755),
            Entry::file("bin/plain", "x").mode(0o644),
            Entry::file("etc/file", "x"),
        ])
        .write(&hull.dir().join("oci"), "odd");
    hull.ok("hull load -i oci");
    hull
}

/// Writes the least ELF program for this machine number, with an interpreter if one is named.
fn elf(machine: u16, interpreter: Option<&str>) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
    bytes.extend(machine.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    for word in [0x40_0000_u64, 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(0_u32.to_le_bytes());
    let headers = u16::from(interpreter.is_some());
    for half in [64_u16, 56, headers, 0, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    if let Some(interpreter) = interpreter {
        let size = interpreter.len() as u64 + 1;
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(4_u32.to_le_bytes());
        for word in [120_u64, 0x40_0078, 0x40_0078, size, size, 1] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(interpreter.as_bytes());
        bytes.push(0);
    }
    bytes
}

#[test]
fn programs_that_cannot_be_run() {
    let hull = with_odd_programs();
    for (name, code, words) in [
        ("missing_file", 127, "/no/such/file"),
        ("missing_command", 127, "nosuch"),
        ("missing_loader", 127, "dynamic"),
        ("missing_interpreter", 127, "lost"),
        ("wrong_architecture", 126, "foreign"),
        ("script_with_crlf", 127, "crlf"),
        ("script_without_interpreter", 126, "bare"),
        ("not_executable", 126, "/bin/plain"),
        ("a_directory", 126, "/etc"),
    ] {
        let text = complaint(
            &hull,
            code,
            &format!("hull run --rm --network none odd {words}"),
        );
        insta::assert_snapshot!(name, text);
        hull.assert_nothing_left();
    }
}

#[test]
fn requests_that_cannot_be_met() {
    let hull = with_odd_programs();
    hull.ok("hull run -d --name web -p 8080:80 odd sleep 1000");
    for (name, line) in [
        (
            "missing_user",
            "hull run --rm --network none -u alice odd true",
        ),
        (
            "missing_group",
            "hull run --rm --network none -u root:crew odd true",
        ),
        (
            "workdir_is_a_file",
            "hull run --rm --network none -w /etc/file odd true",
        ),
        ("port_in_use", "hull run --rm -p 8080:80 odd true"),
        ("name_in_use", "hull run --rm --name web odd true"),
        ("image_not_found", "hull run --rm --pull never od true"),
        (
            "mount_source_missing",
            "hull run --rm --mount type=bind,source=$T/absent,target=/x odd true",
        ),
        ("no_command", "hull run --rm --network none odd"),
        ("unknown_option", "hull run --memroy 5m odd"),
    ] {
        insta::assert_snapshot!(name, complaint(&hull, 125, line));
    }
    // Whoever hears it from a monitor behind hears the same.
    let said = |line: &str| hull.fails(125, line);
    assert_eq!(
        said("hull run -d --rm -p 8080:80 odd true"),
        said("hull run --rm -p 8080:80 odd true")
    );
    for (name, line) in [
        ("unknown_container", "hull stop wob"),
        ("running_is_not_removed", "hull rm web"),
        ("unknown_verb", "hull rnu"),
        ("unknown_image", "hull rmi od"),
    ] {
        insta::assert_snapshot!(name, complaint(&hull, 1, line));
    }
}

#[test]
fn port_of_somebody_else_is_in_use_too() {
    let hull = with_odd_programs();
    let _listener = std::net::TcpListener::bind("127.0.0.1:8081").expect("nobody else is here");
    let text = complaint(&hull, 125, "hull run --rm -p 127.0.0.1:8081:80 odd true");
    assert!(text.contains("8081"), "{text}");
}

#[test]
fn full_disk_is_said() {
    let hull = Hull::new();
    // A small disk of its own, below the test's directory and gone with it.
    hull.ok("truncate -s 3M disk && mkfs.ext4 -q -F disk && mkdir full && mount -o loop disk full");
    let text = complaint(&hull, 1, "hull --root $T/full/root import $HULL_ROOTFS bb");
    let left = hull.ok("find full/root/layers full/root/images -name '.tmp*' 2>/dev/null | wc -l");
    hull.ok("umount full");
    assert!(text.contains("ENOSPC"), "{text}");
    assert!(text.contains("hint: "), "{text}");
    assert_eq!(left, "0");
}
