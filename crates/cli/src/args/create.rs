use super::options::{Caller, ContainerOptions, Meant};
use crate::usage::UsageError;

/// Create a container without starting it, and print its id
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "create",
    disable_help_flag = true,
    override_usage = "hull create [OPTIONS] IMAGE [COMMAND] [ARG...]",
    after_help = "\
Options end at the image: what follows is the command's. One -- before the command is dropped.

Examples:
  hull create --name job -v data:/data debian:12 make -C /data
  hull start -a job"
)]
pub struct Create {
    /// Remove the container and its anonymous volumes when it ends
    #[arg(long)]
    pub rm: bool,
    #[command(flatten)]
    pub container: ContainerOptions,
}

impl Create {
    /// Says what the words mean.
    pub fn meant(self, caller: Caller<'_>) -> Result<Meant, UsageError> {
        let mut meant = self.container.meant(caller)?;
        meant.request.remove = self.rm;
        meant.request = meant.request.agreed().map_err(UsageError::Conflict)?;
        Ok(meant)
    }
}
