//! What is left after pods that were detached, and after pods that were killed.

use crate::scene::{HOST, Netns, Pod, on_stage, pod_id};
use hull_types::PodId;

fn random_pod(number: u8) -> PodId {
    let mut bytes = [number; 16];
    bytes[0] = 0xaa;
    bytes[15] = number.wrapping_mul(31);
    PodId::from_random(bytes)
}

#[test]
fn root_detach_leaves_nothing() {
    on_stage(|scene| {
        let networks = scene.networks();
        let pod = Pod::attach(&networks, 1, &["8080:80", "127.0.0.1:5353:53/udp"]).unwrap();
        assert_eq!(scene.claims("leases"), [pod.address().to_string()]);
        assert_eq!(
            scene.claims("ports"),
            ["tcp-0.0.0.0-8080", "udp-127.0.0.1-5353"]
        );
        pod.detach(&networks);
        assert!(scene.claims("leases").is_empty());
        assert!(scene.claims("ports").is_empty());
        let table = scene.host.run("nft list ruleset");
        assert_eq!(table.matches("elements").count(), 2, "{table}");
    });
}

#[test]
fn root_a_hundred_dead_pods_leave_nothing_after_collect() {
    on_stage(|scene| {
        let networks = scene.networks();
        let network = networks.default_network().unwrap();
        // Three that something else keeps: a process in the namespace of a pod that is dead.
        let mut pinned = Vec::new();
        for number in 0..100 {
            let ports = format!("{}:80", 20_000 + u16::from(number));
            let pod = random_pod(number);
            let pod = Pod::attach_to(&networks, &network, Netns::new(), pod, &[&ports]).unwrap();
            if number % 33 == 0 {
                pinned.push(pod.netns);
            }
        }
        let live = Pod::serving(scene, 200, &["8080:80"]);
        assert_eq!(scene.claims("leases").len(), 101);
        let collected = networks.collect(|pod| *pod == live.id).unwrap();
        assert_eq!((collected.leases, collected.ports), (100, 100));
        assert!(collected.interfaces >= pinned.len(), "{collected:?}");
        assert_eq!(scene.claims("leases"), [live.address().to_string()]);
        assert_eq!(scene.claims("ports"), ["tcp-0.0.0.0-8080"]);
        assert_eq!(
            scene
                .host
                .run("nft list map ip hull any_address")
                .matches(" : ")
                .count(),
            2
        );
        assert_eq!(
            scene
                .host
                .run("ip -o link show master hull0 | wc -l")
                .trim(),
            "1"
        );
        assert!(scene.outside.ask(&format!("{HOST}:8080")).is_some());
        assert_eq!(
            networks.collect(|pod| *pod == live.id).unwrap(),
            Default::default()
        );
    });
}

#[test]
fn root_a_dead_pods_port_passes_to_the_next_and_stays_there() {
    on_stage(|scene| {
        let networks = scene.networks();
        // As after kill -9: the sockets are gone, records and elements are not.
        let dead = Pod::attach(&networks, 1, &["8080:80"]).unwrap();
        let (dead_id, dead_address) = (dead.id, dead.address());
        drop(dead);
        let next = Pod::serving(scene, 2, &["8080:80"]);
        assert_ne!(next.address(), dead_address);
        assert!(scene.outside.ask(&format!("{HOST}:8080")).is_some());
        let collected = networks.reap(&dead_id).unwrap();
        assert_eq!((collected.leases, collected.ports), (1, 0));
        assert!(scene.outside.ask(&format!("{HOST}:8080")).is_some());
        assert_eq!(scene.claims("ports"), ["tcp-0.0.0.0-8080"]);
    });
}

#[test]
fn root_a_dead_pods_element_gives_a_port_back_to_the_host() {
    on_stage(|scene| {
        let networks = scene.networks();
        drop(Pod::attach(&networks, 1, &["8080:80"]).unwrap());
        let _service = scene.host.serve("0.0.0.0:8080");
        assert_eq!(scene.outside.ask(&format!("{HOST}:8080")), None);
        networks.reap(&pod_id(1)).unwrap();
        assert!(scene.outside.ask(&format!("{HOST}:8080")).is_some());
    });
}

#[test]
fn root_a_failed_attach_takes_everything_back() {
    on_stage(|scene| {
        let networks = scene.networks();
        let network = networks.default_network().unwrap();
        let netns = Netns::new();
        netns.run("ip link add eth0 type bridge");
        let failed = Pod::attach_to(&networks, &network, netns, pod_id(1), &["8080:80"]);
        assert!(
            failed
                .unwrap_err()
                .to_string()
                .starts_with("cannot make a pair of interfaces on hull0")
        );
        assert!(scene.claims("leases").is_empty() && scene.claims("ports").is_empty());
        assert_eq!(
            scene
                .host
                .run("ip -o link show master hull0 | wc -l")
                .trim(),
            "0"
        );
    });
}
