//! The text of a container's `/etc/resolv.conf`. Pure, but for [`ResolvConf::of_host`].
//!
//! A container with its own network cannot reach a name server that listens on the host's loopback, such as
//! systemd-resolved's 127.0.0.53: those are dropped. Where systemd-resolved keeps the list of the real servers
//! (`/run/systemd/resolve/resolv.conf`), that list is used. Where no server is left, the container gets 8.8.8.8 and 8.8.4.4,
//! as docker does; `--dns` says something else.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use serde::{Deserialize, Serialize};

const FALLBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
    IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4)),
];

/// What `--dns`, `--dns-search` and `--dns-option` say; an empty list leaves the host's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsOptions {
    pub servers: Vec<IpAddr>,
    /// `.` alone means no search list.
    pub search: Vec<String>,
    pub options: Vec<String>,
}

/// Whether the container can reach name servers on the host's loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostResolver {
    /// `--network host`: the container sees the host's interfaces.
    Reachable,
    /// It has a network of its own.
    Unreachable,
}

/// A parsed `resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    pub servers: Vec<IpAddr>,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

impl ResolvConf {
    /// Reads the text; lines that say nothing of these three are dropped.
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else {
                continue;
            };
            match keyword {
                // A scoped address (`fe80::1%eth0`) names an interface of the host and is no use elsewhere.
                "nameserver" => conf
                    .servers
                    .extend(words.next().and_then(|word| word.parse::<IpAddr>().ok())),
                // resolv.conf(5): the last instance of `search` or `domain` wins.
                "search" | "domain" => conf.search = words.map(str::to_owned).collect(),
                "options" => conf.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        conf
    }

    /// Reads the host's, looking behind systemd-resolved's stub. A host without one has an empty one.
    pub fn of_host() -> Self {
        Self::of_host_files(
            Path::new("/etc/resolv.conf"),
            Path::new("/run/systemd/resolve/resolv.conf"),
        )
    }

    fn of_host_files(usual: &Path, behind_stub: &Path) -> Self {
        let read = |path| {
            std::fs::read_to_string(path)
                .map(|text| Self::parse(&text))
                .unwrap_or_default()
        };
        let conf = read(usual);
        let only_loopback =
            !conf.servers.is_empty() && conf.servers.iter().all(IpAddr::is_loopback);
        if !only_loopback {
            return conf;
        }
        let real = read(behind_stub);
        if real.servers.is_empty() { conf } else { real }
    }

    /// Says what the container gets.
    pub fn plan(mut self, wanted: &DnsOptions, reach: HostResolver) -> Self {
        if reach == HostResolver::Unreachable {
            self.servers.retain(|server| !server.is_loopback());
        }
        if !wanted.servers.is_empty() {
            self.servers.clone_from(&wanted.servers);
        } else if self.servers.is_empty() && reach == HostResolver::Unreachable {
            self.servers.extend(FALLBACK);
        }
        if !wanted.search.is_empty() {
            self.search = wanted
                .search
                .iter()
                .filter(|domain| *domain != ".")
                .cloned()
                .collect();
        }
        if !wanted.options.is_empty() {
            self.options.clone_from(&wanted.options);
        }
        self
    }

    /// Prints the file.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for server in &self.servers {
            writeln!(text, "nameserver {server}").expect("writing to a string cannot fail");
        }
        for (keyword, words) in [("search", &self.search), ("options", &self.options)] {
            if !words.is_empty() {
                writeln!(text, "{keyword} {}", words.join(" "))
                    .expect("writing to a string cannot fail");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "# made by hand\ndomain old.example\nsearch a.example b.example ; two\nnameserver 127.0.0.53\n\
        nameserver 10.1.1.1 # real\nnameserver fe80::1%eth0\nnameserver\noptions edns0 trust-ad\nsortlist 1.2.3.4\n";

    #[test]
    fn the_hosts_servers_are_taken_over_but_for_loopback() {
        let conf = ResolvConf::parse(HOST).plan(&DnsOptions::default(), HostResolver::Unreachable);
        assert_eq!(
            conf.text(),
            "nameserver 10.1.1.1\nsearch a.example b.example\noptions edns0 trust-ad\n"
        );
        let conf = ResolvConf::parse(HOST).plan(&DnsOptions::default(), HostResolver::Reachable);
        assert!(
            conf.text()
                .starts_with("nameserver 127.0.0.53\nnameserver 10.1.1.1\n")
        );
    }

    #[test]
    fn without_any_server_there_is_a_fallback() {
        for host in ["", "nameserver 127.0.0.53\nnameserver ::1\n"] {
            let conf =
                ResolvConf::parse(host).plan(&DnsOptions::default(), HostResolver::Unreachable);
            assert_eq!(conf.text(), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        }
        let conf = ResolvConf::default().plan(&DnsOptions::default(), HostResolver::Reachable);
        assert_eq!(conf.text(), "");
    }

    #[test]
    fn what_was_asked_for_replaces_the_hosts() {
        let wanted = DnsOptions {
            servers: vec!["127.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            search: vec![".".into()],
            options: vec!["ndots:2".into()],
        };
        let conf = ResolvConf::parse(HOST).plan(&wanted, HostResolver::Unreachable);
        assert_eq!(
            conf.text(),
            "nameserver 127.0.0.1\nnameserver 2001:db8::1\noptions ndots:2\n"
        );
    }

    #[test]
    fn the_servers_behind_a_local_stub_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let (usual, real) = (dir.path().join("usual"), dir.path().join("real"));
        let put = |path: &Path, text: &str| {
            std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), text.as_bytes())
                .unwrap()
        };
        put(&usual, "nameserver 127.0.0.53\n");
        assert_eq!(
            ResolvConf::of_host_files(&usual, &real),
            ResolvConf::parse("nameserver 127.0.0.53")
        );
        put(&real, "nameserver 10.9.9.9\n");
        assert_eq!(
            ResolvConf::of_host_files(&usual, &real),
            ResolvConf::parse("nameserver 10.9.9.9")
        );
        put(&usual, "nameserver 10.1.1.1\n");
        assert_eq!(
            ResolvConf::of_host_files(&usual, &real),
            ResolvConf::parse("nameserver 10.1.1.1")
        );
    }
}
