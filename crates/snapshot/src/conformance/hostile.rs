//! Layers no driver may accept.

use hull_fs::tar::{Entry, Kind};

use super::layer::{Layer, entry};

/// Returns the layers, each with a part of what the error says.
pub(super) fn layers() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let start = || Layer::new().file("innocent", "first");
    let raw =
        |kind, name: &str, link: &str| start().raw(kind, name.as_bytes(), link.as_bytes()).end();
    let owned = |uid, gid| {
        let entry = Entry {
            uid,
            gid,
            ..entry("owned", Kind::File)
        };
        start().entry(&entry, b"").end()
    };
    vec![
        ("climb", raw(b'0', "../escape", ""), "climbs out"),
        ("climb later", raw(b'0', "a/../../escape", ""), "climbs out"),
        ("absolute", raw(b'0', "/tmp/escape", ""), "absolute"),
        ("nameless", raw(b'0', "", ""), "empty name"),
        (
            "write through absolute link",
            start().symlink("l", "/").file("l/x", "").end(),
            "symbolic link",
        ),
        (
            "write through climbing link",
            start().symlink("l", "../..").file("l/x", "").end(),
            "symbolic link",
        ),
        (
            "write through a chain",
            start()
                .symlink("a", "b")
                .symlink("b", "/")
                .file("a/b/x", "")
                .end(),
            "symbolic link",
        ),
        (
            "directory through link",
            start().symlink("l", "/").directory("l/x/y").end(),
            "symbolic link",
        ),
        (
            "link through link",
            start().symlink("l", "/").symlink("l/x", "y").end(),
            "symbolic link",
        ),
        (
            "whiteout through link",
            start().symlink("l", "/").file("l/.wh.x", "").end(),
            "symbolic link",
        ),
        (
            "opaque through link",
            start().symlink("l", "/").file("l/.wh..wh..opq", "").end(),
            "symbolic link",
        ),
        (
            "hard link outside",
            raw(b'1', "h", "../../etc/passwd"),
            "climbs out",
        ),
        (
            "hard link absolute",
            raw(b'1', "h", "/etc/passwd"),
            "absolute",
        ),
        (
            "hard link through link",
            start()
                .symlink("l", "/etc")
                .hard_link("h", "l/passwd")
                .end(),
            "symbolic link",
        ),
        (
            "hard link through inner link",
            start()
                .file("d/f", "")
                .symlink("l", "d")
                .hard_link("h", "l/f")
                .end(),
            "symbolic link",
        ),
        (
            "hard link to link",
            start().symlink("l", "/etc").hard_link("h", "l").end(),
            "not a file",
        ),
        (
            "hard link to directory",
            start().directory("d").hard_link("h", "d").end(),
            "not a file",
        ),
        (
            "hard link to root",
            raw(b'1', "h", "."),
            "does not come before",
        ),
        (
            "hard link to itself",
            start().file("h", "").hard_link("h", "h").end(),
            "itself",
        ),
        (
            "hard link forward",
            start().hard_link("h", "f").file("f", "").end(),
            "does not come before",
        ),
        (
            "hard link to whiteout",
            start().file(".wh.f", "").hard_link("h", "f").end(),
            "not a file",
        ),
        (
            "below a file",
            start().file("innocent/x", "").end(),
            "not a directory",
        ),
        (
            "whiteout of nothing",
            start().raw(b'0', b"d/.wh.", b"").end(),
            "reserved",
        ),
        (
            "whiteout of .",
            start().raw(b'0', b"d/.wh..", b"").end(),
            "reserved",
        ),
        (
            "whiteout of ..",
            start().raw(b'0', b"d/.wh...", b"").end(),
            "reserved",
        ),
        (
            "inside a whiteout",
            start().raw(b'0', b"d/.wh.../x", b"").end(),
            "reserved",
        ),
        (
            "aufs metadata",
            start().directory(".wh..wh.plnk").end(),
            "not a file",
        ),
        (
            "aufs metadata file",
            start().file(".wh..wh.plnk", "").end(),
            "reserved",
        ),
        (
            "whiteout directory",
            start().directory("d/.wh.x").end(),
            "not a file",
        ),
        (
            "opaque root",
            start().file(".wh..wh..opq", "").end(),
            "hides everything",
        ),
        (
            "native whiteout",
            start().char_device("x", 0, 0).end(),
            "0:0",
        ),
        (
            "native whiteout below dev",
            start().char_device("dev/x", 0, 0).end(),
            "0:0",
        ),
        (
            "device",
            start().char_device("etc/null", 1, 3).end(),
            "device node",
        ),
        (
            "disk",
            start().block_device("device", 8, 0).end(),
            "device node",
        ),
        (
            "overlay attribute",
            start()
                .file_with("x", &[("trusted.overlay.opaque", b"y")])
                .end(),
            "overlayfs",
        ),
        (
            "overlay redirect",
            start()
                .file_with("x", &[("trusted.overlay.redirect", b"/")])
                .end(),
            "overlayfs",
        ),
        (
            "user overlay attribute",
            start()
                .file_with("x", &[("user.overlay.opaque", b"y")])
                .end(),
            "overlayfs",
        ),
        (
            "root as link",
            raw(b'2', ".", "/etc"),
            "must be a directory",
        ),
        (
            "root as link, spelt ./",
            raw(b'2', "./", "/etc"),
            "must be a directory",
        ),
        ("root as file", raw(b'0', ".", ""), "must be a directory"),
        (
            "root as hard link",
            raw(b'1', ".", "innocent"),
            "must be a directory",
        ),
        ("user too high", owned(65_536, 0), "user 65536"),
        ("group too high", owned(0, 4_000_000), "group 4000000"),
        ("cut in a header", start().cut(700), "cut off"),
        (
            "cut in a file",
            Layer::new().file("f", "1234").cut(514),
            "cut off",
        ),
        ("unknown type", raw(b'Z', "x", ""), "not supported"),
    ]
}
