//! An installation of its own for each test.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A directory with an installation, and a small root file system to make images of.
pub(crate) struct Home {
    directory: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    /// Makes one; nothing, with a word why, if the test cannot run here.
    pub(crate) fn new(tools: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        for tool in tools {
            let found = Command::new("sh")
                .args(["-c", &format!("command -v {tool}")])
                .output();
            if !found.unwrap().status.success() {
                eprintln!("skipped: {tool} is missing");
                return None;
            }
        }
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let tree = directory.path().join("tree");
        for sub in ["bin", "etc", "tmp"] {
            fs::create_dir_all(tree.join(sub)).unwrap();
        }
        fs::copy("/bin/busybox", tree.join("bin/busybox")).unwrap();
        std::os::unix::fs::symlink("busybox", tree.join("bin/sh")).unwrap();
        let home = Self { directory };
        home.file("tree/etc/passwd", b"root:x:0:0::/:/bin/sh\n");
        Some(home)
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the root of an installation, the one called `root` being the usual one.
    pub(crate) fn root(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) {
        let mut file = fs::File::create(self.path().join(name)).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// Runs a line of shell in the directory, where `hull` is the program.
    pub(crate) fn sh(&self, line: &str) -> Said {
        self.sh_in("root", line)
    }

    /// The same with another installation.
    pub(crate) fn sh_in(&self, root: &str, line: &str) -> Said {
        let program = Path::new(env!("CARGO_BIN_EXE_hull"));
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(self.path())
            .env("HULL_ROOT", self.root(root))
            .env(
                "PATH",
                format!("{}:{path}", program.parent().unwrap().display()),
            )
            .stdin(Stdio::null())
            .output()
            .unwrap();
        output.into()
    }

    /// Runs a line that must work, and returns what it printed.
    pub(crate) fn ok(&self, line: &str) -> String {
        let said = self.sh(line);
        assert_eq!(said.code, 0, "{line}: {said:?}");
        said.out
    }

    /// Runs a line that must fail, and returns what was said about it.
    pub(crate) fn fails(&self, line: &str) -> String {
        let said = self.sh(line);
        assert_ne!(said.code, 0, "{line}: {said:?}");
        said.err
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
