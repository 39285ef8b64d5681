//! The text of a container's `/etc/hosts`. Pure.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

/// One `--add-host name:address`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraHost {
    pub name: String,
    /// `None` is the word `host-gateway`: the host, as the container reaches it.
    pub address: Option<IpAddr>,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn extra((name, address): (&str, Option<IpAddr>)) -> ExtraHost {
        ExtraHost {
            name: name.to_owned(),
            address,
        }
    }

    #[test]
    fn the_file_names_the_container_last() {
        let address = Some(IpAddr::from([10, 0, 0, 5]));
        let extra = [("db", address), ("up", None)].map(extra);
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
        let extra = [extra(("up", None))];
        let file = HostsFile {
            base: Some("127.0.0.1 localhost"),
            extra: &extra,
            ..HostsFile::default()
        };
        assert_eq!(file.text(), "127.0.0.1 localhost\n");
    }
}
