//! Our table, and other people's.

use crate::scene::{HOST, Pod, Scene, on_stage};

const OURS: &str = r#"table ip hull {
	set bridges {
		type ifname
		elements = { "hull0" }
	}

	set ranges {
		type ipv4_addr
		flags interval
		elements = { 10.88.0.0/16 }
	}

	map any_address {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { tcp . 8080 : ADDRESS . 80 }
	}

	map one_address {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
		elements = { 127.0.0.1 . udp . 5353 : ADDRESS . 53 }
	}

	chain publish {
		dnat ip to ip daddr . meta l4proto . th dport map @one_address
		dnat ip to meta l4proto . th dport map @any_address
	}

	chain loopback {
		type filter hook prerouting priority raw; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
	}

	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump publish
	}

	chain output {
		type nat hook output priority -100; policy accept;
		fib daddr type local jump publish
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		oifname @bridges iifname != @bridges ct direction original ct status ! dnat drop
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr @ranges oifname != @bridges masquerade
		ip saddr @ranges oifname @bridges ct status dnat masquerade
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
	}
}
"#;

#[test]
fn root_the_table_reads_as_written_here() {
    on_stage(|scene| {
        let pod = Pod::attach(&scene.networks(), 1, &["8080:80", "127.0.0.1:5353:53/udp"]).unwrap();
        let expected = OURS.replace("ADDRESS", &pod.address().to_string());
        assert_eq!(scene.host.run("nft list ruleset"), expected);
        pod.detach(&scene.networks());
        let left = scene.host.run("nft list ruleset");
        assert_eq!(left.matches("elements").count(), 2, "{left}");
    });
}

fn delete_rule(scene: &Scene, chain: &str) {
    scene.host.run(&format!("nft flush chain ip hull {chain}"));
}

#[test]
fn root_loopback_is_out_of_reach_for_neighbours_and_pods() {
    on_stage(|scene| {
        let pod = Pod::serving(scene, 1, &["127.0.0.1:8081:80"]);
        // The neighbour and the pod send packets for 127.0.0.1 over the wire, by hardware address.
        let confuse = |dev: &str, via: &str| {
            format!(
                "echo 1 > /proc/sys/net/ipv4/conf/{dev}/route_localnet; ip addr flush dev lo; \
                 ip route del local 127.0.0.0/8 dev lo table local; ip route del local 127.0.0.1 dev lo table local; \
                 ip route add 127.0.0.1 via {via} dev {dev} src $(ip -o -4 addr show {dev} | sed 's/.*inet \\([0-9.]*\\).*/\\1/')"
            )
        };
        scene.outside.run(&confuse("wire", HOST));
        assert_eq!(scene.outside.ask("127.0.0.1:8081"), None);

        let attacker = Pod::attach(&scene.networks(), 2, &[]).unwrap();
        attacker
            .netns
            .run(&confuse("eth0", &attacker.attachment.gateway.to_string()));
        let _service = scene.host.serve("127.0.0.1:7000");
        assert!(scene.host.ask("127.0.0.1:7000").is_some());
        assert_eq!(attacker.netns.ask("127.0.0.1:7000"), None);
        assert!(scene.host.ask("127.0.0.1:8081").is_some());

        // That it was our rule that kept them out: without it both get in.
        delete_rule(scene, "loopback");
        assert!(scene.outside.ask("127.0.0.1:8081").is_some());
        assert!(attacker.netns.ask("127.0.0.1:7000").is_some());
        drop(pod);
    });
}

#[test]
fn root_ports_nobody_published_are_out_of_reach_from_outside() {
    on_stage(|scene| {
        let pod = Pod::serving(scene, 1, &["8080:80"]);
        scene
            .outside
            .run(&format!("ip route add 10.88.0.0/16 via {HOST}"));
        let direct = pod.direct();
        assert_eq!(scene.outside.ask(&direct), None);
        assert!(scene.outside.ask(&format!("{HOST}:8080")).is_some());
        assert!(scene.host.ask(&direct).is_some());
        delete_rule(scene, "forward");
        assert!(scene.outside.ask(&direct).is_some());
    });
}

const ADMIN: &str = "table inet filter {
    chain forward { type filter hook forward priority 0; policy drop; counter
    }
    chain input { type filter hook input priority 0; policy accept; tcp dport 22 accept
    }
}
table ip nat {
    chain prerouting { type nat hook prerouting priority -100; tcp dport 2222 redirect to :22
    }
}
";

#[test]
fn root_the_administrators_tables_stay_as_they_are_and_decide() {
    on_stage(|scene| {
        scene.host.run(&format!("printf '%s' '{ADMIN}' | nft -f -"));
        let theirs = || {
            scene
                .host
                .run("nft -a -s list table inet filter; nft -a -s list table ip nat")
        };
        let before = theirs();
        let pod = Pod::serving(scene, 1, &["8080:80"]);
        // The forward policy is drop, and nothing of ours outranks it.
        assert_eq!(scene.outside.ask(&format!("{HOST}:8080")), None);
        assert!(!pod.netns.try_run("busybox ping -c 1 -W 1 192.0.2.2"));
        // What does not cross the host is not forwarded.
        assert!(scene.host.ask("127.0.0.1:8080").is_some());
        assert_eq!(theirs(), before);
        scene
            .host
            .run("nft chain inet filter forward '{ policy accept; }'");
        assert!(scene.outside.ask(&format!("{HOST}:8080")).is_some());
        scene
            .host
            .run("nft chain inet filter forward '{ policy drop; }'");
        pod.detach(&scene.networks());
        assert_eq!(theirs(), before);
    });
}

#[test]
fn root_a_flushed_table_is_made_again_with_all_that_is_published() {
    on_stage(|scene| {
        let _first = Pod::serving(scene, 1, &["8080:80"]);
        scene.host.run("nft flush ruleset");
        assert_eq!(scene.outside.ask(&format!("{HOST}:8080")), None);
        let second = Pod::attach(&scene.networks(), 2, &[]).unwrap();
        assert!(scene.outside.ask(&format!("{HOST}:8080")).is_some());
        assert!(second.netns.try_run("busybox ping -c 1 -W 2 192.0.2.2"));
    });
}

#[test]
fn root_a_foreign_table_of_our_name_is_an_error_with_a_hint() {
    on_stage(|scene| {
        scene.host.run("nft add table ip hull");
        let error = Pod::attach(&scene.networks(), 1, &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the kernel refused Hull's nftables elements"
        );
        assert!(error.hint().unwrap().contains("nft list table ip hull"));
        assert!(scene.claims("leases").is_empty());
    });
}
