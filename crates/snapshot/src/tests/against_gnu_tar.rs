//! GNU tar makes an archive, GNU tar and Hull extract it, and nobody can tell which did.
#![expect(
    clippy::disallowed_methods,
    reason = "trees made for a test need not survive a crash"
)]

use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use super::{home, is_root};
use crate::conformance::{id, tree};
use crate::{Directories, Driver, Options};

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn make_source(source: &Path) {
    let write = |path: &str, contents: &[u8]| {
        let path = source.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, contents).unwrap();
        path
    };
    write("plain", b"plain");
    write("empty", b"");
    write("large", &vec![9; 1_000_000]);
    let owned = write("d/owned", b"owned");
    chown(&owned, Some(1000), Some(33)).unwrap();
    let setuid = write("d/setuid", b"setuid");
    chown(&setuid, Some(7), Some(8)).unwrap();
    std::fs::set_permissions(&setuid, std::fs::Permissions::from_mode(0o6711)).unwrap();
    let capable = write("d/capable", b"capable");
    let mut capability = [0u8; 20];
    capability[3] = 2;
    capability[5] = 0x24;
    rustix::fs::setxattr(
        &capable,
        "security.capability",
        &capability,
        XattrFlags::empty(),
    )
    .unwrap();
    rustix::fs::setxattr(&capable, "user.a=b%", b"\n\0x", XattrFlags::empty()).unwrap();
    rustix::fs::setxattr(source.join("d"), "user.dir", b"dir", XattrFlags::empty()).unwrap();
    std::fs::set_permissions(source.join("d"), std::fs::Permissions::from_mode(0o3770)).unwrap();
    chown(source.join("d"), Some(5), Some(6)).unwrap();
    std::fs::hard_link(&owned, source.join("hard1")).unwrap();
    std::fs::hard_link(&owned, source.join("d/hard2")).unwrap();
    symlink("/absolute/../target", source.join("symlink")).unwrap();
    std::os::unix::fs::lchown(source.join("symlink"), Some(12), Some(13)).unwrap();
    rustix::fs::mknodat(
        CWD,
        source.join("pipe"),
        FileType::Fifo,
        Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    write(&format!("{}/{}", "l".repeat(200), "o".repeat(200)), b"long");
    write("caf\u{e9} \n\t", b"odd name");
    let sparse = File::create(source.join("sparse")).unwrap();
    sparse.set_len(10_000_000).unwrap();
    for at in [0, 65_536, 5_000_000] {
        sparse.write_all_at(b"data", at).unwrap();
    }
    let old = SystemTime::UNIX_EPOCH + Duration::new(1_111_111_111, 123_456_789);
    for path in ["d/owned", "plain", "sparse", "d"] {
        File::open(source.join(path))
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
    let ancient = SystemTime::UNIX_EPOCH - Duration::new(1000, 500_000_000);
    File::open(source.join("empty"))
        .unwrap()
        .set_modified(ancient)
        .unwrap();
}

#[test]
fn root_extracts_as_gnu_tar_does() {
    if !is_root() {
        return;
    }
    let home = home();
    let [source, theirs, root] = ["source", "theirs", "root"].map(|name| home.path().join(name));
    for directory in [&source, &theirs, &root] {
        std::fs::create_dir(directory).unwrap();
    }
    make_source(&source);
    let driver = Directories::open(&root, Options::default()).unwrap();
    for (number, format) in [(1, "gnu"), (2, "posix"), (3, "oldgnu")] {
        let archive = home.path().join(format);
        let theirs = theirs.join(format);
        std::fs::create_dir(&theirs).unwrap();
        let format = format!("--format={format}");
        let mut create = vec!["-S", &format, "-C", text(&source), "-cf", text(&archive)];
        let attributes = ["--xattrs", "--xattrs-include=*"];
        if number == 2 {
            create.splice(0..0, attributes);
        }
        create.push(".");
        run("tar", &create);
        let mut extract = vec![
            "--same-owner",
            "-p",
            "-C",
            text(&theirs),
            "-xf",
            text(&archive),
        ];
        extract.splice(0..0, attributes);
        run("tar", &extract);
        let mut unpacking = driver.begin().unwrap();
        unpacking
            .write_from(&mut File::open(&archive).unwrap())
            .unwrap();
        let (record, _hold) = unpacking.commit(&id(number)).unwrap();
        assert_eq!(record.skipped, [""; 0]);
        // Blocks are counted once they are allocated.
        rustix::fs::syncfs(File::open(&theirs).unwrap()).unwrap();
        let ours = tree::read(driver.open(&id(number)).unwrap());
        let theirs = tree::read(File::open(&theirs).unwrap());
        assert_eq!(ours.len(), theirs.len());
        for (path, node) in &theirs {
            assert_eq!(&ours[path], node, "{format} {}", path.escape_ascii());
        }
        if number == 2 {
            // And the archive loses nothing either.
            let original = tree::read(File::open(&source).unwrap());
            for (path, node) in &original {
                assert_eq!(&ours[path], node, "{}", path.escape_ascii());
            }
        }
        assert!(ours[&b"sparse"[..]].blocks * 512 < 200_000);
    }
}
