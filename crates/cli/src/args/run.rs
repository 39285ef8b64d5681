use hull_engine::request::{InvalidRequest, Streams};

use super::options::{Caller, ContainerOptions, Meant};
use crate::usage::{self, UsageError};

/// Create a container from an image and run a command in it
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "run",
    disable_help_flag = true,
    override_usage = "hull run [OPTIONS] IMAGE [COMMAND] [ARG...]",
    after_help = "\
Options end at the image: what follows is the command's. One -- before the command is dropped.
@host is an image that is always there: this host's own files under a throw-away layer.

Examples:
  hull run --rm @host -- cat /etc/os-release
  hull run -it --rm debian:12 bash
  hull run -d --name web -p 8080:80 -v ./site:/srv:ro nginx
  hull run --rm -m 256m --cpus 0.5 --network none alpine sh -c 'echo $HOSTNAME'

Exit code: that of the command, or 128 and the number of the signal that ended it;
125 when hull failed, 126 when the command cannot be run, 127 when it is not there."
)]
pub struct Run {
    /// Run in the background and print the container's id
    #[arg(short, long)]
    pub detach: bool,
    /// Remove the container and its anonymous volumes when it ends
    #[arg(long)]
    pub rm: bool,
    /// Attach to stdin, stdout or stderr only
    #[arg(short, long, value_name = "STREAM")]
    pub attach: Vec<String>,
    /// Leave the container with these keys instead of ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<String>,
    /// Pass signals on to the container (the default)
    #[arg(long, value_name = "BOOL",
        default_value = "true",
        hide_default_value = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        value_parser = super::truth)]
    pub sig_proxy: bool,
    #[command(flatten)]
    pub container: ContainerOptions,
}

impl Run {
    /// Says what the words mean.
    pub fn meant(self, caller: Caller<'_>) -> Result<Meant, UsageError> {
        let mut meant = self.container.meant(caller)?;
        let session = &mut meant.request.session;
        meant.request.remove = self.rm;
        session.detach = self.detach;
        session.pass_signals = self.sig_proxy;
        session.detach_keys = usage::optional("--detach-keys", self.detach_keys.as_deref())?;
        session.attach = streams(&self.attach)?;
        meant.request = meant.request.agreed().map_err(UsageError::Conflict)?;
        Ok(meant)
    }
}

/// Reads the streams of `--attach`: none named means the usual ones.
fn streams(words: &[String]) -> Result<Option<Streams>, UsageError> {
    let mut streams = Streams::default();
    for word in words {
        match word.to_ascii_lowercase().as_str() {
            "stdin" => streams.stdin = true,
            "stdout" => streams.stdout = true,
            "stderr" => streams.stderr = true,
            _ => {
                let error = InvalidRequest::NoSuch {
                    what: "standard stream",
                    word: word.clone(),
                    known: "stdin, stdout, stderr",
                    near: Vec::new(),
                };
                return Err(usage::wrong("--attach", word, error));
            }
        }
    }
    Ok((!words.is_empty()).then_some(streams))
}
