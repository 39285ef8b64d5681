//! The words before the verb.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use hull_engine::near::{did_you_mean, near};

use crate::{
    Failure, Family, UsageError,
    args::Globals,
    exit, help, output,
    verbs::{VERBS, Verb, complete},
};

/// What the words before the verb ask for.
#[derive(Debug, PartialEq)]
enum Asked {
    Help,
    Version,
    /// The verb starts at this word.
    Verb(usize, Globals),
}

/// Reads everything and does it. A failure comes with the family of the verb that failed.
pub(crate) fn carry_out(words: &[OsString]) -> Result<ExitCode, (Box<Failure>, Family)> {
    let plain = |failure: Failure| (Box::new(failure), Family::Plain);
    let (at, globals) = match asked(words).map_err(|error| plain(error.into()))? {
        Asked::Help => return help::overview().map_err(plain),
        Asked::Version => {
            let version = format!("hull version {}\n", env!("CARGO_PKG_VERSION"));
            output::print(&version).map_err(plain)?;
            return Ok(ExitCode::SUCCESS);
        }
        Asked::Verb(at, globals) => (at, globals),
    };
    let text = |at: usize| words.get(at).and_then(|word| word.to_str());
    if text(at) == Some(complete::WORD) {
        return complete::complete(&words[at + 1..], &globals).map_err(plain);
    }
    if text(at) == Some("help") {
        let topic = text(at + 1).and_then(|word| Verb::find(word, text(at + 2)));
        return match topic {
            Some((verb, _)) => help::print(verb),
            None => help::overview(),
        }
        .map_err(plain);
    }
    let Some((verb, length)) = Verb::find(text(at).unwrap_or_default(), text(at + 1)) else {
        return Err(plain(no_verb(&words[at], text(at + 1)).into()));
    };
    verb.perform(&words[at + length..], globals)
        .map_err(|failure| (Box::new(failure), verb.family))
}

fn asked(words: &[OsString]) -> Result<Asked, UsageError> {
    let mut globals = Globals::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let text = word.to_string_lossy();
        match &*text {
            "-h" | "--help" => return Ok(Asked::Help),
            "-v" | "-V" | "--version" => return Ok(Asked::Version),
            "--root" => {
                at += 1;
                let root = words.get(at).ok_or_else(|| UsageError::Words {
                    verb: "--root".to_owned(),
                    problem: "needs a directory".to_owned(),
                    hint: "write hull --root DIR COMMAND".to_owned(),
                })?;
                globals.root = Some(PathBuf::from(root));
            }
            option if option.starts_with("--root=") => {
                globals.root = Some(PathBuf::from(&option["--root=".len()..]));
            }
            option if option.starts_with('-') => {
                return Err(UsageError::Words {
                    verb: "COMMAND".to_owned(),
                    problem: format!("has no option `{option}` before the command"),
                    hint: "`hull --help` lists the commands".to_owned(),
                });
            }
            _ => return Ok(Asked::Verb(at, globals)),
        }
        at += 1;
    }
    Ok(Asked::Help)
}

/// What docker has and Hull does not, and what to do instead.
const ABSENT: [(&str, &str); 16] = [
    (
        "build",
        "Hull does not build images yet: `docker save IMAGE | hull load` brings one here",
    ),
    (
        "buildx",
        "Hull does not build images yet: `docker save IMAGE | hull load` brings one here",
    ),
    ("compose", "Hull has no compose yet"),
    (
        "context",
        "Hull works on this host only: there is no daemon to choose",
    ),
    (
        "events",
        "Hull has no events yet: `hull wait` waits for an end",
    ),
    (
        "history",
        "`hull inspect --type image` shows what an image is made of",
    ),
    (
        "login",
        "credentials are read from docker's and podman's files: log in with one of them",
    ),
    (
        "logout",
        "credentials are read from docker's and podman's files: log out with one of them",
    ),
    (
        "network",
        "Hull has the networks bridge, none and host so far: `hull run --network` chooses",
    ),
    ("node", "Hull has no clusters"),
    (
        "push",
        "Hull does not push yet: `hull save --format oci-archive` and skopeo can",
    ),
    ("search", "ask the registry's own pages"),
    ("service", "Hull has no clusters"),
    ("stats", "`hull top` shows a container's processes"),
    ("swarm", "Hull has no clusters"),
    (
        "update",
        "Hull cannot change a container's limits yet: create it anew",
    ),
];

fn no_verb(word: &OsString, second: Option<&str>) -> UsageError {
    let first = word.to_string_lossy();
    let grouped = matches!(&*first, "container" | "image" | "system" | "volume");
    let (word, asked) = match second {
        Some(second) if grouped => (format!("{first} {second}"), second),
        _ => (first.to_string(), &*first),
    };
    let absent = ABSENT.iter().find(|(name, _)| *name == asked);
    let near = near(asked, VERBS.iter().map(|verb| verb.name));
    UsageError::NoVerb {
        word,
        hint: absent
            .map(|(_, hint)| (*hint).to_owned())
            .or_else(|| did_you_mean(&near))
            .unwrap_or_else(|| "`hull --help` lists the commands".to_owned()),
    }
}

impl UsageError {
    /// Returns the exit code: docker's, which is 1 only for a command that there is not.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoVerb { .. } => 1,
            _ => exit::USAGE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Asked, UsageError> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        asked(&words)
    }

    #[test]
    fn options_before_the_verb_are_few() {
        let at_root = |at| {
            let globals = Globals {
                root: Some("/r".into()),
            };
            Asked::Verb(at, globals)
        };
        for (words, expected) in [
            (&[][..], Asked::Help),
            (&["--help"], Asked::Help),
            (&["-v"], Asked::Version),
            (&["run", "-v", "/x"], Asked::Verb(0, Globals::default())),
            (&["--root", "/r", "ps"], at_root(2)),
            (&["--root=/r", "ps"], at_root(1)),
        ] {
            assert_eq!(read(words).unwrap(), expected, "{words:?}");
        }
        assert!(read(&["--root"]).is_err());
        assert!(read(&["--bogus", "ps"]).is_err());
    }

    #[test]
    fn commands_that_are_not_there_are_explained() {
        let told = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let (failure, family) = carry_out(&words).unwrap_err();
            (failure.report(), failure.exit_code(family))
        };
        assert_eq!(
            told(&["versoin"]),
            (
                "error: hull has no command `versoin`\nhint: did you mean `version`?\n".to_owned(),
                1
            )
        );
        assert_eq!(
            told(&["image", "push", "x"]).0,
            "error: hull has no command `image push`\nhint: Hull does not push yet: `hull save --format oci-archive` and skopeo can\n"
        );
        assert_eq!(
            told(&["version", "--frmat", "x"]),
            (
                "error: `hull version` has no option `--frmat`\nhint: did you mean `--format`?\n"
                    .to_owned(),
                125
            )
        );
    }
}
