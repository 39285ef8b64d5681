//! Template text to pieces, and the inside of `{{ }}` to tokens.

use serde_json::{Number, Value};

use super::TemplateError;

/// A piece of a template.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    Action(&'t str),
}

/// Splits a template into text and actions, without comments, with `{{-` and `-}}` applied.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find("{{") {
        let at = template.len() - rest.len() + open;
        let (mut text, inside) = (&rest[..open], &rest[open + 2..]);
        let trims_before = inside.starts_with('-') && inside[1..].starts_with(char::is_whitespace);
        let inside = if trims_before { &inside[1..] } else { inside };
        if trims_before {
            text = text.trim_end();
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        let comment = inside.trim_start().starts_with("/*");
        let close = close(inside, comment).ok_or(TemplateError::Unclosed { at })?;
        let (action, after) = (&inside[..close], &inside[close + 2..]);
        let trimmed = action
            .strip_suffix('-')
            .filter(|action| action.ends_with(char::is_whitespace));
        rest = match trimmed {
            Some(_) => after.trim_start(),
            None => after,
        };
        if !comment {
            pieces.push(Piece::Action(trimmed.unwrap_or(action).trim()));
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// Finds the `}}` that closes an action: not one inside a quoted text or a comment.
fn close(inside: &str, comment: bool) -> Option<usize> {
    if comment {
        let end = inside.find("*/")?;
        return Some(end + inside[end..].find("}}")?);
    }
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"' | '\'') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if inside[at..].starts_with("}}") => return Some(at),
            None => {}
        }
    }
    // An unpaired quote is reported when its action is read, so give it one that ends at the next `}}`.
    quote.and_then(|_| inside.find("}}"))
}

/// A token of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A lone `.`.
    Dot,
    /// `.Name`; `glued` says that no blank stands before it, so it asks for a field of what is left of it.
    Field {
        name: String,
        glued: bool,
    },
    /// `$name`, or `$` alone.
    Variable(String),
    Word(String),
    Literal(Value),
    Open,
    Close,
    Pipe,
    Comma,
    Declare,
    Assign,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dot => f.write_str("."),
            Self::Field { name, .. } => write!(f, ".{name}"),
            Self::Variable(word) | Self::Word(word) => f.write_str(word),
            Self::Literal(value) => write!(f, "{value}"),
            Self::Open => f.write_str("("),
            Self::Close => f.write_str(")"),
            Self::Pipe => f.write_str("|"),
            Self::Comma => f.write_str(","),
            Self::Declare => f.write_str(":="),
            Self::Assign => f.write_str("="),
        }
    }
}

/// Reads the tokens of one action.
pub(super) fn tokens(action: &str) -> Result<Vec<Token>, TemplateError> {
    let mut tokens = Vec::new();
    let mut rest = action;
    loop {
        let trimmed = rest.trim_start();
        let glued = trimmed.len() == rest.len();
        let Some(first) = trimmed.chars().next() else {
            return Ok(tokens);
        };
        let (token, length) = token(trimmed, first, glued, action)?;
        tokens.push(token);
        rest = &trimmed[length..];
    }
}

/// Reads one token from the front of `rest`, which is not empty and starts with `first`.
fn token(
    rest: &str,
    first: char,
    glued: bool,
    action: &str,
) -> Result<(Token, usize), TemplateError> {
    let simple = |token| Ok((token, first.len_utf8()));
    match first {
        '(' => simple(Token::Open),
        ')' => simple(Token::Close),
        '|' => simple(Token::Pipe),
        ',' => simple(Token::Comma),
        '=' => simple(Token::Assign),
        ':' if rest.starts_with(":=") => Ok((Token::Declare, 2)),
        '.' => match word_length(&rest[1..]) {
            0 => Ok((Token::Dot, 1)),
            length => {
                let name = rest[1..=length].to_owned();
                Ok((Token::Field { name, glued }, length + 1))
            }
        },
        '$' => {
            let length = 1 + word_length(&rest[1..]);
            Ok((Token::Variable(rest[..length].to_owned()), length))
        }
        '"' | '`' | '\'' => quoted(rest, first, action),
        '0'..='9' | '-' | '+' => number(rest, action),
        _ => match word_length(rest) {
            0 => Err(unexpected(&first.to_string(), action)),
            length => Ok((word(&rest[..length]), length)),
        },
    }
}

fn unexpected(word: &str, action: &str) -> TemplateError {
    TemplateError::Unexpected {
        word: word.to_owned(),
        action: action.to_owned(),
    }
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}

fn word(word: &str) -> Token {
    match word {
        "true" => Token::Literal(Value::Bool(true)),
        "false" => Token::Literal(Value::Bool(false)),
        "nil" => Token::Literal(Value::Null),
        _ => Token::Word(word.to_owned()),
    }
}

fn number(rest: &str, action: &str) -> Result<(Token, usize), TemplateError> {
    let digits = rest[1..]
        .find(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_'))
        .map_or(rest.len(), |at| at + 1);
    let text = &rest[..digits];
    let value = match text.parse::<i64>() {
        Ok(whole) => Some(Number::from(whole)),
        Err(_) => text.parse::<f64>().ok().and_then(Number::from_f64),
    };
    match value {
        Some(number) => Ok((Token::Literal(Value::Number(number)), digits)),
        None => Err(unexpected(text, action)),
    }
}

/// Reads `"text"`, `` `raw text` `` or `'c'` (a number in Go: its code point).
fn quoted(rest: &str, quote: char, action: &str) -> Result<(Token, usize), TemplateError> {
    let unclosed = || TemplateError::UnclosedQuote {
        action: action.to_owned(),
    };
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            _ if c == quote => {
                let value = match (quote, text.chars().next()) {
                    ('\'', Some(c)) => Value::from(u32::from(c)),
                    ('\'', None) => return Err(unexpected("''", action)),
                    _ => Value::String(text),
                };
                return Ok((Token::Literal(value), at + 1));
            }
            '\\' if quote != '`' => {
                let (_, escape) = chars.next().ok_or_else(unclosed)?;
                text.push(match escape {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    '\\' | '"' | '\'' => escape,
                    _ => return Err(unexpected(&format!("\\{escape}"), action)),
                });
            }
            _ => text.push(c),
        }
    }
    Err(unclosed())
}
