//! The verbs: which there are, what they are called, and where each is carried out.
//!
//! Only the parser of the verb that was typed is built: a program that starts containers must not spend its first
//! half-millisecond on the options of `commit`. The whole tree exists for help, completions and manual pages.

mod completion;
mod man;
mod version;

use std::{ffi::OsString, process::ExitCode};

use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches};

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
    /// Docker's other names for it, such as `container ls`; the last word alone where there is no blank.
    pub also: &'static [&'static str],
    define: fn() -> Command,
    perform: fn(&ArgMatches, Globals) -> Result<ExitCode, Failure>,
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
        define: A::command,
        perform: |matches, globals| match A::from_arg_matches(matches) {
            Ok(words) => words.perform(&globals),
            Err(error) => Err(usage::from_clap("", &error).into()),
        },
    }
}

/// Every verb, in the order of help.
pub static VERBS: &[Verb] = &[
    verb::<args::Version>("version", Section::Host, &[]),
    verb::<args::Completion>("completion", Section::Host, &[]),
    verb::<args::Man>("man", Section::Host, &[]),
];

impl Verb {
    /// Finds a verb by what was typed: its name, or docker's two words for it.
    pub fn find(word: &str, second: Option<&str>) -> Option<(&'static Self, usize)> {
        if let Some(verb) = VERBS.iter().find(|verb| verb.name == word) {
            return Some((verb, 1));
        }
        let second = second?;
        let named = |also: &&str| also.split_once(' ') == Some((word, second));
        let plain = match word {
            "container" => &[Section::Containers, Section::Inside][..],
            "image" => &[Section::Images],
            "system" => &[Section::Host],
            _ => &[],
        };
        VERBS
            .iter()
            .find(|verb| {
                verb.also.iter().any(|also| named(&also))
                    || (verb.name == second && plain.contains(&verb.section))
            })
            .map(|verb| (verb, 2))
    }

    /// Returns the verb's definition as help shows it.
    pub fn command(&self) -> Command {
        let command = Globals::augment_args((self.define)());
        match command.is_disable_help_flag_set() {
            // `-h` is the host name, as in docker.
            true => command.arg(
                clap::Arg::new("help")
                    .long("help")
                    .action(clap::ArgAction::Help)
                    .help("Print help")
                    .help_heading("Global options"),
            ),
            false => command,
        }
    }

    /// Returns the definition as its own page: called `hull VERB`, at most a hundred characters wide.
    pub fn page(&self) -> Command {
        self.command()
            .bin_name(format!("hull {}", self.name))
            .max_term_width(100)
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
        let matches = match args::parse(self.command(), words) {
            Ok(matches) => matches,
            Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {
                return crate::help::print(self);
            }
            Err(error) => return Err(usage::from_clap(self.name, &error).into()),
        };
        let globals = Globals::from_arg_matches(&matches)
            .unwrap_or_default()
            .or(before);
        (self.perform)(&matches, globals)
    }
}

impl std::fmt::Debug for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verb")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
