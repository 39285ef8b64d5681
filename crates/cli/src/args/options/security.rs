use hull_engine::request::{RunRequest, Seccomp, SecurityOption, Sysctl};

use super::Caller;
use crate::usage::{self, UsageError};

/// What the container may do to the kernel and the host.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Security")]
pub struct SecurityOptions {
    /// Add a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Choose seccomp=FILE, seccomp=unconfined, no-new-privileges or systempaths=unconfined
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Give it every capability and device, and the host's user namespace
    #[arg(long)]
    privileged: bool,
    /// Set a kernel parameter of its namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    sysctl: Vec<String>,
}

impl SecurityOptions {
    pub(super) fn put(
        self,
        request: &mut RunRequest,
        caller: Caller<'_>,
        notes: &mut Vec<String>,
    ) -> Result<(), UsageError> {
        let security = &mut request.security;
        security.add = usage::all("--cap-add", &self.cap_add)?;
        security.drop = usage::all("--cap-drop", &self.cap_drop)?;
        security.privileged = self.privileged;
        for word in &self.security_opt {
            match usage::value("--security-opt", word)? {
                SecurityOption::Seccomp(Seccomp::Profile(path)) if path.is_relative() => {
                    let directory = (caller.directory)().map_err(UsageError::NoDirectory)?;
                    security.seccomp = Seccomp::Profile(directory.join(path));
                }
                SecurityOption::Seccomp(seccomp) => security.seccomp = seccomp,
                SecurityOption::NoNewPrivileges(none) => security.no_new_privileges = Some(none),
                SecurityOption::SystemPaths(paths) => security.system_paths = paths,
                SecurityOption::Ignored(reason) => {
                    notes.push(format!("`--security-opt {word}` changes nothing: {reason}"));
                }
            }
        }
        for setting in usage::all::<Sysctl>("--sysctl", &self.sysctl)? {
            request.sysctls.insert(setting.name, setting.value);
        }
        Ok(())
    }
}
