//! nf_tables messages: the few Hull needs, written the way `nft` writes them.
//!
//! A rule is a list of expressions working on registers: one loads something of the packet into register 1, the next compares
//! it or looks it up in a set, and when it does not match, the rule ends. What `nft --debug=netlink list ruleset` prints is
//! what the methods of [`Expressions`] write, name by name.
//!
//! Numbers on the wire are in network byte order; what is compared with a register is in the byte order the register has.

use std::net::Ipv4Addr;

use crate::netlink::{Answer, Attributes, Batch, Body, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};

// include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = SUBSYSTEM << 8;
const NEWCHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEWRULE: u16 = SUBSYSTEM << 8 | 6;
const NEWSET: u16 = SUBSYSTEM << 8 | 9;
const NEWSETELEM: u16 = SUBSYSTEM << 8 | 12;
const GETSETELEM: u16 = SUBSYSTEM << 8 | 13;
const DELSETELEM: u16 = SUBSYSTEM << 8 | 14;
const AF_INET: u8 = 2;
const LIST_ELEM: u16 = 1;
const SET_OF_RANGES: u32 = 4;
const SET_IS_MAP: u32 = 8;
const ELEMENT_ENDS_RANGE: u32 = 1;

/// Registers of four bytes; the first four are what `nft` calls register 1.
const REG: [u32; 3] = [1, 9, 10];
const VERDICT: u32 = 0;
const NF_DROP: i32 = 0;
const NFT_JUMP: i32 = -3;

/// A note to `nft list`, which the kernel only keeps: the key's byte order (type 0, length 4) is the machine's (1). Without it
/// the names are shown as empty.
const NAME_BYTE_ORDER: [u8; 6] = [0, 4, 1, 0, 0, 0];

/// The kinds a set's key or a map's value is made of, as `nft list` prints them. The kernel keeps the number and does not
/// look at it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Ipv4Addr = 7,
    InetProto = 12,
    InetService = 13,
    IfName = 41,
}

/// Where in the packet path a chain hangs, and its place among others there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hook {
    pub(crate) kind: &'static str,
    pub(crate) number: u32,
    pub(crate) priority: i32,
}

// include/uapi/linux/netfilter.h: NF_INET_…
pub(crate) const PREROUTING: u32 = 0;
pub(crate) const FORWARD: u32 = 2;
pub(crate) const OUTPUT: u32 = 3;
pub(crate) const POSTROUTING: u32 = 4;

/// One set or map: its name and what it is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) key: &'static [Kind],
    pub(crate) value: &'static [Kind],
    pub(crate) members: Members,
}

/// Whether a set's elements are single keys or ranges of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Members {
    Single,
    Ranges,
}

/// A batch for one table; the kernel carries out all of it or nothing.
#[derive(Debug)]
pub(crate) struct Change {
    batch: Batch,
    table: &'static str,
    sets: u32,
}

impl Change {
    pub(crate) fn of(table: &'static str) -> Self {
        let mut batch = Batch::default();
        batch.push_silent(BATCH_BEGIN, 0, &subsystem(), |_| {});
        Self {
            batch,
            table,
            sets: 0,
        }
    }

    /// Ends the batch.
    pub(crate) fn finish(mut self) -> Batch {
        self.batch.push_silent(BATCH_END, 0, &subsystem(), |_| {});
        self.batch
    }

    /// Makes the table; the whole change fails with `EEXIST` when there is one.
    pub(crate) fn table(&mut self) {
        self.message(NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, |_| {});
    }

    pub(crate) fn set(&mut self, set: &Set) {
        self.sets += 1;
        let id = self.sets;
        self.message(NEWSET, NLM_F_CREATE, |body| {
            body.text(2, set.name);
            let map = if set.value.is_empty() { 0 } else { SET_IS_MAP };
            let ranges = if set.members == Members::Ranges {
                SET_OF_RANGES
            } else {
                0
            };
            body.network(3, map | ranges);
            body.network(4, type_of(set.key));
            body.network(5, length_of(set.key));
            if !set.value.is_empty() {
                body.network(6, type_of(set.value));
                body.network(7, length_of(set.value));
            }
            body.network(10, id);
            if let [Kind::IfName] = set.key {
                body.bytes(13, &NAME_BYTE_ORDER);
            }
        });
    }

    /// Makes a chain: one that packets pass at `hook`, or one that only rules jump to.
    pub(crate) fn chain(&mut self, name: &str, hook: Option<Hook>) {
        self.message(NEWCHAIN, NLM_F_CREATE, |body| {
            body.text(3, name);
            if let Some(hook) = hook {
                body.nest(4, |body| {
                    body.network(1, hook.number);
                    body.bytes(2, &hook.priority.to_be_bytes());
                });
                body.text(7, hook.kind);
            }
        });
    }

    /// Adds a rule at the end of a chain.
    pub(crate) fn rule(&mut self, chain: &str, write: impl FnOnce(&mut Expressions<'_, '_>)) {
        self.message(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |body| {
            body.text(2, chain);
            body.nest(4, |body| write(&mut Expressions(body)));
        });
    }

    /// Adds an element; nothing happens when it is there, `EEXIST` (or, by kernel, `EBUSY`)
    /// when it is there with another value.
    pub(crate) fn add(&mut self, set: &Set, key: &[u8], value: Option<&[u8]>) {
        self.element(NEWSETELEM, NLM_F_CREATE, set, key, value);
    }

    /// Adds a range of addresses; nothing happens when it is there.
    pub(crate) fn add_range(&mut self, set: &Set, first: Ipv4Addr, last: Ipv4Addr) {
        self.range(NEWSETELEM, NLM_F_CREATE, set, first, last);
    }

    fn range(&mut self, kind: u16, flags: u16, set: &Set, first: Ipv4Addr, last: Ipv4Addr) {
        // A range is two elements: its first key, and the first key that is not in it any more.
        let behind = Ipv4Addr::from(u32::from(last).saturating_add(1));
        self.message(kind, flags, |body| {
            body.text(2, set.name);
            body.nest(3, |list| {
                list.nest(LIST_ELEM, |element| {
                    element.nest(1, |data| data.bytes(1, &first.octets()))
                });
                list.nest(LIST_ELEM, |element| {
                    element.nest(1, |data| data.bytes(1, &behind.octets()));
                    element.network(3, ELEMENT_ENDS_RANGE);
                });
            });
        });
    }

    /// Removes an element; the whole change fails with `ENOENT` when it is not there.
    pub(crate) fn remove(&mut self, set: &Set, key: &[u8]) {
        self.element(DELSETELEM, 0, set, key, None);
    }

    fn element(&mut self, kind: u16, flags: u16, set: &Set, key: &[u8], value: Option<&[u8]>) {
        self.message(kind, flags, |body| {
            body.text(2, set.name);
            body.nest(3, |list| {
                list.nest(LIST_ELEM, |element| {
                    element.nest(1, |data| data.bytes(1, key));
                    if let Some(value) = value {
                        element.nest(2, |data| data.bytes(1, value));
                    }
                });
            });
        });
    }

    /// Every message begins with the table's name as attribute 1.
    fn message(&mut self, kind: u16, flags: u16, write: impl FnOnce(&mut Body<'_>)) {
        let table = self.table;
        self.batch.push(kind, flags, &[AF_INET, 0, 0, 0], |body| {
            body.text(1, table);
            write(body);
        });
    }
}

/// Asks for one element; the answer goes to [`value_of`], `ENOENT` when there is none.
pub(crate) fn element_question(table: &str, set: &Set, key: &[u8]) -> Batch {
    let mut question = Batch::default();
    question.push(GETSETELEM, 0, &[AF_INET, 0, 0, 0], |body| {
        body.text(1, table);
        body.text(2, set.name);
        body.nest(3, |list| {
            list.nest(LIST_ELEM, |element| {
                element.nest(1, |data| data.bytes(1, key))
            })
        });
    });
    question
}

/// Returns what a map's element leads to.
pub(crate) fn value_of(answer: &Answer<'_>) -> Option<Vec<u8>> {
    let inside = |bytes, wanted| {
        Attributes(bytes)
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, value)| value)
    };
    let list = answer
        .attributes(4)
        .find(|(kind, _)| *kind == 3)
        .map(|(_, value)| value)?;
    let element = inside(list, LIST_ELEM)?;
    inside(inside(element, 2)?, 1).map(<[u8]>::to_vec)
}

/// `struct nfgenmsg` of the marks round a batch.
fn subsystem() -> [u8; 4] {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    [0, 0, high, low]
}

fn type_of(kinds: &[Kind]) -> u32 {
    kinds
        .iter()
        .fold(0, |number, kind| number << 6 | *kind as u32)
}

/// Parts are padded to registers of four bytes; a name fills four.
fn length_of(kinds: &[Kind]) -> u32 {
    kinds
        .iter()
        .map(|kind| if matches!(kind, Kind::IfName) { 16 } else { 4 })
        .sum()
}

/// Returns an interface's name as registers hold it.
pub(crate) fn interface_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    bytes
}

/// Returns `address . port` as two registers hold it.
pub(crate) fn address_and_port(address: Ipv4Addr, port: u16) -> [u8; 8] {
    let ([a, b, c, d], [high, low]) = (address.octets(), port.to_be_bytes());
    [a, b, c, d, high, low, 0, 0]
}

/// Returns `protocol . port` as two registers hold it.
pub(crate) fn protocol_and_port(protocol: u8, port: u16) -> [u8; 8] {
    let [high, low] = port.to_be_bytes();
    [protocol, 0, 0, 0, high, low, 0, 0]
}

/// What of the connection a rule may ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tracked {
    Direction = 1,
    Status = 2,
}

/// Whether a comparison or lookup must hold or must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Must {
    Hold,
    Fail,
}

/// The expressions of one rule, in the order they are carried out.
#[derive(Debug)]
pub(crate) struct Expressions<'a, 'b>(&'a mut Body<'b>);

impl Expressions<'_, '_> {
    pub(crate) fn load_incoming_interface(&mut self) {
        self.meta(6, REG[0]);
    }

    pub(crate) fn load_outgoing_interface(&mut self) {
        self.meta(7, REG[0]);
    }

    /// Loads `protocol . destination port` into two registers, beginning with the `at`-th.
    pub(crate) fn load_protocol_and_port(&mut self, at: usize) {
        self.meta(16, REG[at]);
        self.payload(2, 2, 2, REG[at + 1]);
    }

    /// Loads the destination address of the IP header.
    pub(crate) fn load_destination(&mut self) {
        self.payload(1, 16, 4, REG[0]);
    }

    /// Loads the source address of the IP header.
    pub(crate) fn load_source(&mut self) {
        self.payload(1, 12, 4, REG[0]);
    }

    /// Loads the first byte of the source or destination address.
    pub(crate) fn load_first_byte_of(&mut self, address: Side) {
        let offset = match address {
            Side::Source => 12,
            Side::Destination => 16,
        };
        self.payload(1, offset, 1, REG[0]);
    }

    pub(crate) fn load_tracked(&mut self, what: Tracked) {
        self.expression("ct", |data| {
            data.network(1, REG[0]);
            data.network(2, what as u32);
        });
    }

    /// Loads what sort of address the destination is to this host: local, broadcast, elsewhere.
    pub(crate) fn load_destination_type(&mut self) {
        self.expression("fib", |data| {
            data.network(1, REG[0]);
            data.network(2, 3); // NFT_FIB_RESULT_ADDRTYPE
            data.network(3, 2); // NFTA_FIB_F_DADDR
        });
    }

    /// Keeps these bits of register 1.
    pub(crate) fn mask(&mut self, bits: u32) {
        self.expression("bitwise", |data| {
            data.network(1, REG[0]);
            data.network(2, REG[0]);
            data.network(3, 4);
            data.nest(4, |mask| mask.bytes(1, &bits.to_ne_bytes()));
            data.nest(5, |xor| xor.bytes(1, &[0; 4]));
        });
    }

    /// Goes on only if register 1 holds `value`, or does not.
    pub(crate) fn compare(&mut self, value: &[u8], must: Must) {
        self.expression("cmp", |data| {
            data.network(1, REG[0]);
            data.network(2, u32::from(must == Must::Fail));
            data.nest(3, |inner| inner.bytes(1, value));
        });
    }

    /// Goes on only if register 1 is in the set, or is not.
    pub(crate) fn look_up(&mut self, set: &Set, must: Must) {
        self.expression("lookup", |data| {
            data.text(1, set.name);
            data.network(2, REG[0]);
            data.network(5, u32::from(must == Must::Fail));
        });
    }

    /// Replaces the registers by what the map has for them, and goes on only if it has something.
    pub(crate) fn map(&mut self, map: &Set) {
        self.expression("lookup", |data| {
            data.text(1, map.name);
            data.network(2, REG[0]);
            data.network(3, REG[0]);
        });
    }

    /// Sends the connection to the address and port in the first two registers.
    pub(crate) fn translate_destination(&mut self) {
        self.expression("nat", |data| {
            data.network(1, 1); // NFT_NAT_DNAT
            data.network(2, u32::from(AF_INET));
            data.network(3, REG[0]);
            data.network(5, REG[1]);
        });
    }

    /// Gives the connection the address of the interface it leaves by.
    pub(crate) fn masquerade(&mut self) {
        self.0
            .nest(LIST_ELEM, |expression| expression.text(1, "masq"));
    }

    pub(crate) fn drop(&mut self) {
        self.verdict(NF_DROP, None);
    }

    pub(crate) fn jump(&mut self, chain: &str) {
        self.verdict(NFT_JUMP, Some(chain));
    }

    fn verdict(&mut self, code: i32, chain: Option<&str>) {
        self.expression("immediate", |data| {
            data.network(1, VERDICT);
            data.nest(2, |value| {
                value.nest(2, |verdict| {
                    verdict.bytes(1, &code.to_be_bytes());
                    if let Some(chain) = chain {
                        verdict.text(2, chain);
                    }
                });
            });
        });
    }

    fn meta(&mut self, key: u32, register: u32) {
        self.expression("meta", |data| {
            data.network(1, register);
            data.network(2, key);
        });
    }

    fn payload(&mut self, base: u32, offset: u32, length: u32, register: u32) {
        self.expression("payload", |data| {
            data.network(1, register);
            data.network(2, base);
            data.network(3, offset);
            data.network(4, length);
        });
    }

    fn expression(&mut self, name: &str, write: impl FnOnce(&mut Body<'_>)) {
        self.0.nest(LIST_ELEM, |expression| {
            expression.text(1, name);
            expression.nest(2, write);
        });
    }
}

/// An address of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Source,
    Destination,
}
