//! How parent and child talk: a pair of `SOCK_SEQPACKET` sockets, one message a packet, descriptors as rights.
//!
//! ```text
//!   parent                               child
//!   Parts(slots) + descriptors  ──────▶           (several when there are many; the last one says so)
//!                               ◀──────  Parts    (only of a container whose mounts are locked)
//!                               ◀──────  Created  + terminal master     or  Failed / Command
//!   Start                       ──────▶
//!                               ◀──────  end of file: the exec closed it  or  Failed / Command
//! ```
//! A child that was told to go at once does not wait for Start, and the parent reads what it said when it has closed its end.
//! End of file says who is gone: a child whose parent died reads it instead of `Parts` or `Start` and exits; a parent reads
//! it instead of `Created` when the child was killed. Neither side's socket survives in the other, as descriptor tables
//! are not shared.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::Errno;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::error::{Failure, Stage, StartError, Step};
use crate::lookup::{CommandError, Problem};
use crate::rootfs::Slot;

/// One end.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Parts {
        slots: Vec<Slot>,
        last: bool,
    },
    Created {
        shared_keyring: Option<Errno>,
    },
    Start,
    /// The number of a process, whose pidfd comes along.
    Spawned(i32),
    Failed(Failure),
    Command(CommandError),
}

/// The kernel passes at most 253 descriptors with a message.
const MOST_DESCRIPTORS: usize = 200;
/// No message of ours is longer: texts are cut.
const MOST_BYTES: usize = 4 * 1024;
const MOST_TEXT: usize = 1500;

/// Opens the two ends.
pub(crate) fn pair() -> Result<(Channel, Channel), Errno> {
    let (one, other) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok((Channel(one), Channel(other)))
}

impl Channel {
    /// Sends a message and copies of `fds`.
    pub(crate) fn send(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let bytes = message.encode();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Errno::TOOBIG);
        }
        // NOSIGNAL: the other end may be gone, and that is an answer, not a reason to die.
        let flags = SendFlags::NOSIGNAL;
        loop {
            match sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, flags) {
                Err(Errno::INTR) => {}
                result => return result.map(drop),
            }
        }
    }

    /// Sends parts in as many messages as their number needs: at least one, for the last says that no more will come.
    pub(crate) fn send_parts(&self, parts: &[(Slot, OwnedFd)]) -> Result<(), Errno> {
        let mut rest = parts;
        loop {
            let (chunk, after) = rest.split_at(rest.len().min(MOST_DESCRIPTORS));
            let message = Message::Parts {
                slots: chunk.iter().map(|(slot, _)| *slot).collect(),
                last: after.is_empty(),
            };
            let fds: Vec<_> = chunk.iter().map(|(_, fd)| fd.as_fd()).collect();
            self.send(&message, &fds)?;
            if after.is_empty() {
                return Ok(());
            }
            rest = after;
        }
    }

    /// Waits for parts, in however many messages. None: the other end is gone.
    pub(crate) fn receive_parts(&self) -> Result<Option<Vec<(Slot, OwnedFd)>>, StartError> {
        let mut parts = Vec::new();
        loop {
            match self.receive()? {
                Some((Message::Parts { slots, last }, fds)) if slots.len() == fds.len() => {
                    parts.extend(slots.into_iter().zip(fds));
                    if last {
                        return Ok(Some(parts));
                    }
                }
                Some((Message::Failed(failure), _)) => return Err(failure.into()),
                Some((Message::Command(command), _)) => return Err(command.into()),
                Some(_) => return Err(StartError::BadMessage),
                None => return Ok(None),
            }
        }
    }

    /// Waits for the next message. None: the other end is gone.
    pub(crate) fn receive(&self) -> Result<Option<(Message, Vec<OwnedFd>)>, StartError> {
        let mut bytes = [0_u8; MOST_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let flags = RecvFlags::CMSG_CLOEXEC;
            let mut into = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.0, &mut into, &mut control, flags) {
                Err(Errno::INTR) => {}
                // The other end went away with messages of ours unread.
                Err(Errno::CONNRESET) => return Ok(None),
                result => {
                    break result.map_err(|errno| Failure::new(Step::Channel, "", errno))?;
                }
            }
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        let message = Message::decode(&bytes[..received.bytes]).ok_or(StartError::BadMessage)?;
        Ok(Some((message, fds)))
    }

    /// Waits until the other end is closed; what it said before can be received after.
    pub(crate) fn await_end(&self) -> Result<(), Errno> {
        // No events asked for: only the hang-up, which is always told, ends the wait.
        let mut fds = [PollFd::new(&self.0, PollFlags::empty())];
        while let Err(errno) = poll(&mut fds, None) {
            if errno != Errno::INTR {
                return Err(errno);
            }
        }
        Ok(())
    }

    /// Looks whether somebody is there to hear, without waiting.
    pub(crate) fn other_end_is_open(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::empty())];
        let none = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&none)) == Ok(0)
    }

    /// Reports an error of this side; there is nobody else to tell if that fails.
    pub(crate) fn report(&self, error: StartError) {
        let message = match error {
            StartError::Failed(failure) => Message::Failed(failure),
            StartError::Command(command) => Message::Command(command),
            other => Message::Failed(
                Failure::new(Step::Channel, "", Errno::PROTO).detail(other.to_string()),
            ),
        };
        let _unheard = self.send(&message, &[]);
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Message {
    const PARTS: u8 = 1;
    const LAST_PARTS: u8 = 2;
    const CREATED: u8 = 3;
    const START: u8 = 4;
    const SPAWNED: u8 = 5;
    const FAILED: u8 = 6;
    const COMMAND: u8 = 7;

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Parts { slots, last } => {
                bytes.push(if *last { Self::LAST_PARTS } else { Self::PARTS });
                slots.iter().for_each(|slot| bytes.extend(slot.encode()));
            }
            Self::Created { shared_keyring } => {
                bytes.push(Self::CREATED);
                let errno = shared_keyring.map_or(0, Errno::raw_os_error);
                bytes.extend(errno.to_le_bytes());
            }
            Self::Start => bytes.push(Self::START),
            Self::Spawned(pid) => {
                bytes.push(Self::SPAWNED);
                bytes.extend(pid.to_le_bytes());
            }
            Self::Failed(failure) => {
                bytes.extend([Self::FAILED, failure.stage.number(), failure.step.number()]);
                bytes.extend(failure.errno.raw_os_error().to_le_bytes());
                put_text(&mut bytes, &failure.what);
                put_text(&mut bytes, &failure.detail);
            }
            Self::Command(command) => {
                bytes.extend([Self::COMMAND, command.problem.number()]);
                put_text(&mut bytes, &command.command);
                put_text(&mut bytes, &command.detail);
            }
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let message = match take(&mut rest)? {
            [kind @ (Self::PARTS | Self::LAST_PARTS)] => {
                let mut slots = Vec::new();
                while !rest.is_empty() {
                    slots.push(Slot::decode(take(&mut rest)?)?);
                }
                let last = kind == Self::LAST_PARTS;
                Self::Parts { slots, last }
            }
            [Self::CREATED] => {
                let errno = i32::from_le_bytes(take(&mut rest)?);
                let shared_keyring = (errno != 0).then(|| Errno::from_raw_os_error(errno));
                Self::Created { shared_keyring }
            }
            [Self::START] => Self::Start,
            [Self::SPAWNED] => Self::Spawned(i32::from_le_bytes(take(&mut rest)?)),
            [Self::FAILED] => {
                let [stage, step] = take(&mut rest)?;
                Self::Failed(Failure {
                    stage: Stage::from_number(stage)?,
                    step: Step::from_number(step)?,
                    errno: Errno::from_raw_os_error(i32::from_le_bytes(take(&mut rest)?)),
                    what: take_text(&mut rest)?,
                    detail: take_text(&mut rest)?,
                })
            }
            [Self::COMMAND] => {
                let [problem] = take(&mut rest)?;
                Self::Command(CommandError {
                    problem: Problem::from_number(problem)?,
                    command: take_text(&mut rest)?,
                    detail: take_text(&mut rest)?,
                })
            }
            _ => return None,
        };
        rest.is_empty().then_some(message)
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(MOST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let length = u16::try_from(end).expect("MOST_TEXT fits");
    bytes.extend(length.to_le_bytes());
    bytes.extend(&text.as_bytes()[..end]);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    let length = u16::from_le_bytes(take(rest)?);
    let (text, after) = rest.split_at_checked(usize::from(length))?;
    *rest = after;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip() {
        let failure = Failure::new(Step::Mount, "/pröc", Errno::PERM).detail("said");
        for message in [
            Message::Parts {
                slots: vec![Slot::Root, Slot::Backstage, Slot::Mount(700), Slot::Cgroup],
                last: false,
            },
            Message::Parts {
                slots: Vec::new(),
                last: true,
            },
            Message::Created {
                shared_keyring: None,
            },
            Message::Created {
                shared_keyring: Some(Errno::DQUOT),
            },
            Message::Start,
            Message::Spawned(77),
            Message::Failed(failure),
            Message::Command(CommandError::new(Problem::Missing, "/nope", "")),
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        for bad in [
            &[][..],
            &[99],
            &[Message::FAILED, 1],
            &[Message::START, 0],
            &[Message::PARTS, 9, 9],
        ] {
            assert_eq!(Message::decode(bad), None);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let failure = Failure::new(Step::Mount, "ü".repeat(5000), Errno::PERM);
        let sent = Message::Failed(failure).encode();
        assert!(sent.len() < MOST_BYTES);
        assert!(Message::decode(&sent).is_some());
    }

    #[test]
    fn descriptors_travel_and_ends_notice_each_other() {
        let (one, other) = pair().unwrap();
        let parts: Vec<_> = (0..450)
            .map(|index| {
                (
                    Slot::Mount(index),
                    std::fs::File::open("/dev/null").unwrap().into(),
                )
            })
            .collect();
        one.send_parts(&parts).unwrap();
        let mut got = 0;
        while let Some((Message::Parts { slots, last }, fds)) = other.receive().unwrap() {
            assert_eq!(slots.len(), fds.len());
            got += fds.len();
            if last {
                break;
            }
        }
        assert_eq!(got, 450);
        drop(one);
        assert!(other.receive().unwrap().is_none());
        assert_eq!(other.send(&Message::Start, &[]), Err(Errno::PIPE));
    }
}
