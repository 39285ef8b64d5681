use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InvalidRequest;

/// Changes to the image's environment, in order; later ones win.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Environment(pub Vec<Variable>);

/// One change: a value, or (docker's `-e NAME` where the caller has no such variable) its removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    pub name: String,
    pub value: Option<String>,
}

impl Environment {
    /// Applies the changes to the image's variables: `NAME=value` texts, each name once, first come first placed.
    pub fn over(&self, image: &[String]) -> Vec<String> {
        let mut result: Vec<(String, Option<String>)> =
            Vec::with_capacity(image.len() + self.0.len());
        let mut set = |name: &str, value: Option<&str>| {
            let value = value.map(|value| format!("{name}={value}"));
            match result.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => *old = value,
                None => result.push((name.to_owned(), value)),
            }
        };
        for text in image {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            set(name, Some(value));
        }
        for variable in &self.0 {
            set(&variable.name, variable.value.as_deref());
        }
        result.into_iter().filter_map(|(_, value)| value).collect()
    }
}

impl Variable {
    /// Reads `NAME=value`, or `NAME` alone, which takes its value from the caller by `lookup`.
    pub fn parse(
        text: &str,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidRequest> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, lookup(text)),
        };
        let malformed =
            name.is_empty() || text.contains('\0') || name.contains(char::is_whitespace);
        if malformed {
            return Err(InvalidRequest::Malformed {
                what: "an environment variable",
                word: text.to_owned(),
                example: "NAME=value, or NAME to pass your own on",
            });
        }
        Ok(Self {
            name: name.to_owned(),
            value,
        })
    }
}

impl FromStr for Variable {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        Self::parse(text, |_| None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_replace_add_and_remove() {
        let caller = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        let changes: Vec<Variable> = ["A=2", "B=x=y", "HOME", "GONE", "E="]
            .iter()
            .map(|text| Variable::parse(text, caller).unwrap())
            .collect();
        let image = ["PATH=/bin", "A=1", "GONE=1", "BARE"].map(str::to_owned);
        assert_eq!(
            Environment(changes).over(&image),
            ["PATH=/bin", "A=2", "BARE=", "B=x=y", "HOME=/home/me", "E="]
        );
        for bad in ["", "=x", "a b=c", "A=\0"] {
            assert!(bad.parse::<Variable>().is_err(), "{bad:?}");
        }
    }
}
