//! How much processor time connecting costs, beside the programs that do the same. Run by hand:
//! `cargo test -p hull-net --test it -- --ignored --nocapture root_speed`

use std::os::fd::AsFd;
use std::time::Duration;

use crate::scene::{Netns, Scene, on_stage, pod_id, ports};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: u8 = 60;

fn spent() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        now.tv_sec.unsigned_abs(),
        u32::try_from(now.tv_nsec).unwrap(),
    )
}

/// User and system time of ended children, in clock ticks turned to time.
fn children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[13..15]
        .iter()
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
#[ignore = "a measurement"]
fn root_speed_of_attach_and_detach() {
    on_stage(|scene| {
        measure(scene, "alone", &[]);
        measure(scene, "alone", &["8080:80"]);
        beside_programs();
        crowd(scene);
        measure(
            scene,
            "beside 1,000 leases, 1,000 published ports and 900 interfaces",
            &[],
        );
        measure(
            scene,
            "beside 1,000 leases, 1,000 published ports and 900 interfaces",
            &["8080:80"],
        );
    });
}

fn measure(scene: &Scene, when: &str, publish: &[&str]) {
    let networks = scene.networks();
    let ports = ports(publish);
    let (mut attach, mut detach) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let netns = Netns::in_user_namespace();
        let fd = netns.open();
        let before = spent();
        let network = networks.default_network().unwrap();
        let (attachment, held) = networks
            .attach(fd.as_fd(), &network, &pod_id(round), &ports)
            .unwrap();
        attach.push(spent() - before);
        let before = spent();
        networks.detach(&pod_id(round), &attachment, &held).unwrap();
        detach.push(spent() - before);
    }
    let (attach, detach) = (median(attach), median(detach));
    println!(
        "hull, {} ports, {when}: attach {attach:?}, detach {detach:?} CPU",
        ports.len()
    );
}

fn beside_programs() {
    let before = children();
    (0..ROUNDS).for_each(|round| by_programs(&Netns::in_user_namespace(), round));
    let both = (children() - before) / u32::from(ROUNDS);
    let before = children();
    (0..ROUNDS).for_each(|_| drop(Netns::in_user_namespace()));
    let namespace = (children() - before) / u32::from(ROUNDS);
    println!(
        "ip and nft, 1 port: attach and detach {:?} CPU",
        both - namespace
    );
}

/// Fills the network as a thousand pods would.
fn crowd(scene: &Scene) {
    let leases = scene.root.path().join("networks/bridge/leases");
    scene.host.run(&format!(
        "cd {} && for i in $(seq 1000); do ln -s 11111111-1111-4111-9111-111111111111 10.88.$((i / 250 + 100)).$((i % 250 + 1)); done; \
         for i in $(seq 1000); do echo add element ip hull any_address {{ tcp . $((20000 + i)) : 10.88.9.9 . 80 }}; done | nft -f - && \
         echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 && \
         for i in $(seq 900); do echo link add x$i up master hull0 type veth peer name y$i; echo link set y$i up; done | ip -batch -",
        leases.display()
    ));
}

/// What attach and detach do, by `ip -batch` and `nft`.
fn by_programs(netns: &Netns, round: u8) {
    let path = netns.path();
    let path = path.display();
    let lines = [
        format!(
            "ip link add hx{round} mtu 1400 up master hull0 type veth peer name eth0 address 02:48:0a:58:01:{round:02x} mtu 1400 netns {path}"
        ),
        format!(
            "printf 'link set lo up\nlink set eth0 up\naddr add 10.88.1.{round}/16 dev eth0\nroute add default via 10.88.0.1\n' | nsenter --net={path} ip -batch -"
        ),
        format!("nft add element ip hull any_address '{{ tcp . 8080 : 10.88.1.{round} . 80 }}'"),
        "nft delete element ip hull any_address '{ tcp . 8080 }'".to_owned(),
    ];
    let script = lines.join(" && ");
    let done = std::process::Command::new("sh")
        .args(["-c", &script])
        .status()
        .unwrap();
    assert!(done.success());
}
