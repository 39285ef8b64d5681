use std::ffi::OsString;

use clap::Command;

use super::options::{Caller, Group, Meant, Opt, Typed, command, groups};
use crate::usage::UsageError;

const RM: Opt = Opt::switch(
    "rm",
    "Remove the container and its anonymous volumes when it ends",
);

const OWN: Group = Group {
    heading: "Options",
    options: &[&RM],
};

/// `hull create`: create a container without starting it, and print its id.
#[derive(Debug)]
pub struct Create;

impl Create {
    /// Returns the definition, for help.
    pub fn command() -> Command {
        let create = Command::new("create")
            .about("Create a container without starting it, and print its id")
            .override_usage("hull create [OPTIONS] IMAGE [COMMAND] [ARG...]")
            .after_help(
                "\
Options end at the image: what follows is the command's. One -- before the command is dropped.

Examples:
  hull create --name job -v data:/data debian:12 make -C /data
  hull start -a job",
            );
        command(create, &groups(OWN))
    }

    /// Says what the words after `create` mean; nothing when they ask for help.
    pub fn meant(words: &[OsString], caller: Caller<'_>) -> Result<Option<Meant>, UsageError> {
        let typed = Typed::read("create", &groups(OWN), words)?;
        if typed.help {
            return Ok(None);
        }
        let mut meant = Meant::new(&typed, caller)?;
        meant.request.remove = typed.on(&RM);
        meant.request = meant.request.agreed().map_err(UsageError::Conflict)?;
        Ok(Some(meant))
    }
}
