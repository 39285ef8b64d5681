//! Published ports, asked for from everywhere.

use crate::scene::{HOST, OUTSIDE, Pod, on_stage};
use hull_net::NetError;

#[test]
fn root_published_ports_answer_where_they_were_published() {
    on_stage(|scene| {
        let publish = [
            "8080:80",
            "127.0.0.1:8081:80",
            "127.0.0.7:8082:80",
            "192.0.2.1:8083:80",
            "192.0.2.1::80",
        ];
        let pod = Pod::serving(scene, 1, &publish);
        let other = Pod::attach(&scene.networks(), 2, &[]).unwrap();
        let gateway = pod.attachment.gateway.to_string();
        let chosen = pod.attachment.ports[4].host_port;
        let host = |server: &str| scene.host.ask(server);
        let outside = |server: &str| scene.outside.ask(server);

        // From outside, the caller's address is kept.
        assert_eq!(outside(&format!("{HOST}:8080")).as_deref(), Some(OUTSIDE));
        assert_eq!(outside(&format!("{HOST}:8083")).as_deref(), Some(OUTSIDE));
        assert_eq!(
            outside(&format!("{HOST}:{chosen}")).as_deref(),
            Some(OUTSIDE)
        );
        assert_eq!(outside(&format!("{HOST}:8081")), None);
        assert_eq!(outside(&format!("{HOST}:8082")), None);

        // From the host itself; a loopback source becomes the bridge's.
        assert_eq!(host("127.0.0.1:8080").as_deref(), Some(&*gateway));
        assert_eq!(host("127.0.0.1:8081").as_deref(), Some(&*gateway));
        assert_eq!(host("127.0.0.7:8082").as_deref(), Some(&*gateway));
        assert!(host(&format!("{HOST}:8080")).is_some());
        assert!(host(&format!("{HOST}:8083")).is_some());
        assert_eq!(host("127.0.0.1:8083"), None);
        assert_eq!(host("127.0.0.1:8082"), None);

        // From a neighbour, and from the pod itself; with the bridge asking the translation, and without.
        let askings = [("1", &other), ("1", &pod), ("0", &other), ("0", &pod)];
        for (by_bridge, asking) in askings {
            scene.host.run(&format!(
                "echo {by_bridge} > /proc/sys/net/bridge/bridge-nf-call-iptables || true"
            ));
            assert!(asking.netns.ask(&format!("{HOST}:8080")).is_some());
            assert!(asking.netns.ask(&format!("{gateway}:8080")).is_some());
            assert_eq!(asking.netns.ask(&format!("{gateway}:8083")), None);
        }
        // Directly, without translation.
        let neighbour = other.address().to_string();
        assert_eq!(other.netns.ask(&pod.direct()).as_deref(), Some(&*neighbour));
    });
}

#[test]
fn root_datagrams_are_published() {
    on_stage(|scene| {
        let pod = Pod::attach(&scene.networks(), 1, &["5353:53/udp"]).unwrap();
        let _server = pod.netns.serve_datagrams("0.0.0.0:53");
        let answer = scene.outside.ask_by_datagram(&format!("{HOST}:5353"));
        assert_eq!(answer.as_deref(), Some(OUTSIDE));
        let answer = scene.host.ask_by_datagram("127.0.0.1:5353");
        assert_eq!(answer, Some(pod.attachment.gateway.to_string()));
    });
}

#[test]
fn root_a_client_that_never_pauses_reaches_the_pod_that_comes_later() {
    on_stage(|scene| {
        let networks = scene.networks();
        scene.outside.inside(|| {
            let client = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            client
                .set_read_timeout(Some(std::time::Duration::from_millis(300)))
                .unwrap();
            let ask = || {
                // Twice: an error that came back for the last datagram is told on the next call.
                for _ in 0..2 {
                    client.send_to(b"who", format!("{HOST}:5353")).ok();
                    if client.recv_from(&mut [0; 64]).is_ok() {
                        return true;
                    }
                }
                false
            };
            assert!(!ask());
            for byte in 1..3 {
                let pod = scene
                    .host
                    .inside(|| Pod::attach(&networks, byte, &["5353:53/udp"]).unwrap());
                let server = pod.netns.serve_datagrams("0.0.0.0:53");
                // The server may be slow to come on a busy machine; a translation of old that the client keeps alive would stay.
                assert!((0..10).any(|_| ask()), "pod {byte}");
                drop(server);
                scene.host.inside(|| pod.detach(&networks));
                assert!(!ask());
            }
        });
    });
}

#[test]
fn root_a_pods_own_connections_to_a_published_number_go_where_they_should() {
    on_stage(|scene| {
        let world = crate::scene::Netns::new();
        scene.outside.run(&format!(
            "ip link add far type veth peer name far netns {} && ip addr add 198.51.100.1/24 dev far && ip link set far up \
             && echo 1 > /proc/sys/net/ipv4/ip_forward",
            world.path().display()
        ));
        world.run("ip addr add 198.51.100.2/24 dev far && ip link set far up && ip route add default via 198.51.100.1");
        let _far = world.serve("0.0.0.0:8080");
        let _server = Pod::serving(scene, 1, &["8080:80"]);
        let pod = Pod::attach(&scene.networks(), 2, &[]).unwrap();
        assert_eq!(pod.netns.ask("198.51.100.2:8080").as_deref(), Some(HOST));
    });
}

#[test]
fn root_a_port_in_use_is_refused_and_its_pod_named() {
    on_stage(|scene| {
        let networks = scene.networks();
        let first = Pod::attach(&networks, 1, &["8080:80", "9000:90/udp"]).unwrap();
        for (publish, port) in [
            ("8080:80", "8080/tcp"),
            ("127.0.0.1:8080:1", "8080/tcp"),
            ("9000:1/udp", "9000/udp"),
        ] {
            let error = Pod::attach(&networks, 2, &[publish]).unwrap_err();
            assert!(matches!(error, NetError::PortInUse { .. }), "{error}");
            let text = error.to_string();
            assert!(text.starts_with(&format!("port {port} of ")), "{text}");
            assert!(
                text.ends_with(&format!("in use by pod {}", first.id)),
                "{text}"
            );
        }
        // Another protocol's ports are others.
        let second = Pod::attach(&networks, 2, &["8080:80/udp"]).unwrap();
        second.detach(&networks);
        let listener = std::net::TcpListener::bind("127.0.0.1:7000").unwrap();
        let error = Pod::attach(&networks, 3, &["7000:80"]).unwrap_err();
        assert_eq!(error.to_string(), "port 7000/tcp of 0.0.0.0 is in use");
        assert_eq!(scene.claims("leases").len(), 1);
        drop(listener);
        // The other way round: a program cannot have a published port.
        assert!(std::net::TcpListener::bind("0.0.0.0:8080").is_err());
        assert!(std::net::TcpListener::bind("127.0.0.1:8080").is_err());
        first.detach(&networks);
        std::net::TcpListener::bind("0.0.0.0:8080").unwrap();
    });
}
