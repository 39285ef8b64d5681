//! Go templates, as `--format` takes them: the subset that people write for `docker inspect` and `docker ps`.
//!
//! ```text
//! {{.State.Pid}}   {{json .Config}}   {{index .Config.Labels "a"}}   {{(index .Mounts 0).Source}}
//! {{range $name, $net := .NetworkSettings.Networks}}{{$name}}={{$net.IPAddress}} {{end}}
//! {{if and .State.Running (not .State.Paused)}}up{{else}}down{{end}}   {{.Name | upper | printf "%-10s"}}   {{- trims -}}
//! ```
//!
//! A template is parsed once and rendered over any number of [`serde_json::Value`]s. Both are pure. Where Go would print
//! `<no value>` for a field that no such object has, Hull refuses and names the fields that are close: a typing slip in a
//! script should not become an empty string. Only `index` with a key that a map does not have gives the empty text, as Go's
//! `map[string]string` does.

mod functions;
mod lexer;
mod parser;
mod printer;
mod renderer;

use std::str::FromStr;

use serde_json::Value;

use crate::near::did_you_mean;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    body: Vec<parser::Node>,
}

impl Template {
    /// Renders the template over one value.
    pub fn render(&self, value: &Value) -> Result<String, TemplateError> {
        renderer::render(&self.body, value)
    }
}

impl FromStr for Template {
    type Err = TemplateError;
    fn from_str(text: &str) -> Result<Self, TemplateError> {
        Ok(Self {
            body: parser::parse(text)?,
        })
    }
}

/// Why a template cannot be read or rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("the template opens `{{{{` at byte {at} and never closes it")]
    Unclosed { at: usize },
    #[error("a quoted text in `{{{{{action}}}}}` has no end")]
    UnclosedQuote { action: String },
    #[error("`{word}` is not expected in `{{{{{action}}}}}`")]
    Unexpected { word: String, action: String },
    #[error("`{{{{{action}}}}}` ends too early")]
    Incomplete { action: String },
    #[error("`{{{{{opened}}}}}` has no `{{{{end}}}}`")]
    MissingEnd { opened: String },
    #[error("`{{{{{0}}}}}` closes nothing")]
    StrayEnd(String),
    #[error("`{0}` is Go template syntax that Hull does not have")]
    NotSupported(String),
    #[error("`{name}` is not a template function")]
    UnknownFunction { name: String, near: Vec<String> },
    #[error("variable `{0}` is not declared")]
    UnknownVariable(String),
    #[error("the template is nested more than {limit} deep")]
    TooDeep { limit: usize },
    #[error("there is no field `.{field}`")]
    NoField { field: String, near: Vec<String> },
    #[error("`.{field}` asks for a field of a {found}")]
    NotAnObject { field: String, found: &'static str },
    #[error("`{function}` wants {wanted}, not a {found}")]
    BadArgument {
        function: &'static str,
        wanted: &'static str,
        found: &'static str,
    },
    #[error("`{function}` wants {wanted} arguments, not {found}")]
    WrongCount {
        function: &'static str,
        wanted: &'static str,
        found: usize,
    },
    #[error("index {index} is outside a list of {length}")]
    NoItem { index: i64, length: usize },
    #[error("`%{0}` is not a format that `printf` knows")]
    BadVerb(String),
    #[error("`range` wants a list or an object, not a {found}")]
    NotIterable { found: &'static str },
    #[error("cannot compare a {left} with a {right}")]
    Incomparable {
        left: &'static str,
        right: &'static str,
    },
    #[error("only a function takes arguments, and `{{{{{0}}}}}` gives some to a value")]
    NotAFunction(String),
}

impl TemplateError {
    /// Returns what to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoField { near, .. } if near.is_empty() => {
                Some("`{{json .}}` shows every field".to_owned())
            }
            Self::NoField { near, .. } => {
                let dotted: Vec<String> = near.iter().map(|name| format!(".{name}")).collect();
                did_you_mean(&dotted)
            }
            Self::UnknownFunction { near, .. } => did_you_mean(near).or_else(|| {
                Some(format!(
                    "the functions are {}",
                    functions::names().join(", ")
                ))
            }),
            Self::NotAnObject { found: "null", .. } => {
                Some("ask first with `{{if …}}…{{end}}` or `{{with …}}…{{end}}`".to_owned())
            }
            _ => None,
        }
    }
}

/// Returns what people call a value of this type.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests;
