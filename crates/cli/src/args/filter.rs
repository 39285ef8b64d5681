//! `--filter NAME=VALUE`.

use std::str::FromStr;

use hull_engine::request::InvalidRequest;

/// One condition as it was typed; which names there are depends on what is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub name: String,
    pub value: String,
}

impl FromStr for Filter {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.trim().to_ascii_lowercase(),
                value: value.trim().to_owned(),
            }),
            _ => Err(InvalidRequest::Malformed {
                what: "a filter",
                word: text.to_owned(),
                example: "NAME=VALUE, such as status=exited",
            }),
        }
    }
}
