//! Pods reach each other, their host and the world.

use crate::scene::{HOST, Netns, OUTSIDE, Pod, on_stage, pod_id};
use hull_net::{NetError, Networks, Pool};
use std::os::fd::AsFd;

fn pings(from: &Netns, to: impl std::fmt::Display) -> bool {
    from.try_run(&format!("busybox ping -c 1 -W 2 {to}"))
}

#[test]
fn root_pods_reach_each_other_their_host_and_the_world() {
    on_stage(|scene| {
        let networks = scene.networks();
        let one = Pod::attach(&networks, 1, &[]).unwrap();
        let two = Pod::attach(&networks, 2, &[]).unwrap();
        assert!(pings(&one.netns, two.address()));
        assert!(pings(&two.netns, one.address()));
        assert!(pings(&one.netns, one.attachment.gateway));
        assert!(pings(&scene.host, one.address()));
        // The outside has no route to the pod: only a masqueraded packet finds back.
        assert!(pings(&one.netns, OUTSIDE));
        assert!(pings(&one.netns, "127.0.0.1"));
        assert!(pings(&one.netns, one.address()));
        let route = one.netns.run("ip route show default");
        assert_eq!(
            route.trim(),
            format!(
                "default via {} dev eth0 proto static",
                one.attachment.gateway
            )
        );
    });
}

#[test]
fn root_an_interface_is_what_the_attachment_says() {
    on_stage(|scene| {
        let pod = Pod::attach(&scene.networks(), 7, &[]).unwrap();
        let shown = pod
            .netns
            .run("ip -o link show eth0; ip -o -4 addr show eth0; ip -o -6 addr show");
        let attachment = &pod.attachment;
        assert!(shown.contains(&attachment.mac.to_string()), "{shown}");
        assert!(
            shown.contains(&format!("{}/16 brd", attachment.address)),
            "{shown}"
        );
        // The wire's, which is the way out.
        assert_eq!(attachment.mtu, 1400);
        assert!(shown.contains("mtu 1400"), "{shown}");
        assert!(
            shown.contains("inet6 ::1/128") && !shown.contains("fe80"),
            "{shown}"
        );
        let host = scene.host.run("ip -o link show; ip -o addr show hull0");
        assert!(
            host.contains(&format!("{}@", attachment.host_interface))
                && host.contains("master hull0"),
            "{host}"
        );
        assert!(
            host.contains("inet 10.88.0.1/16") && !host.contains("hull0    inet6"),
            "{host}"
        );
        assert_eq!(
            attachment.host_interface,
            format!("hv{}", &pod.id.simple()[..8])
        );
        assert_eq!(
            scene.host.run("cat /proc/sys/net/ipv4/ip_forward").trim(),
            "1"
        );
        let record = scene.root.path().join("networks/.forwarding.json");
        assert!(
            std::fs::read_to_string(record)
                .unwrap()
                .contains("ip_forward")
        );
    });
}

#[test]
fn root_a_second_root_finds_a_bridge_and_a_range_of_its_own() {
    on_stage(|scene| {
        let first = Pod::attach(&scene.networks(), 1, &[]).unwrap();
        let root = tempfile::tempdir().unwrap();
        let second = Pod::attach(
            &Networks::open(root.path(), Pool::default()).unwrap(),
            2,
            &[],
        )
        .unwrap();
        assert_eq!(first.attachment.subnet.to_string(), "10.88.0.0/16");
        assert_eq!(second.attachment.subnet.to_string(), "10.89.0.0/16");
        assert!(
            scene
                .host
                .run("ip -o link show master hull1")
                .contains(&second.attachment.host_interface)
        );
    });
}

#[test]
fn root_somebody_elses_bridge_is_left_alone() {
    on_stage(|scene| {
        let networks = scene.networks();
        let network = networks.default_network().unwrap();
        scene.host.run("ip link add hull0 type bridge");
        let error = Pod::attach_to(&networks, &network, Netns::new(), pod_id(1), &[]).unwrap_err();
        assert!(matches!(error, NetError::BridgeTaken { .. }), "{error}");
        assert!(scene.claims("leases").is_empty());
        // As after a reboot: the record is there, the bridge is not.
        scene.host.run("ip link del hull0");
        Pod::attach_to(&networks, &network, Netns::new(), pod_id(1), &[]).unwrap();
    });
}

#[test]
fn root_first_starts_at_once_share_one_network() {
    on_stage(|scene| {
        let attach = |byte| {
            let host = scene.host.open();
            move || {
                let network = Some(rustix::thread::LinkNameSpaceType::Network);
                rustix::thread::move_into_link_name_space(host.as_fd(), network).unwrap();
                Pod::attach(&scene.networks(), byte, &["80"]).unwrap()
            }
        };
        let pods: Vec<_> = std::thread::scope(|scope| {
            let starting: Vec<_> = (0..8).map(|byte| scope.spawn(attach(byte))).collect();
            starting
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        for pod in &pods {
            assert_eq!(pod.attachment.subnet, pods[0].attachment.subnet);
            assert!(pings(&pods[0].netns, pod.address()));
        }
        assert_eq!(scene.claims("leases").len(), 8);
        assert_eq!(
            scene.host.run("ip -o link show type bridge | wc -l").trim(),
            "1"
        );
    });
}

#[test]
fn root_a_pod_starts_again_while_its_old_interface_lingers() {
    on_stage(|scene| {
        let networks = scene.networks();
        let first = Pod::attach(&networks, 5, &[]).unwrap();
        networks
            .detach(&first.id, &first.attachment, &first.reservations)
            .unwrap();
        let again = Pod::attach(&networks, 5, &[]).unwrap();
        assert_eq!(again.address(), first.address());
        assert_ne!(
            again.attachment.host_interface,
            first.attachment.host_interface
        );
        drop(first);
        assert!(pings(&again.netns, OUTSIDE) && pings(&again.netns, HOST));
    });
}

#[test]
fn root_a_full_network_says_so() {
    on_stage(|scene| {
        let networks = Networks::open(scene.root.path(), "10.77.0.0/30".parse().unwrap()).unwrap();
        let _only = Pod::attach(&networks, 1, &[]).unwrap();
        let error = Pod::attach(&networks, 2, &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "network `bridge` has no free address left in 10.77.0.0/30"
        );
    });
}

#[test]
fn root_a_full_bridge_says_so() {
    on_stage(|scene| {
        let networks = scene.networks();
        let _first = Pod::attach(&networks, 1, &[]).unwrap();
        scene.host.run(
            "for i in $(seq 1022); do echo link add x$i master hull0 type veth peer name y$i; done | ip -batch -",
        );
        let error = Pod::attach(&networks, 2, &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "bridge `hull0` is full: the kernel allows 1,023 interfaces on one bridge"
        );
    });
}
