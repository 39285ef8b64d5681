//! Changes to an image's configuration, written as in a Dockerfile: `--change 'CMD ["sh", "-c", "date"]'`.

use hull_spec::image::ConfigSection;

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{change}` is no change that can be made: {reason}")]
pub struct InvalidChange {
    pub change: String,
    pub reason: &'static str,
}

/// Makes changes, one after the other.
pub fn apply<T: AsRef<str>>(
    config: &mut ConfigSection,
    changes: &[T],
) -> Result<(), InvalidChange> {
    let mut command = Command::Old;
    for change in changes.iter().map(AsRef::as_ref) {
        let text = change.trim();
        let (instruction, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let instruction = instruction.to_ascii_uppercase();
        obey(config, &instruction, rest.trim(), &mut command).map_err(|reason| InvalidChange {
            change: change.to_owned(),
            reason,
        })?;
    }
    Ok(())
}

/// Whether `CMD` is among the changes made so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Old,
    New,
}

fn obey(
    config: &mut ConfigSection,
    instruction: &str,
    rest: &str,
    cmd: &mut Command,
) -> Result<(), &'static str> {
    if rest.is_empty() {
        return Err("something must follow the instruction");
    }
    match instruction {
        "CMD" => {
            config.cmd = command(rest)?;
            *cmd = Command::New;
        }
        "ENTRYPOINT" => {
            config.entrypoint = command(rest)?;
            // The old default arguments were those of the old entry point.
            if *cmd == Command::Old {
                config.cmd.clear();
            }
        }
        "ENV" => {
            for (name, value) in pairs(rest)? {
                let begins = format!("{name}=");
                config.env.retain(|known| !known.starts_with(&begins));
                config.env.push(format!("{begins}{value}"));
            }
        }
        "LABEL" => config.labels.extend(pairs(rest)?),
        "USER" => config.user = one_word(rest)?,
        "WORKDIR" => config.working_dir = joined(&config.working_dir, &one_word(rest)?),
        "EXPOSE" => {
            for port in words(rest)? {
                config.exposed_ports.insert(exposed(&port)?);
            }
        }
        "VOLUME" => config.volumes.extend(match json_list(rest) {
            Some(list) => list?,
            None => words(rest)?,
        }),
        "STOPSIGNAL" => config.stop_signal = Some(one_word(rest)?),
        "ONBUILD" => config.on_build.push(rest.to_owned()),
        _ => {
            return Err(
                "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR are known",
            );
        }
    }
    Ok(())
}

/// Reads a command: a JSON list is the words themselves, anything else a line for the shell.
fn command(rest: &str) -> Result<Vec<String>, &'static str> {
    match json_list(rest) {
        Some(list) => list,
        None => Ok(vec!["/bin/sh".into(), "-c".into(), rest.to_owned()]),
    }
}

fn json_list(rest: &str) -> Option<Result<Vec<String>, &'static str>> {
    rest.starts_with('[').then(|| {
        serde_json::from_str(rest).map_err(|_| "a list in brackets must be JSON: [\"a\", \"b\"]")
    })
}

/// Reads `A=b C="d e"`, or the old form `A the rest of the line`.
fn pairs(rest: &str) -> Result<Vec<(String, String)>, &'static str> {
    let pairs = match rest.split_once(char::is_whitespace) {
        Some((name, value)) if !name.contains('=') => {
            vec![(name.to_owned(), value.trim().to_owned())]
        }
        _ => {
            let split = |word: String| {
                let (name, value) = word.split_once('=').ok_or("NAME=value is expected")?;
                Ok((name.to_owned(), value.to_owned()))
            };
            words(rest)?
                .into_iter()
                .map(split)
                .collect::<Result<_, &'static str>>()?
        }
    };
    if pairs.iter().any(|(name, _)| name.is_empty()) {
        return Err("a name cannot be empty");
    }
    Ok(pairs)
}

/// Splits at blanks outside quotes. A backslash takes the next character as it is, except in single quotes.
fn words(rest: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (Some(open), close) if open == close => quote = None,
            (None | Some('"'), '\\') => {
                let next = characters.next().ok_or("a backslash stands at the end")?;
                word.get_or_insert_default().push(next);
            }
            _ => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

fn one_word(rest: &str) -> Result<String, &'static str> {
    match words(rest)?.as_slice() {
        [word] => Ok(word.clone()),
        _ => Err("one word is expected"),
    }
}

/// Resolves a working directory against the one before, as Dockerfiles do.
fn joined(before: &str, path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{}/{path}", before.trim_end_matches('/'))
    }
}

/// Reads `80`, `53/udp`, `8000-8010/tcp`.
fn exposed(text: &str) -> Result<String, &'static str> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err("a port's protocol is tcp, udp or sctp");
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok(format!("{ports}/{protocol}")),
        _ => Err("a port is a number from 1 to 65535, or two of them with a dash between"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(changes: &[&str]) -> ConfigSection {
        let mut config = ConfigSection::default();
        apply(&mut config, changes).unwrap();
        config
    }

    #[test]
    fn changes_are_made_as_a_dockerfile_would() {
        let config = after(&[
            r#"CMD ["sh", "-c", "date"]"#,
            "entrypoint /bin/start --now",
            "CMD [\"--later\"]",
            r#"ENV A=b C="d e" F=g\ h"#,
            "ENV A second value",
            "LABEL org.example.version='1 2' empty=",
            "USER 1000:1000",
            "WORKDIR /srv",
            "WORKDIR app",
            "EXPOSE 80 53/UDP 8000-8010",
            "VOLUME [\"/data\", \"/with space\"]",
            "VOLUME /a /b",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN make",
        ]);
        assert_eq!(config.entrypoint, ["/bin/sh", "-c", "/bin/start --now"]);
        assert_eq!(config.cmd, ["--later"]);
        assert_eq!(config.env, ["C=d e", "F=g h", "A=second value"]);
        assert_eq!(config.labels["org.example.version"], "1 2");
        assert_eq!(config.labels["empty"], "");
        assert_eq!(config.user, "1000:1000");
        assert_eq!(config.working_dir, "/srv/app");
        let ports: Vec<&str> = config.exposed_ports.iter().map(String::as_str).collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "8000-8010/tcp"]);
        let volumes: Vec<&str> = config.volumes.iter().map(String::as_str).collect();
        assert_eq!(volumes, ["/a", "/b", "/data", "/with space"]);
        assert_eq!(config.stop_signal.as_deref(), Some("SIGINT"));
        assert_eq!(config.on_build, ["RUN make"]);
    }

    #[test]
    fn an_entry_point_takes_the_old_arguments_away() {
        let mut config = after(&["CMD [\"a\"]"]);
        apply(&mut config, &["ENTRYPOINT [\"b\"]"]).unwrap();
        assert!(config.cmd.is_empty());
        let config = after(&["CMD [\"a\"]", "ENTRYPOINT [\"b\"]"]);
        assert_eq!(config.cmd, ["a"], "these are the new ones");
        assert_eq!(after(&["WORKDIR x"]).working_dir, "/x");
    }

    #[test]
    fn what_cannot_be_done_says_why() {
        for change in [
            "",
            "CMD",
            "RUN make",
            "CMD [\"a\"",
            "CMD [1]",
            "ENV A",
            "ENV =b",
            "ENV A='b",
            "LABEL a=b c",
            "EXPOSE 0",
            "EXPOSE 80/http",
            "EXPOSE 9-8",
            "EXPOSE 99999",
            "USER a b",
            "WORKDIR a\\",
        ] {
            let error = apply(&mut ConfigSection::default(), &[change]).unwrap_err();
            assert_eq!(error.change, change);
        }
    }
}
