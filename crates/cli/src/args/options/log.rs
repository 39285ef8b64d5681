use hull_engine::request::RunRequest;

use crate::usage::{self, UsageError};

/// What is kept of the container's output.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Log")]
pub struct LogOptions {
    /// Keep the output in files (the default) or not at all (none)
    #[arg(long, value_name = "DRIVER")]
    log_driver: Option<String>,
    /// Bound the files: max-size=10m, max-file=3; mode=non-blocking drops lines when the disk is slow
    #[arg(long, value_name = "NAME=VALUE")]
    log_opt: Vec<String>,
}

impl LogOptions {
    pub(super) fn put(self, request: &mut RunRequest) -> Result<(), UsageError> {
        request.log.driver =
            usage::filled("--log-driver", self.log_driver.as_deref())?.unwrap_or_default();
        for word in &self.log_opt {
            let set = request.log.set(word);
            set.map_err(|error| usage::wrong("--log-opt", word, error))?;
        }
        Ok(())
    }
}
