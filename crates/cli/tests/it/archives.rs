//! `import`, `load`, `save`: what others make, and what others read.

use crate::home::Home;

/// Runs a container of the image, and has it print a file of the image.
const CAT: &str = "hull run --rm --network none";

#[test]
fn root_root_file_systems_of_any_packing_become_images() {
    let Some(home) = Home::new(&["busybox", "tar", "gzip", "xz", "zstd", "bzip2"]) else {
        return;
    };
    home.ok("hull import tree img:directory");
    home.ok("tar -C tree -c . | tee plain.tar | hull import -m 'by hand' -c 'CMD [\"/bin/busybox\", \"cat\", \"/etc/passwd\"]' - img:pipe");
    for tool in ["gzip", "xz", "zstd", "bzip2"] {
        home.ok(&format!("{tool} -c plain.tar > packed"));
        home.ok(&format!("hull import packed img:{tool}"));
    }
    let found = home.ok("hull images --format '{{.Tag}}' img | sort | tr '\\n' ' '");
    assert_eq!(found, "bzip2 directory gzip pipe xz zstd ");
    assert_eq!(
        home.ok(&format!("{CAT} img:pipe")),
        "root:x:0:0::/:/bin/sh\n"
    );
    let cat = home.ok(&format!("{CAT} img:xz /bin/busybox cat /etc/passwd"));
    assert_eq!(cat, "root:x:0:0::/:/bin/sh\n");
    assert_eq!(
        home.ok("hull image inspect -f '{{.Comment}}' img:pipe"),
        "by hand\n"
    );
    let url = home.fails("hull import https://example.org/a.tar.xz img:url");
    assert!(
        url.contains("does not fetch `https://example.org/a.tar.xz`"),
        "{url}"
    );
    assert!(
        url.contains("curl -fL https://example.org/a.tar.xz | hull import - NAME"),
        "{url}"
    );
}

#[test]
fn root_images_travel_between_hull_and_others() {
    let Some(home) = Home::new(&["busybox", "tar", "skopeo"]) else {
        return;
    };
    home.ok("hull import tree a:1 && hull import -c 'ENV X=y' tree b");
    home.ok("hull save -o two.tar a:1 b && hull save --format oci-archive a:1 > oci.tar");
    // The store is a layout that others read in place.
    home.ok("skopeo inspect oci:root/images:docker.io/library/a:1");
    home.ok("skopeo copy -q oci-archive:oci.tar oci:layout:c:1");
    home.ok("skopeo copy -q docker-archive:two.tar:b:latest docker-archive:theirs.tar:d:1");
    for (line, expected) in [
        (
            "hull load -i two.tar",
            "Loaded image: a:1\nLoaded image: b:latest\n",
        ),
        ("hull load < oci.tar", "Loaded image: a:1\n"),
        ("hull load layout", "Loaded image: c:1\n"),
        ("gzip -c theirs.tar | hull load -q", "Loaded image: d:1\n"),
    ] {
        let said = home.sh_in("elsewhere", line);
        assert_eq!(
            (said.code, said.out.as_str()),
            (0, expected),
            "{line}: {said:?}"
        );
    }
    let ran = home.sh_in("elsewhere", &format!("{CAT} d:1 /bin/sh -c 'echo $X'"));
    assert_eq!((ran.code, ran.out.as_str()), (0, "y\n"), "{ran:?}");
    let bare = home.fails("tar -C tree -c . | hull load");
    assert!(bare.contains("hint: a bare root file system"), "{bare}");
    assert!(
        home.fails("hull save -o none.tar a:2")
            .contains("image `a:2` is not here")
    );
    assert_eq!(home.ok("ls -A | grep -c none || true"), "0\n");
}

#[test]
fn root_archives_are_not_read_from_or_written_to_terminals() {
    let Some(home) = Home::new(&["busybox", "script"]) else {
        return;
    };
    home.ok("hull import tree a");
    for (line, expected) in [
        ("hull save a", "does not write an archive to a terminal"),
        ("hull load", "cannot read an archive from a terminal"),
        ("hull import - a", "cannot read an archive from a terminal"),
    ] {
        let said = home.sh(&format!("script -qec '{line}' /dev/null"));
        assert!(
            said.code == 125 && said.out.contains(expected),
            "{line}: {said:?}"
        );
    }
}

#[test]
fn root_a_full_disk_leaves_nothing_unfinished() {
    let Some(home) = Home::new(&["busybox", "tar", "mkfs.ext4"]) else {
        return;
    };
    let full = home.path().join("full");
    std::fs::create_dir(&full).unwrap();
    home.ok("hull import tree a; truncate -s 8M disk; mkfs.ext4 -q disk; mount -o loop disk full");
    let _unmount = Unmount(full);
    home.ok("head -c 9000000 /dev/urandom > tree/big");
    let said = home.sh_in("full/root", "tar -C tree -c . | hull import - a");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err
            .contains("No space left on device (ENOSPC)\nhint: "),
        "{said:?}"
    );
    let left = home
        .ok("find full/root/layers full/root/images/blobs -type f | grep -cv '/[.]lock$' || true");
    assert_eq!(left, "0\n");
    let saved = home.fails("hull import tree b >&2 && hull save -o full/b.tar b");
    assert!(
        saved.contains("No space left on device (ENOSPC)"),
        "{saved}"
    );
    assert_eq!(home.ok("ls -A full | tr '\\n' ' '"), "lost+found root ");
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}
