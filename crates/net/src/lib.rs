//! Networks of containers: interfaces, addresses, translation of ports, and the text of `/etc/resolv.conf` and `/etc/hosts`.
//!
//! ```text
//!   host ─ hull0 (bridge, gateway address) ─┬─ hv1a2b3c4d ═ eth0 of a pod     veth: one message, peer born in the pod's namespace
//!          table ip hull                    └─ hv5e6f7081 ═ eth0 of a pod
//!          maps (proto . port) -> (address . port)                           publishing a port adds one element, never a rule
//! ```
//!
//! The truth lies in files under `<root>/networks` ([`Networks`]): one record per network, one symbolic link per leased
//! address and per published port, its text naming the pod. Making a symbolic link is exclusive and brings its text along in
//! one step, so taking an address needs no lock and a crash leaves no half-written claim. The kernel's side is made *after*
//! the claim and removed *before* it: whatever a killed process left behind is named by a file, and [`Networks::collect`]
//! finds it there without asking the kernel what exists.
//!
//! Everything is synchronous. [`Networks::attach`] enters the pod's network namespace with the calling thread and comes back.
#![forbid(unsafe_code)]

mod attach;
mod claims;
mod conntrack;
mod error;
mod firewall;
mod hosts;
mod namespace;
mod netlink;
mod network;
mod nft;
mod ports;
mod reserve;
mod resolv;
mod route;
mod subnet;
mod sysctl;

pub use attach::{Attachment, Collected};
pub use error::NetError;
pub use hosts::{ExtraHost, HostsFile};
pub use network::{Network, NetworkName, Networks};
pub use ports::{ExposedPort, InvalidPort, PortMap, Protocol, parse_expose, parse_publish};
pub use reserve::Reservations;
pub use resolv::{DnsOptions, HostResolver, ResolvConf};
pub use subnet::{InvalidSubnet, Mac, Pool, Subnet};
