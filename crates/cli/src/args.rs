//! What people type: one file per verb, definitions for clap and nothing else. What it means is said in two places: the
//! options of a new container become a [`hull_engine::request::RunRequest`] in [`options`], everything else is plain enough
//! for its verb to use as it is.
//!
//! Docker's spelling rules that clap does not have by itself are added in [`parse`], for all verbs alike.

pub mod filter;
pub mod options;

mod attach;
mod commit;
mod completion;
mod container_prune;
mod cp;
mod create;
mod diff;
mod doctor;
mod exec;
mod export;
mod gc;
mod image_inspect;
mod image_prune;
mod images;
mod import;
mod info;
mod inspect;
mod kill;
mod load;
mod logs;
mod man;
mod pause;
mod port;
mod prune;
mod ps;
mod pull;
mod rename;
mod restart;
mod rm;
mod rmi;
mod run;
mod save;
mod start;
mod stop;
mod tag;
mod top;
mod unpause;
mod version;
mod volume;
mod wait;

use std::{ffi::OsString, path::PathBuf};

use clap::{ArgAction, ArgMatches, Command};

pub use attach::Attach;
pub use commit::Commit;
pub use completion::{Completion, Shell};
pub use container_prune::ContainerPrune;
pub use cp::{Copy, Place};
pub use create::Create;
pub use diff::Diff;
pub use doctor::Doctor;
pub use exec::Exec;
pub use export::Export;
pub use gc::Gc;
pub use image_inspect::ImageInspect;
pub use image_prune::ImagePrune;
pub use images::Images;
pub use import::Import;
pub use info::Info;
pub use inspect::{Inspect, Kind};
pub use kill::Kill;
pub use load::Load;
pub use logs::{Logs, Moment, Tail};
pub use man::Man;
pub use pause::Pause;
pub use port::Port;
pub use prune::Prune;
pub use ps::Ps;
pub use pull::Pull;
pub use rename::Rename;
pub use restart::Restart;
pub use rm::Rm;
pub use rmi::Rmi;
pub use run::Run;
pub use save::{ArchiveFormat, Save};
pub use start::Start;
pub use stop::Stop;
pub use tag::Tag;
pub use top::Top;
pub use unpause::Unpause;
pub use version::Version;
pub use volume::{VolumeCreate, VolumeInspect, VolumeList, VolumePrune, VolumeRemove};
pub use wait::Wait;

// Options that every verb takes, before or after its name. (A doc comment would become every verb's description.)
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Keep images, containers and everything else below this directory [env: HULL_ROOT]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

impl Globals {
    /// Returns these options, completed from those typed before the verb.
    #[must_use]
    pub fn or(self, before: Self) -> Self {
        Self {
            root: self.root.or(before.root),
        }
    }

    /// Opens the installation that these options name.
    pub fn engine(&self) -> Result<hull_engine::Engine, hull_engine::EngineError> {
        let uid = rustix::process::geteuid().as_raw();
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        hull_engine::Engine::open(hull_engine::Places::of(self.root.clone(), uid, variable))
    }
}

/// Reads the words after a verb by docker's rules: a switch may be given a value (`--rm=false`), and where an option is
/// repeated the last one counts.
pub fn parse(verb: Command, words: &[OsString]) -> Result<ArgMatches, clap::Error> {
    verb.mut_args(switch)
        .args_override_self(true)
        .no_binary_name(true)
        .try_get_matches_from(words)
}

/// Lets a switch be given a value, as docker's can. Help shows it without.
fn switch(argument: clap::Arg) -> clap::Arg {
    if !matches!(argument.get_action(), ArgAction::SetTrue) {
        return argument;
    }
    argument
        .action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .value_parser(truth)
}

/// Reads a truth value as Go does.
fn truth(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("write true or false"),
    }
}

#[cfg(test)]
mod tests;
