//! Netlink, as much as Hull speaks: writing messages, sending a batch of them, reading what comes back.
//!
//! One encoder serves both families we talk to, routes and nf_tables (`netlink-packet-route` knows the first only, and would
//! be the larger part of the monitor's dependencies; the tests use it to check what we write).
//!
//! The kernel handles a message *inside* the `send` that carries it. So a batch is one system call, a `kill -9` falls before or
//! after it and not in between, and every answer is there to be read when `send` returns: nothing here ever waits.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

// include/uapi/linux/netlink.h
const NLM_F_REQUEST: u16 = 0x001;
const NLM_F_ACK: u16 = 0x004;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
pub(crate) const NLM_F_APPEND: u16 = 0x800;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLA_F_NESTED: u16 = 0x8000;
const NLA_TYPE_MASK: u16 = 0x3fff;
/// Length, type, flags, sequence number and port of a message.
const HEADER: usize = 16;

/// Messages that travel together, each with a sequence number counted from 0.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    count: u32,
    /// Where the message begins that the kernel is asked to acknowledge.
    acknowledged: usize,
}

/// The message being written: attributes go in here.
#[derive(Debug)]
pub(crate) struct Body<'a>(&'a mut Vec<u8>);

impl Batch {
    /// Adds a message with its family's fixed header and the attributes that `body` writes.
    ///
    /// The last message added this way is the one whose acknowledgement says that all went well.
    pub(crate) fn push(
        &mut self,
        kind: u16,
        flags: u16,
        fixed: &[u8],
        body: impl FnOnce(&mut Body<'_>),
    ) {
        self.acknowledged = self.bytes.len();
        self.push_silent(kind, flags, fixed, body);
    }

    /// Adds a message that the kernel never acknowledges, such as the marks round an nf_tables batch.
    pub(crate) fn push_silent(
        &mut self,
        kind: u16,
        flags: u16,
        fixed: &[u8],
        body: impl FnOnce(&mut Body<'_>),
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes
            .extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&self.count.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(fixed);
        body(&mut Body(&mut self.bytes));
        let length = u32::try_from(self.bytes.len() - start).expect("a batch is some kilobytes");
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.count += 1;
    }

    fn ask_for_acknowledgement(&mut self) {
        let flags = self.acknowledged + 6..self.acknowledged + 8;
        let with =
            u16::from_ne_bytes([self.bytes[flags.start], self.bytes[flags.start + 1]]) | NLM_F_ACK;
        self.bytes[flags].copy_from_slice(&with.to_ne_bytes());
    }

    fn acknowledged_sequence(&self) -> u32 {
        word(&self.bytes, self.acknowledged + 8)
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Body<'_> {
    /// Adds an attribute, padded to four bytes as every attribute is.
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).expect("an attribute is short");
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Adds a text with the zero byte the kernel wants behind it.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    /// Adds a number in this machine's byte order, as routes use it.
    pub(crate) fn native(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// Adds a number in network byte order, as nf_tables uses it.
    pub(crate) fn network(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Adds an attribute made of attributes.
    pub(crate) fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Body<'_>)) {
        self.nest_after(kind, &[], inner);
    }

    /// Adds an attribute made of a fixed header and attributes.
    pub(crate) fn nest_after(
        &mut self,
        kind: u16,
        fixed: &[u8],
        inner: impl FnOnce(&mut Body<'_>),
    ) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0
            .extend_from_slice(&(kind | NLA_F_NESTED).to_ne_bytes());
        self.0.extend_from_slice(fixed);
        inner(&mut Body(self.0));
        let length = u16::try_from(self.0.len() - start).expect("an attribute is short");
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}

/// An answer: its type and what follows the netlink header.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) kind: u16,
    pub(crate) payload: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Returns the attributes behind the family's fixed header of `fixed` bytes.
    pub(crate) fn attributes(&self, fixed: usize) -> Attributes<'a> {
        Attributes(self.payload.get(fixed..).unwrap_or_default())
    }
}

/// Walks over attributes as (type, value); stops at the first that does not fit.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);
    fn next(&mut self) -> Option<Self::Item> {
        let (head, _) = self.0.split_at_checked(4)?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & NLA_TYPE_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Reads four bytes in this machine's order; 0 where there are none.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|part| part.try_into().ok())
        .map_or(0, u32::from_ne_bytes)
}

/// A netlink socket. It belongs to the network namespace it was opened in, wherever its owner goes afterwards.
#[derive(Debug)]
pub(crate) struct Netlink(OwnedFd);

/// Which message of a batch failed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) errno: Errno,
    /// The message's place in the batch.
    pub(crate) message: u32,
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace.
    pub(crate) fn open(family: Option<Protocol>) -> Result<Self, Errno> {
        rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            family,
        )
        .map(Self)
    }

    /// Sends the batch and returns the first refusal, if any.
    ///
    /// The route family carries on after a refusal, nf_tables takes all or nothing.
    pub(crate) fn transact(&self, mut batch: Batch) -> Result<(), Refused> {
        batch.ask_for_acknowledgement();
        let last = batch.acknowledged_sequence();
        let refused = |message| move |errno| Refused { errno, message };
        self.send(&batch).map_err(refused(0))?;
        let mut buffer = [0; 8192];
        let mut first: Option<Refused> = None;
        loop {
            let received = match self.receive(&mut buffer, RecvFlags::DONTWAIT) {
                // Nothing more to read: an nf_tables batch that fails as a whole acknowledges no message.
                Err(Errno::AGAIN) => {
                    return Err(first.unwrap_or(Refused {
                        errno: Errno::PROTO,
                        message: last,
                    }));
                }
                other => other.map_err(refused(last))?,
            };
            for (sequence, answer) in answers(received) {
                if answer.kind != NLMSG_ERROR {
                    continue;
                }
                let errno = error_of(&answer);
                if let (Some(errno), None) = (errno, first) {
                    first = Some(Refused {
                        errno,
                        message: sequence,
                    });
                }
                if sequence == last {
                    return first.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// Sends one question and hands its one answer to `read`.
    pub(crate) fn get<T>(
        &self,
        question: &Batch,
        read: impl FnOnce(Answer<'_>) -> T,
    ) -> Result<T, Errno> {
        self.send(question)?;
        let mut buffer = [0; 8192];
        let received = self.receive(&mut buffer, RecvFlags::DONTWAIT)?;
        let (_, answer) = answers(received).next().ok_or(Errno::PROTO)?;
        match (answer.kind, error_of(&answer)) {
            (NLMSG_ERROR, error) => Err(error.unwrap_or(Errno::PROTO)),
            _ => Ok(read(answer)),
        }
    }

    /// Sends a question that many messages answer and hands each to `read`.
    pub(crate) fn dump(
        &self,
        question: &Batch,
        mut read: impl FnMut(Answer<'_>),
    ) -> Result<(), Errno> {
        self.send(question)?;
        let mut buffer = vec![0; 32_768];
        loop {
            // Each read makes the kernel prepare the next part, so this one never waits either.
            let received = self.receive(&mut buffer, RecvFlags::empty())?;
            for (_, answer) in answers(received) {
                match answer.kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return error_of(&answer).map_or(Ok(()), Err),
                    _ => read(answer),
                }
            }
        }
    }

    fn send(&self, batch: &Batch) -> Result<(), Errno> {
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::net::sendto(&self.0, &batch.bytes, SendFlags::empty(), &kernel).map(drop)
    }

    fn receive<'a>(&self, buffer: &'a mut [u8], flags: RecvFlags) -> Result<&'a [u8], Errno> {
        let (length, _) = rustix::net::recv(&self.0, &mut *buffer, flags)?;
        Ok(&buffer[..length])
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Takes a datagram apart into (sequence number, message).
fn answers(mut bytes: &[u8]) -> impl Iterator<Item = (u32, Answer<'_>)> {
    std::iter::from_fn(move || {
        let length = usize::try_from(word(bytes, 0)).ok()?;
        let payload = bytes.get(HEADER..length)?;
        let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
        let sequence = word(bytes, 8);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((sequence, Answer { kind, payload }))
    })
}

/// Returns the error an `NLMSG_ERROR` tells of; `None` when it is an acknowledgement, or no `NLMSG_ERROR`.
fn error_of(answer: &Answer<'_>) -> Option<Errno> {
    if answer.kind != NLMSG_ERROR {
        return None;
    }
    let code = i32::from_ne_bytes(answer.payload.get(..4)?.try_into().ok()?);
    match code.checked_neg()? {
        0 => None,
        errno @ 1..=4095 => Some(Errno::from_raw_os_error(errno)),
        _ => Some(Errno::PROTO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_laid_out_as_the_kernel_reads_them() {
        let mut batch = Batch::default();
        batch.push_silent(0x10, 0, &[7; 4], |_| {});
        batch.push(0x20, NLM_F_CREATE, &[], |body| {
            body.text(1, "abcd");
            body.nest(2, |body| body.network(3, 5));
        });
        batch.ask_for_acknowledgement();
        let expected: [&[u8]; 9] = [
            &[20, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[7; 4],
            &[40, 0, 0, 0, 0x20, 0, 5, 4, 1, 0, 0, 0, 0, 0, 0, 0],
            &[9, 0, 1, 0],
            b"abcd\0\0\0\0",
            &[12, 0, 2, 0x80],
            &[8, 0, 3, 0],
            &[0, 0, 0, 5],
            &[],
        ];
        assert_eq!(batch.bytes(), expected.concat());
        assert_eq!(batch.acknowledged_sequence(), 1);
    }

    #[test]
    fn attributes_are_walked_and_broken_ones_end_the_walk() {
        let bytes = [5, 0, 1, 0x80, 9, 0, 0, 0, 4, 0, 2, 0, 9, 0, 3, 0, 1];
        let walked: Vec<_> = Attributes(&bytes).collect();
        assert_eq!(walked, [(1, &[9][..]), (2, &[])]);
        assert_eq!(Attributes(&[2, 0, 1, 0]).count(), 0);
        assert_eq!(Attributes(&[0; 8]).count(), 0);
        assert_eq!(Attributes(&[1]).count(), 0);
    }

    #[test]
    fn broken_answers_are_no_answers() {
        assert_eq!(answers(&[0; 64]).count(), 0);
        assert_eq!(answers(&[255; 64]).count(), 0);
        assert_eq!(answers(&[]).count(), 0);
    }
}
