//! The few URLs this protocol needs: `http` or `https`, a host, a path.
//!
//! Names of users in URLs are refused: nobody needs them here, and they have been used to make one host look like another.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// How a host is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// A URL that was read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    /// Path and query: starts with `/`.
    path: String,
}

/// A host and its port, if that is not the scheme's own; IPv6 addresses have their brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Host {
    name: String,
    port: Option<u16>,
}

/// Why a text is no URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    #[error("`{0}` is not a http or https URL")]
    Scheme(String),
    #[error("`{0}` has no valid host")]
    Host(String),
    #[error("`{0}` has characters that a URL cannot have")]
    Character(String),
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Host {
    /// Reads `name`, `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                let port = match port {
                    "" => None,
                    port => Some(port.strip_prefix(':')?),
                };
                (&text[..address.len() + 2], port)
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let valid = name.starts_with('[') || name.bytes().all(is_name) && !name.is_empty();
        let port = match port {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
            None => None,
        };
        valid.then(|| Self {
            name: name.to_ascii_lowercase(),
            port,
        })
    }

    /// Says whether this is this machine by its very name: no look-up can make it another.
    pub(crate) fn is_loopback(&self) -> bool {
        let name = self.name.trim_end_matches('.');
        if let Some(address) = name.strip_prefix('[') {
            let address = address.trim_end_matches(']').parse::<Ipv6Addr>();
            return address.is_ok_and(|address| address.to_canonical().is_loopback());
        }
        let address = name.parse::<Ipv4Addr>();
        name == "localhost"
            || name.ends_with(".localhost")
            || address.is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Url {
    /// Returns the URL of `path`, which starts with `/`, on `host`.
    pub(crate) fn new(scheme: Scheme, host: Host, path: String) -> Self {
        Self { scheme, host, path }
    }

    /// Reads an absolute URL; a fragment is dropped.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        let scheme = [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|scheme| lower.starts_with(&format!("{}://", scheme.as_str())))
            .ok_or_else(|| InvalidUrl::Scheme(text.to_owned()))?;
        let rest = &text[scheme.as_str().len() + 3..];
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let host = Host::parse(&rest[..end]).ok_or_else(|| InvalidUrl::Host(text.to_owned()))?;
        let rest = rest[end..].split('#').next().unwrap_or_default();
        let path = match rest.strip_prefix('/') {
            Some(_) => rest.to_owned(),
            None => format!("/{rest}"),
        };
        Self::checked(scheme, host, path)
    }

    /// Resolves a `Location` header found at this URL.
    pub(crate) fn join(&self, location: &str) -> Result<Self, InvalidUrl> {
        let same = |path: String| Self::checked(self.scheme, self.host.clone(), path);
        let location = location.split('#').next().unwrap_or_default();
        if location.starts_with("//") {
            return Self::parse(&format!("{}:{location}", self.scheme.as_str()));
        }
        if location.starts_with('/') {
            return same(location.to_owned());
        }
        let before_query = location.split(['?', '/']).next().unwrap_or_default();
        if before_query.contains(':') {
            return Self::parse(location);
        }
        let path = self.path.split('?').next().unwrap_or_default();
        if location.starts_with('?') || location.is_empty() {
            return same(format!("{path}{location}"));
        }
        let directory = path.rfind('/').map_or("/", |at| &path[..=at]);
        same(format!("{directory}{location}"))
    }

    fn checked(scheme: Scheme, host: Host, path: String) -> Result<Self, InvalidUrl> {
        let fits = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if path.bytes().all(fits) {
            Ok(Self { scheme, host, path })
        } else {
            Err(InvalidUrl::Character(path.escape_default().to_string()))
        }
    }

    /// Returns this URL with `name=value` added to its query.
    #[must_use]
    pub(crate) fn with_query(mut self, name: &str, value: &str) -> Self {
        self.path
            .push(if self.path.contains('?') { '&' } else { '?' });
        self.path
            .push_str(&format!("{name}={}", percent_encoded(value)));
        self
    }

    /// Says whether both lead to the same server in the same way: what is secret there is known here.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        let port = |url: &Self| url.host.port.unwrap_or_else(|| url.scheme.port());
        let name = self.host.name == other.host.name;
        self.scheme == other.scheme && name && port(self) == port(other)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.host, self.path)
    }
}

/// Writes `text` so that it can stand in a query or a form.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_printed() {
        let rows = [
            ("https://r.example", Some("https://r.example/")),
            (
                "HTTPS://R.Example:5000/v2/?a=b#c",
                Some("https://r.example:5000/v2/?a=b"),
            ),
            ("http://[::1]:5000/v2/", Some("http://[::1]:5000/v2/")),
            ("https://r.example?x=1", Some("https://r.example/?x=1")),
            ("https://r.example/%2F", Some("https://r.example/%2F")),
            ("ftp://r.example/", None),
            ("https:///path", None),
            ("https://user@r.example/", None),
            ("https://r.example:port/", None),
            ("https://r.example:70000/", None),
            ("https://r.example:+80/", None),
            ("https://[::1/", None),
            ("https://[fe80::1]x/", None),
            ("https://r.example/a b", None),
            ("https://r.example/\r\nEvil: 1", None),
            ("https://r.example/é", None),
            ("file:///etc/passwd", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let url = Url::parse(text).ok().map(|url| url.to_string());
            assert_eq!(url.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn locations_are_resolved() {
        let base = Url::parse("https://r.example:5000/v2/a/blobs/x?y=z").unwrap();
        let rows = [
            ("https://cdn.example/x", Some("https://cdn.example/x")),
            ("//cdn.example/x", Some("https://cdn.example/x")),
            ("/other?q=a:b", Some("https://r.example:5000/other?q=a:b")),
            ("sibling", Some("https://r.example:5000/v2/a/blobs/sibling")),
            ("?q=1", Some("https://r.example:5000/v2/a/blobs/x?q=1")),
            (
                "dir/with:colon",
                Some("https://r.example:5000/v2/a/blobs/dir/with:colon"),
            ),
            ("javascript:alert(1)", None),
            ("https://a@b/", None),
            ("/a\nb", None),
        ];
        for (location, expected) in rows {
            let url = base.join(location).ok().map(|url| url.to_string());
            assert_eq!(url.as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn only_names_that_cannot_be_another_machine_are_loopback() {
        let yes = [
            "localhost",
            "LOCALHOST:5000",
            "a.localhost",
            "127.0.0.1",
            "127.8.9.1:80",
            "[::1]",
            "[::1]:5000",
            "[::ffff:127.0.0.1]:1",
            "localhost.:5000",
        ];
        let no = [
            "localhost.example",
            "127.0.0.1.example",
            "mylocalhost",
            "10.0.0.1",
            "[::2]",
            "0.0.0.0",
            "r.example",
        ];
        for (hosts, expected) in [(&yes[..], true), (&no[..], false)] {
            for host in hosts {
                assert_eq!(Host::parse(host).unwrap().is_loopback(), expected, "{host}");
            }
        }
    }

    #[test]
    fn origins_count_default_ports() {
        let same = |a: &str, b: &str| Url::parse(a).unwrap().same_origin(&Url::parse(b).unwrap());
        assert!(same("https://r.example/a", "https://r.example:443/b"));
        assert!(!same("https://r.example/a", "https://r.example:444/a"));
        assert!(!same("https://r.example/a", "http://r.example/a"));
        assert!(!same("https://r.example/a", "https://x.r.example/a"));
    }

    #[test]
    fn queries_are_encoded() {
        let url = Url::parse("https://auth.example/token").unwrap();
        let url = url
            .with_query("service", "a b&c")
            .with_query("scope", "repository:x/y:pull");
        let expected =
            "https://auth.example/token?service=a%20b%26c&scope=repository%3Ax%2Fy%3Apull";
        assert_eq!(url.to_string(), expected);
    }
}
