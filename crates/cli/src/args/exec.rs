use hull_engine::request::{ContainerText, DetachKeys, User};

use super::options::{EnvironmentOptions, StandardStreams};
use crate::usage::{self, UsageError};

/// Run a command in a running container
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "exec",
    override_usage = "hull exec [OPTIONS] CONTAINER COMMAND [ARG...]",
    after_help = "\
Options end at the container: what follows is the command's. One -- before the command is dropped.

Examples:
  hull exec -it web sh
  hull exec -u postgres -w /tmp db pg_dump shop

Exit code: that of the command, or 128 and the number of the signal that ended it;
125 when Hull failed, 126 when the command cannot be run, 127 when it is not there."
)]
pub struct Exec {
    #[command(flatten)]
    pub streams: StandardStreams,
    /// Leave it running in the background
    #[arg(short, long)]
    pub detach: bool,
    #[command(flatten)]
    pub environment: EnvironmentOptions,
    /// Start in this directory
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Run as this user and group, by name in the container or by number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<User>,
    /// Give the command every capability
    #[arg(long)]
    pub privileged: bool,
    /// Leave the command with these keys instead of ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<DetachKeys>,
    /// Container, then the command to run in it and its arguments
    #[arg(
        value_name = "CONTAINER COMMAND [ARG...]",
        required = true,
        num_args = 1..,
        trailing_var_arg = true,
        hide = true
    )]
    words: Vec<String>,
}

impl Exec {
    /// Returns the container and the command.
    pub fn split(&self) -> Result<(ContainerText, &[String]), UsageError> {
        let (container, command) = match &self.words[..] {
            [container, dashes, command @ ..] if dashes == "--" => (container.as_str(), command),
            [container, command @ ..] => (container.as_str(), command),
            [] => ("", &[][..]),
        };
        let container = usage::value("CONTAINER", container)?;
        match command {
            [] => Err(UsageError::Words {
                verb: "exec".to_owned(),
                problem: "needs a command after the container".to_owned(),
                hint: format!("`hull exec -it {container} sh` opens a shell"),
            }),
            command => Ok((container, command)),
        }
    }
}
