use std::ffi::OsString;

use clap::Command;
use hull_engine::request::{InvalidRequest, Streams};

use super::options::{Caller, Group, Meant, Opt, Typed, command, groups};
use crate::usage::{self, UsageError};

const DETACH: Opt = Opt::switch(
    "detach",
    "Run in the background and print the container's id",
)
.short('d');
const RM: Opt = Opt::switch(
    "rm",
    "Remove the container and its anonymous volumes when it ends",
);
const ATTACH: Opt =
    Opt::values("attach", "STREAM", "Attach to stdin, stdout or stderr only").short('a');
const DETACH_KEYS: Opt = Opt::value(
    "detach-keys",
    "KEYS",
    "Leave the container with these keys instead of ctrl-p,ctrl-q",
);
const SIG_PROXY: Opt = Opt::switch(
    "sig-proxy",
    "Pass signals on to the container (the default; =false does not)",
);

const OWN: Group = Group {
    heading: "Options",
    options: &[&DETACH, &RM, &ATTACH, &DETACH_KEYS, &SIG_PROXY],
};

/// `hull run`: create a container from an image and run a command in it.
#[derive(Debug)]
pub struct Run;

impl Run {
    /// Returns the definition, for help.
    pub fn command() -> Command {
        let run = Command::new("run")
            .about("Create a container from an image and run a command in it")
            .override_usage("hull run [OPTIONS] IMAGE [COMMAND] [ARG...]")
            .after_help(
                "\
Options end at the image: what follows is the command's. One -- before the command is dropped.
@host is an image that is always there: this host's own files under a throw-away layer.

Examples:
  hull run --rm @host -- cat /etc/os-release
  hull run -it --rm debian:12 bash
  hull run -d --name web -p 8080:80 -v ./site:/srv:ro nginx
  hull run --rm -m 256m --cpus 0.5 --network none alpine sh -c 'echo $HOSTNAME'

Exit code: that of the command, or 128 and the number of the signal that ended it;
125 when Hull failed, 126 when the command cannot be run, 127 when it is not there.",
            );
        command(run, &groups(OWN))
    }

    /// Says what the words after `run` mean; nothing when they ask for help.
    pub fn meant(words: &[OsString], caller: Caller<'_>) -> Result<Option<Meant>, UsageError> {
        let typed = Typed::read("run", &groups(OWN), words)?;
        if typed.help {
            return Ok(None);
        }
        let mut meant = Meant::new(&typed, caller)?;
        let request = &mut meant.request;
        request.remove = typed.on(&RM);
        request.session.detach = typed.on(&DETACH);
        request.session.pass_signals = typed.text(&SIG_PROXY) != Some("false");
        request.session.detach_keys = typed.one(&DETACH_KEYS)?;
        request.session.attach = streams(&typed)?;
        meant.request = meant.request.agreed().map_err(UsageError::Conflict)?;
        Ok(Some(meant))
    }
}

/// Reads the streams of `--attach`: none named means the usual ones.
fn streams(typed: &Typed<'_>) -> Result<Option<Streams>, UsageError> {
    let mut streams = None;
    for word in typed.texts(&ATTACH) {
        let streams = streams.get_or_insert_with(Streams::default);
        match word.to_ascii_lowercase().as_str() {
            "stdin" => streams.stdin = true,
            "stdout" => streams.stdout = true,
            "stderr" => streams.stderr = true,
            _ => {
                let error = InvalidRequest::NoSuch {
                    what: "standard stream",
                    word: word.to_owned(),
                    known: "stdin, stdout, stderr",
                    near: Vec::new(),
                };
                return Err(usage::wrong("--attach", word, error));
            }
        }
    }
    Ok(streams)
}
