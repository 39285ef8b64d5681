//! Containers that want `cp` and volumes to touch what is not theirs.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use hull_engine::EngineError;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::home::{Home, home, read, said, write, write_bytes};

pub(crate) const CASES: &[crate::Case] = crate::cases![
    root_links_to_the_host_lead_to_the_container,
    root_nothing_leaks_while_directories_become_links,
    root_links_in_the_target_are_not_followed,
    root_nothing_of_the_container_is_opened_but_what_is_copied,
    root_hostile_archives_stay_inside,
];

/// A directory of the host's with a secret, which nobody may read or change through a container.
fn outside(home: &Home) -> String {
    write(home.path("outside/secret"), "the host's\n");
    home.path("outside").to_str().unwrap().to_owned()
}

/// The outside has what it had.
fn is_untouched(home: &Home) {
    let names: Vec<_> = fs::read_dir(home.path("outside"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["secret"]);
    assert_eq!(read(home.path("outside/secret")), "the host's\n");
}

/// Exchanges two names again and again while `work` goes on.
fn while_swapping(one: &Path, other: &Path, mut work: impl FnMut()) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).ok();
            }
        });
        let end = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < end {
            work();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

fn root_links_to_the_host_lead_to_the_container() {
    let Some(home) = home() else { return };
    let outside = outside(&home);
    let target = outside.clone();
    home.import("busybox", |tree| {
        symlink(&target, tree.join("absolute")).unwrap();
        symlink(format!("../../../../../..{target}"), tree.join("dots")).unwrap();
        symlink("/proc/self/root", tree.join("magic")).unwrap();
        symlink(format!("{target}/secret"), tree.join("file")).unwrap();
        symlink(format!("{target}/planted"), tree.join("dangling")).unwrap();
    });
    home.create(Home::request("idle", &["true"]));
    home.run("busy", "");
    write(home.path("mine"), "mine\n");
    for name in ["idle", "busy"] {
        for path in ["/absolute/secret", "/dots/secret", "/file/", "/absolute/."] {
            let error = home.take(name, path, "stolen").unwrap_err();
            assert_eq!(
                error.kind(),
                hull_types::ErrorKind::NotFound,
                "{name}:{path}: {error}"
            );
        }
        let magic = format!("/magic{outside}/secret");
        home.take(name, &magic, "stolen").unwrap_err();
        for path in [
            "/absolute",
            "/absolute/planted",
            "/dots/planted",
            "/dangling",
            "/file",
        ] {
            assert!(home.put("mine", name, path).is_err(), "{name}:{path}");
        }
        assert!(!home.path("stolen").exists());
    }
    is_untouched(&home);
}

/// CVE-2018-15664: a path that was checked and is another by the time it is used.
fn root_nothing_leaks_while_directories_become_links() {
    let Some(home) = home() else { return };
    let outside = outside(&home);
    home.run(
        "box",
        &format!("mkdir -p /w/a/deep; echo inside > /w/a/secret; echo x > /w/a/deep/f; ln -s {outside} /w/b"),
    );
    let inside = home.inside("box");
    write(home.path("planted"), "planted\n");
    write(home.path("tree/deep/planted"), "planted\n");
    let (mut reads, mut writes) = (0, 0);
    while_swapping(&inside.join("w/a"), &inside.join("w/b"), || {
        if home.take("box", "/w/a/secret", "taken").is_ok() {
            assert_eq!(read(home.path("taken")), "inside\n");
            reads += 1;
        }
        // The whole directory, walked while it changes.
        home.take("box", "/w/.", "walked").ok();
        writes += usize::from(home.put("planted", "box", "/w/a").is_ok());
        home.put("tree/.", "box", "/w/a").ok();
        home.put("tree/deep", "box", "/w").ok();
    });
    assert!(reads > 0 && writes > 0, "{reads} reads, {writes} writes");
    for found in said(&[
        "find",
        home.path("walked").to_str().unwrap(),
        "-type",
        "f",
        "-name",
        "secret",
    ])
    .lines()
    {
        assert_eq!(read(found), "inside\n");
    }
    is_untouched(&home);
}

/// What comes out of a container goes below the target and nowhere else, whatever lies there.
fn root_links_in_the_target_are_not_followed() {
    let Some(home) = home() else { return };
    let outside = outside(&home);
    home.import("busybox", |tree| {
        write(tree.join("data/sub/planted"), "planted\n");
        write(tree.join("data/secret"), "planted\n");
    });
    home.create(Home::request("box", &["true"]));
    fs::create_dir_all(home.path("out/data")).unwrap();
    symlink(&outside, home.path("out/data/sub")).unwrap();
    let error = home.take("box", "/data", "out").unwrap_err();
    let told = format!(
        "a directory cannot take the place of {}/out/data/sub, which is none",
        home.dir.path().display()
    );
    assert_eq!(error.to_string(), told);
    fs::remove_file(home.path("out/data/sub")).unwrap();
    // A file takes the place of a link and not of what it leads to.
    fs::remove_file(home.path("out/data/secret")).ok();
    symlink(format!("{outside}/secret"), home.path("out/data/secret")).unwrap();
    home.take("box", "/data", "out").unwrap();
    assert_eq!(read(home.path("out/data/secret")), "planted\n");
    assert!(!home.path("out/data/secret").is_symlink());
    is_untouched(&home);
}

/// CVE-2019-14271 was a library of the container's, loaded to look up its users. Nothing of the container is opened but what
/// was asked for: a named pipe that is opened would wait for ever.
fn root_nothing_of_the_container_is_opened_but_what_is_copied() {
    let Some(home) = home() else { return };
    let traps = "mkdir -p /lib; rm -f /etc/passwd /etc/group;
        for trap in /etc/passwd /etc/group /etc/nsswitch.conf /lib/libnss_files.so.2 /etc/ld.so.cache /tmp/pipe; do mkfifo $trap; done
        echo text > /tmp/file";
    home.run("box", traps);
    let kept = hull_engine::Manner {
        keep_owners: true,
        follow: false,
    };
    write(home.path("mine"), "mine\n");
    let to = home.path("out");
    let out = hull_engine::CopyTo::Path(&to);
    home.engine
        .copy_from("box", Path::new("/tmp"), out, kept)
        .unwrap();
    let mine = home.path("mine");
    let from = hull_engine::CopyFrom::Path(&mine);
    home.engine
        .copy_to(from, "box", Path::new("/tmp"), kept)
        .unwrap();
    assert!(!home.take_archive("box", "/etc").is_empty());
    // A pipe in the place of a file is replaced, not written to.
    home.put("mine", "box", "/tmp/pipe").unwrap();
    assert_eq!(read(home.inside("box").join("tmp/pipe")), "mine\n");
}

fn root_hostile_archives_stay_inside() {
    let Some(home) = home() else { return };
    let outside = outside(&home);
    home.run("box", "");
    let archive = home.path("archive.tar");
    let tree = home.path("made");
    let path = |path: &std::path::PathBuf| path.to_str().unwrap().to_owned();
    // `-P` leaves names as they are.
    let pack = |names: &[&str]| {
        let mut command = vec![
            "tar".to_owned(),
            "-P".into(),
            "-C".into(),
            path(&tree),
            "-cf".into(),
            path(&archive),
        ];
        command.extend(names.iter().map(|name| (*name).to_owned()));
        said(&command.iter().map(String::as_str).collect::<Vec<_>>());
        fs::read(&archive).unwrap()
    };
    write(tree.join("planted"), "planted\n");
    write(home.path("up"), "planted\n");
    for names in [
        &["../up"][..],
        &[&format!("{}/up", home.dir.path().display())],
    ] {
        let error = home.put_archive(&pack(names), "box", "/tmp").unwrap_err();
        assert!(matches!(error, EngineError::Copy(_)), "{error}");
    }
    // A link first, then a file through it: followed inside the container, where it leads nowhere.
    symlink(&outside, tree.join("link")).unwrap();
    let first = pack(&["link"]);
    fs::remove_file(tree.join("link")).unwrap();
    write(tree.join("link/planted"), "planted\n");
    let second = pack(&["link/planted"]);
    let both = [&first[..512], &second[..]].concat();
    home.put_archive(&both, "box", "/tmp").unwrap_err();
    // A hard link to what was not in the archive: through that link, or to a file of the container's own.
    fs::remove_dir_all(tree.join("link")).unwrap();
    write(tree.join("one"), "");
    fs::hard_link(tree.join("one"), tree.join("two")).unwrap();
    let mut linked = pack(&["one", "two"]);
    linked.drain(..512);
    home.put_archive(&linked, "box", "/tmp").unwrap_err();
    write_bytes(&home.path("junk"), b"this is no archive at all");
    let error = home
        .put_archive(b"this is no archive at all", "box", "/tmp")
        .unwrap_err();
    assert!(matches!(error, EngineError::Copy(_)), "{error}");
    is_untouched(&home);
    assert!(!home.inside("box").join("tmp/planted").exists());
}
