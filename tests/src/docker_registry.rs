//! Debian's docker-registry, on a port of loopback.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::eventually;

/// A registry until it is dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    child: Child,
    port: u16,
}

impl DockerRegistry {
    /// Starts one that keeps its configuration and its images in `directory`; `more` is added to the part `http` of the
    /// configuration and after it. None, with the reason told, if it is not installed.
    pub fn start(directory: &Path, more: &str) -> Option<Self> {
        let config = directory.join("registry.yml");
        let port = free_port();
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n{more}",
            directory.join("registry").display()
        );
        let written =
            std::fs::File::create(&config).and_then(|mut file| file.write_all(text.as_bytes()));
        written.expect("the directory can be written to");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                crate::skip(&format!("docker-registry cannot be started: {error}"));
                return None;
            }
        };
        let registry = Self { child, port };
        eventually("docker-registry listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(registry)
    }

    /// Returns its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the reference of an image in it.
    pub fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("loopback has a free port")
        .port()
}
