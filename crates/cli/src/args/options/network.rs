//! How the container reaches others, and they it.

use std::net::IpAddr;

use hull_engine::request::{InvalidRequest, NetworkMode, RunRequest};

use super::{Group, Opt, Typed};
use crate::usage::{self, UsageError};

const NETWORK: Opt = Opt::values(
    "network",
    "NETWORK",
    "Connect to this network: bridge (the default), none, host, container:NAME or ns:PATH",
)
.alias("net");
const PUBLISH: Opt = Opt::values(
    "publish",
    "[[IP:]PORT:]PORT[/PROTO]",
    "Publish a port of the container on the host",
)
.short('p');
const PUBLISH_ALL: Opt = Opt::switch(
    "publish-all",
    "Publish every port the image exposes on a free one",
)
.short('P');
const EXPOSE: Opt = Opt::values(
    "expose",
    "PORT[/PROTO]",
    "Say that the container listens here",
);
const HOSTNAME: Opt = Opt::value("hostname", "NAME", "Call the host inside NAME").short('h');
const DOMAINNAME: Opt = Opt::value("domainname", "NAME", "Give it this NIS domain name");
const DNS: Opt = Opt::values("dns", "IP", "Ask this name server");
const DNS_SEARCH: Opt = Opt::values(
    "dns-search",
    "DOMAIN",
    "Look names up in this domain as well",
);
const DNS_OPTION: Opt =
    Opt::values("dns-option", "OPTION", "Set an option of the resolver").alias("dns-opt");
const ADD_HOST: Opt = Opt::values(
    "add-host",
    "NAME:IP",
    "Put a name into /etc/hosts; host-gateway means this host",
);

pub(super) const GROUP: Group = Group {
    heading: "Network",
    options: &[
        &NETWORK,
        &PUBLISH,
        &PUBLISH_ALL,
        &EXPOSE,
        &HOSTNAME,
        &DOMAINNAME,
        &DNS,
        &DNS_SEARCH,
        &DNS_OPTION,
        &ADD_HOST,
    ],
};

pub(super) fn put(typed: &Typed<'_>, request: &mut RunRequest) -> Result<(), UsageError> {
    let network = &mut request.network;
    let wrong = usage::wrong::<InvalidRequest>;
    for word in typed.texts(&PUBLISH) {
        let read = network.publish(word);
        read.map_err(|error| wrong("--publish", word, error))?;
    }
    for word in typed.texts(&EXPOSE) {
        let read = network.expose(word);
        read.map_err(|error| wrong("--expose", word, error))?;
    }
    let texts = |option| typed.texts(option).map(str::to_owned).collect();
    network.mode = mode(typed)?;
    network.publish_all = typed.on(&PUBLISH_ALL);
    network.hostname = host_name(typed, &HOSTNAME)?;
    network.domainname = host_name(typed, &DOMAINNAME)?;
    network.dns = typed.texts(&DNS).map(address).collect::<Result<_, _>>()?;
    network.dns_search = texts(&DNS_SEARCH);
    network.dns_options = texts(&DNS_OPTION);
    network.hosts = typed.all(&ADD_HOST)?;
    Ok(())
}

fn mode(typed: &Typed<'_>) -> Result<NetworkMode, UsageError> {
    let modes: Vec<NetworkMode> = typed.all(&NETWORK)?;
    match &modes[..] {
        [] => Ok(NetworkMode::default()),
        [mode] => Ok(mode.clone()),
        [_, second, ..] => {
            let word = second.to_string();
            let error = InvalidRequest::NotSupported {
                what: "several networks for one container",
                word: word.clone(),
                instead: "give --network once",
            };
            Err(usage::wrong("--network", &word, error))
        }
    }
}

fn address(word: &str) -> Result<IpAddr, UsageError> {
    word.parse().map_err(|_| {
        let error = InvalidRequest::Malformed {
            what: "an address",
            word: word.to_owned(),
            example: "an IPv4 or IPv6 address such as 9.9.9.9",
        };
        usage::wrong("--dns", word, error)
    })
}

/// Reads a name as sethostname(2) and resolvers accept it.
fn host_name(typed: &Typed<'_>, option: &Opt) -> Result<Option<String>, UsageError> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let Some(name) = typed.text(option).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    if name.len() <= 64 && name.split('.').all(label) {
        return Ok(Some(name.to_owned()));
    }
    let error = InvalidRequest::Malformed {
        what: "a host name",
        word: name.to_owned(),
        example: "at most 64 letters, digits and dashes, with dots between parts",
    };
    Err(usage::wrong(&option.flag(), name, error))
}
