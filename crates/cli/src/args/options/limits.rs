use std::path::PathBuf;

use hull_engine::request::{InvalidRequest, RunRequest, SwapLimit};
use hull_types::ByteSize;

use crate::usage::{self, UsageError};

/// How much of the host the container may use.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitOptions {
    /// Limit memory, such as 512m
    #[arg(short, long, value_name = "SIZE")]
    memory: Option<String>,
    /// Limit memory and swap together; -1 for no limit
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Leave it this much when memory is short
    #[arg(long, value_name = "SIZE")]
    memory_reservation: Option<String>,
    /// Limit processor time, such as 1.5 processors
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<String>,
    /// Weigh it against others when processors are busy; 1024 is usual
    #[arg(short, long, value_name = "WEIGHT")]
    cpu_shares: Option<u64>,
    /// Use only these processors, such as 0-3,7
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Use only these memory nodes
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Limit the number of processes and threads; -1 for no limit
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pids_limit: Option<String>,
    /// Put its cgroup below this one
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<PathBuf>,
}

impl LimitOptions {
    pub(super) fn put(self, request: &mut RunRequest) -> Result<(), UsageError> {
        let limits = &mut request.limits;
        limits.memory = size("--memory", self.memory.as_deref())?;
        let swap: Option<SwapLimit> = usage::filled("--memory-swap", self.memory_swap.as_deref())?;
        limits.memory_swap = swap.filter(|swap| *swap != SwapLimit::Bytes(0));
        limits.memory_reservation =
            size("--memory-reservation", self.memory_reservation.as_deref())?;
        limits.cpus = usage::filled("--cpus", self.cpus.as_deref())?;
        // Docker's 0 asks for the default; the kernel's least is 2.
        limits.cpu_shares = self
            .cpu_shares
            .filter(|shares| *shares > 0)
            .map(|shares| shares.max(2));
        limits.cpuset_cpus = usage::filled("--cpuset-cpus", self.cpuset_cpus.as_deref())?;
        limits.cpuset_mems = usage::filled("--cpuset-mems", self.cpuset_mems.as_deref())?;
        limits.pids = usage::filled("--pids-limit", self.pids_limit.as_deref())?;
        request.cgroup_parent = self.cgroup_parent.map(parent).transpose()?;
        Ok(())
    }
}

/// Reads a size; docker's 0 is no limit.
fn size(flag: &'static str, word: Option<&str>) -> Result<Option<u64>, UsageError> {
    let size: Option<ByteSize> = usage::filled(flag, word)?;
    Ok(size.map(ByteSize::bytes).filter(|bytes| *bytes > 0))
}

/// Checks that a cgroup stays below the root of its hierarchy.
fn parent(path: PathBuf) -> Result<PathBuf, UsageError> {
    let climbs = path
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    if !climbs && !path.as_os_str().is_empty() {
        return Ok(path);
    }
    let word = path.display().to_string();
    let error = InvalidRequest::Malformed {
        what: "a cgroup",
        word: word.clone(),
        example: "a path below the root of the cgroup tree, such as /batch",
    };
    Err(usage::wrong("--cgroup-parent", &word, error))
}
