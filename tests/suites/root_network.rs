//! Networks, published ports, names. Each test has a network namespace of its own for a host.

use hull_suites::{Hull, eventually};

#[track_caller]
fn serves(hull: &Hull, address: &str) {
    let line = format!("curl -s -m 2 http://{address}/");
    eventually(&line, || hull.sh(&line).out == "hello\n");
}

fn start_web(hull: &Hull, name: &str, options: &str) {
    hull.ok(&format!(
        "hull run -d --name {name} {options} busybox sh -c 'mkdir /www; echo hello > /www/index.html; httpd -f -p 80 -h /www'"
    ));
}

#[test]
fn published_ports_are_served_on_given_and_loopback_addresses() {
    hull_suites::require!("curl", "nft");
    let hull = Hull::with_busybox();
    hull.ok(
        "ip link add out type bridge && ip addr add 192.0.2.7/24 dev out && ip link set out up",
    );
    start_web(&hull, "all", "-p 8080:80");
    start_web(&hull, "one", "-p 192.0.2.7:8081:80");
    start_web(
        &hull,
        "loop",
        "-p 127.0.0.1:8082:80 -p 127.0.0.9:8083:80/tcp",
    );
    for address in [
        "192.0.2.7:8080",
        "127.0.0.1:8080",
        "192.0.2.7:8081",
        "127.0.0.1:8082",
        "127.0.0.9:8083",
    ] {
        serves(&hull, address);
    }
    for refused in ["127.0.0.1:8081", "192.0.2.7:8082", "127.0.0.1:8083"] {
        assert_ne!(
            hull.sh(&format!("curl -s -m 1 http://{refused}/")).code,
            0,
            "{refused}"
        );
    }
    assert_eq!(hull.ok("hull port one"), "80/tcp -> 192.0.2.7:8081");
    assert!(
        hull.ok("hull ps --filter name=one")
            .contains("192.0.2.7:8081->80/tcp")
    );
    // Neighbours see each other by address, and the world from outside only by what is published.
    let address = hull.ok("hull inspect -f '{{.NetworkSettings.IPAddress}}' all");
    assert_eq!(
        hull.ok(&format!(
            "hull run --rm busybox wget -q -O - http://{address}/"
        )),
        "hello"
    );
    assert_eq!(
        hull.ok("hull run --rm busybox wget -q -O - http://192.0.2.7:8080/"),
        "hello"
    );
    hull.ok("hull stop -t 0 all && hull start all");
    serves(&hull, "127.0.0.1:8080");
    let taken = hull.fails(125, "hull run --rm -p 8080:80 busybox true");
    assert!(taken.contains("8080"), "{taken}");
    hull.ok("hull rm -f all one loop");
    hull.assert_nothing_left();
    assert_ne!(hull.sh("curl -s -m 1 http://127.0.0.1:8080/").code, 0);
}

#[test]
fn networks_none_host_container_and_path() {
    let hull = Hull::with_busybox();
    let links = "sh -c 'ls /sys/class/net | tr \"\\n\" \" \"'";
    assert_eq!(
        hull.ok(&format!("hull run --rm --network none busybox {links}")),
        "lo "
    );
    assert_eq!(
        hull.ok(&format!("hull run --rm busybox {links}")),
        "eth0 lo "
    );
    assert_eq!(
        hull.ok("hull run --rm --network host busybox readlink /proc/self/ns/net"),
        hull.ok("readlink /proc/self/ns/net")
    );
    start_web(&hull, "web", "");
    eventually("the neighbour is served through loopback", || {
        hull.sh("hull run --rm --network container:web busybox wget -q -O - http://127.0.0.1/")
            .out
            == "hello\n"
    });
    let path = format!("/proc/{}/ns/net", hull.pid("web"));
    assert_eq!(
        hull.ok(&format!(
            "hull run --rm --network ns:{path} busybox wget -q -O - http://127.0.0.1/"
        )),
        "hello"
    );
    for refused in ["container:nosuch", "ns:/nosuch", "nosuch"] {
        hull.fails(
            125,
            &format!("hull run --rm --network {refused} busybox true"),
        );
    }
    let low = hull.fails(
        125,
        "hull run --rm --network host --sysctl net.ipv4.ip_forward=1 busybox true",
    );
    assert!(!low.is_empty());
}

#[test]
fn joined_network_brings_its_names() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name web -h web.test --add-host db:192.0.2.5 --dns 192.0.2.53 busybox sleep 1000");
    let joined = "hull run --rm --network container:web busybox";
    assert_eq!(hull.ok(&format!("{joined} hostname")), "web.test");
    for file in ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname"] {
        assert_eq!(
            hull.ok(&format!("{joined} cat {file}")),
            hull.ok(&format!("hull exec web cat {file}")),
            "{file}"
        );
    }
    // It is the container that was meant, whatever it is called later.
    hull.ok("hull create --name side --network container:web busybox hostname");
    hull.ok("hull rename web old && hull run -d --name web busybox sleep 1000");
    assert_eq!(hull.ok("hull start -a side"), "web.test");
    for refused in ["container:nosuch", "nosuch"] {
        let line = format!("hull create --name x --network {refused} busybox true");
        let text = hull.fails(125, &line);
        assert!(text.contains("nosuch") && text.contains("hint: "), "{text}");
    }
    assert_eq!(hull.ok("hull ps -aq --filter name=x | wc -l"), "0");
}

#[test]
fn own_network_has_no_privileged_ports() {
    let hull = Hull::with_busybox();
    assert_eq!(
        hull.ok("hull run --rm -u 1000 busybox sh -c 'timeout 1 nc -l -p 80; echo $?; cat /proc/sys/net/ipv4/ping_group_range'"),
        "143\n0\t65535"
    );
    assert_eq!(
        hull.ok("hull run --rm --sysctl net.ipv4.ip_unprivileged_port_start=1024 busybox cat /proc/sys/net/ipv4/ip_unprivileged_port_start"),
        "1024"
    );
    // Neither has who joins it.
    hull.ok("hull run -d --name web busybox sleep 1000");
    assert_eq!(
        hull.ok(
            "hull run --rm --network container:web busybox sh -c 'timeout 1 nc -l -p 80; echo $?'"
        ),
        "143"
    );
    // The host's are the host's.
    hull.ok("hull run --rm --network host --userns host busybox sh -c 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start' | grep -qx 1024");
}

#[test]
fn ports_are_told_as_docker_tells_them() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name x -p 9000-9002:9000-9002 -p 127.0.0.1:8081:81/udp --expose 70 --expose 90-91/udp busybox sleep 1000");
    assert_eq!(
        hull.ok("hull ps --format '{{.Ports}}'"),
        "0.0.0.0:9000-9002->9000-9002/tcp, 127.0.0.1:8081->81/udp, 70/tcp, 90/udp, 91/udp"
    );
    assert_eq!(
        hull.ok("hull inspect -f '{{json .Config.ExposedPorts}}' x | jq -c 'keys'"),
        r#"["70/tcp","81/udp","90/udp","9000/tcp","9001/tcp","9002/tcp","91/udp"]"#
    );
    assert_eq!(
        hull.ok("hull inspect -f '{{(index (index .NetworkSettings.Ports \"9001/tcp\") 0).HostPort}} {{index .NetworkSettings.Ports \"70/tcp\"}}' x"),
        "9001 <no value>"
    );
    // What was asked for outlives the run.
    hull.ok("hull kill x");
    assert_eq!(
        hull.ok("hull inspect -f '{{json (index .HostConfig.PortBindings \"81/udp\")}} {{json .NetworkSettings.Ports}}' x"),
        r#"[{"HostIp":"127.0.0.1","HostPort":"8081"}] {}"#
    );
    for (word, cause) in [
        ("x:80", "`x` is not a port"),
        ("1-3:1-2", "maps 3 host ports to 2 ports"),
        ("80/sctp", "sctp ports are not supported yet"),
        ("[::1]:80:80", "IPv6"),
        ("localhost:80:80", "`localhost` is not an IPv4 address"),
    ] {
        let text = hull.fails(125, &format!("hull run -d --name y -p {word} busybox true"));
        assert!(
            text.starts_with(&format!("error: `--publish` does not understand `{word}`"))
                && text.contains(cause)
                && text.contains("hint: "),
            "{text}"
        );
    }
    hull.fails(125, "hull run --rm --expose foo busybox true");
    for network in ["none", "host"] {
        let ran = hull.sh(&format!(
            "hull run --rm --network {network} -p 8080:80 busybox true"
        ));
        assert_eq!(ran.code, 0, "{}", ran.text());
        assert!(
            ran.err.starts_with("note: no port is published"),
            "{}",
            ran.text()
        );
    }
    assert_eq!(hull.ok("hull ps -aq | wc -l"), "1");
}

#[test]
fn names_are_found_as_asked() {
    let hull = Hull::with_busybox();
    for (words, expected) in [
        (
            "--add-host there:192.0.2.9 busybox sh -c 'grep there /etc/hosts | tr \"\\t\" \" \"'",
            "192.0.2.9 there",
        ),
        (
            "--dns 192.0.2.53 --dns-search a.test --dns-option ndots:3 busybox cat /etc/resolv.conf",
            "nameserver 192.0.2.53\nsearch a.test\noptions ndots:3",
        ),
        ("-h me busybox sh -c 'grep -c me /etc/hosts'", "1"),
    ] {
        let text = hull.ok(&format!("hull run --rm {words}"));
        let mut lines: Vec<&str> = text.lines().collect();
        let mut wanted: Vec<&str> = expected.lines().collect();
        lines.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(lines, wanted, "{words}");
    }
    let gateway =
        hull.ok("hull run --rm --add-host up:host-gateway busybox sh -c 'grep up /etc/hosts'");
    assert!(gateway.starts_with("10."), "{gateway}");
}

#[test]
fn twenty_neighbours_have_twenty_addresses() {
    let hull = Hull::with_busybox();
    hull.ok(
        "for i in $(seq 20); do hull run -d --name n$i busybox sleep 1000 > /dev/null & done; wait",
    );
    assert_eq!(
        hull.ok("hull inspect -f '{{.NetworkSettings.IPAddress}}' $(hull ps -q) | sort -u | wc -l"),
        "20"
    );
    hull.ok("hull rm -f $(hull ps -q)");
    hull.assert_nothing_left();
}
