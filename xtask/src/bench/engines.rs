//! podman and docker: the same image in storage of their own, `run --rm --network none`, counted with everything they keep running.
//!
//! dockerd and its containerd are started here, inside the cgroup that counts, and their idle work is only counted while docker is
//! measured.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::Resource;

use super::ground::{Ground, IMAGE};
use super::meter::{Meter, Mounts};
use super::peers::{Peer, below_parent, hard_limit};
use crate::run;

pub(crate) fn podman(ground: &Ground) -> Result<Peer> {
    let meter = Meter::lasting("podman")?;
    let storage = ground.directory("peers/podman")?;
    let parent = format!("{}/podman", meter.parent());
    let podman = move || {
        let mut command = Command::new("podman");
        command.args([
            "--cgroup-manager",
            "cgroupfs",
            "--storage-driver",
            "overlay",
            "--root",
        ]);
        command
            .arg(storage.join("storage"))
            .arg("--runroot")
            .arg(storage.join("run"));
        command
    };
    run::checked(podman().arg("import").arg(ground.archive()).arg(IMAGE))
        .context("podman cannot import the image")?;
    Ok(Peer {
        name: "podman".to_owned(),
        // Its runtime is crun, which refuses a hybrid host.
        mounts: Mounts::WithoutUnified,
        meter,
        directories: below_parent(meter)?,
        command: Box::new(move |_| {
            let mut command = podman();
            command.args([
                "run",
                "--rm",
                "--network",
                "none",
                "--cgroup-parent",
                &parent,
            ]);
            command.args(ulimits()).args([IMAGE, "true"]);
            command
        }),
    })
}

pub(crate) fn docker(ground: &Ground) -> Result<Peer> {
    if !run::is_installed("dockerd") {
        bail!("only the client is installed");
    }
    let meter = Meter::lasting("docker")?;
    let daemon = Daemon::start(&ground.directory("peers/docker")?, meter)?;
    run::checked(
        daemon
            .docker()
            .arg("import")
            .arg(ground.archive())
            .arg(IMAGE),
    )
    .context("docker cannot import the image")?;
    Ok(Peer {
        name: "docker".to_owned(),
        mounts: Mounts::Ours,
        meter,
        directories: below_parent(meter)?,
        command: Box::new(move |_| {
            let mut command = daemon.docker();
            command
                .args(["run", "--rm", "--network", "none"])
                .args(ulimits())
                .args([IMAGE, "true"]);
            command
        }),
    })
}

/// Limits that every machine lets them set: their own default ones are refused where root lacks CAP_SYS_RESOURCE.
fn ulimits() -> [String; 4] {
    let option = || "--ulimit".to_owned();
    [
        option(),
        format!("nofile=1024:{}", hard_limit(Resource::Nofile)),
        option(),
        "nproc=1000:1000".to_owned(),
    ]
}

/// A dockerd of our own; it ends with this value.
#[derive(Debug)]
struct Daemon {
    process: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(dir: &Path, meter: &Meter) -> Result<Self> {
        let config = dir.join("daemon.json");
        std::fs::write(&config, "{}\n")?;
        let log = std::fs::File::create(dir.join("log"))?;
        let socket = dir.join("socket");
        let mut command = Command::new("dockerd");
        command
            .arg("--config-file")
            .arg(&config)
            .arg("--data-root")
            .arg(dir.join("data"));
        command
            .arg("--exec-root")
            .arg(dir.join("exec"))
            .arg("--pidfile")
            .arg(dir.join("pid"));
        command
            .arg("--host")
            .arg(format!("unix://{}", socket.display()));
        command.args([
            "--bridge",
            "none",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-masq=false",
        ]);
        command.args([
            "--exec-opt",
            "native.cgroupdriver=cgroupfs",
            "--storage-driver",
            "overlay2",
        ]);
        command
            .arg("--cgroup-parent")
            .arg(format!("{}/docker", meter.parent()));
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let daemon = Self {
            process: meter.spawn(&mut command)?,
            socket,
        };
        let began = Instant::now();
        while !run::ended(daemon.docker().arg("version"))?.succeeded() {
            if began.elapsed() > Duration::from_secs(30) {
                bail!("dockerd does not answer; its log is in {}", dir.display());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(daemon)
    }

    fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        command
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        run::ended(Command::new("kill").arg(pid)).ok();
        self.process.wait().ok();
    }
}
