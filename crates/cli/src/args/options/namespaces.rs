use hull_engine::request::RunRequest;

use crate::usage::{self, UsageError};

/// Which namespaces the container shares.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Namespaces")]
pub struct NamespaceOptions {
    /// Who root is outside: private (nobody, the default) or host (root)
    #[arg(long, value_name = "MODE")]
    userns: Option<String>,
    /// See the processes of the host, container:NAME or ns:PATH
    #[arg(long, value_name = "MODE")]
    pid: Option<String>,
    /// Share memory with the host, container:NAME or ns:PATH; none has no /dev/shm
    #[arg(long, value_name = "MODE")]
    ipc: Option<String>,
    /// Share the host name with the host, container:NAME or ns:PATH
    #[arg(long, value_name = "MODE")]
    uts: Option<String>,
    /// See the cgroups of the host, or only its own (private, the default)
    #[arg(long, value_name = "MODE")]
    cgroupns: Option<String>,
}

impl NamespaceOptions {
    pub(super) fn put(self, request: &mut RunRequest) -> Result<(), UsageError> {
        let namespaces = &mut request.namespaces;
        namespaces.user = usage::filled("--userns", self.userns.as_deref())?;
        namespaces.pid = usage::filled("--pid", self.pid.as_deref())?.unwrap_or_default();
        namespaces.ipc = usage::filled("--ipc", self.ipc.as_deref())?.unwrap_or_default();
        namespaces.uts = usage::filled("--uts", self.uts.as_deref())?.unwrap_or_default();
        namespaces.cgroup =
            usage::filled("--cgroupns", self.cgroupns.as_deref())?.unwrap_or_default();
        Ok(())
    }
}
