//! `pull` and `run`, from Debian's docker-registry.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::home::Home;

struct Registry {
    child: Child,
    port: u16,
}

impl Registry {
    fn start(home: &Home) -> Self {
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let port = free.port();
        let store = home.path().join("registry");
        home.file(
            "registry.yml",
            format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
                store.display()
            )
            .as_bytes(),
        );
        let child = Command::new("docker-registry")
            .args(["serve", "registry.yml"])
            .current_dir(home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(free).is_err() {
            assert!(Instant::now() < until, "docker-registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn root_images_come_from_a_registry_and_are_shown_coming() {
    let Some(home) = Home::new(&["busybox", "docker-registry", "skopeo", "script"]) else {
        return;
    };
    let registry = Registry::start(&home);
    let name = format!("localhost:{}/team/shop", registry.port);
    // Two layers: a container's changes on top.
    home.ok("hull import tree base && hull create --name c --network none base /bin/sh && hull cp tree/etc/passwd c:/tmp/ && hull commit c shop");
    home.ok(&format!(
        "skopeo copy -q --dest-tls-verify=false oci:root/images:docker.io/library/shop:latest docker://{name}:1"
    ));
    let pulled = home.sh_in("other", &format!("hull pull {name}:1"));
    assert_eq!(pulled.code, 0, "{pulled:?}");
    let lines: Vec<&str> = pulled.out.lines().collect();
    assert_eq!(lines.len(), 8, "{pulled:?}");
    assert_eq!(lines[0], format!("1: Pulling from {name}"));
    assert!(
        lines[1].contains(": Pulling ") && lines[2].ends_with(": Pull complete"),
        "{lines:?}"
    );
    assert_eq!(
        lines[6],
        format!("Status: Downloaded newer image for {name}:1")
    );
    assert_eq!(lines[7], format!("{name}:1"));
    let again = home.sh_in("other", &format!("hull pull {name}:1"));
    assert!(
        again.out.contains("Status: Image is up to date"),
        "{again:?}"
    );
    let quiet = home.sh_in("other", &format!("hull pull -q {name}:1"));
    assert_eq!(quiet.out, format!("{name}:1\n"));
    let digest = &lines[5]["Digest: ".len()..];
    let ran = home.sh_in(
        "third",
        &format!("hull run --rm --network none {name}@{digest} /bin/sh -c 'echo ran'"),
    );
    assert_eq!((ran.code, ran.out.as_str()), (0, "ran\n"), "{ran:?}");
    assert!(ran.err.contains("Pull complete"), "{ran:?}");
    let bars = home.sh_in(
        "fourth",
        &format!("script -qec 'hull pull {name}:1' /dev/null"),
    );
    assert!(
        bars.out.contains("Total: [") && bars.out.contains("Pull complete"),
        "{bars:?}"
    );
}

#[test]
fn root_what_a_registry_does_not_have_is_explained() {
    let Some(home) = Home::new(&["busybox", "docker-registry", "skopeo"]) else {
        return;
    };
    let registry = Registry::start(&home);
    let host = format!("localhost:{}", registry.port);
    home.ok(&format!("hull import tree {host}/shop:1"));
    home.ok(&format!(
        "skopeo copy -q --dest-tls-verify=false oci:root/images:{host}/shop:1 docker://{host}/shop:1"
    ));
    for verb in ["pull", "run --rm --network none"] {
        let said = home.sh(&format!("hull {verb} {host}/shpo:1"));
        let near = format!("hint: did you mean {host}/shop:1?");
        assert!(said.code != 0 && said.err.contains(&near), "{said:?}");
    }
    let platform = home.fails(&format!("hull pull --platform linux/s390x {host}/shop:1"));
    assert!(platform.contains("is for linux/"), "{platform}");
    // What is not loopback must be named before plain HTTP is spoken to it.
    let Some(address) = address() else {
        eprintln!("skipped the rest: this machine has no address but loopback");
        return;
    };
    let forwarded = format!("{address}:{}", forward(&address, registry.port));
    let refused = home.fails(&format!("hull pull {forwarded}/shop:1"));
    let hint = format!("say so: `--insecure-registry {forwarded}`");
    assert!(refused.contains(&hint), "{refused}");
    home.ok(&format!(
        "hull pull --insecure-registry {forwarded} {forwarded}/shop:1"
    ));
}

/// Returns an address of this machine that is not loopback.
fn address() -> Option<String> {
    let output = Command::new("hostname").arg("-I").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let address = text.split_whitespace().find(|word| !word.contains(':'));
    address.map(str::to_owned)
}

/// Makes the registry reachable under another address, and returns the port there.
fn forward(address: &str, port: u16) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                std::io::copy(&mut from, &mut to).ok();
                to.shutdown(std::net::Shutdown::Write).ok();
            });
            let (mut from, mut to) = (server, client);
            std::thread::spawn(move || {
                std::io::copy(&mut from, &mut to).ok();
                to.shutdown(std::net::Shutdown::Write).ok();
            });
        }
    });
    own
}
