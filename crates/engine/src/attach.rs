//! Reaching a running container's streams.

use std::os::fd::OwnedFd;

use hull_state::Status;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use crate::{Engine, EngineError, Listed, stop::not_running};

impl Engine {
    /// Connects to the monitor of a running container; the packets are those of `hull_monitor::attach`.
    pub fn attach(&self, listed: &Listed) -> Result<OwnedFd, EngineError> {
        if !matches!(
            listed.status,
            Status::Running { .. } | Status::Paused { .. }
        ) {
            return Err(not_running(listed));
        }
        let path = self.places().run.join(format!("pods/{}", listed.pod.id()));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let connect = || {
            let directory = rustix::fs::open(&path, flags, Mode::empty())?;
            hull_monitor::attach::connect_in(&directory)
        };
        match connect() {
            Ok(socket) => Ok(socket),
            Err(Errno::NOENT | Errno::CONNREFUSED) => Err(EngineError::WrongState {
                name: listed.container().name.to_string(),
                is: "run in the foreground by another `hull run`, which has its streams",
                hint: "`hull logs -f` follows what it writes",
            }),
            Err(source) => Err(EngineError::File {
                what: "connect to",
                path: path.join("attach"),
                source,
            }),
        }
    }
}
