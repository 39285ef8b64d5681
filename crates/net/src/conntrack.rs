//! Forgetting datagram flows that began before a port was published.
//!
//! Translation is decided once per flow, by its first packet. A client that kept sending datagrams to a port while nobody had
//! it, or while another pod had it, has a flow that goes on past the new pod, for as long as the client does not pause. (TCP has
//! no such trouble: the next connection is another flow.)

use crate::firewall::Publication;
use crate::netlink::{Batch, Netlink};

// include/uapi/linux/netfilter/nfnetlink_conntrack.h
const CT_DELETE: u16 = 1 << 8 | 2;
const AF_INET: u8 = 2;
const TUPLE_ORIG: u16 = 1;
const TUPLE_IP: u16 = 1;
const IP_V4_DST: u16 = 2;
const TUPLE_PROTO: u16 = 2;
const PROTO_NUM: u16 = 1;
const PROTO_DST_PORT: u16 = 3;
const FILTER: u16 = 25;
const FILTER_ORIG_FLAGS: u16 = 1;
// net/netfilter/nf_internals.h: which parts of the tuple must match
const MATCH_DESTINATION: u32 = 1 << 1;
const MATCH_PROTOCOL: u32 = 1 << 3;
const MATCH_DESTINATION_PORT: u32 = 1 << 5;

/// Forgets the flows to this port of the host.
///
/// Kernels that cannot delete by a filter (before 6.9 or so) take the message for a question about one flow and find none: there,
/// an old flow ends when its client pauses for half a minute. So an error means nothing here.
pub(crate) fn forget_flows(netfilter: &Netlink, publication: &Publication) {
    let anywhere = publication.address.is_unspecified();
    let address = if anywhere { 0 } else { MATCH_DESTINATION };
    let mut batch = Batch::default();
    batch.push(CT_DELETE, 0, &[AF_INET, 0, 0, 0], |body| {
        body.nest(TUPLE_ORIG, |tuple| {
            if !anywhere {
                tuple.nest(TUPLE_IP, |ip| {
                    ip.bytes(IP_V4_DST, &publication.address.octets())
                });
            }
            tuple.nest(TUPLE_PROTO, |protocol| {
                protocol.bytes(PROTO_NUM, &[publication.protocol.number()]);
                protocol.bytes(PROTO_DST_PORT, &publication.port.to_be_bytes());
            });
        });
        body.nest(FILTER, |filter| {
            filter.native(
                FILTER_ORIG_FLAGS,
                address | MATCH_PROTOCOL | MATCH_DESTINATION_PORT,
            );
        });
    });
    netfilter.transact(batch).ok();
}
