//! The files that Hull makes for a container: its hosts, its name, its name servers.

use std::path::PathBuf;

use hull_net::{DnsOptions, ExtraHost, HostResolver, HostsFile, ResolvConf};

use crate::{
    Config, Engine, EngineError,
    bundle::Facts,
    request::{HostAddress, NetworkMode},
};

impl Engine {
    /// Returns path and contents. What the container shares with another or with the host, it sees as that one does. The
    /// container's own address is added by the monitor, who learns it.
    pub(crate) fn files(
        &self,
        config: &Config,
        facts: &Facts,
    ) -> Result<Vec<(PathBuf, String)>, EngineError> {
        let network = &config.request.network;
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
        let hosts = HostsFile {
            base: host_file.as_deref(),
            own: None,
            extra: &extra,
            gateway: self.gateway(config)?,
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
            ("/etc/hosts".into(), hosts.text()),
            ("/etc/hostname".into(), format!("{}\n", facts.hostname)),
            (
                "/etc/resolv.conf".into(),
                ResolvConf::of_host().plan(&dns, reach).text(),
            ),
        ])
    }

    /// Returns what `host-gateway` means: the host's address on the container's network.
    fn gateway(&self, config: &Config) -> Result<Option<std::net::Ipv4Addr>, EngineError> {
        let network = &config.request.network;
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
