//! One more process in a running container.
//!
//! The caller is its parent: standard streams are the caller's own, nothing stands between. It gets exactly what the container
//! has: cgroup, capabilities, seccomp filter, no_new_privs (rkt's `enter` gave everything: CVE-2019-10144).

use std::os::fd::OwnedFd;

use hull_runtime::{Exec, Filter, Running, Stdio, Target};
use hull_state::Status;
use hull_types::ContainerId;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::{
    Config, Engine, EngineError, Listed, bundle,
    request::{Environment, NetworkMode, User},
    stop::not_running,
};

/// A process somebody wants in a container.
#[derive(Debug)]
pub struct ExecRequest {
    pub command: Vec<String>,
    pub environment: Environment,
    pub directory: Option<std::path::PathBuf>,
    pub user: Option<User>,
    pub privileged: bool,
    /// Whether it ends when its caller does.
    pub die_with_caller: bool,
}

impl Engine {
    /// Starts a process in a running container. The caller must have one thread, and waits for the process itself.
    pub fn exec(
        &self,
        listed: &Listed,
        request: &ExecRequest,
        stdio: Stdio,
    ) -> Result<Running, EngineError> {
        let Status::Running { run } = &listed.status else {
            return Err(not_running(listed));
        };
        let gone = |source| EngineError::System {
            what: "reach the container's first process",
            source,
        };
        let pid = Pid::from_raw(run.pid).ok_or(gone(rustix::io::Errno::SRCH))?;
        let pidfd: OwnedFd = pidfd_open(pid, PidfdFlags::empty()).map_err(gone)?;
        // The number was the container's if it still runs after the descriptor was opened.
        let again = self.find(&listed.container().id.to_string())?;
        if again.status.alive() != Some(run) {
            return Err(not_running(&again));
        }
        let config = &listed.config;
        let mut wanted = config.clone();
        wanted.request.process.command.clone_from(&request.command);
        wanted.request.process.terminal = matches!(stdio, Stdio::Terminal(_));
        wanted
            .request
            .process
            .environment
            .0
            .extend(request.environment.0.iter().cloned());
        if let Some(directory) = &request.directory {
            wanted.request.process.directory = Some(directory.clone());
        }
        wanted.request.security.privileged |= request.privileged;
        let facts = bundle::Facts {
            hostname: self.hostname(&listed.config, &listed.container().id),
            most_files: crate::start::most_files(),
            ..bundle::Facts::default()
        };
        let mut process = bundle::process(&wanted, &facts);
        process.args.clone_from(&request.command);
        let user = request
            .user
            .as_ref()
            .map(ToString::to_string)
            .or_else(|| config.user_and_groups());
        let filter = match crate::start::filter(&wanted) {
            hull_monitor::Filter::Unconfined => Filter::None,
            hull_monitor::Filter::Default => {
                Filter::Compiled(hull_runtime::seccomp::DEFAULT.to_vec())
            }
            hull_monitor::Filter::FromSpec => match self.seccomp(&wanted)? {
                Some(profile) => Filter::Compiled(
                    hull_runtime::seccomp::compile(&profile, hull_runtime::seccomp::Abi::native())
                        .map_err(hull_monitor::MonitorError::from)?,
                ),
                None => Filter::None,
            },
        };
        let group = self.group(run)?;
        let running = hull_runtime::exec(Exec {
            target: Target {
                pid,
                pidfd: std::os::fd::AsFd::as_fd(&pidfd),
                cgroup: group.as_ref(),
            },
            process: &process,
            user: user.as_deref(),
            stdio,
            filter,
            die_with_caller: request.die_with_caller,
        })?;
        Ok(running)
    }

    /// Returns the name a container calls itself by: with another's network, the other's.
    pub(crate) fn hostname(&self, config: &Config, id: &ContainerId) -> String {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        if let NetworkMode::Container(other) = &config.request.network.mode
            && let Ok(other) = self.find(other.as_str())
        {
            return bundle::hostname(&other.config, &other.container().id.short(), &host);
        }
        bundle::hostname(config, &id.short(), &host)
    }
}
