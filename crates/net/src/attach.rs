//! Connecting a pod, disconnecting it, and cleaning up after pods that died without a word.
//!
//! | step of [`Networks::attach`] | what a crash after it leaves | found by |
//! |---|---|---|
//! | ports bound | nothing: the sockets die with the process | |
//! | address leased | a lease of a dead pod | its link |
//! | bridge up | a bridge, which is needed anyway | its name |
//! | veth made, pod's side configured | nothing once the namespace dies | the kernel |
//! | ports recorded | records of a dead pod | their links |
//! | elements added | elements of the table | the records |
//!
//! The way back goes upwards through the table. So an address is never leased anew while an element still sends a port's
//! connections to it.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;

use hull_fs::Undo;
use hull_types::PodId;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::claims::Claims;
use crate::error::NetError;
use crate::firewall::{Contents, Firewall, Member, Publication};
use crate::namespace::inside;
use crate::network::{Network, NetworkName, Networks};
use crate::ports::PortMap;
use crate::reserve::Reservations;
use crate::route::{INSIDE, Routes, TurnsBack, Veth};
use crate::subnet::{Mac, Subnet};
use crate::sysctl;

/// How a pod is connected: what `inspect` shows and what [`Networks::detach`] needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub network: NetworkName,
    /// The interface's name inside.
    pub interface: String,
    /// The other end's name, a port of the bridge.
    pub host_interface: String,
    pub address: Ipv4Addr,
    pub subnet: Subnet,
    pub gateway: Ipv4Addr,
    pub mac: Mac,
    pub mtu: u32,
    /// The ports as published: with the host's ports that were taken.
    pub ports: Vec<PortMap>,
}

/// What [`Networks::collect`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub leases: usize,
    pub ports: usize,
    pub interfaces: usize,
}

impl Networks {
    /// Connects the pod whose network namespace this is, and publishes its ports.
    ///
    /// The calling thread goes into the namespace and comes back. The caller must be known as alive to anyone who collects
    /// *before* it calls this, and keep the reservations as long as the pod lives. On failure all is taken back but the
    /// interfaces, which die with the namespace.
    pub fn attach(
        &self,
        netns: BorrowedFd<'_>,
        network: &Network,
        pod: &PodId,
        ports: &[PortMap],
    ) -> Result<(Attachment, Reservations), NetError> {
        let (reservations, ports) = Reservations::take(ports, |map| self.owner_of(map))?;
        let (routes, firewall) = (Routes::open()?, Firewall::open()?);
        let claims = self.claims(&network.name)?;
        let address = claims.lease(network, pod)?;
        let publications = publications(&ports, address);
        let mut undo = Undo::default();
        undo.push("give the address back", || {
            claims.release_lease(address, pod, &self.removing()?)
        });

        let bridge = self.raise_bridge(network, &routes)?;
        let veth = Veth {
            name: "",
            bridge: bridge.index,
            mtu: bridge.mtu,
            peer_mac: Mac::of(address),
            peer_netns: netns,
            turns_back: if publications.is_empty() {
                TurnsBack::No
            } else {
                TurnsBack::Yes
            },
        };
        let host_interface = inside(netns, || connect(&routes, network, pod, address, veth))?;

        for publication in &publications {
            claims.claim_port(publication, pod, || self.removing())?;
            undo.push("forget the port", || {
                claims.release_port(publication, pod, &self.removing()?)
            });
        }
        firewall.admit(
            &network.member(),
            &publications,
            || self.contents(),
            || self.removing(),
        )?;
        undo.push("take the ports out of the table", || {
            firewall.withdraw(&publications)
        });
        carry_loopback(network, &publications)?;
        undo.keep();

        let attachment = Attachment {
            network: network.name.clone(),
            interface: INSIDE.to_owned(),
            host_interface,
            address,
            subnet: network.subnet,
            gateway: network.gateway,
            mac: Mac::of(address),
            mtu: bridge.mtu,
            ports,
        };
        Ok((attachment, reservations))
    }

    /// Takes back what [`Networks::attach`] gave. The interfaces die with the namespace; nobody waits for them.
    ///
    /// The reservations show that the ports are still the pod's: without them (another process than the one that attached),
    /// use [`Networks::reap`].
    pub fn detach(
        &self,
        pod: &PodId,
        attachment: &Attachment,
        _: &Reservations,
    ) -> Result<(), NetError> {
        let claims = self.claims(&attachment.network)?;
        let publications = publications(&attachment.ports, attachment.address);
        if !publications.is_empty() {
            Firewall::open()?.withdraw(&publications)?;
        }
        let turn = self.removing()?;
        publications
            .iter()
            .try_for_each(|publication| claims.release_port(publication, pod, &turn))?;
        claims.release_lease(attachment.address, pod, &turn)
    }

    /// Removes whatever a dead pod left.
    pub fn reap(&self, pod: &PodId) -> Result<Collected, NetError> {
        self.collect(|other| other != pod)
    }

    /// Removes the elements, records, leases and interfaces of pods that are not alive, on every network.
    ///
    /// `alive` is asked *after* a record was read: a pod that is attached from now on is alive, so nothing of it is removed.
    pub fn collect(&self, mut alive: impl FnMut(&PodId) -> bool) -> Result<Collected, NetError> {
        let mut collected = Collected::default();
        for network in self.list()? {
            let claims = self.claims(&network.name)?;
            for (publication, pod) in claims.ports()? {
                if !alive(&pod) {
                    collected.ports +=
                        usize::from(self.reap_port(&claims, &publication, &pod, &mut alive)?);
                }
            }
            collected.interfaces += self.collect_interfaces(&network, &claims, &mut alive)?;
            for (address, pod) in claims.leases()? {
                if !alive(&pod) {
                    collected.leases +=
                        usize::from(self.reap_lease(&claims, address, &pod, &mut alive)?);
                }
            }
        }
        Ok(collected)
    }

    fn reap_port(
        &self,
        claims: &Claims,
        publication: &Publication,
        pod: &PodId,
        alive: &mut impl FnMut(&PodId) -> bool,
    ) -> Result<bool, NetError> {
        let turn = self.removing()?;
        if !claims.has_port(publication, pod, &turn)? || alive(pod) {
            return Ok(false);
        }
        let firewall = Firewall::open()?;
        // The port may be another pod's by now, of another network or another root. Its address is not: the lease is still
        // the dead pod's.
        if firewall.holds(publication)? {
            firewall.withdraw(std::slice::from_ref(publication))?;
        }
        claims.release_port(publication, pod, &turn)?;
        Ok(true)
    }

    fn reap_lease(
        &self,
        claims: &Claims,
        address: Ipv4Addr,
        pod: &PodId,
        alive: &mut impl FnMut(&PodId) -> bool,
    ) -> Result<bool, NetError> {
        let turn = self.removing()?;
        if !claims.has_lease(address, pod, &turn)? || alive(pod) {
            return Ok(false);
        }
        claims.release_lease(address, pod, &turn)?;
        Ok(true)
    }

    /// Removes interfaces whose pod is dead. There are some only where something else holds the pod's namespace.
    fn collect_interfaces(
        &self,
        network: &Network,
        claims: &Claims,
        alive: &mut impl FnMut(&PodId) -> bool,
    ) -> Result<usize, NetError> {
        let routes = Routes::open()?;
        let failed = || NetError::kernel(format!("list the interfaces of {}", network.bridge));
        let bridge = match routes.link(&network.bridge).map_err(failed())? {
            Some(link) if link.mac == Some(network.mac) => link,
            _ => return Ok(0),
        };
        // The interfaces first, the leases after: who has an interface by now had a lease before it.
        let interfaces = routes.ports_of(bridge.index).map_err(failed())?;
        let mut live = HashSet::new();
        for (_, pod) in claims.leases()? {
            if alive(&pod) {
                live.extend(interface_names(&pod));
            }
        }
        let mut removed = 0;
        for dead in interfaces
            .iter()
            .filter(|link| is_ours(&link.name) && !live.contains(&link.name))
        {
            match routes.delete_link(dead.index) {
                Ok(()) => removed += 1,
                // It died by itself meanwhile.
                Err(Errno::NODEV) => {}
                Err(source) => {
                    return Err(NetError::kernel(format!(
                        "remove the interface {}",
                        dead.name
                    ))(source));
                }
            }
        }
        Ok(removed)
    }

    /// Returns what the table should hold by the records: someone flushed it, or it was never there.
    fn contents(&self) -> Result<Contents, NetError> {
        let mut contents = Contents::default();
        for network in self.list()? {
            let ports = self.claims(&network.name)?.ports()?;
            contents
                .publications
                .extend(ports.into_iter().map(|(publication, _)| publication));
            contents.members.push(network.member());
        }
        Ok(contents)
    }

    /// Looks for the pod whose port is in the way. Asked only when the kernel has refused the port.
    fn owner_of(&self, map: &PortMap) -> Option<PodId> {
        let wanted = publications(std::slice::from_ref(map), Ipv4Addr::UNSPECIFIED);
        self.list().ok()?.iter().find_map(|network| {
            let ports = self
                .claims(&network.name)
                .and_then(|claims| claims.ports())
                .ok()?;
            ports
                .into_iter()
                .find(|(held, _)| wanted[0].meets(held))
                .map(|(_, pod)| pod)
        })
    }
}

impl Network {
    fn member(&self) -> Member {
        Member {
            bridge: self.bridge.clone(),
            subnet: self.subnet,
        }
    }
}

/// Lets the bridge carry loopback addresses if a port is published on one, now that the table is known to drop those that
/// come from outside.
fn carry_loopback(network: &Network, publications: &[Publication]) -> Result<(), NetError> {
    let on_loopback = |publication: &Publication| {
        publication.address.is_unspecified() || publication.address.is_loopback()
    };
    if publications.iter().any(on_loopback) {
        sysctl::turn_on(&format!(
            "/proc/sys/net/ipv4/conf/{}/route_localnet",
            network.bridge
        ))?;
    }
    Ok(())
}

/// Makes the pair and gives the pod's side its address. Runs inside the pod's namespace; `routes` is the host's socket.
fn connect(
    routes: &Routes,
    network: &Network,
    pod: &PodId,
    address: Ipv4Addr,
    veth: Veth<'_>,
) -> Result<String, NetError> {
    // This network is IPv4 only. With IPv6 on, `eth0` would believe router advertisements of its neighbours, and each start
    // would send several multicast packets to every other pod. For interfaces made from now on: `lo` keeps ::1.
    sysctl::turn_on_if_there("/proc/sys/net/ipv6/conf/default/disable_ipv6")?;
    let name = create_veth(routes, network, pod, veth)?;
    Routes::open()?
        .configure_pod(address, network.subnet, network.gateway)
        .map_err(NetError::kernel(format!("give eth0 the address {address}")))?;
    Ok(name)
}

fn create_veth(
    routes: &Routes,
    network: &Network,
    pod: &PodId,
    veth: Veth<'_>,
) -> Result<String, NetError> {
    for name in interface_names(pod) {
        match routes.create_veth(&Veth {
            name: &name,
            ..veth
        }) {
            Ok(()) => return Ok(name),
            // Started again so soon that the kernel has not yet taken the last pair away.
            Err(Errno::EXIST) => {}
            Err(Errno::XFULL) => return Err(NetError::BridgeFull(network.bridge.clone())),
            Err(errno) => return Err(no_pair(network, errno)),
        }
    }
    Err(no_pair(network, Errno::EXIST))
}

fn no_pair(network: &Network, source: Errno) -> NetError {
    NetError::kernel(format!("make a pair of interfaces on {}", network.bridge))(source)
}

/// Returns the names the host's end may bear, in order of preference: `hv` and eight digits of the pod's id.
fn interface_names(pod: &PodId) -> impl Iterator<Item = String> {
    let digits = pod.simple();
    (0..4).map(move |part| format!("hv{}", &digits[part * 8..part * 8 + 8]))
}

fn is_ours(interface: &str) -> bool {
    let digits = interface.strip_prefix("hv").unwrap_or_default();
    digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn publications(ports: &[PortMap], to: Ipv4Addr) -> Vec<Publication> {
    ports
        .iter()
        .map(|map| Publication {
            address: map.address(),
            protocol: map.protocol,
            port: map.host_port,
            to: (to, map.container_port),
        })
        .collect()
}
