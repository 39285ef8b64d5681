use hull_engine::request::RunRequest;

use crate::usage::{self, UsageError};

/// Where the image comes from.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Image")]
pub struct ImageOptions {
    /// When to ask the registry for the image: always, missing (the default) or never
    #[arg(long, value_name = "WHEN")]
    pull: Option<String>,
    /// Take the image for another platform, such as linux/arm64
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Show no progress while the image is pulled
    #[arg(short, long)]
    pub quiet: bool,
}

impl ImageOptions {
    pub(super) fn put(self, request: &mut RunRequest) -> Result<(), UsageError> {
        request.pull = usage::optional("--pull", self.pull.as_deref())?.unwrap_or_default();
        request.platform = usage::optional("--platform", self.platform.as_deref())?;
        Ok(())
    }
}
