//! Who has which address and which port: symbolic links in a network's directory whose text names the pod.
//!
//! ```text
//! <root>/networks/<name>/leases/10.88.0.7             -> <pod>
//! <root>/networks/<name>/ports/tcp-127.0.0.1-8080     -> <pod> 10.88.0.7:80
//! ```
//!
//! `symlink(2)` fails if the name exists, and the link has its whole text from the first moment: a claim is exclusive and
//! complete in one system call, and making one takes no lock. Taking one away does ([`Removing`]): whoever removes looks whose
//! it is and then removes it, and between the two another remover could have made room for a new claim of the same name.
//! Starting a pod waits for removers only where a dead pod left something on the very port it publishes.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use hull_fs::{FsError, Lock};
use hull_types::PodId;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::error::NetError;
use crate::firewall::Publication;
use crate::network::Network;

const LEASES: &str = "leases";
const PORTS: &str = "ports";

/// The turn of one remover: `<root>/networks/lock`, held for a few system calls.
#[derive(Debug)]
pub(crate) struct Removing(#[expect(dead_code, reason = "held, not used")] pub(crate) Lock);

/// The claims on one network.
#[derive(Debug)]
pub(crate) struct Claims {
    dir: OwnedFd,
    path: PathBuf,
}

impl Claims {
    /// Makes the directories of a network, those that are missing.
    pub(crate) fn create(networks: impl AsFd, path: PathBuf, name: &str) -> Result<(), NetError> {
        for part in [
            name.to_owned(),
            format!("{name}/{LEASES}"),
            format!("{name}/{PORTS}"),
        ] {
            match rustix::fs::mkdirat(&networks, &part, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(source) => {
                    return Err(FsError::Create {
                        path: path.join(part),
                        source,
                    }
                    .into());
                }
            }
        }
        Ok(())
    }

    pub(crate) fn open(networks: impl AsFd, path: PathBuf, name: &str) -> Result<Self, NetError> {
        let path = path.join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(networks, name, flags, Mode::empty()) {
            Ok(dir) => Ok(Self { dir, path }),
            Err(source) => Err(FsError::Open { path, source }.into()),
        }
    }

    /// Leases the pod an address of the network.
    ///
    /// The search begins at a place that follows from the pod's id: with 1,000 of 65,533 addresses taken it ends at the first
    /// try 98 times in 100, reads no directory, and a pod that is started again mostly gets the address it had.
    pub(crate) fn lease(&self, network: &Network, pod: &PodId) -> Result<Ipv4Addr, NetError> {
        let text = pod.to_string();
        for address in network.subnet.hosts_from(seed(pod)) {
            if address != network.gateway && self.take(&format!("{LEASES}/{address}"), &text)? {
                return Ok(address);
            }
        }
        Err(NetError::NoFreeAddress {
            network: network.name.clone(),
            subnet: network.subnet,
        })
    }

    /// Records whose port it is. The caller holds the port's reservation, so a record that is in the way is a dead pod's.
    pub(crate) fn claim_port(
        &self,
        publication: &Publication,
        pod: &PodId,
        turn: impl FnOnce() -> Result<Removing, NetError>,
    ) -> Result<(), NetError> {
        let name = port_name(publication);
        let text = format!("{pod} {}:{}", publication.to.0, publication.to.1);
        if self.take(&name, &text)? {
            return Ok(());
        }
        let _turn = turn()?;
        self.unlink(&name)?;
        match self.take(&name, &text)? {
            true => Ok(()),
            false => Err(FsError::Create {
                path: self.path.join(name),
                source: Errno::EXIST,
            }
            .into()),
        }
    }

    /// Tells whether the address is still the pod's.
    pub(crate) fn has_lease(
        &self,
        address: Ipv4Addr,
        pod: &PodId,
        _: &Removing,
    ) -> Result<bool, NetError> {
        Ok(self
            .text(&format!("{LEASES}/{address}"))?
            .is_some_and(|text| text == pod.to_string()))
    }

    /// Tells whether the port is still the pod's.
    pub(crate) fn has_port(
        &self,
        publication: &Publication,
        pod: &PodId,
        _: &Removing,
    ) -> Result<bool, NetError> {
        let text = self.text(&port_name(publication))?;
        Ok(text.is_some_and(|text| text.starts_with(&pod.to_string())))
    }

    /// Gives the address back if it is still the pod's.
    pub(crate) fn release_lease(
        &self,
        address: Ipv4Addr,
        pod: &PodId,
        turn: &Removing,
    ) -> Result<(), NetError> {
        if self.has_lease(address, pod, turn)? {
            self.unlink(&format!("{LEASES}/{address}"))?;
        }
        Ok(())
    }

    /// Forgets whose port it was if it is still the pod's.
    pub(crate) fn release_port(
        &self,
        publication: &Publication,
        pod: &PodId,
        turn: &Removing,
    ) -> Result<(), NetError> {
        if self.has_port(publication, pod, turn)? {
            self.unlink(&port_name(publication))?;
        }
        Ok(())
    }

    /// Returns every lease, in no particular order.
    pub(crate) fn leases(&self) -> Result<Vec<(Ipv4Addr, PodId)>, NetError> {
        self.links(LEASES, |name, text| {
            Some((name.parse().ok()?, text.parse().ok()?))
        })
    }

    /// Returns every published port, in no particular order.
    pub(crate) fn ports(&self) -> Result<Vec<(Publication, PodId)>, NetError> {
        self.links(PORTS, read_port)
    }

    fn take(&self, name: &str, text: &str) -> Result<bool, NetError> {
        match rustix::fs::symlinkat(text, &self.dir, name) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(source) => Err(FsError::Create {
                path: self.path.join(name),
                source,
            }
            .into()),
        }
    }

    fn unlink(&self, name: &str) -> Result<(), NetError> {
        match rustix::fs::unlinkat(&self.dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(source) => Err(FsError::Remove {
                path: self.path.join(name),
                source,
            }
            .into()),
        }
    }

    /// Returns a link's text; what is not a link of ours says nothing.
    fn text(&self, name: &str) -> Result<Option<String>, NetError> {
        match rustix::fs::readlinkat(&self.dir, name, Vec::with_capacity(96)) {
            Ok(text) => Ok(text.into_string().ok()),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(source) => Err(FsError::Read {
                path: self.path.join(name),
                source,
            }
            .into()),
        }
    }

    fn links<T>(
        &self,
        part: &str,
        read: impl Fn(&str, &str) -> Option<T>,
    ) -> Result<Vec<T>, NetError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&self.dir, part, flags, Mode::empty()).map_err(|source| {
            FsError::Open {
                path: self.path.join(part),
                source,
            }
        })?;
        let mut found = Vec::new();
        for name in hull_fs::list(dir)? {
            let Some(name) = name.to_str() else { continue };
            let text = self.text(&format!("{part}/{name}"))?;
            found.extend(text.and_then(|text| read(name, &text)));
        }
        Ok(found)
    }
}

/// Says where the search for a free address begins: the pod's random bits.
fn seed(pod: &PodId) -> u64 {
    pod.bytes()[8..]
        .iter()
        .fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

fn port_name(publication: &Publication) -> String {
    format!(
        "{PORTS}/{}-{}-{}",
        publication.protocol, publication.address, publication.port
    )
}

fn read_port(name: &str, text: &str) -> Option<(Publication, PodId)> {
    let mut parts = name.splitn(3, '-');
    let (pod, to) = text.split_once(' ')?;
    let (to, to_port) = to.split_once(':')?;
    let publication = Publication {
        protocol: parts.next()?.parse().ok()?,
        address: parts.next()?.parse().ok()?,
        port: parts.next()?.parse().ok()?,
        to: (to.parse().ok()?, to_port.parse().ok()?),
    };
    Some((publication, pod.parse().ok()?))
}

/// Opens the directory that holds all networks, making it if it is missing.
pub(crate) fn open_networks(path: &PathBuf) -> Result<OwnedFd, FsError> {
    let open = || {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, path, flags, Mode::empty())
    };
    match open() {
        Err(Errno::NOENT) => match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => open(),
            Err(source) => {
                return Err(FsError::Create {
                    path: path.clone(),
                    source,
                });
            }
        },
        other => other,
    }
    .map_err(|source| FsError::Open {
        path: path.clone(),
        source,
    })
}
