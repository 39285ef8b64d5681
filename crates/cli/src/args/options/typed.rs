//! The options of `run` and `create` as they are typed.
//!
//! These two are read by a table, not by clap: making clap's seventy definitions costs 0.2 ms of processor time at every
//! start of a container, and reading the words by a constant table next to none. The table is still the only definition:
//! help, completions and manual pages are made from it through [`command`].
//!
//! The rules are docker's (pflag's): options end at the first word that is none; `--name value`, `--name=value`, `-n value`,
//! `-nvalue` and `-n=value` are the same; switches can be joined (`-it`) and given a value (`--rm=false`); the last of
//! several counts.

use std::{ffi::OsString, str::FromStr};

use clap::{Arg, ArgAction, Command};
use hull_engine::near::{did_you_mean, near};

use crate::usage::{self, Explained, UsageError};

/// An option.
#[derive(Debug, PartialEq)]
pub(crate) struct Opt {
    /// Without its dashes.
    pub(crate) long: &'static str,
    pub(crate) short: Option<char>,
    /// Another name that docker knows; help does not show it.
    pub(crate) alias: Option<&'static str>,
    pub(crate) takes: Takes,
    pub(crate) help: &'static str,
}

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing: it is there or not.
    Nothing,
    /// A value; the last one counts.
    Value(&'static str),
    /// A value; all count.
    Values(&'static str),
}

impl Opt {
    /// Returns an option that is there or not.
    pub(crate) const fn switch(long: &'static str, help: &'static str) -> Self {
        Self {
            long,
            short: None,
            alias: None,
            takes: Takes::Nothing,
            help,
        }
    }

    /// Returns an option with one value.
    pub(crate) const fn value(long: &'static str, value: &'static str, help: &'static str) -> Self {
        Self {
            takes: Takes::Value(value),
            ..Self::switch(long, help)
        }
    }

    /// Returns an option that can be repeated.
    pub(crate) const fn values(
        long: &'static str,
        value: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            takes: Takes::Values(value),
            ..Self::switch(long, help)
        }
    }

    /// Gives the option a letter.
    pub(crate) const fn short(self, letter: char) -> Self {
        Self {
            short: Some(letter),
            ..self
        }
    }

    /// Gives the option docker's other name for it.
    pub(crate) const fn alias(self, alias: &'static str) -> Self {
        Self {
            alias: Some(alias),
            ..self
        }
    }

    /// Returns the option as it is typed.
    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.long)
    }

    fn argument(&self, heading: &'static str) -> Arg {
        let argument = Arg::new(self.long)
            .long(self.long)
            .help(self.help)
            .help_heading(heading);
        let argument = match self.short {
            Some(letter) => argument.short(letter),
            None => argument,
        };
        let argument = match self.alias {
            Some(alias) => argument.alias(alias),
            None => argument,
        };
        match self.takes {
            Takes::Nothing => argument.action(ArgAction::SetTrue),
            Takes::Value(name) => argument.value_name(name),
            Takes::Values(name) => argument.value_name(name).action(ArgAction::Append),
        }
    }
}

/// Options that help shows together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) heading: &'static str,
    pub(crate) options: &'static [&'static Opt],
}

/// Adds the options of a table to a command, for help, completions and manual pages.
pub(crate) fn command(command: Command, groups: &[Group]) -> Command {
    let options = groups.iter().flat_map(|group| {
        group
            .options
            .iter()
            .map(|option| option.argument(group.heading))
    });
    // `-h` is the host name, as in docker.
    let help = Arg::new("help")
        .long("help")
        .action(ArgAction::Help)
        .help("Print help");
    command
        .disable_help_flag(true)
        .args(options)
        .arg(help.help_heading("Global options"))
}

/// What was typed: options by the table, and the words after them.
#[derive(Debug)]
pub(crate) struct Typed<'w> {
    verb: &'static str,
    options: Vec<(&'static Opt, &'w str)>,
    /// The first word that is no option, and all after it.
    pub(crate) words: Vec<&'w str>,
    /// Whether help was asked for.
    pub(crate) help: bool,
}

impl<'w> Typed<'w> {
    /// Reads the words after the verb.
    pub(crate) fn read(
        verb: &'static str,
        groups: &[Group],
        words: &'w [OsString],
    ) -> Result<Self, UsageError> {
        let text = |word: &'w OsString| {
            word.to_str().ok_or_else(|| UsageError::Words {
                verb: verb.to_owned(),
                problem: format!("cannot take `{}`: it is not UTF-8", word.display()),
                hint: "an OCI configuration holds text only".to_owned(),
            })
        };
        let words: Vec<&str> = words.iter().map(text).collect::<Result<_, _>>()?;
        let mut reader = Reader {
            verb,
            groups,
            rest: words.into_iter(),
            options: Vec::new(),
        };
        let mut typed = Self {
            verb,
            options: Vec::new(),
            words: Vec::new(),
            help: false,
        };
        while let Some(word) = reader.rest.next() {
            match word.strip_prefix("--") {
                Some("") => break,
                Some("help") => typed.help = true,
                Some(long) => reader.long(word, long)?,
                None if word.len() > 1 && word.starts_with('-') => reader.letters(word)?,
                None => {
                    typed.words.push(word);
                    break;
                }
            }
        }
        typed.words.extend(reader.rest);
        typed.options = reader.options;
        Ok(typed)
    }

    /// Says whether a switch is on.
    pub(crate) fn on(&self, option: &Opt) -> bool {
        self.text(option) == Some("true")
    }

    /// Returns the last value of an option as it was typed.
    pub(crate) fn text(&self, option: &Opt) -> Option<&'w str> {
        let last = self
            .options
            .iter()
            .rev()
            .find(|(known, _)| *known == option);
        last.map(|(_, value)| *value)
    }

    /// Returns every value of an option as it was typed.
    pub(crate) fn texts(&self, option: &Opt) -> impl Iterator<Item = &'w str> {
        self.options
            .iter()
            .filter(move |(known, _)| *known == option)
            .map(|(_, value)| *value)
    }

    /// Returns the last value of an option.
    pub(crate) fn one<T: FromStr<Err: Explained>>(
        &self,
        option: &Opt,
    ) -> Result<Option<T>, UsageError> {
        self.text(option)
            .map(|word| usage::value(&option.flag(), word))
            .transpose()
    }

    /// Returns the last value of an option unless it is empty: scripts write `--user "$USER"`, and docker lets them.
    pub(crate) fn filled<T: FromStr<Err: Explained>>(
        &self,
        option: &Opt,
    ) -> Result<Option<T>, UsageError> {
        match self.text(option) {
            Some("") => Ok(None),
            _ => self.one(option),
        }
    }

    /// Returns every value of an option.
    pub(crate) fn all<T: FromStr<Err: Explained>>(
        &self,
        option: &Opt,
    ) -> Result<Vec<T>, UsageError> {
        self.texts(option)
            .map(|word| usage::value(&option.flag(), word))
            .collect()
    }

    /// Says that a word is missing.
    pub(crate) fn needs(&self, what: &str) -> UsageError {
        UsageError::Words {
            verb: self.verb.to_owned(),
            problem: format!("needs {what}"),
            hint: usage::see_help(self.verb),
        }
    }
}

/// Options being read.
struct Reader<'g, 'w> {
    verb: &'static str,
    groups: &'g [Group],
    rest: std::vec::IntoIter<&'w str>,
    options: Vec<(&'static Opt, &'w str)>,
}

impl<'w> Reader<'_, 'w> {
    fn find(&self, matches: impl Fn(&Opt) -> bool) -> Option<&'static Opt> {
        let options = self.groups.iter().flat_map(|group| group.options);
        options.copied().find(|option| matches(option))
    }

    /// Reads `--name`, `--name=value` or `--name value`.
    fn long(&mut self, word: &str, long: &'w str) -> Result<(), UsageError> {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        let named = |option: &Opt| option.long == name || option.alias == Some(name);
        let Some(option) = self.find(named) else {
            return Err(self.unknown(word.split('=').next().unwrap_or(word)));
        };
        self.put(option, value)
    }

    /// Reads `-it`, `-n value`, `-nvalue` or `-n=value`.
    fn letters(&mut self, word: &'w str) -> Result<(), UsageError> {
        let mut rest = &word[1..];
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            let Some(option) = self.find(|option| option.short == Some(letter)) else {
                return Err(self.unknown(&format!("-{letter}")));
            };
            match (option.takes, rest.strip_prefix('=')) {
                (_, Some(value)) => return self.put(option, Some(value)),
                (Takes::Nothing, None) => self.put(option, None)?,
                (_, None) if rest.is_empty() => return self.put(option, None),
                (_, None) => return self.put(option, Some(rest)),
            }
        }
        Ok(())
    }

    fn put(&mut self, option: &'static Opt, value: Option<&'w str>) -> Result<(), UsageError> {
        let value = match (option.takes, value) {
            (Takes::Nothing, None) => "true",
            (Takes::Nothing, Some(value)) => match super::super::truth(value) {
                Ok(true) => "true",
                Ok(false) => "false",
                Err(problem) => return Err(usage::wrong_words(&option.flag(), value, problem)),
            },
            (_, Some(value)) => value,
            (_, None) => self.rest.next().ok_or_else(|| UsageError::Words {
                verb: self.verb.to_owned(),
                problem: format!("needs a value for `{}`", option.flag()),
                hint: usage::see_help(self.verb),
            })?,
        };
        self.options.push((option, value));
        Ok(())
    }

    fn unknown(&self, word: &str) -> UsageError {
        let options = self.groups.iter().flat_map(|group| group.options);
        let name = word.trim_start_matches('-');
        // One letter is near every other letter.
        let near = match name.len() {
            0..2 => Vec::new(),
            _ => near(name, options.map(|option| option.long)),
        };
        let flags: Vec<String> = near.iter().map(|name| format!("--{name}")).collect();
        usage::no_option(self.verb, word, did_you_mean(&flags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Opt = Opt::value("name", "NAME", "").short('n').alias("called");
    const ENV: Opt = Opt::values("env", "VALUE", "").short('e');
    const RM: Opt = Opt::switch("rm", "");
    const TTY: Opt = Opt::switch("tty", "").short('t');
    const OPEN: Opt = Opt::switch("open", "").short('i');
    const GROUPS: [Group; 1] = [Group {
        heading: "All",
        options: &[&NAME, &ENV, &RM, &TTY, &OPEN],
    }];

    /// Tells what was read in one line.
    fn read(line: &str) -> String {
        let words: Vec<OsString> = line
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(OsString::from)
            .collect();
        match Typed::read("run", &GROUPS, &words) {
            Ok(typed) => {
                let options: Vec<String> = typed
                    .options
                    .iter()
                    .map(|(option, value)| format!("{}={value}", option.long))
                    .collect();
                format!(
                    "{} | {}{}",
                    options.join(" "),
                    typed.words.join(" "),
                    if typed.help { " help" } else { "" }
                )
            }
            Err(error) => format!("{error} ({})", error.hint().unwrap_or_default()),
        }
    }

    #[test]
    fn words_are_read_by_dockers_rules() {
        for (line, told) in [
            ("", " | "),
            ("img -t", " | img -t"),
            ("--rm -it img --rm", "rm=true open=true tty=true | img --rm"),
            ("-n web img", "name=web | img"),
            (
                "-nweb -n=web --name=web --name web --called web img",
                "name=web name=web name=web name=web name=web | img",
            ),
            ("-itn web img", "open=true tty=true name=web | img"),
            (
                "-e A=1 -eB=2 -e=C=3 --env=D=4 img",
                "env=A=1 env=B=2 env=C=3 env=D=4 | img",
            ),
            (
                "--rm=false --tty=0 -i=T img",
                "rm=false tty=false open=true | img",
            ),
            ("--name -t img", "name=-t | img"),
            ("-- -t", " | -t"),
            ("- x", " | - x"),
            ("--name= img", "name= | img"),
            ("--help", " |  help"),
            ("--rm=maybe", "`--rm` does not understand `maybe` ()"),
            (
                "--name",
                "`hull run` needs a value for `--name` (`hull run --help` shows how it is used)",
            ),
            (
                "--naem x",
                "`hull run` has no option `--naem` (did you mean `--name`?)",
            ),
            (
                "-x img",
                "`hull run` has no option `-x` (`hull run --help` shows how it is used)",
            ),
            (
                "-tx img",
                "`hull run` has no option `-x` (`hull run --help` shows how it is used)",
            ),
            (
                "-té",
                "`hull run` has no option `-é` (`hull run --help` shows how it is used)",
            ),
            (
                "--restart=always",
                "`hull run` has no option `--restart` (Hull has no restart policies yet: let a service manager start `hull run`)",
            ),
        ] {
            assert_eq!(read(line), told, "{line}");
        }
    }

    #[test]
    fn the_last_value_counts() {
        let words = [
            "--rm",
            "--rm=false",
            "-n",
            "a",
            "-n",
            "b",
            "-e",
            "1",
            "-e",
            "2",
        ]
        .map(OsString::from);
        let typed = Typed::read("run", &GROUPS, &words).unwrap();
        assert!(!typed.on(&RM) && !typed.on(&TTY));
        assert_eq!(typed.text(&NAME), Some("b"));
        assert_eq!(typed.texts(&ENV).collect::<Vec<_>>(), ["1", "2"]);
    }
}
