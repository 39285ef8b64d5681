//! Debian's docker-registry.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::eventually;

/// A registry until it is dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    child: Child,
    address: &'static str,
    port: u16,
}

impl DockerRegistry {
    /// Starts one on loopback that keeps its configuration and its images in `directory`; `more` is added to the part `http` of the
    /// configuration and after it. None, with the reason told, if it is not installed.
    pub fn start(directory: &Path, more: &str) -> Option<Self> {
        Self::start_at("127.0.0.1", directory, more)
    }

    /// The same on another address of this host's.
    pub fn start_at(address: &'static str, directory: &Path, more: &str) -> Option<Self> {
        let config = directory.join("registry.yml");
        let port = free_port(address);
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}:{port}\n{more}",
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
        let registry = Self {
            child,
            address,
            port,
        };
        eventually("docker-registry listens", || {
            TcpStream::connect((address, port)).is_ok()
        });
        Some(registry)
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its address and port.
    pub fn host(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    /// Returns the reference of an image in it.
    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.host())
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free_port(address: &str) -> u16 {
    TcpListener::bind((address, 0))
        .and_then(|listener| listener.local_addr())
        .expect("this host has the address, and a free port")
        .port()
}
