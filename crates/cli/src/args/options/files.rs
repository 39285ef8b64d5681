//! What the container sees besides the image.

use hull_engine::request::{Access, InvalidRequest, Mount, RunRequest};
use hull_types::ByteSize;

use super::{Caller, Group, Opt, Typed};
use crate::usage::{self, UsageError};

const VOLUME: Opt = Opt::values(
    "volume",
    "[SOURCE:]TARGET[:OPTIONS]",
    "Mount a path of the host or a volume; OPTIONS: ro, noidmap, nocopy, a propagation",
)
.short('v');
const MOUNT: Opt = Opt::values(
    "mount",
    "FIELDS",
    "The same in words: type=bind|volume|tmpfs,source=…,target=…[,readonly]",
);
const TMPFS: Opt = Opt::values(
    "tmpfs",
    "TARGET[:OPTIONS]",
    "Mount memory that ends with the container; OPTIONS: size=64m, mode=1777, exec, …",
);
const READ_ONLY: Opt = Opt::switch("read-only", "Mount the root read-only");
const SHM_SIZE: Opt = Opt::value("shm-size", "SIZE", "Make /dev/shm this large");
const DEVICE: Opt = Opt::values(
    "device",
    "PATH[:INSIDE][:ACCESS]",
    "Give the container a device, or all in a directory; ACCESS: some of r, w, m",
);

pub(super) const GROUP: Group = Group {
    heading: "Files and devices",
    options: &[&VOLUME, &MOUNT, &TMPFS, &READ_ONLY, &SHM_SIZE, &DEVICE],
};

pub(super) fn put(
    typed: &Typed<'_>,
    request: &mut RunRequest,
    caller: Caller<'_>,
) -> Result<(), UsageError> {
    let mut mount = |option: &Opt, parse: &dyn Fn(&str) -> Result<Mount, InvalidRequest>| {
        for word in typed.texts(option) {
            let mount = parse(word).map_err(|error| usage::wrong(&option.flag(), word, error))?;
            request.mounts.push(mount);
        }
        Ok(())
    };
    mount(&VOLUME, &|word| Mount::parse_volume(word, caller.directory))?;
    mount(&MOUNT, &|word| Mount::parse_mount(word, caller.directory))?;
    mount(&TMPFS, &Mount::parse_tmpfs)?;
    if typed.on(&READ_ONLY) {
        request.root = Access::ReadOnly;
    }
    let size: Option<ByteSize> = typed.one(&SHM_SIZE)?;
    // Docker's 0 asks for the default.
    request.shm_size = size.map(ByteSize::bytes).filter(|size| *size > 0);
    request.devices = typed.all(&DEVICE)?;
    Ok(())
}
