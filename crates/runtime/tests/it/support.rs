//! A busybox root, a specification like the engine's, and running to the end.

use std::fs;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hull_runtime::{
    Created, Directories, Filter, Join, Launch, RootFs, Running, StartError, Stdio, create,
};
use hull_spec::runtime::{
    Capabilities, IdMapping, Linux, Mount, Namespace, NamespaceKind, Process, Root, Spec,
};
use rustix::process::{WaitId, WaitIdOptions, waitid};

/// Where the ids of the test containers begin on the host.
pub(crate) const BASE: u32 = 1_500_000_000;

/// One container's place on disk: a busybox layer and room to write.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) dir: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("hull-runtime-")
            .tempdir_in("/var/tmp")
            .unwrap();
        let layer = dir.path().join("layer");
        for name in ["bin", "etc", "tmp", "home/www"] {
            fs::create_dir_all(layer.join(name)).unwrap();
        }
        fs::copy("/bin/busybox", layer.join("bin/busybox")).unwrap();
        for name in [
            "sh", "true", "false", "cat", "id", "ls", "echo", "touch", "mkdir", "env", "pwd",
            "sleep", "stat", "grep", "mount", "umount", "hostname", "kill", "ps", "dd", "tty",
            "stty", "mv", "rm", "sysctl", "readlink", "head", "wc", "ulimit", "chown", "mknod",
            "test", "seq", "ip", "nslookup", "tr", "cut",
        ] {
            symlink("busybox", layer.join("bin").join(name)).unwrap();
        }
        let home = Self { dir };
        home.write(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nwww:x:33:34::/home/www:/bin/sh\n",
            0o644,
        );
        home.write("etc/group", "root:x:0:\nadm:x:4:www\nwww:x:34:\n", 0o644);
        for name in ["upper", "work"] {
            fs::create_dir_all(home.dir.path().join("pod").join(name)).unwrap();
        }
        home
    }

    pub(crate) fn layer(&self) -> PathBuf {
        self.dir.path().join("layer")
    }

    pub(crate) fn upper(&self) -> PathBuf {
        self.dir.path().join("pod/upper")
    }

    /// Writes a file of the layer.
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>, mode: u32) {
        use std::io::Write as _;
        let path = self.layer().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(contents.as_ref()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn overlay(&self) -> RootFs {
        RootFs::Overlay {
            directories: Directories {
                base: fs::File::open(self.dir.path()).unwrap().into(),
                lower: vec!["layer".into()],
                upper: "pod/upper".to_owned(),
                work: "pod/work".to_owned(),
            },
            idmap: true,
            volatile: false,
        }
    }
}

/// docker's default capabilities.
pub(crate) fn default_capabilities() -> Vec<String> {
    [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
    .map(|name| format!("CAP_{name}"))
    .to_vec()
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn mount(destination: &str, kind: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.into(),
        kind: Some(kind.to_owned()),
        source: Some(kind.into()),
        options: words(options),
        ..Mount::default()
    }
}

pub(crate) fn bind(source: &Path, destination: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.into(),
        kind: Some("bind".to_owned()),
        source: Some(source.to_owned()),
        options: [&["rbind".to_owned()], words(options).as_slice()].concat(),
        ..Mount::default()
    }
}

/// What the engine asks for by default: everything of its own, docker's mounts and masks.
pub(crate) fn spec(args: &[&str]) -> Spec {
    let map = vec![IdMapping {
        container_id: 0,
        host_id: BASE,
        size: 65_536,
    }];
    let capabilities = default_capabilities();
    let namespaces = [
        NamespaceKind::User,
        NamespaceKind::Mount,
        NamespaceKind::Pid,
        NamespaceKind::Network,
        NamespaceKind::Ipc,
        NamespaceKind::Uts,
        NamespaceKind::Cgroup,
    ];
    Spec {
        oci_version: "1.2.1".to_owned(),
        hostname: Some("testing".to_owned()),
        root: Some(Root::default()),
        process: Some(Process {
            args: words(args),
            env: words(&["PATH=/usr/bin:/bin"]),
            cwd: "/".into(),
            capabilities: Some(Capabilities {
                bounding: capabilities.clone(),
                effective: capabilities.clone(),
                permitted: capabilities,
                ..Capabilities::default()
            }),
            no_new_privileges: true,
            ..Process::default()
        }),
        mounts: vec![
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount(
                "/dev",
                "tmpfs",
                &["nosuid", "strictatime", "mode=755", "size=65536k"],
            ),
            mount(
                "/dev/pts",
                "devpts",
                &[
                    "nosuid",
                    "noexec",
                    "newinstance",
                    "ptmxmode=0666",
                    "mode=0620",
                    "gid=5",
                ],
            ),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount(
                "/sys/fs/cgroup",
                "cgroup",
                &["nosuid", "noexec", "nodev", "ro"],
            ),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount(
                "/dev/shm",
                "tmpfs",
                &["nosuid", "noexec", "nodev", "mode=1777", "size=64m"],
            ),
        ],
        linux: Some(Linux {
            uid_mappings: map.clone(),
            gid_mappings: map,
            namespaces: namespaces
                .map(|kind| Namespace { kind, path: None })
                .to_vec(),
            masked_paths: [
                "/proc/asound",
                "/proc/acpi",
                "/proc/interrupts",
                "/proc/kcore",
                "/proc/keys",
                "/proc/latency_stats",
                "/proc/timer_list",
                "/proc/timer_stats",
                "/proc/sched_debug",
                "/proc/scsi",
                "/sys/firmware",
                "/sys/devices/virtual/powercap",
            ]
            .map(PathBuf::from)
            .to_vec(),
            readonly_paths: [
                "/proc/bus",
                "/proc/fs",
                "/proc/irq",
                "/proc/sys",
                "/proc/sysrq-trigger",
            ]
            .map(PathBuf::from)
            .to_vec(),
            ..Linux::default()
        }),
        ..Spec::default()
    }
}

/// Everything but what the case is about.
pub(crate) fn launch(spec: &Spec, root: RootFs, stdio: Stdio) -> Launch<'_> {
    Launch {
        spec,
        root,
        files: Vec::new(),
        cgroup: None,
        stdio,
        filter: Filter::None,
        devices: Vec::new(),
        join: Join::default(),
        user: None,
    }
}

/// Our ends of the app's streams.
#[derive(Debug)]
pub(crate) struct Streams {
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// Pipes for a container, with nothing to read.
pub(crate) fn pipes() -> (Stdio, Streams) {
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let ((our_out, stdout), (our_err, stderr)) = (pipe(), pipe());
    let stdin = fs::File::open("/dev/null").unwrap().into();
    let streams = Streams {
        stdout: our_out,
        stderr: our_err,
    };
    (
        Stdio::Streams {
            stdin,
            stdout,
            stderr,
        },
        streams,
    )
}

/// How it ended and what it wrote.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Streams {
    pub(crate) fn finish(self, running: &Running) -> Ended {
        let read = |fd: OwnedFd| {
            let mut text = String::new();
            fs::File::from(fd).read_to_string(&mut text).unwrap();
            text
        };
        let (out, err) = (read(self.stdout), read(self.stderr));
        Ended {
            code: wait(running),
            out,
            err,
        }
    }
}

/// Reaps the first process: its exit code, or 128 and the signal.
pub(crate) fn wait(running: &Running) -> i32 {
    let status = waitid(WaitId::PidFd(running.pidfd.as_fd()), WaitIdOptions::EXITED)
        .unwrap()
        .unwrap();
    status
        .exit_status()
        .or(status.terminating_signal().map(|signal| 128 + signal))
        .unwrap()
}

/// Runs a launch to its end; `change` may do what the engine would have done.
pub(crate) fn run_with<'a>(
    spec: &'a Spec,
    root: RootFs,
    change: impl FnOnce(&mut Launch<'a>),
) -> Result<Ended, StartError> {
    let (stdio, streams) = pipes();
    let mut launch = launch(spec, root, stdio);
    change(&mut launch);
    let running = create(launch).and_then(Created::start)?;
    Ok(streams.finish(&running))
}

/// Runs a spec on the busybox root of `home`.
pub(crate) fn run(home: &Home, spec: &Spec) -> Result<Ended, StartError> {
    run_with(spec, home.overlay(), |_| {})
}

/// Runs a shell script in a default container and returns what it wrote, which has to be nothing on stderr.
pub(crate) fn shell(home: &Home, script: &str) -> String {
    let ended = run(home, &spec(&["sh", "-c", script])).unwrap();
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{script}");
    ended.out
}

/// A cgroup that goes away with the value.
#[derive(Debug)]
pub(crate) struct Group(pub(crate) hull_cgroup::Group);

impl Group {
    pub(crate) fn new(name: &str) -> Self {
        let hierarchies = hull_cgroup::Hierarchies::detect().unwrap();
        let path = format!("hull-runtime-test-{name}-{}", std::process::id());
        let limits = hull_cgroup::Limits::default();
        let group =
            hull_cgroup::Group::create(&hierarchies, &path.parse().unwrap(), &limits).unwrap();
        Self(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _rest = self.0.kill_all();
        }
        self.0.remove().unwrap();
    }
}
