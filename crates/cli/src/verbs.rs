//! The verbs: which there are, what they are called, and where each is carried out.
//!
//! Only the parser of the verb that was typed is built: a program that starts containers must not spend its first
//! half-millisecond on the options of `commit`. The whole tree exists for help, completions and manual pages.
//!
//! A verb whose words clap reads implements [`Perform`] for its definition; `run` and `create` read their own
//! ([`crate::args::options`] says why).

mod attach;
mod attached;
mod commit;
pub(crate) mod complete;
mod completion;
mod confirm;
mod cp;
mod create;
mod diff;
mod doctor;
mod each;
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
mod streams;
mod tag;
mod top;
mod unpause;
mod version;
mod volume;
mod wait;

use std::{ffi::OsString, process::ExitCode};

use clap::{Arg, ArgAction, Args, Command, CommandFactory, FromArgMatches};

use crate::{
    args::{self, Globals},
    exit::Family,
    failure::Failure,
    usage,
};

/// Carries out what was typed.
pub trait Perform {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure>;
}

/// One thing Hull can do.
#[derive(Clone, Copy)]
pub struct Verb {
    pub name: &'static str,
    /// Where help lists it.
    pub section: Section,
    pub family: Family,
    /// Docker's other names for it, such as `container ls`.
    pub also: &'static [&'static str],
    define: fn() -> Command,
    perform: fn(&Self, &[OsString], Globals) -> Result<ExitCode, Failure>,
}

/// The sections of help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Containers,
    Inside,
    Images,
    Host,
}

impl Section {
    pub(crate) const ALL: [(Self, &str); 4] = [
        (Self::Containers, "Containers"),
        (Self::Inside, "Inside containers"),
        (Self::Images, "Images"),
        (Self::Host, "This host"),
    ];
}

const fn verb<A: Perform + CommandFactory + FromArgMatches>(
    name: &'static str,
    section: Section,
    also: &'static [&'static str],
) -> Verb {
    Verb {
        name,
        section,
        family: Family::Plain,
        also,
        define: || Globals::augment_args(A::command()),
        perform: Verb::read::<A>,
    }
}

/// Keeps plain words that nothing is said about out of the list below the usage, which names them.
fn unlisted(word: Arg) -> Arg {
    let silent =
        word.is_positional() && word.get_help().is_none() && word.get_possible_values().is_empty();
    word.hide_short_help(silent).hide_long_help(silent)
}

/// Every verb, in the order of help.
pub static VERBS: &[Verb] = {
    use Section::{Containers, Host, Images, Inside};
    &[
        Verb {
            name: "run",
            section: Containers,
            family: Family::Container,
            also: &[],
            define: args::Run::command,
            perform: run::perform,
        },
        Verb {
            name: "create",
            section: Containers,
            family: Family::Container,
            also: &[],
            define: args::Create::command,
            perform: create::perform,
        },
        verb::<args::Ps>("ps", Containers, &["container ls", "container list"]),
        Verb {
            family: Family::Container,
            ..verb::<args::Start>("start", Containers, &[])
        },
        verb::<args::Stop>("stop", Containers, &[]),
        verb::<args::Restart>("restart", Containers, &[]),
        verb::<args::Kill>("kill", Containers, &[]),
        verb::<args::Pause>("pause", Containers, &[]),
        verb::<args::Unpause>("unpause", Containers, &[]),
        verb::<args::Wait>("wait", Containers, &[]),
        verb::<args::Rename>("rename", Containers, &[]),
        verb::<args::Rm>("rm", Containers, &["container remove"]),
        Verb {
            family: Family::Container,
            ..verb::<args::Exec>("exec", Inside, &[])
        },
        verb::<args::Attach>("attach", Inside, &[]),
        verb::<args::Logs>("logs", Inside, &[]),
        verb::<args::Inspect>("inspect", Inside, &[]),
        verb::<args::Top>("top", Inside, &[]),
        verb::<args::Port>("port", Inside, &[]),
        verb::<args::Copy>("cp", Inside, &[]),
        verb::<args::Diff>("diff", Inside, &[]),
        verb::<args::Export>("export", Inside, &[]),
        verb::<args::Commit>("commit", Inside, &[]),
        verb::<args::Images>("images", Images, &["image ls", "image list"]),
        verb::<args::Pull>("pull", Images, &[]),
        verb::<args::Load>("load", Images, &[]),
        verb::<args::Import>("import", Images, &[]),
        verb::<args::Save>("save", Images, &[]),
        verb::<args::Tag>("tag", Images, &[]),
        verb::<args::Rmi>("rmi", Images, &["image rm", "image remove"]),
        verb::<args::ImageInspect>("image inspect", Images, &[]),
        verb::<args::ImagePrune>("image prune", Images, &[]),
        verb::<args::Prune>("prune", Host, &[]),
        verb::<args::ContainerPrune>("container prune", Containers, &[]),
        verb::<args::VolumeList>("volume ls", Host, &["volume list"]),
        verb::<args::VolumeCreate>("volume create", Host, &[]),
        verb::<args::VolumeInspect>("volume inspect", Host, &[]),
        verb::<args::VolumeRemove>("volume rm", Host, &["volume remove"]),
        verb::<args::VolumePrune>("volume prune", Host, &[]),
        verb::<args::Info>("info", Host, &[]),
        verb::<args::Doctor>("doctor", Host, &[]),
        verb::<args::Gc>("gc", Host, &[]),
        verb::<args::Version>("version", Host, &[]),
        verb::<args::Completion>("completion", Host, &[]),
        verb::<args::Man>("man", Host, &[]),
    ]
};

impl Verb {
    /// Finds a verb by what was typed: its name, or docker's two words for it.
    pub fn find(word: &str, second: Option<&str>) -> Option<(&'static Self, usize)> {
        if let Some(verb) = VERBS.iter().find(|verb| verb.name == word) {
            return Some((verb, 1));
        }
        let second = second?;
        let named = |name: &str| name.split_once(' ') == Some((word, second));
        let plain = match word {
            "container" => &[Section::Containers, Section::Inside][..],
            "image" => &[Section::Images],
            "system" => &[Section::Host],
            _ => &[],
        };
        VERBS
            .iter()
            .find(|verb| {
                named(verb.name)
                    || verb.also.iter().any(|also| named(also))
                    || (verb.name == second && plain.contains(&verb.section))
            })
            .map(|verb| (verb, 2))
    }

    /// Returns the definition as its own page: called `hull VERB`, at most a hundred characters wide.
    pub fn page(&self) -> Command {
        let page = (self.define)()
            .bin_name(format!("hull {}", self.name))
            .max_term_width(100)
            .mut_args(unlisted);
        if page.get_arguments().any(|option| option.get_id() == "help") {
            return page;
        }
        // Clap's own promises that `--help` says more than `-h`.
        let help = Arg::new("help").short('h').long("help").help("Print help");
        page.disable_help_flag(true)
            .arg(help.action(ArgAction::Help))
    }

    /// Says in one line what the verb does.
    pub fn about(&self) -> String {
        (self.define)()
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// Reads the words after the verb and carries it out.
    pub fn perform(&self, words: &[OsString], before: Globals) -> Result<ExitCode, Failure> {
        (self.perform)(self, words, before)
    }

    /// Lets clap read the words.
    fn read<A: Perform + FromArgMatches>(
        &self,
        words: &[OsString],
        before: Globals,
    ) -> Result<ExitCode, Failure> {
        let failed = |error: &clap::Error| Failure::from(usage::from_clap(self.name, error));
        let matches = match args::parse((self.define)(), words) {
            Ok(matches) => matches,
            Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {
                return crate::help::print(self);
            }
            Err(error) => return Err(failed(&error)),
        };
        let globals = Globals::from_arg_matches(&matches).map_err(|error| failed(&error))?;
        let typed = A::from_arg_matches(&matches).map_err(|error| failed(&error))?;
        typed.perform(&globals.or(before))
    }
}

impl std::fmt::Debug for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verb")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
