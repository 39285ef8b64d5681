use std::net::IpAddr;

use hull_engine::request::{InvalidRequest, NetworkMode, RunRequest};

use crate::usage::{self, UsageError};

/// How the container reaches others, and they it.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkOptions {
    /// Connect to this network: bridge (the default), none, host, container:NAME, ns:PATH or a name
    #[arg(long, alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// Publish a port of the container on the host
    #[arg(short, long, value_name = "[[IP:]PORT:]PORT[/PROTO]")]
    publish: Vec<String>,
    /// Publish every port the image exposes on a free one
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Say that the container listens here
    #[arg(long, value_name = "PORT[/PROTO]")]
    expose: Vec<String>,
    /// Call the host inside NAME
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
    /// Give it this NIS domain name
    #[arg(long, value_name = "NAME")]
    domainname: Option<String>,
    /// Ask this name server
    #[arg(long, value_name = "IP")]
    dns: Vec<String>,
    /// Look names up in this domain as well
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// Set an option of the resolver
    #[arg(long, alias = "dns-opt", value_name = "OPTION")]
    dns_option: Vec<String>,
    /// Put a name into /etc/hosts; host-gateway means this host
    #[arg(long, value_name = "NAME:IP")]
    add_host: Vec<String>,
}

impl NetworkOptions {
    pub(super) fn put(self, request: &mut RunRequest) -> Result<(), UsageError> {
        let network = &mut request.network;
        let modes: Vec<NetworkMode> = usage::all("--network", &self.network)?;
        if let [_, second, ..] = &modes[..] {
            let error = InvalidRequest::NotSupported {
                what: "several networks for one container",
                word: second.to_string(),
                instead: "give --network once",
            };
            return Err(usage::wrong("--network", &second.to_string(), error));
        }
        network.mode = modes.into_iter().next().unwrap_or_default();
        network.ports = self.publish;
        network.publish_all = self.publish_all;
        network.expose = self.expose;
        network.hostname = self
            .hostname
            .map(|name| host_name("--hostname", name))
            .transpose()?;
        network.domainname = self
            .domainname
            .map(|name| host_name("--domainname", name))
            .transpose()?;
        network.dns = addresses(&self.dns)?;
        network.dns_search = self.dns_search;
        network.dns_options = self.dns_option;
        network.hosts = usage::all("--add-host", &self.add_host)?;
        Ok(())
    }
}

fn addresses(words: &[String]) -> Result<Vec<IpAddr>, UsageError> {
    let parse = |word: &String| {
        word.parse().map_err(|_| {
            let error = InvalidRequest::Malformed {
                what: "an address",
                word: word.clone(),
                example: "an IPv4 or IPv6 address such as 9.9.9.9",
            };
            usage::wrong("--dns", word, error)
        })
    };
    words.iter().map(parse).collect()
}

/// Checks a name as sethostname(2) and resolvers accept it.
fn host_name(flag: &'static str, name: String) -> Result<String, UsageError> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() <= 64 && name.split('.').all(label) {
        return Ok(name);
    }
    let error = InvalidRequest::Malformed {
        what: "a host name",
        word: name.clone(),
        example: "at most 64 letters, digits and dashes, with dots between parts",
    };
    Err(usage::wrong(flag, &name, error))
}
