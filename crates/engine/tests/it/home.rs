//! A root of its own, an image of busybox, and containers that run.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hull_engine::{
    Engine, Force, Places,
    request::{NetworkMode, RunRequest},
};
use hull_image::{Import, Input};

/// One installation in a temporary directory, which is not on an overlay: uppers have to lie on a real file system.
pub(crate) struct Home {
    pub(crate) engine: Engine,
    pub(crate) dir: tempfile::TempDir,
    children: std::cell::RefCell<Vec<Child>>,
}

/// What a child is told to run: a request as JSON.
const CHILD: &str = "HULL_TEST_RUN";
/// Where.
const ROOT: &str = "HULL_TEST_ROOT";

/// Opens a home, or says why this test is not run.
pub(crate) fn home() -> Option<Home> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: containers of images need root");
        return None;
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let engine = open(dir.path());
    let home = Home {
        engine,
        dir,
        children: Default::default(),
    };
    home.import("busybox", |_| {});
    Some(home)
}

fn open(dir: &Path) -> Engine {
    let root = dir.join("hull");
    Engine::open(Places {
        run: root.join("run"),
        root,
    })
    .unwrap()
}

/// Writes a file, with the directories above it.
pub(crate) fn write(path: impl AsRef<Path>, text: &str) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_bytes(path, text.as_bytes());
}

pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) {
    std::io::Write::write_all(&mut fs::File::create(path).unwrap(), bytes).unwrap();
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Sets owner and mode.
pub(crate) fn own(path: impl AsRef<Path>, uid: u32, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::os::unix::fs::chown(&path, Some(uid), Some(uid)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs a program of the host's and returns what it says.
pub(crate) fn said(program: &[&str]) -> String {
    let output = Command::new(program[0])
        .args(&program[1..])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program:?}: {text}{errors}");
    text
}

impl Home {
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Imports busybox and whatever `change` puts beside it.
    pub(crate) fn import(&self, name: &str, change: impl FnOnce(&Path)) {
        let tree = self.path("tree");
        fs::create_dir_all(tree.join("bin")).unwrap();
        fs::copy("/bin/busybox", tree.join("bin/busybox")).unwrap();
        for applet in said(&["/bin/busybox", "--list"]).lines() {
            symlink("busybox", tree.join("bin").join(applet)).ok();
        }
        for directory in ["etc", "tmp", "root"] {
            fs::create_dir(tree.join(directory)).unwrap();
        }
        own(tree.join("tmp"), 0, 0o1777);
        write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
        write(tree.join("etc/group"), "root:x:0:\n");
        change(&tree);
        self.engine
            .import_image(Input::Path(&tree), Some(name), Import::default())
            .unwrap();
        fs::remove_dir_all(&tree).unwrap();
    }

    /// A request that needs no network.
    pub(crate) fn request(name: &str, command: &[&str]) -> RunRequest {
        let mut request = RunRequest::new("busybox".parse().unwrap());
        request.name = Some(name.parse().unwrap());
        request.network.mode = NetworkMode::None;
        request.process.command = command.iter().map(|word| (*word).to_owned()).collect();
        request
    }

    /// Makes a container that does not run.
    pub(crate) fn create(&self, request: RunRequest) {
        drop(self.engine.create(request).unwrap());
    }

    /// Runs a container under a child of this process and waits until `sh -c script` has made `/ready`.
    pub(crate) fn run(&self, name: &str, script: &str) {
        self.run_as(Self::request(name, &[]), script);
    }

    pub(crate) fn run_as(&self, mut request: RunRequest, script: &str) {
        let name = request.name.as_ref().unwrap().to_string();
        let script = format!("{script}\n> /dev/shm/ready; exec sleep 1000");
        request.process.command = ["sh", "-c", &script].map(str::to_owned).to_vec();
        let child = Command::new(std::env::current_exe().unwrap())
            .env(CHILD, serde_json::to_string(&request).unwrap())
            .env(ROOT, self.dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.children.borrow_mut().push(child);
        let end = Instant::now() + Duration::from_secs(20);
        while !self.is_ready(&name) {
            assert!(Instant::now() < end, "`{name}` does not run");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_ready(&self, name: &str) -> bool {
        let Ok(listed) = self.engine.find(name) else {
            return false;
        };
        let Some(run) = listed.status.alive() else {
            return false;
        };
        Path::new(&format!("/proc/{}/root/dev/shm/ready", run.pid)).exists()
    }

    /// The host's way to the files of a running container.
    pub(crate) fn inside(&self, name: &str) -> PathBuf {
        let listed = self.engine.find(name).unwrap();
        let run = listed.status.alive().unwrap();
        format!("/proc/{}/root", run.pid).into()
    }

    /// The first host id of a running container.
    pub(crate) fn first_id(&self, name: &str) -> u32 {
        let listed = self.engine.find(name).unwrap();
        let map = read(format!(
            "/proc/{}/uid_map",
            listed.status.alive().unwrap().pid
        ));
        map.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// What a stopped container wrote.
    pub(crate) fn upper(&self, name: &str) -> PathBuf {
        let pod = self.engine.find(name).unwrap().pod.id();
        self.path(format!("hull/pods/{pod}/0.upper"))
    }

    pub(crate) fn stop(&self, name: &str) {
        self.engine.kill(name, hull_types::Signal::KILL).unwrap();
        self.engine.wait(name).unwrap();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for container in self.engine.list().unwrap().0 {
            let id = container.container().id.to_string();
            self.engine.remove(&id, Force::Yes, true).unwrap();
        }
        for child in self.children.get_mut() {
            child.wait().unwrap();
        }
    }
}

/// Is the monitor of one container, if this process was started by [`Home::run`].
pub(crate) fn monitor() -> Option<std::process::ExitCode> {
    let (request, root) = (std::env::var(CHILD).ok()?, std::env::var_os(ROOT)?);
    let engine = open(Path::new(&root));
    let created = engine
        .create(serde_json::from_str(&request).unwrap())
        .unwrap();
    let (held, id) = (created.held, created.id);
    let how = hull_engine::How::Foreground;
    let order = engine
        .order(held, id, &created.name, &created.config, how)
        .unwrap();
    let code = hull_monitor::supervise(&order.handover, order.descriptors, |_| {});
    Some(code.unwrap_or_else(|error| panic!("{error:?}")).into())
}
