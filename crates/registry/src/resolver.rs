//! From a host's name to its addresses, without the C library: a static program cannot load the modules that glibc's
//! resolver is made of, and must not load those of another version of it.
//!
//! Asks `/etc/hosts`, then the name servers of `/etc/resolv.conf`, over UDP and, where an answer is cut, TCP.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::dns::{self, Answer, Kind};

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("there is no host of this name")]
    NoSuchName,
    #[error("the host of this name has no address")]
    NoAddress,
    #[error("this is not a name that a host can have")]
    NotAName,
    #[error("no name server answers (asked {})", list(.servers))]
    NoAnswer { servers: Vec<IpAddr> },
    #[error("the name servers cannot answer (code {code} from {server})")]
    ServerFailed { server: IpAddr, code: u8 },
}

fn list(servers: &[IpAddr]) -> String {
    let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
    servers.join(", ")
}

/// Where names are looked up.
#[derive(Clone, Debug)]
pub(crate) struct SystemResolver {
    pub(crate) hosts: PathBuf,
    pub(crate) servers: PathBuf,
    pub(crate) port: u16,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self {
            hosts: "/etc/hosts".into(),
            servers: "/etc/resolv.conf".into(),
            port: 53,
        }
    }
}

impl SystemResolver {
    /// Returns the addresses of `name`, IPv4 first: where IPv6 leads nowhere it often does so slowly.
    pub(crate) fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse() {
            return Ok(vec![address]);
        }
        let lower = name.to_ascii_lowercase();
        let plain = lower.strip_suffix('.').unwrap_or(&lower);
        // RFC 6761: never asked of anybody.
        if plain == "localhost" || plain.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let listed = in_hosts(&read(&self.hosts), plain);
        if !listed.is_empty() {
            return Ok(listed);
        }
        let settings = Settings::parse(&read(&self.servers));
        let mut last = ResolveError::NoSuchName;
        for candidate in settings.candidates(&lower) {
            match self.ask(&candidate, &settings) {
                Ok(addresses) if addresses.is_empty() => last = ResolveError::NoAddress,
                Ok(addresses) => return Ok(addresses),
                Err(ResolveError::NoSuchName) => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn ask(&self, name: &str, settings: &Settings) -> Result<Vec<IpAddr>, ResolveError> {
        let mut addresses = Vec::new();
        for kind in [Kind::V4, Kind::V6] {
            match self.ask_all(name, kind, settings) {
                Ok(more) => addresses.extend(more),
                // One kind is enough: some servers break on the other.
                Err(_) if !addresses.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(addresses)
    }

    /// Asks one server after the other, as often as the settings say.
    fn ask_all(
        &self,
        name: &str,
        kind: Kind,
        settings: &Settings,
    ) -> Result<Vec<IpAddr>, ResolveError> {
        let id = u16::try_from(RandomState::new().build_hasher().finish() & 0xffff).unwrap_or(0);
        let question = dns::question(id, name, kind).ok_or(ResolveError::NotAName)?;
        let mut failure = None;
        for _ in 0..settings.attempts {
            for &server in &settings.servers {
                let address = SocketAddr::new(server, self.port);
                match ask_server(address, &question, settings.timeout) {
                    Ok(Answer::Addresses(addresses)) => return Ok(addresses),
                    Ok(Answer::NoSuchName) => return Err(ResolveError::NoSuchName),
                    Ok(Answer::Failed(code)) => failure = Some((server, code)),
                    Ok(Answer::Truncated) | Err(_) => {}
                }
            }
        }
        Err(match failure {
            Some((server, code)) => ResolveError::ServerFailed { server, code },
            None => ResolveError::NoAnswer {
                servers: settings.servers.clone(),
            },
        })
    }
}

fn read(path: &PathBuf) -> String {
    // A file that is not there says nothing, which is what the C library makes of it too.
    fs::read_to_string(path).unwrap_or_default()
}

fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        words
            .any(|word| word.eq_ignore_ascii_case(name))
            .then_some(address)
    });
    let addresses: BTreeSet<_> = lines.collect();
    addresses.into_iter().collect()
}

/// What `resolv.conf(5)` says.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    dots: usize,
    timeout: Duration,
    attempts: usize,
}

impl Settings {
    fn parse(text: &str) -> Self {
        let mut settings = Self {
            servers: Vec::new(),
            search: Vec::new(),
            dots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines() {
            let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
            match words.next() {
                Some("nameserver") => {
                    let server: Option<IpAddr> = words
                        .next()
                        .and_then(|word| word.split('%').next()?.parse().ok());
                    settings.servers.extend(server);
                }
                Some("search" | "domain") => settings.search = words.map(str::to_owned).collect(),
                Some("options") => words.for_each(|word| settings.option(word)),
                _ => {}
            }
        }
        settings.servers.truncate(3);
        if settings.servers.is_empty() {
            settings.servers.push(Ipv4Addr::LOCALHOST.into());
        }
        settings
    }

    fn option(&mut self, word: &str) {
        let Some((name, Ok(value))) = word
            .split_once(':')
            .map(|(name, value)| (name, value.parse::<u8>()))
        else {
            return;
        };
        match name {
            "ndots" => self.dots = usize::from(value.min(15)),
            "timeout" => self.timeout = Duration::from_secs(u64::from(value.clamp(1, 30))),
            "attempts" => self.attempts = usize::from(value.clamp(1, 5)),
            _ => {}
        }
    }

    /// The full names to try, in order.
    fn candidates(&self, name: &str) -> Vec<String> {
        let whole = name.strip_suffix('.').unwrap_or(name).to_owned();
        if name.ends_with('.') {
            return vec![whole];
        }
        let searched = self.search.iter().map(|domain| format!("{name}.{domain}"));
        if name.matches('.').count() >= self.dots {
            [whole].into_iter().chain(searched).collect()
        } else {
            searched.chain([whole.clone()]).collect()
        }
    }
}

fn ask_server(server: SocketAddr, question: &[u8], patience: Duration) -> io::Result<Answer> {
    let unspecified = match server {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((unspecified, 0))?;
    // Connected: datagrams from others are dropped by the kernel.
    socket.connect(server)?;
    socket.send(question)?;
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let mut datagram = [0; 4096];
        let length = socket.recv(&mut datagram)?;
        match dns::answer(question, &datagram[..length]) {
            Some(Answer::Truncated) => return ask_by_stream(server, question, patience),
            Some(answer) => return Ok(answer),
            // Late, or not meant for us.
            None => {}
        }
    }
}

fn ask_by_stream(server: SocketAddr, question: &[u8], patience: Duration) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&server, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    dns::answer(question, &message).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::dns::tests::response;

    #[test]
    fn resolv_conf_is_read() {
        let settings = Settings::parse(
            "# comment\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver nonsense\nsearch a.example b.example\noptions ndots:2 timeout:1 attempts:9 rotate edns0\n",
        );
        let expected = Settings {
            servers: vec!["192.0.2.1".parse().unwrap(), "fe80::1".parse().unwrap()],
            search: vec!["a.example".to_owned(), "b.example".to_owned()],
            dots: 2,
            timeout: Duration::from_secs(1),
            attempts: 5,
        };
        assert_eq!(settings, expected);
        assert_eq!(
            settings.candidates("r.example"),
            ["r.example.a.example", "r.example.b.example", "r.example"]
        );
        assert_eq!(
            settings.candidates("r.x.example"),
            [
                "r.x.example",
                "r.x.example.a.example",
                "r.x.example.b.example"
            ]
        );
        assert_eq!(settings.candidates("r."), ["r"]);
        assert_eq!(
            Settings::parse("").servers,
            [IpAddr::from(Ipv4Addr::LOCALHOST)]
        );
    }

    #[test]
    fn hosts_are_read() {
        let text = "127.0.0.1 localhost\n192.0.2.7\tR.example alias # r.other\n::7 r.example\nbad r.example\n";
        let found = in_hosts(text, "r.example");
        assert_eq!(
            found,
            [
                "192.0.2.7".parse::<IpAddr>().unwrap(),
                "::7".parse().unwrap()
            ]
        );
        assert!(in_hosts(text, "r.other").is_empty());
    }

    /// Answers over UDP and TCP until the test ends; `answer` gets the question and whether it came by stream.
    fn server(answer: impl Fn(&[u8], bool) -> Vec<u8> + Clone + Send + 'static) -> u16 {
        let (socket, listener) = loop {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let port = socket.local_addr().unwrap().port();
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                break (socket, listener);
            }
        };
        let port = socket.local_addr().unwrap().port();
        let by_stream = answer.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut question).unwrap();
                let reply = by_stream(&question, true);
                let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
                stream.write_all(&[&length[..], &reply].concat()).unwrap();
            }
        });
        thread::spawn(move || {
            let mut datagram = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut datagram) {
                socket
                    .send_to(&answer(&datagram[..length], false), from)
                    .unwrap();
            }
        });
        port
    }

    fn resolver(port: u16) -> (SystemResolver, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let servers = directory.path().join("resolv.conf");
        let text = b"nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";
        fs::File::create(&servers).unwrap().write_all(text).unwrap();
        let hosts = directory.path().join("hosts");
        (
            SystemResolver {
                hosts,
                servers,
                port,
            },
            directory,
        )
    }

    #[test]
    fn name_servers_are_asked_again_by_stream_when_cut() {
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        let port = server(move |question, by_stream| {
            let is_v4 = question[question.len() - 3] == 1;
            match (is_v4, by_stream) {
                (true, false) => response(question, 2, 0, &[]),
                (true, true) => response(question, 0, 0, &[v4]),
                (false, _) => response(question, 0, 2, &[]),
            }
        });
        let (resolver, _directory) = resolver(port);
        assert_eq!(resolver.addresses("r.example").unwrap(), [v4]);
    }

    #[test]
    fn failures_are_told_apart() {
        let port = server(|question, _| match question[12 + 1] {
            b'n' => response(question, 0, 3, &[]),
            b'f' => response(question, 0, 2, &[]),
            b'e' => response(question, 0, 0, &[]),
            _ => vec![0; 3],
        });
        let (resolver, _directory) = resolver(port);
        let error = |name: &str| resolver.addresses(name).unwrap_err();
        assert!(matches!(error("none.example"), ResolveError::NoSuchName));
        assert!(matches!(
            error("failing.example"),
            ResolveError::ServerFailed { code: 2, .. }
        ));
        assert!(matches!(error("empty.example"), ResolveError::NoAddress));
        assert!(matches!(
            error("silent.example"),
            ResolveError::NoAnswer { .. }
        ));
        assert!(matches!(error("bad..example"), ResolveError::NotAName));
        assert_eq!(
            resolver.addresses("[::1]").unwrap(),
            [IpAddr::from(Ipv6Addr::LOCALHOST)]
        );
        assert_eq!(resolver.addresses("x.localhost").unwrap().len(), 2);
    }
}
