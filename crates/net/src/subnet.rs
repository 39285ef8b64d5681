//! IPv4 ranges, the pool they are chosen from, and hardware addresses. Pure.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A range of IPv4 addresses, printed `10.88.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: u32,
    prefix: u8,
}

/// Why a text is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubnet {
    #[error("`{0}` is not an IPv4 range such as 10.88.0.0/16")]
    Shape(String),
    #[error("`{0}` has bits set behind its prefix: did you mean {1}?")]
    HostBits(String, Subnet),
    #[error("`{0}` cannot be split into /{1} ranges")]
    Split(String, String),
    #[error("`{0}` is not a hardware address such as 02:42:0a:58:00:02")]
    Mac(String),
}

impl Subnet {
    /// Makes the range of `prefix` bits that `address` lies in.
    pub fn containing(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self {
            base: u32::from(address) & mask(prefix),
            prefix,
        }
    }

    /// Returns the first address, which names the range itself.
    pub fn base(&self) -> Ipv4Addr {
        self.base.into()
    }

    /// Returns how many leading bits are fixed.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Returns the last address, which is the broadcast address of ranges of four or more.
    pub fn last(&self) -> Ipv4Addr {
        (self.base | !mask(self.prefix)).into()
    }

    /// Returns the address given to the bridge: the first that is not the range's own.
    pub fn gateway(&self) -> Ipv4Addr {
        (self.base | 1).into()
    }

    /// Tells whether `address` lies in the range.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == self.base
    }

    /// Tells whether the two ranges share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.base()) || other.contains(self.base())
    }

    /// Returns every address a pod may have, beginning at a place that depends on `seed` and wrapping round.
    ///
    /// Pods begin at different places, so that the first try nearly always finds a free address however many are taken, and
    /// an address that has just been given up is not handed out again at once.
    pub fn hosts_from(&self, seed: u64) -> impl Iterator<Item = Ipv4Addr> + use<> {
        // Without the range's own address, the gateway behind it, and the broadcast address.
        let first = u64::from(self.base) + 2;
        let count = u64::from(!mask(self.prefix)).saturating_sub(2);
        let start = if count == 0 { 0 } else { seed % count };
        (0..count).filter_map(move |step| {
            u32::try_from(first + (start + step) % count)
                .ok()
                .map(Ipv4Addr::from)
        })
    }

    /// Returns the ranges of `prefix` bits that this one consists of.
    fn split(self, prefix: u8) -> impl Iterator<Item = Self> {
        let size = 1u64 << (32 - prefix);
        let count = 1u64 << prefix.saturating_sub(self.prefix);
        (0..count).filter_map(move |n| {
            let base = u32::try_from(u64::from(self.base) + n * size).ok()?;
            Some(Self { base, prefix })
        })
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;
    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        let shape = || InvalidSubnet::Shape(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(shape)?;
        let address: Ipv4Addr = address.parse().map_err(|_| shape())?;
        let prefix: u8 = prefix.parse().map_err(|_| shape())?;
        if prefix > 32 {
            return Err(shape());
        }
        let range = Self::containing(address, prefix);
        if range.base() != address {
            return Err(InvalidSubnet::HostBits(text.to_owned(), range));
        }
        Ok(range)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base(), self.prefix)
    }
}

impl TryFrom<String> for Subnet {
    type Error = InvalidSubnet;
    fn try_from(text: String) -> Result<Self, InvalidSubnet> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

/// Where new networks get their ranges from: `10.88.0.0/13:16` means the eight /16 ranges of 10.88.0.0/13, in that order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool(Vec<(Subnet, u8)>);

impl Default for Pool {
    /// Eight /16 ranges from 10.88.0.0, then four from 172.24.0.0, then the 128 /24 ranges from 192.168.128.0.
    fn default() -> Self {
        let part =
            |a, b, c, prefix, size| (Subnet::containing(Ipv4Addr::new(a, b, c, 0), prefix), size);
        Self(vec![
            part(10, 88, 0, 13, 16),
            part(172, 24, 0, 14, 16),
            part(192, 168, 128, 17, 24),
        ])
    }
}

impl Pool {
    /// Returns the first range that shares no address with any of `taken`.
    pub fn first_free(&self, taken: &[Subnet]) -> Option<Subnet> {
        self.0
            .iter()
            .flat_map(|(range, size)| range.split(*size))
            .find(|candidate| !taken.iter().any(|other| other.overlaps(candidate)))
    }
}

impl FromStr for Pool {
    type Err = InvalidSubnet;
    /// Reads ranges separated by commas, each `range:size` or a range to be used whole.
    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        text.split(',')
            .map(|part| {
                let part = part.trim();
                let Some((range, size)) = part.split_once(':') else {
                    return part.parse().map(|range: Subnet| (range, range.prefix));
                };
                let range: Subnet = range.parse()?;
                match size.parse() {
                    Ok(size) if size >= range.prefix && size <= 30 => Ok((range, size)),
                    _ => Err(InvalidSubnet::Split(range.to_string(), size.to_owned())),
                }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// A hardware address, printed `02:48:0a:58:00:02`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Derives the hardware address from the IPv4 address.
    ///
    /// Whoever gets an address again gets its hardware address with it, so neighbours' caches are never wrong and nobody has
    /// to announce anything. Bit 1 of the first byte says "administered locally".
    pub fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, b'H', a, b, c, d])
    }

    /// Makes a locally administered unicast address from random bytes.
    pub fn random(mut bytes: [u8; 6]) -> Self {
        bytes[0] = bytes[0] & 0xfc | 0x02;
        Self(bytes)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = InvalidSubnet;
    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        let invalid = || InvalidSubnet::Mac(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts
                .next()
                .filter(|part| part.len() == 2 && !part.starts_with('+'))
                .ok_or_else(invalid)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| invalid())?;
        }
        if parts.next().is_some() {
            return Err(invalid());
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = InvalidSubnet;
    fn try_from(text: String) -> Result<Self, InvalidSubnet> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_are_read_or_refused() {
        assert_eq!(subnet("10.88.0.0/16").to_string(), "10.88.0.0/16");
        assert_eq!(subnet("0.0.0.0/0").last(), Ipv4Addr::BROADCAST);
        assert_eq!(subnet("10.1.2.3/32").last(), Ipv4Addr::new(10, 1, 2, 3));
        for bad in [
            "",
            "10.88.0.0",
            "10.88.0.0/33",
            "10.88/16",
            "10.88.0.0/-1",
            "::/0",
        ] {
            assert!(
                matches!(bad.parse::<Subnet>(), Err(InvalidSubnet::Shape(_))),
                "{bad}"
            );
        }
        assert_eq!(
            "10.88.0.1/16".parse::<Subnet>(),
            Err(InvalidSubnet::HostBits(
                "10.88.0.1/16".into(),
                subnet("10.88.0.0/16")
            ))
        );
    }

    #[test]
    fn ranges_overlap_when_one_holds_the_other() {
        let rows = [
            ("10.88.0.0/16", "10.88.4.0/24", true),
            ("10.88.4.0/24", "10.88.0.0/16", true),
            ("10.0.0.0/8", "10.88.0.0/16", true),
            ("10.89.0.0/16", "10.88.0.0/16", false),
        ];
        for (a, b, expected) in rows {
            assert_eq!(subnet(a).overlaps(&subnet(b)), expected, "{a} {b}");
        }
    }

    #[test]
    fn the_pool_gives_the_first_range_that_collides_with_nothing() {
        let pool = Pool::default();
        assert_eq!(pool.first_free(&[]), Some(subnet("10.88.0.0/16")));
        assert_eq!(
            pool.first_free(&[subnet("10.88.3.0/24")]),
            Some(subnet("10.89.0.0/16"))
        );
        assert_eq!(
            pool.first_free(&[subnet("10.0.0.0/8")]),
            Some(subnet("172.24.0.0/16"))
        );
        let both = [
            subnet("10.0.0.0/8"),
            subnet("172.16.0.0/12"),
            subnet("192.168.128.0/24"),
        ];
        assert_eq!(pool.first_free(&both), Some(subnet("192.168.129.0/24")));
        assert_eq!(pool.first_free(&[subnet("0.0.0.0/0")]), None);
    }

    #[test]
    fn a_pool_is_read_from_the_configuration() {
        let pool: Pool = "10.200.0.0/15:16, 192.168.7.0/24".parse().unwrap();
        let taken = [subnet("10.200.0.0/16"), subnet("10.201.9.0/24")];
        assert_eq!(pool.first_free(&taken), Some(subnet("192.168.7.0/24")));
        for bad in ["", "10.0.0.0/8:4", "10.0.0.0/8:31", "10.0.0.0/8:x", "x"] {
            assert!(bad.parse::<Pool>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_are_every_address_but_three() {
        let mut all: Vec<_> = subnet("10.1.2.0/29")
            .hosts_from(3)
            .map(|a| a.octets()[3])
            .collect();
        assert_eq!(all, [5, 6, 2, 3, 4]);
        all.sort_unstable();
        assert_eq!(all, [2, 3, 4, 5, 6]);
        assert_eq!(subnet("10.1.2.0/30").hosts_from(9).count(), 1);
        assert_eq!(subnet("10.1.2.0/31").hosts_from(9).count(), 0);
        assert_eq!(subnet("10.1.2.0/32").hosts_from(9).count(), 0);
        assert_eq!(subnet("10.88.0.0/16").hosts_from(u64::MAX).count(), 65_533);
    }

    #[test]
    fn hardware_addresses_follow_from_addresses() {
        let mac = Mac::of(Ipv4Addr::new(10, 88, 0, 2));
        assert_eq!(mac.to_string(), "02:48:0a:58:00:02");
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert_eq!(Mac::random([0xff; 6]).to_string(), "fe:ff:ff:ff:ff:ff");
        for bad in [
            "",
            "02:48:0a:58:00",
            "02:48:0a:58:00:02:03",
            "2:48:0a:58:00:02",
            "xx:48:0a:58:00:02",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
