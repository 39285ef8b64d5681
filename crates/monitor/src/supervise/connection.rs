//! The container's place in a network.

use std::{
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use hull_net::{Attachment, Networks, Reservations};
use hull_runtime::Created;
use hull_types::PodId;
use rustix::fs::{Mode, OFlags};

use crate::{Handover, MonitorError, Network};

/// A connection to a network; given back when it is dropped, unless that was done with [`Self::end`].
#[derive(Debug)]
pub(super) struct Connection {
    networks: Networks,
    pod: PodId,
    pub(super) attachment: Attachment,
    /// They keep the published ports ours.
    reservations: Reservations,
    ended: bool,
}

impl Connection {
    pub(super) fn make(
        order: &Handover,
        wanted: &Network,
        created: &Created,
    ) -> Result<Self, MonitorError> {
        let networks = Networks::open(&order.root, hull_net::Pool::default())?;
        let network = match &wanted.name {
            Some(name) => networks.find(name)?,
            None => networks.default_network()?,
        };
        let namespace = created.namespace(hull_spec::runtime::NamespaceKind::Network)?;
        let (attachment, reservations) =
            networks.attach(namespace.as_fd(), &network, &order.pod, &wanted.ports)?;
        let connection = Self {
            networks,
            pod: order.pod,
            attachment,
            reservations,
            ended: false,
        };
        connection.tell_address(created, &wanted.own_names)?;
        Ok(connection)
    }

    /// Adds the address to the container's `/etc/hosts`, which is Hull's own file; nothing of the container runs yet.
    fn tell_address(&self, created: &Created, names: &[String]) -> Result<(), MonitorError> {
        let path = PathBuf::from(format!("/proc/{}/root", created.pid().as_raw_nonzero()));
        let failed = |source| MonitorError::File {
            what: "write",
            path: "/etc/hosts".into(),
            source,
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, Mode::empty()).map_err(failed)?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC;
        let Ok(file) = hull_fs::Root::new(root).open(Path::new("/etc/hosts"), flags, Mode::empty())
        else {
            return Ok(());
        };
        let line = format!("{}\t{}\n", self.attachment.address, names.join(" "));
        rustix::io::write(&file, line.as_bytes()).map_err(failed)?;
        Ok(())
    }

    pub(super) fn end(mut self) -> Result<(), MonitorError> {
        self.ended = true;
        Ok(self
            .networks
            .detach(&self.pod, &self.attachment, &self.reservations)?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.ended {
            // What stays is found by `gc`: its pod is dead.
            self.networks
                .detach(&self.pod, &self.attachment, &self.reservations)
                .ok();
        }
    }
}
