//! `hull __complete WORD...`, which the script of `hull completion bash` calls: what the last word could become, one a line.

use std::{ffi::OsString, process::ExitCode};

use hull_engine::Engine;

use super::{Section, VERBS, Verb};
use crate::{Failure, args::Globals, output};

/// The word that asks for candidates.
pub(crate) const WORD: &str = "__complete";

/// Prints candidates. Whoever presses a key wants no explanation: what cannot be read has no names.
pub(crate) fn complete(words: &[OsString], globals: &Globals) -> Result<ExitCode, Failure> {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let names = |sort: Sort| match globals.engine() {
        Ok(engine) => sort.names(&engine),
        Err(_) => Vec::new(),
    };
    let mut text = candidates(&words, names).join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What names a verb takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Containers,
    Images,
    Either,
    Volumes,
}

impl Sort {
    fn of(verb: &Verb) -> Option<Self> {
        Some(match (verb.name, verb.section) {
            ("run" | "create", _) => Self::Images,
            ("inspect", _) => Self::Either,
            ("ps" | "container prune", _) => return None,
            ("volume rm" | "volume inspect", _) => Self::Volumes,
            (_, Section::Containers | Section::Inside) => Self::Containers,
            (_, Section::Images) => Self::Images,
            (_, Section::Host) => return None,
        })
    }

    fn names(self, engine: &Engine) -> Vec<String> {
        let containers = || {
            let listed = engine.list().map(|(listed, _)| listed).unwrap_or_default();
            let names = listed
                .iter()
                .map(|listed| listed.container().name.to_string());
            names.collect::<Vec<_>>()
        };
        let images = || {
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
        };
        match self {
            Self::Containers => containers(),
            Self::Images => images(),
            Self::Either => [containers(), images()].concat(),
            Self::Volumes => {
                let volumes = engine.volume_list().unwrap_or_default().into_iter();
                volumes.map(|(volume, _)| volume.name).collect()
            }
        }
    }
}

/// Says what the last word could become. `names` is asked only where names could stand.
fn candidates(words: &[String], names: impl FnOnce(Sort) -> Vec<String>) -> Vec<String> {
    let Some((last, before)) = words.split_last() else {
        return Vec::new();
    };
    let known: Vec<String> = match before {
        [] => {
            let verbs = VERBS.iter();
            let mut first: Vec<String> = verbs
                .filter_map(|verb| verb.name.split(' ').next())
                .map(str::to_owned)
                .collect();
            first.sort();
            first.dedup();
            first
        }
        [noun] if Verb::find(noun, None).is_none() => {
            let second = |verb: &Verb| verb.name.split_once(' ').map(|(n, v)| (n == noun, v));
            let verbs = VERBS.iter().filter_map(second);
            verbs
                .filter(|(fits, _)| *fits)
                .map(|(_, verb)| verb.to_owned())
                .collect()
        }
        [first, rest @ ..] => match Verb::find(first, rest.first().map(String::as_str)) {
            None => Vec::new(),
            Some((verb, _)) if last.starts_with('-') => options(verb),
            Some((verb, _)) => Sort::of(verb).map(names).unwrap_or_default(),
        },
    };
    known
        .into_iter()
        .filter(|word| word.starts_with(last.as_str()))
        .collect()
}

fn options(verb: &Verb) -> Vec<String> {
    let page = verb.page();
    let options = page.get_arguments().filter(|option| !option.is_hide_set());
    options
        .filter_map(|option| option.get_long())
        .map(|long| format!("--{long}"))
        .collect()
}

/// The script for bash: everything is asked from `hull` when a key is pressed, so it never grows old.
pub(crate) const BASH: &str = r#"_hull() {
    local IFS=$'\n'
    COMPREPLY=($(hull __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    # Names with a colon are several words to bash.
    if declare -F __ltrim_colon_completions >/dev/null; then
        __ltrim_colon_completions "${COMP_WORDS[COMP_CWORD]}"
    fi
}
complete -o default -F _hull hull
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_verbs_options_and_names() {
        let asked = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            candidates(&words, |sort| vec![format!("{sort:?}")]).join(" ")
        };
        for (words, expected) in [
            (&["rest"][..], "restart"),
            (&["volume", "i"], "inspect"),
            (&["stop", ""], "Containers"),
            (&["run", ""], "Images"),
            (&["volume", "rm", ""], "Volumes"),
            (&["ps", "--no-t"], "--no-trunc"),
            (&["exec", "--detach-"], "--detach-keys"),
            (&["bogus", "x"], ""),
            (&["info", ""], ""),
        ] {
            assert_eq!(asked(words), expected, "{words:?}");
        }
    }
}
