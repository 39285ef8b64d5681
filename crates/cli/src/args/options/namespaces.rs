//! Which namespaces the container shares.

use hull_engine::request::RunRequest;

use super::{Group, Opt, Typed};
use crate::usage::UsageError;

const USERNS: Opt = Opt::value(
    "userns",
    "MODE",
    "Who root is outside: private (nobody, the default) or host (root)",
);
const PID: Opt = Opt::value(
    "pid",
    "MODE",
    "See the processes of the host, container:NAME or ns:PATH",
);
const IPC: Opt = Opt::value(
    "ipc",
    "MODE",
    "Share memory with the host, container:NAME or ns:PATH; none has no /dev/shm",
);
const UTS: Opt = Opt::value(
    "uts",
    "MODE",
    "Share the host name with the host, container:NAME or ns:PATH",
);
const CGROUPNS: Opt = Opt::value(
    "cgroupns",
    "MODE",
    "See the cgroups of the host, or only its own (private, the default)",
);

pub(super) const GROUP: Group = Group {
    heading: "Namespaces",
    options: &[&USERNS, &PID, &IPC, &UTS, &CGROUPNS],
};

pub(super) fn put(typed: &Typed<'_>, request: &mut RunRequest) -> Result<(), UsageError> {
    let namespaces = &mut request.namespaces;
    namespaces.user = typed.filled(&USERNS)?;
    namespaces.pid = typed.filled(&PID)?.unwrap_or_default();
    namespaces.ipc = typed.filled(&IPC)?.unwrap_or_default();
    namespaces.uts = typed.filled(&UTS)?.unwrap_or_default();
    namespaces.cgroup = typed.filled(&CGROUPNS)?.unwrap_or_default();
    Ok(())
}
