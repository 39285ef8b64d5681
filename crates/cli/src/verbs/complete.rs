//! `hull __complete WORD...`, which the scripts of `hull completion` call: what the last word could become.
//!
//! One candidate a line; what it is follows after a tab. The line `/` says that names of files go there too. Whoever presses a
//! key wants no explanation, so what cannot be read has no candidates.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Arg, ArgAction, Command};
use hull_engine::{Engine, Listed, request::Capability};

use super::{VERBS, Verb};
use crate::{Failure, args::Globals, output};

/// The word that asks for candidates.
pub(crate) const WORD: &str = "__complete";

/// Prints candidates.
pub(crate) fn complete(words: &[OsString], globals: &Globals) -> Result<ExitCode, Failure> {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (root, words) = after_root(&words);
    let globals = Globals {
        root: root.map(PathBuf::from),
    }
    .or(globals.clone());
    let mut names = |sort: Sort| match globals.engine() {
        Ok(engine) => {
            let names = sort.names(&engine);
            // Looking makes no installation.
            engine.leave();
            names
        }
        Err(_) => Vec::new(),
    };
    let text: String = candidates(words, &mut names)
        .iter()
        .map(Candidate::line)
        .collect();
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Takes `--root DIR` off the front, once it is complete.
fn after_root(words: &[String]) -> (Option<&str>, &[String]) {
    match words {
        [root, dir, rest @ ..] if root == "--root" && !rest.is_empty() => (Some(dir), rest),
        [root, rest @ ..] if root.starts_with("--root=") && !rest.is_empty() => {
            (root.strip_prefix("--root="), rest)
        }
        _ => (None, words),
    }
}

/// What a word could become.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Candidate {
    Word { text: String, about: String },
    Files,
}

impl Candidate {
    fn plain(text: impl Into<String>) -> Self {
        Self::Word {
            text: text.into(),
            about: String::new(),
        }
    }

    fn line(&self) -> String {
        match self {
            Self::Files => "/\n".to_owned(),
            Self::Word { text, about } if about.is_empty() => format!("{text}\n"),
            Self::Word { text, about } => format!("{text}\t{about}\n"),
        }
    }

    /// Puts something in front: the option, where its value is part of the same word.
    fn after(self, prefix: &str) -> Self {
        match self {
            Self::Word { text, about } => Self::Word {
                text: format!("{prefix}{text}"),
                about,
            },
            Self::Files => Self::Files,
        }
    }

    fn fits(&self, begun: &str) -> bool {
        match self {
            Self::Word { text, .. } => text.starts_with(begun),
            Self::Files => true,
        }
    }
}

/// Names an installation knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Containers,
    /// Containers with processes.
    Alive,
    Paused,
    /// Containers without.
    Ended,
    Images,
    Volumes,
}

impl Sort {
    fn names(self, engine: &Engine) -> Vec<String> {
        match self {
            Self::Containers => containers(engine, |_| true),
            Self::Alive => containers(engine, Listed::is_alive),
            Self::Paused => containers(engine, |listed| listed.status.word() == "paused"),
            Self::Ended => containers(engine, |listed| !listed.is_alive()),
            Self::Images => images(engine),
            Self::Volumes => {
                let volumes = engine.volume_list().unwrap_or_default().into_iter();
                volumes.map(|(volume, _)| volume.name).collect()
            }
        }
    }
}

fn containers(engine: &Engine, which: impl Fn(&Listed) -> bool) -> Vec<String> {
    let listed = engine.list().map(|(listed, _)| listed).unwrap_or_default();
    let chosen = listed.iter().filter(|listed| which(listed));
    chosen
        .map(|listed| listed.container().name.to_string())
        .collect()
}

fn images(engine: &Engine) -> Vec<String> {
    let rows = engine
        .image_rows(&[])
        .map(|rows| rows.rows)
        .unwrap_or_default();
    let named = rows.into_iter().filter(|row| row.repository != "<none>");
    let mut names: Vec<String> = named
        .map(|row| match row.tag.as_str() {
            "latest" => row.repository,
            tag => format!("{}:{tag}", row.repository),
        })
        .collect();
    names.sort();
    names
}

/// What can stand at a place of a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Names(Sort),
    /// `NAME:` and a path inside.
    Inside,
    Files,
}

/// Says what a verb's word at this place, counted from 0, can be. What clap knows of it comes besides.
fn places(verb: &str, at: usize) -> &'static [Place] {
    use Place::{Files, Inside, Names};
    use Sort::{Alive, Containers, Ended, Images, Paused, Volumes};
    match (verb, at) {
        ("run" | "create", 0) => &[Names(Images)],
        ("exec" | "attach" | "top", 0) => &[Names(Alive)],
        ("run" | "create" | "exec", _) => &[Files],
        ("stop" | "kill" | "pause", _) => &[Names(Alive)],
        ("unpause", _) => &[Names(Paused)],
        ("start", _) => &[Names(Ended)],
        ("restart" | "wait" | "rm", _) => &[Names(Containers)],
        ("rename" | "logs" | "port" | "diff" | "export" | "commit", 0) => &[Names(Containers)],
        ("commit", 1) => &[Names(Images)],
        ("cp", 0 | 1) => &[Inside, Files],
        ("inspect", _) => &[Names(Containers), Names(Images)],
        ("tag", 0 | 1) | ("pull" | "save" | "rmi" | "image inspect", _) => &[Names(Images)],
        ("load" | "man" | "import", 0) => &[Files],
        ("import", 1) => &[Names(Images)],
        ("volume rm" | "volume inspect", _) => &[Names(Volumes)],
        _ => &[],
    }
}

/// Whether a verb's own options end at its first plain word.
fn runs_a_command(verb: &Verb) -> bool {
    matches!(verb.name, "run" | "create" | "exec")
}

type Names<'a> = dyn FnMut(Sort) -> Vec<String> + 'a;

/// Says what the last word could become. `names` is asked only where names could stand.
fn candidates(words: &[String], names: &mut Names<'_>) -> Vec<Candidate> {
    let Some((last, before)) = words.split_last() else {
        return Vec::new();
    };
    let known = match before {
        [] if last.starts_with('-') => globals(),
        [] => verbs(),
        [first, rest @ ..] => match Verb::find(first, rest.first().map(String::as_str)) {
            Some((verb, length)) => after_verb(verb, &before[length..], last, names),
            None if first == "--root" => vec![Candidate::Files],
            None if rest.is_empty() => seconds(first),
            None => Vec::new(),
        },
    };
    let mut fitting: Vec<Candidate> = known.into_iter().filter(|word| word.fits(last)).collect();
    fitting.dedup();
    fitting
}

fn globals() -> Vec<Candidate> {
    let option = |text: &str, about: &str| Candidate::Word {
        text: text.to_owned(),
        about: about.to_owned(),
    };
    vec![
        option("--root", "Keep everything below this directory"),
        option("--version", "Print the version"),
        option("--help", "Print help"),
    ]
}

/// The nouns docker puts in front of verbs, and what is said of them.
const NOUNS: [(&str, &str); 4] = [
    ("container", "What there is for containers"),
    ("image", "What there is for images"),
    ("system", "What there is for this host"),
    ("volume", "What there is for volumes"),
];

fn verbs() -> Vec<Candidate> {
    let verbs = VERBS.iter().filter(|verb| !verb.name.contains(' '));
    let words = verbs.map(|verb| (verb.name.to_owned(), verb.about()));
    let nouns = NOUNS.map(|(noun, about)| (noun.to_owned(), about.to_owned()));
    let mut words: Vec<(String, String)> = words.chain(nouns).collect();
    words.sort();
    let word = |(text, about)| Candidate::Word { text, about };
    words.into_iter().map(word).collect()
}

/// The verbs after one of docker's nouns.
fn seconds(noun: &str) -> Vec<Candidate> {
    let mut words: Vec<(String, String)> = Vec::new();
    for verb in VERBS {
        let spellings = verb.also.iter().copied().chain([verb.name]);
        let seconds = spellings.filter_map(|name| match name.split_once(' ') {
            Some((first, second)) => (first == noun).then_some(second),
            None => Some(name).filter(|name| {
                Verb::find(noun, Some(name)).is_some_and(|(found, _)| found.name == verb.name)
            }),
        });
        words.extend(seconds.map(|second| (second.to_owned(), verb.about())));
    }
    words.sort();
    words.dedup();
    let word = |(text, about)| Candidate::Word { text, about };
    words.into_iter().map(word).collect()
}

/// What the words after a verb ask for at their end.
enum Wanted<'a> {
    /// An option, or a plain word at this place.
    Word(usize),
    /// A plain word: a command's own, or one after `--`.
    Plain(usize),
    /// The value of the option before.
    Value(&'a Arg),
}

fn after_verb(verb: &Verb, before: &[String], last: &str, names: &mut Names<'_>) -> Vec<Candidate> {
    let page = verb.page();
    match wanted(&page, runs_a_command(verb), before) {
        Wanted::Value(option) => values(option, last, names),
        Wanted::Word(_) if last.starts_with("--") && last.contains('=') => {
            let (option, begun) = last.split_once('=').unwrap_or_default();
            let values = long(&page, option).map(|option| values(option, begun, names));
            let values = values.unwrap_or_default().into_iter();
            values
                .map(|value| value.after(&format!("{option}=")))
                .collect()
        }
        Wanted::Word(_) if last.starts_with('-') => options(&page),
        Wanted::Word(at) | Wanted::Plain(at) => {
            let places = places(verb.name, at).iter();
            let mut words: Vec<Candidate> = places
                .flat_map(|place| match place {
                    Place::Files => vec![Candidate::Files],
                    Place::Names(sort) => names(*sort).into_iter().map(Candidate::plain).collect(),
                    Place::Inside => inside(Sort::Containers, ":", names),
                })
                .collect();
            if let Some(word) = page.get_positionals().nth(at) {
                words.extend(possible(word));
            }
            words
        }
    }
}

fn wanted<'a>(page: &'a Command, ends_at_word: bool, before: &[String]) -> Wanted<'a> {
    let mut at = 0;
    let mut words = before.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            return Wanted::Plain(at + words.count());
        }
        let option = match word.strip_prefix('-') {
            Some("") | None => {
                at += 1;
                if ends_at_word {
                    return Wanted::Plain(at + words.count());
                }
                continue;
            }
            Some(long) if long.starts_with('-') => open_long(page, word),
            Some(letters) => open_short(page, letters),
        };
        if let Some(option) = option
            && words.next().is_none()
        {
            return Wanted::Value(option);
        }
    }
    Wanted::Word(at)
}

/// Finds the option of a word `--option` whose value comes next.
fn open_long<'a>(page: &'a Command, word: &str) -> Option<&'a Arg> {
    long(page, word).filter(|option| takes_value(option))
}

/// Finds the option among joined letters (`-it`, `-p8080`) whose value comes next.
fn open_short<'a>(page: &'a Command, letters: &str) -> Option<&'a Arg> {
    for (at, letter) in letters.char_indices() {
        let option = page
            .get_arguments()
            .find(|option| option.get_short() == Some(letter))?;
        if takes_value(option) {
            // What follows in the same word is its value.
            return (at + letter.len_utf8() == letters.len()).then_some(option);
        }
    }
    None
}

fn long<'a>(page: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.strip_prefix("--")?;
    page.get_arguments().find(|option| {
        let aliases = option.get_all_aliases().unwrap_or_default();
        option.get_long() == Some(name) || aliases.contains(&name)
    })
}

fn takes_value(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Set | ArgAction::Append)
}

fn options(page: &Command) -> Vec<Candidate> {
    let options = page.get_arguments().filter(|option| !option.is_hide_set());
    let named = options.filter_map(|option| Some((option.get_long()?, option.get_help())));
    let mut options: Vec<Candidate> = named
        .map(|(long, help)| Candidate::Word {
            text: format!("--{long}"),
            about: help.map(ToString::to_string).unwrap_or_default(),
        })
        .collect();
    options.push(Candidate::Word {
        text: "--help".to_owned(),
        about: "Print help".to_owned(),
    });
    options
}

/// The values an option says it can have.
fn possible(argument: &Arg) -> Vec<Candidate> {
    let values = argument.get_possible_values().into_iter();
    values
        .map(|value| Candidate::Word {
            text: value.get_name().to_owned(),
            about: value
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default(),
        })
        .collect()
}

/// What the value of an option could be, where it is one of a few words, a name or a file.
fn values(option: &Arg, begun: &str, names: &mut Names<'_>) -> Vec<Candidate> {
    let known = possible(option);
    if !known.is_empty() {
        return known;
    }
    let words = |words: &[&str]| words.iter().copied().map(Candidate::plain).collect();
    let name = option.get_long().unwrap_or_default();
    match name {
        "network" => joined(&["bridge", "none", "host"], begun, names),
        "pid" | "uts" => joined(&["private", "host"], begun, names),
        "ipc" => joined(&["private", "host", "none"], begun, names),
        "userns" | "cgroupns" => words(&["private", "host"]),
        "pull" => words(&["always", "missing", "never"]),
        "attach" => words(&["stdin", "stdout", "stderr"]),
        "signal" | "stop-signal" => words(&[
            "SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGWINCH",
        ]),
        "cap-add" | "cap-drop" => {
            let all = Capability::all().map(|one| one.to_string().replacen("CAP_", "", 1));
            let words = ["ALL".to_owned()].into_iter().chain(all);
            words.map(Candidate::plain).collect()
        }
        "security-opt" => words(&[
            "no-new-privileges",
            "seccomp=unconfined",
            "systempaths=unconfined",
        ]),
        "log-driver" => words(&["json-file", "none"]),
        "log-opt" => words(&["max-size=", "max-file="]),
        "platform" => words(&["linux/amd64", "linux/arm64"]),
        "mount" => words(&[
            "type=bind,source=",
            "type=volume,source=",
            "type=tmpfs,target=",
        ]),
        "volume" => {
            let mut volumes = inside(Sort::Volumes, ":", names);
            volumes.push(Candidate::Files);
            volumes
        }
        _ if names_file(option) => vec![Candidate::Files],
        _ => Vec::new(),
    }
}

/// Modes, and `container:NAME`, whose names are looked up once it is clear that one is wanted.
fn joined(modes: &[&str], begun: &str, names: &mut Names<'_>) -> Vec<Candidate> {
    if begun.starts_with("container:") {
        let names = names(Sort::Alive).into_iter();
        return names
            .map(|name| Candidate::plain(format!("container:{name}")))
            .collect();
    }
    let modes = modes.iter().copied().chain(["container:"]);
    modes.map(Candidate::plain).collect()
}

/// Names with something that has to follow.
fn inside(sort: Sort, mark: &str, names: &mut Names<'_>) -> Vec<Candidate> {
    let names = names(sort).into_iter();
    names
        .map(|name| Candidate::plain(format!("{name}{mark}")))
        .collect()
}

fn names_file(option: &Arg) -> bool {
    let value = option.get_value_names().unwrap_or_default();
    value.iter().any(|name| {
        ["FILE", "DIR", "PATH"]
            .iter()
            .any(|word| name.contains(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let found = candidates(&words, &mut |sort| vec![format!("{sort:?}")]);
        let texts = found.iter().map(|candidate| match candidate {
            Candidate::Files => "/",
            Candidate::Word { text, .. } => text,
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn verbs_are_completed_with_one_word_and_with_two() {
        for (words, expected) in [
            (&["rest"][..], "restart"),
            (&["vol"], "volume"),
            (&["volume", "i"], "inspect"),
            (&["volume", ""], "create inspect list ls prune remove rm"),
            (&["image", "p"], "prune pull"),
            (&["container", "re"], "remove rename restart"),
            (&["system", "p"], "prune"),
            (&["--v"], "--version"),
            (&["bogus", "x"], ""),
            (&["bogus", "x", "y"], ""),
        ] {
            assert_eq!(asked(words), expected, "{words:?}");
        }
    }

    #[test]
    fn plain_words_are_names_where_names_go() {
        for (words, expected) in [
            (&["stop", ""][..], "Alive"),
            (&["start", "-a", ""], "Ended"),
            (&["container", "rm", "one", "Con"], "Containers"),
            (&["run", ""], "Images"),
            (&["run", "-it", "--name", "x", ""], "Images"),
            (&["run", "-p8080:80", "-e", "A=b", "--rm", "Im"], "Images"),
            (&["run", "debian", ""], "/"),
            (&["run", "debian", "ls", "--"], "/"),
            (&["exec", "web", "-"], "/"),
            (&["volume", "rm", ""], "Volumes"),
            (&["rename", "web", ""], ""),
            (&["cp", ""], "Containers: /"),
            (&["inspect", ""], "Containers Images"),
            (&["commit", "web", ""], "Images"),
            (&["completion", ""], "bash zsh fish"),
            (&["load", ""], "/"),
            (&["info", ""], ""),
        ] {
            assert_eq!(asked(words), expected, "{words:?}");
        }
    }

    #[test]
    fn options_and_their_values_are_completed() {
        for (words, expected) in [
            (&["ps", "--no-t"][..], "--no-trunc"),
            (&["exec", "--detach-"], "--detach-keys"),
            (&["volume", "rm", "--f"], "--force"),
            (&["run", "--name", ""], ""),
            (&["run", "--network", ""], "bridge none host container:"),
            (&["run", "--net", "b"], "bridge"),
            (&["run", "--network", "container:"], "container:Alive"),
            (&["run", "--network=h"], "--network=host"),
            (&["run", "-v", ""], "Volumes: /"),
            (&["run", "-itv", "V"], "Volumes: /"),
            (&["run", "--cap-add", "SYS_PT"], "SYS_PTRACE"),
            (&["run", "--env-file", ""], "/"),
            (&["run", "--pull=a"], "--pull=always"),
            (&["save", "--format", "oci"], "oci-archive"),
            (&["kill", "-s", "SIGU"], "SIGUSR1 SIGUSR2"),
            (&["stop", "--he"], "--help"),
            (&["ps", "--root", ""], "/"),
        ] {
            assert_eq!(asked(words), expected, "{words:?}");
        }
    }

    #[test]
    fn a_root_before_the_verb_is_taken_off() {
        let words = ["--root", "/r", "ps"].map(str::to_owned);
        assert_eq!(after_root(&words), (Some("/r"), &words[2..]));
        assert_eq!(after_root(&words[..2]), (None, &words[..2]));
        let joined = ["--root=/r", ""].map(str::to_owned);
        assert_eq!(after_root(&joined), (Some("/r"), &joined[1..]));
    }
}
