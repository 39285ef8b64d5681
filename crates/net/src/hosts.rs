//! The text of a container's `/etc/hosts`. Pure.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One `--add-host name:address`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExtraHost {
    pub name: String,
    /// `None` is the word `host-gateway`: the host, as the container reaches it.
    pub address: Option<IpAddr>,
}

/// Why a text is no `--add-host`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    #[error("`{0}` is not `name:address`")]
    Shape(String),
    #[error("`{0}` cannot stand in /etc/hosts as a name")]
    Name(String),
    #[error("`{0}` is neither an IP address nor `host-gateway`")]
    Address(String),
}

/// What stands in the file.
#[derive(Clone, Debug, Default)]
pub struct HostsFile<'a> {
    /// The host's own file, for `--network host`, which then replaces the usual first lines.
    pub base: Option<&'a str>,
    /// The container's address and the names it knows itself by, host name first.
    pub own: Option<(Ipv4Addr, &'a [&'a str])>,
    /// What `--add-host` says, in its order.
    pub extra: &'a [ExtraHost],
    /// What `host-gateway` means; lines that need it are left out without.
    pub gateway: Option<Ipv4Addr>,
}

const USUAL: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

impl HostsFile<'_> {
    /// Prints the file.
    pub fn text(&self) -> String {
        let mut text = self.base.unwrap_or(USUAL).to_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let mut line = |address: IpAddr, names: &str| {
            writeln!(text, "{address}\t{names}").expect("writing to a string cannot fail");
        };
        for host in self.extra {
            if let Some(address) = host.address.or(self.gateway.map(IpAddr::V4)) {
                line(address, &host.name);
            }
        }
        if let Some((address, names)) = self.own.filter(|(_, names)| !names.is_empty()) {
            line(address.into(), &names.join(" "));
        }
        text
    }
}

impl FromStr for ExtraHost {
    type Err = InvalidHost;
    /// Reads `name:address` or `name=address`; an IPv6 address may stand in brackets.
    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let (name, address) = text
            .split_once(['=', ':'])
            .ok_or_else(|| InvalidHost::Shape(text.to_owned()))?;
        if name.is_empty()
            || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#')
        {
            return Err(InvalidHost::Name(name.to_owned()));
        }
        let bare = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(address);
        let address = match bare {
            "host-gateway" => None,
            _ => Some(
                bare.parse()
                    .map_err(|_| InvalidHost::Address(address.to_owned()))?,
            ),
        };
        Ok(Self {
            name: name.to_owned(),
            address,
        })
    }
}

impl TryFrom<String> for ExtraHost {
    type Error = InvalidHost;
    fn try_from(text: String) -> Result<Self, InvalidHost> {
        text.parse()
    }
}

impl From<ExtraHost> for String {
    fn from(host: ExtraHost) -> Self {
        match host.address {
            Some(address) => format!("{}:{address}", host.name),
            None => format!("{}:host-gateway", host.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_hosts_are_read_or_refused() {
        let rows = [
            ("db:10.0.0.5", Some("db:10.0.0.5")),
            ("db=10.0.0.5", Some("db:10.0.0.5")),
            ("db:::1", Some("db:::1")),
            ("db:[::1]", Some("db:::1")),
            ("up:host-gateway", Some("up:host-gateway")),
            ("db", None),
            (":10.0.0.5", None),
            ("d b:10.0.0.5", None),
            ("d\nb:10.0.0.5", None),
            ("db:", None),
            ("db:localhost", None),
        ];
        for (text, expected) in rows {
            let read = text.parse::<ExtraHost>().ok().map(String::from);
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_file_names_the_container_last() {
        let extra = ["db:10.0.0.5", "up:host-gateway"].map(|text| text.parse().unwrap());
        let file = HostsFile {
            own: Some((Ipv4Addr::new(10, 88, 0, 2), &["web.example", "web"])),
            extra: &extra,
            gateway: Some(Ipv4Addr::new(10, 88, 0, 1)),
            ..HostsFile::default()
        };
        assert_eq!(
            file.text().strip_prefix(USUAL),
            Some("10.0.0.5\tdb\n10.88.0.1\tup\n10.88.0.2\tweb.example web\n")
        );
    }

    #[test]
    fn without_a_gateway_its_lines_are_left_out() {
        let extra = ["up:host-gateway".parse().unwrap()];
        let file = HostsFile {
            base: Some("127.0.0.1 localhost"),
            extra: &extra,
            ..HostsFile::default()
        };
        assert_eq!(file.text(), "127.0.0.1 localhost\n");
    }
}
