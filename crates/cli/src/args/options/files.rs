use hull_engine::request::{Access, InvalidRequest, Mount, RunRequest};
use hull_types::ByteSize;

use super::Caller;
use crate::usage::{self, UsageError};

/// What the container sees besides the image.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Files and devices")]
pub struct FileOptions {
    /// Mount a path of the host or a volume; OPTIONS: ro, noidmap, nocopy, a propagation
    #[arg(short, long, value_name = "[SOURCE:]TARGET[:OPTIONS]")]
    volume: Vec<String>,
    /// The same in words: type=bind|volume|tmpfs,source=…,target=…[,readonly]
    #[arg(long, value_name = "FIELDS")]
    mount: Vec<String>,
    /// Mount memory that ends with the container; OPTIONS: size=64m, mode=1777, exec, …
    #[arg(long, value_name = "TARGET[:OPTIONS]")]
    tmpfs: Vec<String>,
    /// Mount the root read-only
    #[arg(long)]
    read_only: bool,
    /// Make /dev/shm this large
    #[arg(long, value_name = "SIZE")]
    shm_size: Option<String>,
    /// Give the container a device; ACCESS: some of r, w, m
    #[arg(long, value_name = "PATH[:INSIDE][:ACCESS]")]
    device: Vec<String>,
}

impl FileOptions {
    pub(super) fn put(
        self,
        request: &mut RunRequest,
        caller: Caller<'_>,
    ) -> Result<(), UsageError> {
        type Parsed = Result<Mount, InvalidRequest>;
        let mut put = |flag, words: &[String], parse: &dyn Fn(&str) -> Parsed| {
            for word in words {
                let mount = parse(word).map_err(|error| usage::wrong(flag, word, error))?;
                request.mounts.push(mount);
            }
            Ok(())
        };
        put("--volume", &self.volume, &|word| {
            Mount::parse_volume(word, caller.directory)
        })?;
        put("--mount", &self.mount, &|word| {
            Mount::parse_mount(word, caller.directory)
        })?;
        put("--tmpfs", &self.tmpfs, &Mount::parse_tmpfs)?;
        if self.read_only {
            request.root = Access::ReadOnly;
        }
        let size: Option<ByteSize> = usage::optional("--shm-size", self.shm_size.as_deref())?;
        // Docker's 0 asks for the default.
        request.shm_size = size.map(ByteSize::bytes).filter(|size| *size > 0);
        request.devices = usage::all("--device", &self.device)?;
        Ok(())
    }
}
