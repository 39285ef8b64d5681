//! The networks this host knows: their records, and the default one, made on first use.
//!
//! ```text
//! <root>/networks/<name>.json         the record, replaced as a whole
//! <root>/networks/<name>/             who has which address and port (`claims`)
//! <root>/networks/lock                held while a network is made or a claim is removed
//! <root>/networks/.forwarding.json    that Hull turned IPv4 forwarding on, and when
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hull_fs::{Durability, FsError, Lock};
use hull_types::Timestamp;
use rustix::fs::Mode;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::claims::{Claims, Removing, open_networks};
use crate::error::NetError;
use crate::resolv::ResolvConf;
use crate::route::Routes;
use crate::subnet::{Mac, Pool, Subnet};
use crate::sysctl::{self, Was};

/// A network's name: a letter or digit, then letters, digits, `_`, `.` or `-`, at most 64.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkName(String);

/// A network of containers, as its record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub name: NetworkName,
    /// The bridge's interface name. It is made when the first pod needs it, and again after a reboot.
    pub bridge: String,
    /// The bridge's hardware address: random, and so the mark by which Hull knows its own bridge.
    pub mac: Mac,
    pub subnet: Subnet,
    /// The bridge's own address, the pods' way out.
    pub gateway: Ipv4Addr,
    pub created: Timestamp,
}

/// The networks below one root directory.
#[derive(Debug)]
pub struct Networks {
    dir: OwnedFd,
    path: PathBuf,
    pool: Pool,
}

/// A bridge that is up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raised {
    pub(crate) index: u32,
    pub(crate) mtu: u32,
}

/// What stands in `.forwarding.json`.
#[derive(Debug, Serialize)]
struct Forwarding {
    setting: &'static str,
    was: &'static str,
    turned_on: Timestamp,
}

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// More than any record has.
const RECORD_LIMIT: u64 = 65_536;
const RECORD_MODE: Mode = Mode::from_raw_mode(0o644);

impl Networks {
    /// Opens `<root>/networks`, making it if it is missing. New networks take their ranges from `pool`.
    pub fn open(root: &Path, pool: Pool) -> Result<Self, NetError> {
        let path = root.join("networks");
        Ok(Self {
            dir: open_networks(&path)?,
            path,
            pool,
        })
    }

    /// Returns the network `bridge`, making its record on first use.
    pub fn default_network(&self) -> Result<Network, NetError> {
        let name = NetworkName::default();
        match self.find(&name) {
            Err(NetError::NoNetwork(_)) => self.create_default(name),
            other => other,
        }
    }

    /// Returns a network by name.
    pub fn find(&self, name: &NetworkName) -> Result<Network, NetError> {
        let file = record_name(name);
        match hull_fs::read_at(&self.dir, &file, RECORD_LIMIT) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| NetError::Record {
                path: self.path.join(file),
                source,
            }),
            Err(FsError::Open {
                source: Errno::NOENT,
                ..
            }) => Err(NetError::NoNetwork(name.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns every network that has a record, by name.
    pub fn list(&self) -> Result<Vec<Network>, NetError> {
        let mut networks = Vec::new();
        for file in hull_fs::list(&self.dir)? {
            let name = file
                .to_str()
                .and_then(|file| file.strip_suffix(".json")?.parse().ok());
            let Some(name) = name else { continue };
            match self.find(&name) {
                // Removed since the directory was read.
                Err(NetError::NoNetwork(_)) => {}
                other => networks.push(other?),
            }
        }
        networks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(networks)
    }

    pub(crate) fn claims(&self, name: &NetworkName) -> Result<Claims, NetError> {
        Claims::open(self.dir.as_fd(), self.path.clone(), &name.0)
    }

    /// Removes records that were not finished by those who were killed writing them; returns how many.
    pub fn remove_unfinished(&self) -> Result<usize, NetError> {
        Ok(hull_fs::remove_unfinished(&self.dir)?)
    }

    /// Waits for other removers, and keeps them waiting.
    pub(crate) fn removing(&self) -> Result<Removing, NetError> {
        Ok(Removing(Lock::acquire_at(&self.dir, "lock")?))
    }

    fn create_default(&self, name: NetworkName) -> Result<Network, NetError> {
        let _lock = self.removing()?;
        // Somebody may have made it while we waited.
        match self.find(&name) {
            Err(NetError::NoNetwork(_)) => {}
            other => return other,
        }
        let routes = Routes::open()?;
        let others = self.list()?;
        let subnet = self.free_subnet(&name, &routes, &others)?;
        let network = Network {
            bridge: free_bridge_name(&routes, &others)?,
            mac: Mac::random(random()?),
            gateway: subnet.gateway(),
            subnet,
            created: Timestamp::now(),
            name,
        };
        Claims::create(&self.dir, self.path.clone(), &network.name.0)?;
        self.write(&record_name(&network.name), &network)?;
        Ok(network)
    }

    /// Chooses the first range of the pool in which this host has no route, no other network and no name server.
    fn free_subnet(
        &self,
        name: &NetworkName,
        routes: &Routes,
        others: &[Network],
    ) -> Result<Subnet, NetError> {
        let mut taken = routes
            .taken_ranges()
            .map_err(NetError::kernel("list this host's routes"))?;
        taken.extend(others.iter().map(|network| network.subnet));
        // A server behind the default route has no route of its own, and would vanish behind the bridge.
        taken.extend(
            ResolvConf::of_host()
                .servers
                .iter()
                .filter_map(|server| match server {
                    IpAddr::V4(server) => Some(Subnet::containing(*server, 32)),
                    IpAddr::V6(_) => None,
                }),
        );
        self.pool
            .first_free(&taken)
            .ok_or_else(|| NetError::NoFreeSubnet(name.clone()))
    }

    fn write(&self, file: &str, record: &impl Serialize) -> Result<(), NetError> {
        let mut bytes = serde_json::to_vec_pretty(record).map_err(|source| NetError::Record {
            path: self.path.join(file),
            source,
        })?;
        bytes.push(b'\n');
        Ok(hull_fs::replace_at(
            &self.dir,
            file,
            &bytes,
            RECORD_MODE,
            Durability::Synced,
        )?)
    }

    /// Returns the network's bridge, making it, or finishing it, where it is not up.
    pub(crate) fn raise_bridge(
        &self,
        network: &Network,
        routes: &Routes,
    ) -> Result<Raised, NetError> {
        let name = &network.bridge;
        let failed = |action: &str| NetError::kernel(format!("{action} the bridge {name}"));
        let look = || routes.link(name).map_err(failed("look for"));
        let link = match look()? {
            Some(link) => link,
            None => {
                let mtu = routes
                    .outward_mtu()
                    .map_err(NetError::kernel("find the way out of this host"))?;
                match routes.create_bridge(name, network.mac, mtu) {
                    // Another starter made it just now.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(source) => return Err(failed("make")(source)),
                }
                look()?.ok_or(Errno::NODEV).map_err(failed("find"))?
            }
        };
        if link.kind.as_deref() != Some("bridge") || link.mac != Some(network.mac) {
            return Err(NetError::BridgeTaken {
                bridge: name.clone(),
                network: network.name.clone(),
            });
        }
        if !link.up {
            // No IPv6 on this bridge yet: with it, the host would take router advertisements from containers (CVE-2020-13401).
            sysctl::turn_on_if_there(&format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"))?;
            self.forward()?;
            routes
                .finish_bridge(link.index, network.gateway, network.subnet)
                .map_err(failed("put up"))?;
        }
        Ok(Raised {
            index: link.index,
            mtu: link.mtu,
        })
    }

    /// Lets the host forward IPv4 packets, and records it if that was not so.
    fn forward(&self) -> Result<(), NetError> {
        if sysctl::turn_on(FORWARDING)? == Was::So {
            return Ok(());
        }
        let record = Forwarding {
            setting: FORWARDING,
            was: "0",
            turned_on: Timestamp::now(),
        };
        self.write(".forwarding.json", &record)
    }
}

/// Returns `hull0`, or the first of its successors that is neither an interface nor spoken for.
fn free_bridge_name(routes: &Routes, others: &[Network]) -> Result<String, NetError> {
    let mut number = 0;
    loop {
        let name = format!("hull{number}");
        let link = routes
            .link(&name)
            .map_err(NetError::kernel("look for a free interface name"))?;
        if link.is_none() && others.iter().all(|network| network.bridge != name) {
            return Ok(name);
        }
        number += 1;
    }
}

fn random() -> Result<[u8; 6], NetError> {
    let mut bytes = [0; 6];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(NetError::kernel("get random bytes"))?;
    Ok(bytes)
}

fn record_name(name: &NetworkName) -> String {
    format!("{name}.json")
}

impl Default for NetworkName {
    /// The network of containers that name none: `bridge`, as docker calls it.
    fn default() -> Self {
        Self("bridge".to_owned())
    }
}

impl FromStr for NetworkName {
    type Err = NetError;
    fn from_str(text: &str) -> Result<Self, NetError> {
        let good = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(NetError::InvalidName(text.to_owned()))
        }
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for NetworkName {
    type Error = NetError;
    fn try_from(text: String) -> Result<Self, NetError> {
        text.parse()
    }
}

impl From<NetworkName> for String {
    fn from(name: NetworkName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_names_are_file_names_and_nothing_else() {
        for good in ["bridge", "a", "0-_.x", &"n".repeat(64)] {
            assert_eq!(good.parse::<NetworkName>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            ".hidden",
            "-x",
            "a/b",
            "a b",
            "ä",
            "..",
            &"n".repeat(65),
        ] {
            assert!(bad.parse::<NetworkName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_record_is_read_back() {
        let text = r#"{"name":"bridge","bridge":"hull0","mac":"02:00:00:00:00:01","subnet":"10.88.0.0/16",
            "gateway":"10.88.0.1","created":"2026-11-22T01:02:03.000000004Z"}"#;
        let network: Network = serde_json::from_str(text).unwrap();
        let again = serde_json::to_string(&network).unwrap();
        assert_eq!(serde_json::from_str::<Network>(&again).unwrap(), network);
        assert!(
            serde_json::from_str::<Network>(&text.replace("10.88.0.0/16", "10.88.0.9/16")).is_err()
        );
    }
}
