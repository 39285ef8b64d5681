//! `cp`: where files go, whose they are, and what of them arrives.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use hull_engine::{Copied, CopyFrom, CopyTo, EngineError, Manner};

use crate::home::{Home, home, own, read, said, write, write_bytes};

pub(crate) const CASES: &[crate::Case] = crate::cases![
    root_files_go_into_a_container_that_does_not_run,
    root_files_go_into_a_container_that_runs,
    root_files_come_out_of_a_container,
    root_everything_about_files_arrives,
    root_archives_go_in_and_out,
    root_existing_directories_keep_their_modes,
    root_volumes_and_binds_are_where_the_container_has_them,
    root_a_read_only_container_takes_no_files,
    root_what_the_kernel_makes_up_is_not_copied_along,
];

const PLAIN: Manner = Manner {
    keep_owners: false,
    follow: false,
};
const KEPT: Manner = Manner {
    keep_owners: true,
    follow: false,
};

impl Home {
    /// Copies a path of the test's directory into a container.
    pub(crate) fn put(&self, from: &str, container: &str, to: &str) -> Result<Copied, EngineError> {
        self.put_as(from, container, to, PLAIN)
    }

    fn put_as(
        &self,
        from: &str,
        container: &str,
        to: &str,
        manner: Manner,
    ) -> Result<Copied, EngineError> {
        // Not joined as paths: what stands at the end counts.
        let from = PathBuf::from(format!("{}/{from}", self.dir.path().display()));
        self.engine
            .copy_to(CopyFrom::Path(&from), container, Path::new(to), manner)
    }

    /// Copies out of a container to a path of the test's directory.
    pub(crate) fn take(
        &self,
        container: &str,
        from: &str,
        to: &str,
    ) -> Result<Copied, EngineError> {
        self.take_as(container, from, to, PLAIN)
    }

    fn take_as(
        &self,
        container: &str,
        from: &str,
        to: &str,
        manner: Manner,
    ) -> Result<Copied, EngineError> {
        let to = PathBuf::from(format!("{}/{to}", self.dir.path().display()));
        self.engine
            .copy_from(container, Path::new(from), CopyTo::Path(&to), manner)
    }

    pub(crate) fn take_archive(&self, container: &str, from: &str) -> Vec<u8> {
        let mut archive = Vec::new();
        self.engine
            .copy_from(
                container,
                Path::new(from),
                CopyTo::Archive(&mut archive),
                PLAIN,
            )
            .unwrap();
        archive
    }

    pub(crate) fn put_archive(
        &self,
        archive: &[u8],
        container: &str,
        to: &str,
    ) -> Result<Copied, EngineError> {
        let mut archive = archive;
        self.engine.copy_to(
            CopyFrom::Archive(&mut archive),
            container,
            Path::new(to),
            PLAIN,
        )
    }
}

/// `src/file`, `src/dir/{a,b/c}`.
fn sources(home: &Home) {
    write(home.path("src/file"), "file\n");
    write(home.path("src/dir/a"), "a\n");
    write(home.path("src/dir/b/c"), "c\n");
}

fn where_files_go(home: &Home, name: &str, inside: impl Fn(&str) -> PathBuf) {
    sources(home);
    for (from, to, expected) in [
        ("src/file", "/tmp", "/tmp/file"),
        ("src/file", "/tmp/", "/tmp/file"),
        ("src/file", "/tmp/other", "/tmp/other"),
        ("src/file", "tmp/relative", "/tmp/relative"),
        ("src/file", "/tmp/x/../../tmp/dots", "/tmp/dots"),
        ("src/file", "", "/file"),
        ("src/dir", "/tmp", "/tmp/dir/b/c"),
        ("src/dir", "/tmp/new", "/tmp/new/b/c"),
        ("src/dir/", "/tmp/slash/", "/tmp/slash/b/c"),
        ("src/dir/.", "/tmp/spread", "/tmp/spread/b/c"),
        ("src/dir/.", "/tmp", "/tmp/b/c"),
        ("src/dir", "/tmp/spread", "/tmp/spread/dir/b/c"),
        ("src/dir/..", "/root", "/root/src/dir/b/c"),
    ] {
        home.put(from, name, to).unwrap();
        let text = read(inside(expected));
        let wanted = if expected.ends_with('c') {
            "c\n"
        } else {
            "file\n"
        };
        assert_eq!(text, wanted, "{from} to {to}");
    }
    for (from, to, told) in [
        (
            "src/file",
            "/tmp/none/",
            format!("there is no directory {name}:/tmp/none, and a file cannot become one"),
        ),
        (
            "src/file",
            "/none/x",
            format!("{name}:/none does not exist"),
        ),
        (
            "src/file",
            "/etc/passwd/",
            format!("{name}:/etc/passwd is not a directory"),
        ),
        (
            "src/file",
            "/etc/passwd/x",
            format!("{name}:/etc/passwd is not a directory"),
        ),
        (
            "src/dir",
            "/etc/passwd",
            format!("a directory cannot take the place of {name}:/etc/passwd, which is none"),
        ),
        (
            "src/none",
            "/tmp",
            format!("{}/src/none does not exist", home.dir.path().display()),
        ),
        (
            "src/file/",
            "/tmp",
            format!("{}/src/file is not a directory", home.dir.path().display()),
        ),
    ] {
        assert_eq!(
            home.put(from, name, to).unwrap_err().to_string(),
            told,
            "{from} to {to}"
        );
    }
    // What is there is replaced, by a file of the same kind only.
    write(home.path("src/file"), "newer\n");
    home.put("src/file", name, "/tmp").unwrap();
    assert_eq!(read(inside("/tmp/file")), "newer\n");
    write(home.path("src/b"), "a file\n");
    let error = home.put("src/b", name, "/tmp").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{name}:/tmp/b is a directory, and a file cannot take its place")
    );
    assert!(error.hint().is_some());
}

fn root_files_go_into_a_container_that_does_not_run() {
    let Some(home) = home() else { return };
    home.create(Home::request("box", &["true"]));
    let upper = home.upper("box");
    where_files_go(&home, "box", |path| upper.join(&path[1..]));
    // Root inside is 0 there, and whose the files were is nobody's business.
    own(home.path("src/file"), 1234, 0o4755);
    home.put("src/file", "box", "/tmp").unwrap();
    let metadata = fs::metadata(upper.join("tmp/file")).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o755));
    home.put_as("src/file", "box", "/tmp", KEPT).unwrap();
    let metadata = fs::metadata(upper.join("tmp/file")).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (1234, 0o4755));
    own(home.path("src/file"), 70_000, 0o644);
    let error = home.put_as("src/file", "box", "/tmp", KEPT).unwrap_err();
    assert_eq!(
        error.to_string(),
        "box:/tmp/file belongs to user 70000, whom the container does not have"
    );
    assert_eq!(
        fs::metadata(upper.join("tmp/file")).unwrap().uid(),
        1234,
        "the old one stayed"
    );
}

fn root_files_go_into_a_container_that_runs() {
    let Some(home) = home() else { return };
    home.run("box", "");
    let inside = home.inside("box");
    where_files_go(&home, "box", |path| inside.join(&path[1..]));
    let first = home.first_id("box");
    assert_ne!(first, 0);
    for path in ["tmp/file", "tmp/new", "tmp/new/b", "tmp/new/b/c"] {
        assert_eq!(
            fs::metadata(inside.join(path)).unwrap().uid(),
            first,
            "{path}"
        );
    }
    own(home.path("src/file"), 1234, 0o4755);
    home.put_as("src/file", "box", "/tmp", KEPT).unwrap();
    let metadata = fs::metadata(inside.join("tmp/file")).unwrap();
    assert_eq!(
        (metadata.uid(), metadata.mode() & 0o7777),
        (first + 1234, 0o4755)
    );
    // The way out says what the container calls them.
    home.take_as("box", "/tmp/file", "kept", KEPT).unwrap();
    let metadata = fs::metadata(home.path("kept")).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (1234, 0o4755));
    home.take("box", "/tmp/file", "plain").unwrap();
    let metadata = fs::metadata(home.path("plain")).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o755));
    home.stop("box");
    // And it is still there, under the same name, when the container has ended.
    home.take_as("box", "/tmp/file", "after", KEPT).unwrap();
    assert_eq!(fs::metadata(home.path("after")).unwrap().uid(), 1234);
    assert_eq!(read(home.path("after")), "newer\n");
}

fn root_files_come_out_of_a_container() {
    let Some(home) = home() else { return };
    home.import("busybox", |tree| {
        write(tree.join("data/one"), "1\n");
        write(tree.join("data/deep/two"), "2\n");
        symlink("/data/one", tree.join("link")).unwrap();
        symlink("data", tree.join("dirlink")).unwrap();
    });
    home.create(Home::request("box", &["true"]));
    fs::create_dir(home.path("out")).unwrap();
    for (from, to, expected) in [
        ("/data/one", "out", "out/one"),
        ("/data/one", "out/other", "out/other"),
        ("/data", "out", "out/data/one"),
        ("/data/", "out/new", "out/new/one"),
        ("/data/.", "out/spread", "out/spread/one"),
        ("/dirlink/", "out", "out/dirlink/one"),
        ("/dirlink/one", "out/through", "out/through"),
        ("/dirlink/.", "out/also", "out/also/one"),
    ] {
        home.take("box", from, to).unwrap();
        assert_eq!(read(home.path(expected)), "1\n", "{from} to {to}");
    }
    // A link is itself, unless its target is asked for; then it goes under its own name.
    home.take("box", "/link", "out").unwrap();
    assert_eq!(
        fs::read_link(home.path("out/link")).unwrap(),
        Path::new("/data/one")
    );
    let follow = Manner {
        follow: true,
        ..PLAIN
    };
    home.take_as("box", "/link", "out", follow).unwrap();
    assert!(!home.path("out/link").is_symlink());
    assert_eq!(read(home.path("out/link")), "1\n");
    // Everything, without a name of its own.
    home.take("box", "/", "everything").unwrap();
    assert_eq!(read(home.path("everything/data/deep/two")), "2\n");
    for (from, to, told) in [
        ("/none", "out", "box:/none does not exist".to_owned()),
        (
            "/data/one/",
            "out",
            "box:/data/one is not a directory".to_owned(),
        ),
        (
            "/data",
            "out/one",
            format!(
                "a directory cannot take the place of {}/out/one, which is none",
                home.dir.path().display()
            ),
        ),
        (
            "/data",
            "gone/out",
            format!("{}/gone does not exist", home.dir.path().display()),
        ),
    ] {
        assert_eq!(
            home.take("box", from, to).unwrap_err().to_string(),
            told,
            "{from} to {to}"
        );
    }
    assert_eq!(
        home.take("nobody", "/", "out").unwrap_err().to_string(),
        "no container is called `nobody`"
    );
}

fn root_everything_about_files_arrives() {
    let Some(home) = home() else { return };
    home.run("box", "");
    let tree = home.path("tree");
    write(tree.join("file"), "text");
    fs::hard_link(tree.join("file"), tree.join("same")).unwrap();
    symlink("nowhere", tree.join("dangling")).unwrap();
    said(&["mkfifo", tree.join("pipe").to_str().unwrap()]);
    said(&["truncate", "-s", "64M", tree.join("hole").to_str().unwrap()]);
    said(&["mknod", tree.join("null").to_str().unwrap(), "c", "1", "3"]);
    write(tree.join("closed/inner"), "");
    own(tree.join("closed"), 7, 0o1500);
    own(tree.join("file"), 5, 0o2751);
    let mut capability = vec![1, 0, 0, 2];
    capability.extend_from_slice(&[0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let set = |name: &str, value: &[u8]| {
        let none = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(tree.join("file"), name, value, none).unwrap();
    };
    set("security.capability", &capability);
    set("user.note", b"hello");
    let past = fs::FileTimes::new()
        .set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000, 7));
    for name in ["file", "closed"] {
        fs::File::open(tree.join(name))
            .unwrap()
            .set_times(past)
            .unwrap();
    }
    let done = home.put_as("tree", "box", "/tmp", KEPT).unwrap();
    assert_eq!(done.left_out, [Path::new("tree/null")]);
    assert_eq!(done.files, 8);
    for manner in [KEPT, PLAIN] {
        let back = home.path("back");
        home.take_as("box", "/tmp/tree", "back", manner).unwrap();
        let look = |name: &str| fs::symlink_metadata(back.join(name)).unwrap();
        assert_eq!(read(back.join("file")), "text");
        assert_eq!(look("file").ino(), look("same").ino());
        assert_eq!(look("file").mtime_nsec(), 7);
        assert_eq!(look("closed").mtime(), 1_000_000);
        assert_eq!(
            fs::read_link(back.join("dangling")).unwrap(),
            Path::new("nowhere")
        );
        assert_eq!(look("pipe").mode() & 0o170_000, 0o010_000);
        assert_eq!(look("hole").len(), 64 << 20);
        assert!(look("hole").blocks() < 100, "holes stay holes");
        let attribute = |name: &str| {
            let mut value = [0; 100];
            let length = rustix::fs::getxattr(back.join("file"), name, &mut value[..]);
            length.map(|length| value[..length].to_vec()).ok()
        };
        assert_eq!(attribute("user.note").as_deref(), Some(&b"hello"[..]));
        let is_kept = manner == KEPT;
        assert_eq!(
            attribute("security.capability"),
            is_kept.then(|| capability.clone())
        );
        let owner = |name: &str| (look(name).uid(), look(name).mode() & 0o7777);
        assert_eq!(
            owner("closed"),
            if is_kept { (7, 0o1500) } else { (0, 0o1500) }
        );
        assert_eq!(
            owner("file"),
            if is_kept { (5, 0o2751) } else { (0, 0o751) }
        );
        fs::remove_dir_all(back).unwrap();
    }
    // To the container's own eyes, root's capability is root's: on disk there is no trace of the host's ids.
    let disk = home.upper("box").join("tmp/tree/file");
    assert_eq!(fs::metadata(&disk).unwrap().uid(), 5);
}

fn root_archives_go_in_and_out() {
    let Some(home) = home() else { return };
    home.import("busybox", |tree| {
        fs::create_dir_all(tree.join("usr/sbin")).unwrap();
        symlink("usr/sbin", tree.join("sbin")).unwrap();
    });
    home.run("box", "echo hi > /tmp/file; mkdir /tmp/d; chown 5:6 /tmp/d");
    for (from, listed) in [
        ("/tmp/file", "file\n"),
        ("/tmp/d", "d/\n"),
        ("/tmp/d/.", "./\n"),
        (
            "/etc",
            "etc/\netc/group\netc/hostname\netc/hosts\netc/passwd\netc/resolv.conf\n",
        ),
    ] {
        let archive = home.path("archive.tar");
        write_bytes(&archive, &home.take_archive("box", from));
        assert_eq!(
            said(&["tar", "-tf", archive.to_str().unwrap()]),
            listed,
            "{from}"
        );
    }
    // Owners are those the container calls them, and those an archive names stay.
    let archive = home.path("archive.tar");
    write_bytes(&archive, &home.take_archive("box", "/tmp/d"));
    assert!(said(&["tar", "--numeric-owner", "-tvf", archive.to_str().unwrap()]).contains(" 5/6 "));
    write(home.path("in/new/deep/file"), "from tar\n");
    write(home.path("in/sbin/tool"), "tool\n");
    own(home.path("in/new/deep/file"), 9, 0o640);
    let directory = home.path("in");
    let directory = directory.to_str().unwrap();
    for compress in ["--gzip", "--zstd", "--no-auto-compress"] {
        // The file alone: the archive does not mention its directories.
        said(&[
            "tar",
            compress,
            "-C",
            directory,
            "-cf",
            archive.to_str().unwrap(),
            "new/deep/file",
            "sbin/tool",
        ]);
        home.put_archive(&fs::read(&archive).unwrap(), "box", "/")
            .unwrap();
        let inside = home.inside("box");
        assert_eq!(read(inside.join("new/deep/file")), "from tar\n");
        let owner = fs::metadata(inside.join("new/deep/file")).unwrap().uid();
        assert_eq!(owner, home.first_id("box") + 9);
        assert_eq!(
            read(inside.join("usr/sbin/tool")),
            "tool\n",
            "through a link of the container's"
        );
        assert!(inside.join("sbin").is_symlink());
    }
    let archive = fs::read(&archive).unwrap();
    let error = home.put_archive(&archive, "box", "/tmp/file").unwrap_err();
    assert_eq!(error.to_string(), "box:/tmp/file is not a directory");
    let error = home
        .put_archive(&archive[..1024], "box", "/tmp")
        .unwrap_err();
    assert!(matches!(error, EngineError::Copy(_)), "{error}");
}

fn root_existing_directories_keep_their_modes() {
    let Some(home) = home() else { return };
    home.run("box", "");
    write(home.path("src/tmp/file"), "");
    own(home.path("src/tmp"), 0, 0o700);
    home.put("src/tmp", "box", "/").unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(home.inside("box").join("tmp")), 0o1777);
    home.put_as("src/tmp", "box", "/", KEPT).unwrap();
    assert_eq!(mode(home.inside("box").join("tmp")), 0o700);
}

fn root_volumes_and_binds_are_where_the_container_has_them() {
    let Some(home) = home() else { return };
    fs::create_dir(home.path("bound")).unwrap();
    let request = |name: &str| {
        let mut request = Home::request(name, &["true"]);
        let bind = format!("{}:/bound", home.path("bound").display());
        let closed = format!("{}:/closed:ro", home.path("bound").display());
        for volume in ["vol:/srv/data", &bind, &closed] {
            let mount = hull_engine::request::Mount::parse_volume(volume, || Ok("/".into()));
            request.mounts.push(mount.unwrap());
        }
        request
    };
    write(home.path("file"), "volume\n");
    // Before it has ever run: the places are made, as starting would.
    home.create(request("idle"));
    home.put("file", "idle", "/srv/data").unwrap();
    let data = home.path("hull/volumes/vol/data/file");
    assert_eq!(read(&data), "volume\n");
    assert!(!home.upper("idle").join("srv/data/file").exists());
    home.put("file", "idle", "/bound/by-cp").unwrap();
    assert_eq!(read(home.path("bound/by-cp")), "volume\n");
    home.take("idle", "/srv/data/file", "back").unwrap();
    assert_eq!(read(home.path("back")), "volume\n");
    let error = home.put("file", "idle", "/closed").unwrap_err();
    assert_eq!(
        error.hint().as_deref(),
        Some("it is mounted read-only in the container")
    );
    home.run_as(request("busy"), "");
    fs::remove_file(&data).unwrap();
    home.put("file", "busy", "/srv/data").unwrap();
    assert_eq!(read(&data), "volume\n");
    assert_eq!(
        fs::metadata(&data).unwrap().uid(),
        0,
        "volumes have the container's ids"
    );
    let error = home.put("file", "busy", "/closed").unwrap_err();
    assert_eq!(
        error.hint().as_deref(),
        Some("it is mounted read-only in the container")
    );
}

fn root_a_read_only_container_takes_no_files() {
    let Some(home) = home() else { return };
    write(home.path("file"), "");
    let request = |name: &str| {
        let mut request = Home::request(name, &["true"]);
        request.root = hull_engine::request::Access::ReadOnly;
        request
    };
    home.create(request("idle"));
    assert_eq!(
        home.put("file", "idle", "/tmp").unwrap_err().to_string(),
        "container `idle` was made with --read-only"
    );
    let mut busy = request("busy");
    let tmpfs = hull_engine::request::Mount::parse_tmpfs("/tmp");
    busy.mounts.push(tmpfs.unwrap());
    home.run_as(busy, "");
    assert!(home.put("file", "busy", "/etc").is_err());
    home.put("file", "busy", "/tmp").unwrap();
    assert!(home.inside("busy").join("tmp/file").exists());
}

fn root_what_the_kernel_makes_up_is_not_copied_along() {
    let Some(home) = home() else { return };
    home.run("box", "");
    let done = home.take("box", "/", "all").unwrap();
    assert!(home.path("all/proc").is_dir());
    assert_eq!(fs::read_dir(home.path("all/proc")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(home.path("all/sys")).unwrap().count(), 0);
    assert!(
        done.left_out
            .iter()
            .any(|path| path == Path::new("all/dev/null"))
    );
    home.take("box", "/proc/1/status", "status").unwrap();
    assert!(
        read(home.path("status")).contains("Pid:\t1\n"),
        "asked for by name it is read"
    );
}
