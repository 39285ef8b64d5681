//! The table `ip hull`: made once, after which publishing a port adds one element to a map and never touches a rule.
//!
//! Our chains translate and drop. Nothing here accepts: a packet that passes our chains has still every chain of the
//! administrator before it, whatever its policy, and no other table is read, flushed or reordered.
//!
//! ```text
//! prerouting  raw    not from lo, to 127.0.0.0/8: drop      see below
//! prerouting  dstnat ┐ to an address of this host:
//! output      dstnat ┴─► publish: dnat by one_address (address . protocol . port), else any_address (protocol . port)
//! forward            into a bridge of ours from elsewhere, begun there, and not by a published port: drop
//! postrouting srcnat from a pod's address to elsewhere: masquerade
//!                    from a pod's address into a bridge of ours by a published port: masquerade, or the answer would go round us
//!                    from 127.0.0.0/8 into a bridge of ours: masquerade, or the answer would have nowhere to go
//! ```
//!
//! Masquerading asks for the source's address, not for the interface it came by: inside a bridge (`bridge-nf-call-iptables`)
//! that is no longer known.
//!
//! **Loopback.** A port published on 127.0.0.1 sends packets with a loopback source out of a bridge and takes the answers, which
//! the kernel does only with `route_localnet` set on that bridge. With it, a container (or anyone, on whatever interface it is
//! set) could address a packet to 127.0.0.1 *by hardware address* and reach services that trust loopback (CVE-2020-8558); and
//! since translation comes before the kernel's own check for such packets, a neighbour on the host's own wire could reach a port
//! that was published on 127.0.0.1 only. The first chain, which sees the packet as it came, drops both. `route_localnet` is
//! set only once a port was published, after the table is known to be there.
//!
//! **Ports nobody published.** A host that forwards would carry a neighbour's packets to any port of a container, for the
//! asking (a route to the bridge's range is enough). The forward chain drops those, so that `-p` is what lets others in.

use std::net::Ipv4Addr;

use rustix::io::Errno;

use crate::conntrack;
use crate::error::NetError;
use crate::netlink::{Batch, Netlink, Refused};
use crate::nft::{
    self, Change, Expressions, FORWARD, Hook, Kind, Members, Must, OUTPUT, POSTROUTING, PREROUTING,
    Set, Side, Tracked,
};
use crate::ports::Protocol;
use crate::subnet::Subnet;

const TABLE: &str = "hull";
const BRIDGES: Set = Set {
    name: "bridges",
    key: &[Kind::IfName],
    value: &[],
    members: Members::Single,
};
const RANGES: Set = Set {
    name: "ranges",
    key: &[Kind::Ipv4Addr],
    value: &[],
    members: Members::Ranges,
};
const ANY_ADDRESS: Set = Set {
    name: "any_address",
    key: &[Kind::InetProto, Kind::InetService],
    value: &[Kind::Ipv4Addr, Kind::InetService],
    members: Members::Single,
};
const ONE_ADDRESS: Set = Set {
    name: "one_address",
    key: &[Kind::Ipv4Addr, Kind::InetProto, Kind::InetService],
    value: &[Kind::Ipv4Addr, Kind::InetService],
    members: Members::Single,
};
// include/uapi/linux/netfilter_ipv4.h, rtnetlink.h, nf_conntrack_common.h
const RAW: i32 = -300;
const DSTNAT: i32 = -100;
const FILTER: i32 = 0;
const SRCNAT: i32 = 100;
const RTN_LOCAL: u32 = 2;
const IPS_DST_NAT: u32 = 1 << 5;

/// A port of the host and the place its connections are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Publication {
    pub(crate) address: Ipv4Addr,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    pub(crate) to: (Ipv4Addr, u16),
}

/// A network as the table knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) bridge: String,
    pub(crate) subnet: Subnet,
}

/// Everything the table should hold: what it is filled with when it has to be made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) members: Vec<Member>,
    pub(crate) publications: Vec<Publication>,
}

/// A socket to nf_tables.
#[derive(Debug)]
pub(crate) struct Firewall(Netlink);

impl Firewall {
    pub(crate) fn open() -> Result<Self, NetError> {
        Netlink::open(Some(rustix::net::netlink::NETFILTER))
            .map(Self)
            .map_err(|source| NetError::Firewall {
                what: "socket",
                source,
            })
    }

    /// Lets the network out and publishes the ports.
    ///
    /// Where the table is missing it is made, holding `everything`. Where an element of the same key sends connections
    /// elsewhere, it is a dead pod's, since the caller holds the reservations of these ports; it gives way once it is our
    /// `turn` to remove.
    pub(crate) fn admit<T>(
        &self,
        member: &Member,
        publications: &[Publication],
        everything: impl FnOnce() -> Result<Contents, NetError>,
        turn: impl FnOnce() -> Result<T, NetError>,
    ) -> Result<(), NetError> {
        let refused = |what| move |source| NetError::Firewall { what, source };
        let add = || self.change(elements(member, publications));
        let mut added = add();
        if added == Err(Errno::NOENT) {
            match self.change(ruleset(&everything()?)) {
                // Another starter was quicker, or the table is not ours, which the next attempt will show.
                Ok(()) | Err(Errno::EXIST) => added = add(),
                Err(source) => return Err(refused("table")(source)),
            }
        }
        if let Err(Errno::EXIST | Errno::BUSY) = added {
            let _turn = turn()?;
            self.withdraw(publications)?;
            added = add();
        }
        added.map_err(refused("elements"))?;
        for publication in publications
            .iter()
            .filter(|one| one.protocol == Protocol::Udp)
        {
            conntrack::forget_flows(&self.0, publication);
        }
        Ok(())
    }

    /// Takes published ports back; those that are not there are no error.
    pub(crate) fn withdraw(&self, publications: &[Publication]) -> Result<(), NetError> {
        let refused = |source| NetError::Firewall {
            what: "removal of elements",
            source,
        };
        match self.change(removal(publications)) {
            Ok(()) => Ok(()),
            // Some are missing, and a batch is all or nothing.
            Err(Errno::NOENT) if publications.len() > 1 => publications
                .iter()
                .try_for_each(|one| self.withdraw(std::slice::from_ref(one))),
            Err(Errno::NOENT) => Ok(()),
            Err(source) => Err(refused(source)),
        }
    }

    /// Tells whether the table sends this port's connections to just this place.
    pub(crate) fn holds(&self, publication: &Publication) -> Result<bool, NetError> {
        let (map, key) = publication.key();
        let value = self
            .0
            .get(&nft::element_question(TABLE, map, &key), |answer| {
                nft::value_of(&answer)
            });
        match value {
            Ok(value) => Ok(value.as_deref() == Some(&publication.value()[..])),
            Err(Errno::NOENT) => Ok(false),
            Err(source) => Err(NetError::Firewall {
                what: "element",
                source,
            }),
        }
    }

    fn change(&self, batch: Batch) -> Result<(), Errno> {
        self.0
            .transact(batch)
            .map_err(|Refused { errno, .. }| errno)
    }
}

fn elements(member: &Member, publications: &[Publication]) -> Batch {
    let mut change = Change::of(TABLE);
    member.add_to(&mut change);
    publications
        .iter()
        .for_each(|publication| publication.add_to(&mut change));
    change.finish()
}

fn removal(publications: &[Publication]) -> Batch {
    let mut change = Change::of(TABLE);
    for publication in publications {
        let (map, key) = publication.key();
        change.remove(map, &key);
    }
    change.finish()
}

impl Member {
    fn add_to(&self, change: &mut Change) {
        change.add(&BRIDGES, &nft::interface_name(&self.bridge), None);
        change.add_range(&RANGES, self.subnet.base(), self.subnet.last());
    }
}

impl Publication {
    fn key(&self) -> (&'static Set, Vec<u8>) {
        let port = nft::protocol_and_port(self.protocol.number(), self.port);
        if self.address.is_unspecified() {
            (&ANY_ADDRESS, port.to_vec())
        } else {
            (&ONE_ADDRESS, [&self.address.octets()[..], &port].concat())
        }
    }

    fn value(&self) -> [u8; 8] {
        nft::address_and_port(self.to.0, self.to.1)
    }

    fn add_to(&self, change: &mut Change) {
        let (map, key) = self.key();
        change.add(map, &key, Some(&self.value()));
    }

    /// Tells whether the two cannot both be published.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let everywhere = self.address.is_unspecified() || other.address.is_unspecified();
        self.protocol == other.protocol
            && self.port == other.port
            && (everywhere || self.address == other.address)
    }
}

fn ruleset(contents: &Contents) -> Batch {
    let hook = |kind, number, priority| {
        Some(Hook {
            kind,
            number,
            priority,
        })
    };
    let mut change = Change::of(TABLE);
    change.table();
    [&BRIDGES, &RANGES, &ANY_ADDRESS, &ONE_ADDRESS]
        .into_iter()
        .for_each(|set| change.set(set));
    change.chain("publish", None);
    change.chain("loopback", hook("filter", PREROUTING, RAW));
    change.chain("prerouting", hook("nat", PREROUTING, DSTNAT));
    change.chain("output", hook("nat", OUTPUT, DSTNAT));
    change.chain("forward", hook("filter", FORWARD, FILTER));
    change.chain("postrouting", hook("nat", POSTROUTING, SRCNAT));
    publishing_rules(&mut change);
    dropping_rules(&mut change);
    masquerading_rules(&mut change);
    contents
        .members
        .iter()
        .for_each(|member| member.add_to(&mut change));
    contents
        .publications
        .iter()
        .for_each(|publication| publication.add_to(&mut change));
    change.finish()
}

fn publishing_rules(change: &mut Change) {
    for chain in ["prerouting", "output"] {
        // Without this, a container's own connection to port 8080 of some server would end at whoever published 8080 here.
        change.rule(chain, |rule| {
            rule.load_destination_type();
            rule.compare(&RTN_LOCAL.to_ne_bytes(), Must::Hold);
            rule.jump("publish");
        });
    }
    change.rule("publish", |rule| {
        rule.load_destination();
        rule.load_protocol_and_port(1);
        rule.map(&ONE_ADDRESS);
        rule.translate_destination();
    });
    change.rule("publish", |rule| {
        rule.load_protocol_and_port(0);
        rule.map(&ANY_ADDRESS);
        rule.translate_destination();
    });
}

fn dropping_rules(change: &mut Change) {
    change.rule("loopback", |rule| {
        rule.load_incoming_interface();
        rule.compare(&nft::interface_name("lo"), Must::Fail);
        rule.load_first_byte_of(Side::Destination);
        rule.compare(&[127], Must::Hold);
        rule.drop();
    });
    change.rule("forward", |rule| {
        out_by_ours(rule, Must::Hold);
        in_by_ours(rule, Must::Fail);
        rule.load_tracked(Tracked::Direction);
        rule.compare(&[0], Must::Hold); // IP_CT_DIR_ORIGINAL
        published(rule, Must::Fail);
        rule.drop();
    });
}

fn masquerading_rules(change: &mut Change) {
    change.rule("postrouting", |rule| {
        from_a_pod(rule);
        out_by_ours(rule, Must::Fail);
        rule.masquerade();
    });
    change.rule("postrouting", |rule| {
        from_a_pod(rule);
        out_by_ours(rule, Must::Hold);
        published(rule, Must::Hold);
        rule.masquerade();
    });
    change.rule("postrouting", |rule| {
        out_by_ours(rule, Must::Hold);
        rule.load_first_byte_of(Side::Source);
        rule.compare(&[127], Must::Hold);
        rule.masquerade();
    });
}

fn from_a_pod(rule: &mut Expressions<'_, '_>) {
    rule.load_source();
    rule.look_up(&RANGES, Must::Hold);
}

fn in_by_ours(rule: &mut Expressions<'_, '_>, must: Must) {
    rule.load_incoming_interface();
    rule.look_up(&BRIDGES, must);
}

fn out_by_ours(rule: &mut Expressions<'_, '_>, must: Must) {
    rule.load_outgoing_interface();
    rule.look_up(&BRIDGES, must);
}

/// Asks whether somebody's rule, ours or the administrator's, translated the connection's destination.
fn published(rule: &mut Expressions<'_, '_>, must: Must) {
    rule.load_tracked(Tracked::Status);
    rule.mask(IPS_DST_NAT);
    let none = match must {
        Must::Hold => Must::Fail,
        Must::Fail => Must::Hold,
    };
    rule.compare(&0u32.to_ne_bytes(), none);
}
