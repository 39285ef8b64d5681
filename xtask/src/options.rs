//! The little that xtask's own command lines need.

use anyhow::{Result, bail};

/// The words after a verb, taken one by one.
#[derive(Debug)]
pub(crate) struct Options {
    words: Vec<String>,
}

impl Options {
    pub(crate) fn new(words: &[String]) -> Self {
        Self {
            words: words.to_vec(),
        }
    }

    /// Takes a flag out, wherever it stands before `--`.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let place = self.before_command().iter().position(|word| word == name);
        place.map(|place| self.words.remove(place)).is_some()
    }

    /// Takes an option with a value out.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>> {
        let Some(place) = self.before_command().iter().position(|word| word == name) else {
            return Ok(None);
        };
        if place + 1 >= self.before_command().len() {
            bail!("`{name}` needs a value");
        }
        self.words.remove(place);
        Ok(Some(self.words.remove(place)))
    }

    /// Returns what is left; an option among it was not known.
    pub(crate) fn rest(self) -> Result<Vec<String>> {
        match self
            .before_command()
            .iter()
            .find(|word| word.starts_with('-'))
        {
            Some(word) => bail!("`{word}` is not an option of this verb"),
            None => Ok(self.words),
        }
    }

    /// Returns the command after `--`.
    pub(crate) fn command(self) -> Result<Vec<String>> {
        match self.words.split_first() {
            Some((dashes, command)) if dashes == "--" && !command.is_empty() => {
                Ok(command.to_vec())
            }
            _ => bail!("a command is missing: write `-- COMMAND…`"),
        }
    }

    fn before_command(&self) -> &[String] {
        let end = self
            .words
            .iter()
            .position(|word| word == "--")
            .unwrap_or(self.words.len());
        &self.words[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Options {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Options::new(&words)
    }

    #[test]
    fn options_of_the_command_stay_with_it() {
        let mut given = options("-m 2G -- sh -m -c true");
        assert_eq!(given.value("-m").unwrap().as_deref(), Some("2G"));
        assert_eq!(given.value("-m").unwrap(), None);
        assert_eq!(given.command().unwrap(), ["sh", "-m", "-c", "true"]);
    }

    #[test]
    fn unknown_option_is_named() {
        let error = options("start --chek").rest().unwrap_err();
        assert_eq!(error.to_string(), "`--chek` is not an option of this verb");
    }
}
