//! How much of the host the container may use.

use std::path::{Component, Path, PathBuf};

use hull_engine::request::{InvalidRequest, RunRequest, SwapLimit};
use hull_types::ByteSize;

use super::{Group, Opt, Typed};
use crate::usage::{self, UsageError};

const MEMORY: Opt = Opt::value("memory", "SIZE", "Limit memory, such as 512m").short('m');
const MEMORY_SWAP: Opt = Opt::value(
    "memory-swap",
    "SIZE",
    "Limit memory and swap together; -1 for no limit",
);
const MEMORY_RESERVATION: Opt = Opt::value(
    "memory-reservation",
    "SIZE",
    "Leave it this much when memory is short",
);
const CPUS: Opt = Opt::value(
    "cpus",
    "NUMBER",
    "Limit processor time, such as 1.5 processors",
);
const CPU_SHARES: Opt = Opt::value(
    "cpu-shares",
    "WEIGHT",
    "Weigh it against others when processors are busy; 1024 is usual",
)
.short('c');
const CPUSET_CPUS: Opt = Opt::value(
    "cpuset-cpus",
    "LIST",
    "Use only these processors, such as 0-3,7",
);
const CPUSET_MEMS: Opt = Opt::value("cpuset-mems", "LIST", "Use only these memory nodes");
const PIDS_LIMIT: Opt = Opt::value(
    "pids-limit",
    "NUMBER",
    "Limit the number of processes and threads; -1 for no limit",
);
const CGROUP_PARENT: Opt = Opt::value("cgroup-parent", "PATH", "Put its cgroup below this one");

pub(super) const GROUP: Group = Group {
    heading: "Limits",
    options: &[
        &MEMORY,
        &MEMORY_SWAP,
        &MEMORY_RESERVATION,
        &CPUS,
        &CPU_SHARES,
        &CPUSET_CPUS,
        &CPUSET_MEMS,
        &PIDS_LIMIT,
        &CGROUP_PARENT,
    ],
};

pub(super) fn put(typed: &Typed<'_>, request: &mut RunRequest) -> Result<(), UsageError> {
    let limits = &mut request.limits;
    let size = |option| {
        let size: Option<ByteSize> = typed.filled(option)?;
        // Docker's 0 is no limit.
        Ok(size.map(ByteSize::bytes).filter(|bytes| *bytes > 0))
    };
    limits.memory = size(&MEMORY)?;
    let swap: Option<SwapLimit> = typed.filled(&MEMORY_SWAP)?;
    limits.memory_swap = swap.filter(|swap| *swap != SwapLimit::Bytes(0));
    limits.memory_reservation = size(&MEMORY_RESERVATION)?;
    limits.cpus = typed.filled(&CPUS)?;
    limits.cpu_shares = typed.text(&CPU_SHARES).map(shares).transpose()?.flatten();
    limits.cpuset_cpus = typed.filled(&CPUSET_CPUS)?;
    limits.cpuset_mems = typed.filled(&CPUSET_MEMS)?;
    limits.pids = typed.filled(&PIDS_LIMIT)?;
    request.cgroup_parent = typed.text(&CGROUP_PARENT).map(parent).transpose()?;
    Ok(())
}

/// Reads a weight: docker's 0 asks for the default, and the kernel's least is 2.
fn shares(word: &str) -> Result<Option<u64>, UsageError> {
    match word.parse::<u64>() {
        Ok(0) => Ok(None),
        Ok(shares) => Ok(Some(shares.max(2))),
        Err(_) => {
            let error = InvalidRequest::Malformed {
                what: "a weight",
                word: word.to_owned(),
                example: "a whole number; 1024 is usual",
            };
            Err(usage::wrong("--cpu-shares", word, error))
        }
    }
}

/// Reads a cgroup: it stays below the root of its hierarchy.
fn parent(word: &str) -> Result<PathBuf, UsageError> {
    let path = Path::new(word);
    let climbs = path.components().any(|part| part == Component::ParentDir);
    if !climbs && !word.is_empty() {
        return Ok(path.to_owned());
    }
    let error = InvalidRequest::Malformed {
        what: "a cgroup",
        word: word.to_owned(),
        example: "a path below the root of the cgroup tree, such as /batch",
    };
    Err(usage::wrong("--cgroup-parent", word, error))
}
