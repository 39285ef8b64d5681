//! DNS messages (RFC 1035): one question for addresses, and the answer to it. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    V4 = 1,
    V6 = 28,
}

/// What a name server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Perhaps none: the name exists, with other records.
    Addresses(Vec<IpAddr>),
    NoSuchName,
    /// It did not fit into a datagram.
    Truncated,
    /// The server's own failure, by its number.
    Failed(u8),
}

const INTERNET: u16 = 1;
const HEADER: usize = 12;

/// Writes the question for `name`; nothing if it is not a name DNS can have.
pub(crate) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    const RECURSE: [u8; 10] = [1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut message = id.to_be_bytes().to_vec();
    message.extend(RECURSE);
    for label in name.split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..64).contains(length))?;
        message.push(length);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend((kind as u16).to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    (name.len() <= 253).then_some(message)
}

/// Reads what came back for `question`; nothing if it is not an answer to it.
pub(crate) fn answer(question: &[u8], message: &[u8]) -> Option<Answer> {
    const RESPONSE: u8 = 0x80;
    const TRUNCATED: u8 = 0x02;
    let same_id = message.get(..2)? == question.get(..2)?;
    let (flags, code) = (*message.get(2)?, *message.get(3)? & 0x0f);
    let asked = message.get(HEADER..question.len())?;
    let same_question = asked.eq_ignore_ascii_case(question.get(HEADER..)?);
    if !same_id || !same_question || flags & RESPONSE == 0 {
        return None;
    }
    match code {
        0 if flags & TRUNCATED != 0 => Some(Answer::Truncated),
        0 => {
            let kind = question.get(question.len() - 4..question.len() - 2)?;
            let count = u16::from_be_bytes([*message.get(6)?, *message.get(7)?]);
            addresses(message, question.len(), count, kind).map(Answer::Addresses)
        }
        3 => Some(Answer::NoSuchName),
        code => Some(Answer::Failed(code)),
    }
}

/// Collects the records of one kind, whatever alias (CNAME) led to them.
fn addresses(message: &[u8], mut at: usize, count: u16, kind: &[u8]) -> Option<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for _ in 0..count {
        at = after_name(message, at)?;
        let fixed = message.get(at..at + 10)?;
        let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let value = message.get(at + 10..at + 10 + length)?;
        at += 10 + length;
        if fixed[..2] != *kind {
            continue;
        }
        if let Ok(octets) = <[u8; 4]>::try_from(value) {
            addresses.push(Ipv4Addr::from(octets).into());
        } else if let Ok(octets) = <[u8; 16]>::try_from(value) {
            addresses.push(Ipv6Addr::from(octets).into());
        }
    }
    Some(addresses)
}

/// Returns where the name at `at` ends: at a zero, or after a pointer to the rest of it.
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            0xc0.. => return Some(at + 2),
            length @ 1..64 => at += 1 + usize::from(length),
            64..0xc0 => return None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Makes an answer as a server would: an alias first, then the addresses.
    pub(crate) fn response(question: &[u8], flags: u8, code: u8, addresses: &[IpAddr]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2] |= 0x80 | flags;
        message[3] = 0x80 | code;
        message[7] = u8::try_from(addresses.len()).unwrap() + 1;
        message.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'x', 0xc0, 12]);
        for address in addresses {
            let (kind, octets) = match address {
                IpAddr::V4(address) => (1, address.octets().to_vec()),
                IpAddr::V6(address) => (28, address.octets().to_vec()),
            };
            message.extend([1, b'x', 0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0]);
            message.push(u8::try_from(octets.len()).unwrap());
            message.extend(octets);
        }
        message
    }

    #[test]
    fn answers_to_the_question_are_read() {
        let question = question(7, "r.Example.", Kind::V4).unwrap();
        let addresses: Vec<IpAddr> =
            vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let good = response(&question, 0, 0, &addresses);
        assert_eq!(
            answer(&question, &good),
            Some(Answer::Addresses(addresses.clone()))
        );
        let v6 = [IpAddr::from([1_u16; 8])];
        assert_eq!(
            answer(&question, &response(&question, 0, 0, &v6)),
            Some(Answer::Addresses(vec![]))
        );
        assert_eq!(
            answer(&question, &response(&question, 2, 0, &addresses)),
            Some(Answer::Truncated)
        );
        assert_eq!(
            answer(&question, &response(&question, 0, 3, &[])),
            Some(Answer::NoSuchName)
        );
        assert_eq!(
            answer(&question, &response(&question, 0, 2, &[])),
            Some(Answer::Failed(2))
        );
        let mut other = good.clone();
        other[1] = 8;
        assert_eq!(answer(&question, &other), None, "another id");
        other = good.clone();
        other[13] = b'q';
        assert_eq!(answer(&question, &other), None, "another name");
        assert_eq!(answer(&question, &question), None, "our own question");
        for end in 0..good.len() {
            assert!(
                !matches!(answer(&question, &good[..end]), Some(Answer::Addresses(all)) if all.len() == 2)
            );
        }
    }

    #[test]
    fn names_dns_cannot_have_are_refused() {
        let long = "a".repeat(64);
        let longer = format!("{}a", "abcdefg.".repeat(32));
        for name in ["", ".", "a..b", ".a", &long, &longer] {
            assert_eq!(question(1, name, Kind::V6), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(mut bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let question = question(7, "a.b", Kind::V6).unwrap();
            let _none_or_some = answer(&question, &bytes);
            let fixed = bytes.len().min(question.len());
            bytes[..fixed].copy_from_slice(&response(&question, 0, 0, &[])[..fixed]);
            let _none_or_some = answer(&question, &bytes);
        }
    }
}
