//! The files that Hull makes for a container: its hosts, its name, its name servers.

use std::path::PathBuf;

use hull_net::{DnsOptions, ExtraHost, HostResolver, HostsFile, ResolvConf};

use crate::{
    Config, Engine, EngineError,
    bundle::Facts,
    request::{HostAddress, Network, NetworkMode},
    start::own_names,
};

const HOSTS: &str = "/etc/hosts";
const HOSTNAME: &str = "/etc/hostname";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Where they are.
pub(crate) const OWN: [&str; 3] = [HOSTS, HOSTNAME, RESOLV_CONF];

impl Engine {
    /// Returns path and contents. What the container shares with another or with the host, it sees as that one does. The
    /// container's own address is added by the monitor, who learns it.
    pub(crate) fn files(
        &self,
        config: &Config,
        facts: &Facts,
    ) -> Result<Vec<(PathBuf, String)>, EngineError> {
        // With another's network come its names and name servers.
        let other = match &config.request.network.mode {
            NetworkMode::Container(container) => Some(self.alive(container)?.0),
            _ => None,
        };
        let network = match &other {
            Some(other) => &other.config.request.network,
            None => &config.request.network,
        };
        let on_host = network.mode == NetworkMode::Host;
        let host_file = on_host.then(|| std::fs::read_to_string("/etc/hosts").unwrap_or_default());
        let extra: Vec<ExtraHost> = network
            .hosts
            .iter()
            .map(|entry| ExtraHost {
                name: entry.name.clone(),
                address: match entry.address {
                    HostAddress::Ip(address) => Some(address),
                    HostAddress::Gateway => None,
                },
            })
            .collect();
        let names = match &other {
            Some(other) => own_names(&facts.hostname, &other.container().name),
            None => Vec::new(),
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let attachment = other.as_ref().and_then(crate::inspect::attachment);
        let hosts = HostsFile {
            base: host_file.as_deref(),
            own: attachment.map(|attachment| (attachment.address, &names[..])),
            extra: &extra,
            gateway: self.gateway(network)?,
        };
        let dns = DnsOptions {
            servers: network.dns.clone(),
            search: network.dns_search.clone(),
            options: network.dns_options.clone(),
        };
        let reach = if on_host {
            HostResolver::Reachable
        } else {
            HostResolver::Unreachable
        };
        Ok(vec![
            (HOSTS.into(), hosts.text()),
            (HOSTNAME.into(), format!("{}\n", facts.hostname)),
            (
                RESOLV_CONF.into(),
                ResolvConf::of_host().plan(&dns, reach).text(),
            ),
        ])
    }

    /// Returns what `host-gateway` means: the host's address on the container's network.
    fn gateway(&self, network: &Network) -> Result<Option<std::net::Ipv4Addr>, EngineError> {
        let asked = network
            .hosts
            .iter()
            .any(|entry| entry.address == HostAddress::Gateway);
        match &network.mode {
            NetworkMode::Bridge if asked => Ok(Some(self.networks()?.default_network()?.gateway)),
            NetworkMode::Host if asked => Ok(Some(std::net::Ipv4Addr::LOCALHOST)),
            _ => Ok(None),
        }
    }
}
