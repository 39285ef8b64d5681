//! Interfaces, addresses and routes: the few route-family messages Hull sends, one function each.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use crate::error::NetError;
use crate::netlink::{
    Answer, Batch, Body, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, Netlink, Refused, word,
};
use crate::subnet::{Mac, Subnet};

// include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h, veth.h
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BRPORT_MODE: u16 = 4;
const VETH_INFO_PEER: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTEXT_FILTER_SKIP_STATS: u32 = 8;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_NONE: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u16 = 10;
const IFF_UP: u32 = 1;
const RT_TABLE_MAIN: u8 = 254;
/// Says that the route was made by hand, as `ip route` does; routing daemons leave those alone.
const RTPROT_STATIC: u8 = 4;
const RTN_UNICAST: u8 = 1;
const IFINFOMSG: usize = 16;
const RTMSG: usize = 12;
/// `lo` is the first interface of every network namespace.
const LOOPBACK: u32 = 1;
/// What Ethernet carries when nothing says otherwise.
const USUAL_MTU: u32 = 1500;
/// What the container calls its interface.
pub(crate) const INSIDE: &str = "eth0";

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) up: bool,
    pub(crate) mtu: u32,
    pub(crate) mac: Option<Mac>,
    pub(crate) kind: Option<String>,
}

/// What a pair of interfaces is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Veth<'a> {
    pub(crate) name: &'a str,
    pub(crate) bridge: u32,
    pub(crate) mtu: u32,
    pub(crate) peer_mac: Mac,
    pub(crate) peer_netns: BorrowedFd<'a>,
    pub(crate) turns_back: TurnsBack,
}

/// Whether the bridge may send a packet back through the port it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurnsBack {
    /// For a pod that publishes ports and may reach itself by them: where `bridge-nf-call-iptables` is on, translation turns
    /// the packet round inside the bridge.
    Yes,
    No,
}

/// A socket of the route family, in the network namespace it was opened in.
#[derive(Debug)]
pub(crate) struct Routes(Netlink);

impl Routes {
    pub(crate) fn open() -> Result<Self, NetError> {
        Netlink::open(None)
            .map(Self)
            .map_err(NetError::kernel("open a netlink socket for routes"))
    }

    /// Finds an interface by name.
    pub(crate) fn link(&self, name: &str) -> Result<Option<Link>, Errno> {
        let mut question = Batch::default();
        question.push(RTM_GETLINK, 0, &interface(0, 0, 0), |body| {
            body.text(IFLA_IFNAME, name);
            body.native(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        });
        match self.0.get(&question, |answer| read_link(&answer)) {
            Ok(link) => Ok(Some(link)),
            Err(Errno::NODEV) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Returns the MTU of the interface that leads out of this host, or what Ethernet has.
    pub(crate) fn outward_mtu(&self) -> Result<u32, Errno> {
        let mut out = None;
        self.each_route(|destination, interface| {
            if destination.prefix() == 0 {
                out = out.or(interface);
            }
        })?;
        let Some(index) = out else {
            return Ok(USUAL_MTU);
        };
        let mut question = Batch::default();
        question.push(RTM_GETLINK, 0, &interface(index, 0, 0), |body| {
            body.native(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        });
        self.0.get(&question, |answer| read_link(&answer).mtu)
    }

    /// Returns every range this host has a route or an address in, the default route apart.
    pub(crate) fn taken_ranges(&self) -> Result<Vec<Subnet>, Errno> {
        let mut taken = Vec::new();
        self.each_route(|destination, _| {
            if destination.prefix() > 0 {
                taken.push(destination);
            }
        })?;
        Ok(taken)
    }

    fn each_route(&self, mut see: impl FnMut(Subnet, Option<u32>)) -> Result<(), Errno> {
        let mut question = Batch::default();
        let mut fixed = [0; RTMSG];
        fixed[0] = AF_INET;
        question.push(RTM_GETROUTE, NLM_F_DUMP, &fixed, |_| {});
        self.0.dump(&question, |answer| {
            let (mut destination, mut interface) = (Ipv4Addr::UNSPECIFIED, None);
            for (kind, value) in answer.attributes(RTMSG) {
                match kind {
                    RTA_DST => destination = address(value),
                    RTA_OIF => interface = Some(word(value, 0)),
                    _ => {}
                }
            }
            let prefix = answer.payload.get(1).copied().unwrap_or_default();
            see(Subnet::containing(destination, prefix), interface);
        })
    }

    /// Returns the interfaces that are ports of the bridge with this index.
    pub(crate) fn ports_of(&self, bridge: u32) -> Result<Vec<Link>, Errno> {
        let mut question = Batch::default();
        question.push(RTM_GETLINK, NLM_F_DUMP, &interface(0, 0, 0), |body| {
            body.native(IFLA_MASTER, bridge);
            body.native(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        });
        let mut ports = Vec::new();
        self.0
            .dump(&question, |answer| ports.push(read_link(&answer)))?;
        Ok(ports)
    }

    /// Makes a bridge that is still down. `EEXIST` when there is an interface of that name.
    pub(crate) fn create_bridge(&self, name: &str, mac: Mac, mtu: u32) -> Result<(), Errno> {
        let mut batch = Batch::default();
        batch.push(
            RTM_NEWLINK,
            NLM_F_CREATE | NLM_F_EXCL,
            &interface(0, 0, 0),
            |body| {
                body.text(IFLA_IFNAME, name);
                // Given, not taken from a port, so that it does not change as ports come and go.
                body.bytes(IFLA_ADDRESS, &mac.0);
                body.native(IFLA_MTU, mtu);
                body.nest(IFLA_LINKINFO, |info| info.text(IFLA_INFO_KIND, "bridge"));
            },
        );
        self.transact(batch)
    }

    /// Gives the bridge its address and puts it up, last: a bridge that is up is complete.
    pub(crate) fn finish_bridge(
        &self,
        index: u32,
        gateway: Ipv4Addr,
        subnet: Subnet,
    ) -> Result<(), Errno> {
        let mut addressing = Batch::default();
        push_address(&mut addressing, index, gateway, subnet);
        match self.transact(addressing) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let mut raising = Batch::default();
        push_up(&mut raising, index);
        self.transact(raising)
    }

    /// Makes a pair in one system call: the host's end a port of the bridge and up, the peer `eth0` born inside the pod's
    /// namespace. (Moving an interface to another namespace costs 12–24 ms; being born there costs nothing.)
    pub(crate) fn create_veth(&self, veth: &Veth<'_>) -> Result<(), Errno> {
        let mut batch = Batch::default();
        push_veth(&mut batch, veth);
        // Without a link-local address of its own, which nobody could reach, the host's end goes up without asking its
        // neighbours about it: a tenth of what connecting a pod costs.
        push_change(&mut batch, veth.name, 0, |body| {
            body.nest(IFLA_AF_SPEC, |families| {
                families.nest(AF_INET6, |inet6| {
                    inet6.bytes(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_NONE])
                });
            });
        });
        push_change(&mut batch, veth.name, IFF_UP, |_| {});
        if veth.turns_back == TurnsBack::Yes {
            push_change(&mut batch, veth.name, 0, |body| {
                body.nest(IFLA_LINKINFO, |info| {
                    info.text(IFLA_INFO_SLAVE_KIND, "bridge");
                    info.nest(IFLA_INFO_SLAVE_DATA, |data| {
                        data.bytes(IFLA_BRPORT_MODE, &[1])
                    });
                });
            });
        }
        self.transact(batch)
    }

    /// Removes an interface, its peer with it. Slow (the kernel waits for readers): for collecting only.
    pub(crate) fn delete_link(&self, index: u32) -> Result<(), Errno> {
        let mut batch = Batch::default();
        batch.push(RTM_DELLINK, 0, &interface(index, 0, 0), |_| {});
        self.transact(batch)
    }

    /// Puts `lo` and `eth0` up, with an address and the way out, in one system call.
    pub(crate) fn configure_pod(
        &self,
        address: Ipv4Addr,
        subnet: Subnet,
        gateway: Ipv4Addr,
    ) -> Result<(), Errno> {
        let index = rustix::net::netdevice::name_to_index(&self.0, INSIDE)?;
        let mut batch = Batch::default();
        push_up(&mut batch, LOOPBACK);
        push_address(&mut batch, index, address, subnet);
        push_up(&mut batch, index);
        push_default_route(&mut batch, index, gateway);
        self.transact(batch)
    }

    fn transact(&self, batch: Batch) -> Result<(), Errno> {
        self.0
            .transact(batch)
            .map_err(|Refused { errno, .. }| errno)
    }
}

fn push_veth(batch: &mut Batch, veth: &Veth<'_>) {
    let namespace = veth.peer_netns.as_raw_fd().cast_unsigned();
    batch.push(
        RTM_NEWLINK,
        NLM_F_CREATE | NLM_F_EXCL,
        &interface(0, 0, 0),
        |body| {
            body.text(IFLA_IFNAME, veth.name);
            body.native(IFLA_MTU, veth.mtu);
            body.native(IFLA_MASTER, veth.bridge);
            body.nest(IFLA_LINKINFO, |info| {
                info.text(IFLA_INFO_KIND, "veth");
                info.nest(IFLA_INFO_DATA, |data| {
                    // Not up: the kernel raises it before the two are joined, and fails with ENOTCONN.
                    data.nest_after(VETH_INFO_PEER, &interface(0, 0, 0), |peer| {
                        peer.text(IFLA_IFNAME, INSIDE);
                        peer.bytes(IFLA_ADDRESS, &veth.peer_mac.0);
                        peer.native(IFLA_MTU, veth.mtu);
                        peer.native(IFLA_NET_NS_FD, namespace);
                    });
                });
            });
        },
    );
}

/// Changes an interface by name. Where it could not be made because its name is taken, the one that is changed is of the same
/// sort: the pod's own of a moment ago.
fn push_change(batch: &mut Batch, name: &str, flags: u32, change: impl FnOnce(&mut Body<'_>)) {
    batch.push(RTM_NEWLINK, 0, &interface(0, flags, flags), |body| {
        body.text(IFLA_IFNAME, name);
        change(body);
    });
}

fn push_up(batch: &mut Batch, index: u32) {
    batch.push(RTM_NEWLINK, 0, &interface(index, IFF_UP, IFF_UP), |_| {});
}

fn push_address(batch: &mut Batch, index: u32, address: Ipv4Addr, subnet: Subnet) {
    let mut fixed = [AF_INET, subnet.prefix(), 0, 0, 0, 0, 0, 0];
    fixed[4..].copy_from_slice(&index.to_ne_bytes());
    batch.push(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &fixed, |body| {
        body.bytes(IFA_LOCAL, &address.octets());
        body.bytes(IFA_BROADCAST, &subnet.last().octets());
    });
}

fn push_default_route(batch: &mut Batch, index: u32, gateway: Ipv4Addr) {
    let fixed = [
        AF_INET,
        0,
        0,
        0,
        RT_TABLE_MAIN,
        RTPROT_STATIC,
        0,
        RTN_UNICAST,
        0,
        0,
        0,
        0,
    ];
    batch.push(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &fixed, |body| {
        body.native(RTA_OIF, index);
        body.bytes(RTA_GATEWAY, &gateway.octets());
    });
}

/// `struct ifinfomsg`
fn interface(index: u32, flags: u32, change: u32) -> [u8; IFINFOMSG] {
    let mut fixed = [0; IFINFOMSG];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..].copy_from_slice(&change.to_ne_bytes());
    fixed
}

fn read_link(answer: &Answer<'_>) -> Link {
    let mut link = Link {
        index: word(answer.payload, 4),
        name: String::new(),
        up: word(answer.payload, 8) & IFF_UP != 0,
        mtu: USUAL_MTU,
        mac: None,
        kind: None,
    };
    for (kind, value) in answer.attributes(IFINFOMSG) {
        match kind {
            IFLA_IFNAME => link.name = text(value),
            IFLA_MTU => link.mtu = word(value, 0),
            IFLA_ADDRESS => link.mac = value.try_into().ok().map(Mac),
            IFLA_LINKINFO => {
                link.kind = crate::netlink::Attributes(value)
                    .find(|(kind, _)| *kind == IFLA_INFO_KIND)
                    .map(|(_, name)| text(name));
            }
            _ => {}
        }
    }
    link
}

fn text(value: &[u8]) -> String {
    let end = value
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

fn address(value: &[u8]) -> Ipv4Addr {
    <[u8; 4]>::try_from(value).map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from)
}

/// What we write, read back by somebody else's decoder.
#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
    use netlink_packet_route::RouteNetlinkMessage;
    use netlink_packet_route::address::AddressAttribute;
    use netlink_packet_route::link::{
        InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo,
    };
    use netlink_packet_route::route::{RouteAddress, RouteAttribute};
    use std::net::IpAddr;
    use std::os::fd::AsFd;

    fn read(batch: &Batch) -> Vec<RouteNetlinkMessage> {
        let mut bytes = batch.bytes();
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let length =
                usize::try_from(NetlinkBuffer::new_checked(bytes).unwrap().length()).unwrap();
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes).unwrap();
            let NetlinkPayload::InnerMessage(inner) = message.payload else {
                panic!("{message:?}")
            };
            messages.push(inner);
            bytes = &bytes[length..];
        }
        messages
    }

    #[test]
    fn a_pair_is_described_in_one_message() {
        let netns = std::fs::File::open("/proc/self/ns/net").unwrap();
        let veth = Veth {
            name: "hv01234567",
            bridge: 7,
            mtu: 1400,
            peer_mac: Mac([2, 72, 10, 88, 0, 2]),
            peer_netns: netns.as_fd(),
            turns_back: TurnsBack::No,
        };
        let mut batch = Batch::default();
        push_veth(&mut batch, &veth);
        let messages = read(&batch);
        let [RouteNetlinkMessage::NewLink(link)] = &messages[..] else {
            panic!("{messages:?}")
        };
        assert!(
            link.attributes
                .contains(&LinkAttribute::IfName("hv01234567".into()))
        );
        assert!(link.attributes.contains(&LinkAttribute::Mtu(1400)));
        assert!(link.attributes.contains(&LinkAttribute::Controller(7)));
        let info = link
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                LinkAttribute::LinkInfo(info) => Some(info),
                _ => None,
            });
        let [
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ] = &info.unwrap()[..]
        else {
            panic!("{info:?}")
        };
        let expected = [
            LinkAttribute::IfName("eth0".into()),
            LinkAttribute::Address(vec![2, 72, 10, 88, 0, 2]),
            LinkAttribute::Mtu(1400),
            LinkAttribute::NetNsFd(netns.as_raw_fd()),
        ];
        assert_eq!(peer.attributes, expected);
    }

    #[test]
    fn an_address_and_a_route_are_what_they_say() {
        let gateway = Ipv4Addr::new(10, 88, 0, 1);
        let address = Ipv4Addr::new(10, 88, 3, 4);
        let mut batch = Batch::default();
        push_address(&mut batch, 2, address, "10.88.0.0/16".parse().unwrap());
        push_up(&mut batch, 2);
        push_default_route(&mut batch, 2, gateway);
        let messages = read(&batch);
        let [
            RouteNetlinkMessage::NewAddress(added),
            RouteNetlinkMessage::NewLink(raised),
            RouteNetlinkMessage::NewRoute(route),
        ] = &messages[..]
        else {
            panic!("{messages:?}")
        };
        assert_eq!((added.header.index, added.header.prefix_len), (2, 16));
        assert!(
            added
                .attributes
                .contains(&AddressAttribute::Local(IpAddr::V4(address)))
        );
        assert!(
            added
                .attributes
                .contains(&AddressAttribute::Broadcast(Ipv4Addr::new(
                    10, 88, 255, 255
                )))
        );
        assert_eq!(
            (raised.header.index, raised.header.flags),
            (2, LinkFlags::Up)
        );
        assert_eq!(route.header.destination_prefix_length, 0);
        assert!(
            route
                .attributes
                .contains(&RouteAttribute::Gateway(RouteAddress::Inet(gateway)))
        );
        assert!(route.attributes.contains(&RouteAttribute::Oif(2)));
    }
}
