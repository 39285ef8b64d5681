//! The stage for tests: network namespaces that play the host, an outside world and pods. The real host is never touched.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hull_net::{
    Attachment, NetError, Network, Networks, Pool, PortMap, Reservations, parse_publish,
};
use hull_types::PodId;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

pub(crate) const HOST: &str = "192.0.2.1";
pub(crate) const OUTSIDE: &str = "192.0.2.2";

/// How long a packet that is dropped is waited for.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A network namespace, kept by a process that sleeps in it.
#[derive(Debug)]
pub(crate) struct Netns {
    keeper: Child,
}

impl Netns {
    pub(crate) fn new() -> Self {
        Self::unshared(&["--net"])
    }

    /// As pods have it: owned by a user namespace of its own.
    pub(crate) fn in_user_namespace() -> Self {
        Self::unshared(&["--user", "--map-root-user", "--net"])
    }

    fn unshared(flags: &[&str]) -> Self {
        let mut keeper = Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", "echo ready; exec sleep 600"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is installed");
        let mut ready = [0; 6];
        keeper
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        Self { keeper }
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.keeper.id()))
    }

    pub(crate) fn open(&self) -> File {
        File::open(self.path()).unwrap()
    }

    /// Runs `work` on a thread that stands in the namespace.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let netns = self.open();
        std::thread::scope(|scope| {
            let done = scope.spawn(|| {
                move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            done.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a shell line and returns what it printed; panics when it fails.
    pub(crate) fn run(&self, line: &str) -> String {
        let output = self.shell(line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{line}` failed: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a shell line and tells whether it succeeded.
    pub(crate) fn try_run(&self, line: &str) -> bool {
        self.shell(line).status.success()
    }

    fn shell(&self, line: &str) -> Output {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.path().display()))
            .args(["sh", "-c", line]);
        command.output().unwrap()
    }

    /// Starts a server that tells whoever connects its address.
    pub(crate) fn serve(&self, address: &str) -> Server {
        let address: SocketAddr = address.parse().unwrap();
        let listener = self.inside(|| TcpListener::bind(address).unwrap());
        listener.set_nonblocking(true).unwrap();
        Server::start(move || match listener.accept() {
            Ok((mut caller, from)) => drop(write!(caller, "{}", from.ip())),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        })
    }

    /// Starts a server that answers datagrams with the address they came from.
    pub(crate) fn serve_datagrams(&self, address: &str) -> Server {
        let address: SocketAddr = address.parse().unwrap();
        let socket = self.inside(|| UdpSocket::bind(address).unwrap());
        socket
            .set_read_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        Server::start(move || {
            if let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
                socket.send_to(from.ip().to_string().as_bytes(), from).ok();
            }
        })
    }

    /// Connects and returns by which address the server sees the caller; `None` when nobody answers.
    pub(crate) fn ask(&self, server: &str) -> Option<String> {
        let server: SocketAddr = server.parse().unwrap();
        self.inside(|| {
            let mut stream = TcpStream::connect_timeout(&server, PATIENCE).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut told = String::new();
            stream.read_to_string(&mut told).ok()?;
            Some(told)
        })
    }

    /// Sends a datagram and returns by which address the server sees the sender.
    pub(crate) fn ask_by_datagram(&self, server: &str) -> Option<String> {
        self.inside(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.send_to(b"who", server).ok()?;
            let mut told = [0; 64];
            let (length, _) = socket.recv_from(&mut told).ok()?;
            Some(String::from_utf8_lossy(&told[..length]).into_owned())
        })
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        self.keeper.kill().ok();
        self.keeper.wait().ok();
    }
}

/// A server on a thread of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(mut turn: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                turn();
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// The host and the world outside it, joined by one wire.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) host: Netns,
    pub(crate) outside: Netns,
    pub(crate) root: TempDir,
}

impl Scene {
    fn build() -> Self {
        let (host, outside) = (Netns::new(), Netns::new());
        let root = tempfile::tempdir().unwrap();
        // A new namespace takes this over from the real host.
        host.run(&format!(
            "echo 0 > /proc/sys/net/ipv4/ip_forward && ip link set lo up && ip link add wire mtu 1400 type veth peer name wire mtu 1400 netns {}",
            outside.path().display()
        ));
        host.run(&format!("ip addr add {HOST}/24 dev wire && ip link set wire up && ip route add default via {OUTSIDE}"));
        outside.run(&format!(
            "ip link set lo up && ip addr add {OUTSIDE}/24 dev wire && ip link set wire up"
        ));
        Self {
            host,
            outside,
            root,
        }
    }

    pub(crate) fn networks(&self) -> Networks {
        Networks::open(self.root.path(), Pool::default()).unwrap()
    }

    /// Names of the links below the default network's directory.
    pub(crate) fn claims(&self, part: &str) -> Vec<String> {
        let dir = self.root.path().join("networks/bridge").join(part);
        let mut names: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Runs a test on a stage of its own, with the thread standing in the host's namespace. Says so when it cannot.
pub(crate) fn on_stage(test: impl FnOnce(&Scene) + Send) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: network namespaces need root");
        return;
    }
    let scene = Scene::build();
    scene.host.inside(|| test(&scene));
}

/// A pod that is connected.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) netns: Netns,
    pub(crate) id: PodId,
    pub(crate) attachment: Attachment,
    pub(crate) reservations: Reservations,
    server: Option<Server>,
}

pub(crate) fn pod_id(byte: u8) -> PodId {
    PodId::from_random([byte; 16])
}

pub(crate) fn ports(publish: &[&str]) -> Vec<PortMap> {
    publish
        .iter()
        .flat_map(|text| parse_publish(text).unwrap())
        .collect()
}

impl Pod {
    pub(crate) fn attach(
        networks: &Networks,
        byte: u8,
        publish: &[&str],
    ) -> Result<Self, NetError> {
        let network = networks.default_network()?;
        Self::attach_to(
            networks,
            &network,
            Netns::in_user_namespace(),
            pod_id(byte),
            publish,
        )
    }

    pub(crate) fn attach_to(
        networks: &Networks,
        network: &Network,
        netns: Netns,
        id: PodId,
        publish: &[&str],
    ) -> Result<Self, NetError> {
        let (attachment, reservations) =
            networks.attach(netns.open().as_fd(), network, &id, &ports(publish))?;
        Ok(Self {
            netns,
            id,
            attachment,
            reservations,
            server: None,
        })
    }

    /// A pod with a server in it.
    pub(crate) fn serving(scene: &Scene, byte: u8, publish: &[&str]) -> Self {
        let mut pod = Self::attach(&scene.networks(), byte, publish).unwrap();
        pod.server = Some(pod.netns.serve("0.0.0.0:80"));
        pod
    }

    /// The address and port of its server.
    pub(crate) fn direct(&self) -> String {
        format!("{}:80", self.address())
    }

    pub(crate) fn detach(self, networks: &Networks) {
        networks
            .detach(&self.id, &self.attachment, &self.reservations)
            .unwrap();
    }

    pub(crate) fn address(&self) -> Ipv4Addr {
        self.attachment.address
    }
}
