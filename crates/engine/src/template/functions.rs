//! The functions a template may call: Go's built-in ones and those docker adds.

use std::{borrow::Cow, cmp::Ordering, iter::Peekable, str::Chars};

use serde_json::Value;

use super::{TemplateError, printer, type_name};
use crate::near::near;

/// A function of the template language.
#[derive(Debug)]
pub(super) struct Function {
    name: &'static str,
    least: usize,
    most: usize,
    /// How the number of arguments is told in an error.
    count: &'static str,
    /// `and` needs no more arguments after a false one, `or` none after a true one.
    pub(super) stops_at: Option<bool>,
    body: fn(&[Cow<'_, Value>]) -> Result<Value, TemplateError>,
}

const fn function(
    name: &'static str,
    (least, most, count): (usize, usize, &'static str),
    body: fn(&[Cow<'_, Value>]) -> Result<Value, TemplateError>,
) -> Function {
    Function {
        name,
        least,
        most,
        count,
        stops_at: None,
        body,
    }
}

const ANY: usize = usize::MAX;
const ONE: (usize, usize, &str) = (1, 1, "one");
const TWO: (usize, usize, &str) = (2, 2, "two");
const SOME: (usize, usize, &str) = (1, ANY, "one or more");
const FREE: (usize, usize, &str) = (0, ANY, "any number of");

static FUNCTIONS: [Function; 25] = [
    Function {
        stops_at: Some(false),
        ..function("and", SOME, last)
    },
    Function {
        stops_at: Some(true),
        ..function("or", SOME, last)
    },
    function("not", ONE, |values| Ok(Value::Bool(!truth(&values[0])))),
    function("eq", (2, ANY, "two or more"), equal_to_any),
    function("ne", TWO, |values| {
        Ok(Value::Bool(!equal(&values[0], &values[1])?))
    }),
    function("lt", TWO, |values| compare(values, Ordering::is_lt)),
    function("le", TWO, |values| compare(values, Ordering::is_le)),
    function("gt", TWO, |values| compare(values, Ordering::is_gt)),
    function("ge", TWO, |values| compare(values, Ordering::is_ge)),
    function("len", ONE, |values| Ok(length(&values[0])?.into())),
    function("index", SOME, index),
    function("slice", (1, 3, "one to three"), slice),
    function("json", ONE, |values| Ok(values[0].to_string().into())),
    function("join", TWO, join),
    function("split", TWO, split),
    function("upper", ONE, |values| {
        Ok(text("upper", &values[0])?.to_uppercase().into())
    }),
    function("lower", ONE, |values| {
        Ok(text("lower", &values[0])?.to_lowercase().into())
    }),
    function("title", ONE, |values| {
        Ok(title(text("title", &values[0])?).into())
    }),
    function("pad", (3, 3, "three"), pad),
    function("truncate", TWO, |values| {
        let wanted = whole("truncate", &values[1])?;
        let text = text("truncate", &values[0])?;
        Ok(text.chars().take(wanted).collect::<String>().into())
    }),
    function("print", FREE, |values| Ok(print(values).into())),
    function("println", FREE, |values| {
        let words: Vec<String> = values.iter().map(|value| printer::text(value)).collect();
        Ok(format!("{}\n", words.join(" ")).into())
    }),
    function("printf", SOME, printf),
    function("trim", ONE, |values| {
        Ok(text("trim", &values[0])?.trim().into())
    }),
    function("contains", TWO, |values| {
        Ok(text("contains", &values[0])?
            .contains(text("contains", &values[1])?)
            .into())
    }),
];

/// The method `.Label` of a row: the value of one label, empty where there is none.
pub(super) static LABEL: Function = function(".Label", TWO, |values| {
    let name = text(".Label", &values[1])?;
    let labels = match &*values[0] {
        Value::Object(row) => row.get("Labels").unwrap_or(&Value::Null),
        other => return Err(bad(".Label", "a row", other)),
    };
    Ok(match labels {
        Value::Object(labels) => labels.get(name).cloned().unwrap_or_else(|| "".into()),
        Value::String(text) => label(text, name).into(),
        other => return Err(bad(".Label", "a row with labels", other)),
    })
});

/// Finds a label in `a=1,b=2`; in a heading, which has no `=`, it is the label's own last word, as docker writes it.
fn label(labels: &str, name: &str) -> String {
    if !labels.contains('=') {
        let last = name.rsplit('.').next().unwrap_or_default();
        return match labels.is_empty() {
            true => String::new(),
            false => last.replace(['-', '_'], " "),
        };
    }
    let mut found = None;
    for part in labels.split(',') {
        match (part.split_once('='), &mut found) {
            (Some((key, value)), None) if key == name => found = Some(value.to_owned()),
            // Commas can stand in values.
            (None, Some(value)) => *value += &format!(",{part}"),
            (_, Some(_)) => break,
            (_, None) => {}
        }
    }
    found.unwrap_or_default()
}

/// Returns the names of all functions.
pub(super) fn names() -> Vec<&'static str> {
    FUNCTIONS.iter().map(|function| function.name).collect()
}

/// Finds a function by name.
pub(super) fn find(name: &str) -> Result<&'static Function, TemplateError> {
    FUNCTIONS
        .iter()
        .find(|function| function.name == name)
        .ok_or_else(|| TemplateError::UnknownFunction {
            name: name.to_owned(),
            near: near(name, names()),
        })
}

impl Function {
    /// Calls the function, after counting its arguments.
    pub(super) fn call<'v>(
        &self,
        arguments: &[Cow<'v, Value>],
    ) -> Result<Cow<'v, Value>, TemplateError> {
        if !(self.least..=self.most).contains(&arguments.len()) {
            return Err(TemplateError::WrongCount {
                function: self.name,
                wanted: self.count,
                found: arguments.len(),
            });
        }
        (self.body)(arguments).map(Cow::Owned)
    }
}

/// Says whether a value counts as true: not false, 0, empty or null.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}

fn last(values: &[Cow<'_, Value>]) -> Result<Value, TemplateError> {
    Ok(values.last().map_or(Value::Null, |value| (**value).clone()))
}

fn bad(function: &'static str, wanted: &'static str, found: &Value) -> TemplateError {
    TemplateError::BadArgument {
        function,
        wanted,
        found: type_name(found),
    }
}

fn text<'v>(function: &'static str, value: &'v Value) -> Result<&'v str, TemplateError> {
    value.as_str().ok_or_else(|| bad(function, "a text", value))
}

fn whole(function: &'static str, value: &Value) -> Result<usize, TemplateError> {
    value
        .as_u64()
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| bad(function, "a whole number", value))
}

fn equal_to_any(values: &[Cow<'_, Value>]) -> Result<Value, TemplateError> {
    for other in &values[1..] {
        if equal(&values[0], other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn equal(left: &Value, right: &Value) -> Result<bool, TemplateError> {
    match (left, right) {
        (Value::Null, other) | (other, Value::Null) => Ok(other.is_null()),
        _ => Ok(order(left, right)?.is_eq()),
    }
}

fn compare(values: &[Cow<'_, Value>], holds: fn(Ordering) -> bool) -> Result<Value, TemplateError> {
    order(&values[0], &values[1]).map(|order| Value::Bool(holds(order)))
}

fn order(left: &Value, right: &Value) -> Result<Ordering, TemplateError> {
    match (left, right) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a
                .as_f64()
                .zip(b.as_f64())
                .and_then(|(a, b)| a.partial_cmp(&b)),
        },
        _ => None,
    }
    .ok_or_else(|| TemplateError::Incomparable {
        left: type_name(left),
        right: type_name(right),
    })
}

fn length(value: &Value) -> Result<usize, TemplateError> {
    match value {
        Value::Null => Ok(0),
        Value::String(text) => Ok(text.len()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(object) => Ok(object.len()),
        _ => Err(bad("len", "a text, a list or an object", value)),
    }
}

/// Goes into maps by key and lists by number. A key that a map does not have gives the empty text.
fn index(values: &[Cow<'_, Value>]) -> Result<Value, TemplateError> {
    let mut value: &Value = &values[0];
    let empty = Value::String(String::new());
    for key in &values[1..] {
        value = match (value, &**key) {
            (Value::Object(object), Value::String(key)) => object.get(key).unwrap_or(&empty),
            (Value::Null, Value::String(_)) => &empty,
            (Value::Object(_) | Value::Null, key) => {
                return Err(bad("index", "a text as the key of an object", key));
            }
            (Value::Array(items), key) => {
                let at = key
                    .as_i64()
                    .ok_or_else(|| bad("index", "a number as the place in a list", key))?;
                let item = usize::try_from(at).ok().and_then(|at| items.get(at));
                item.ok_or(TemplateError::NoItem {
                    index: at,
                    length: items.len(),
                })?
            }
            (other, _) => return Err(bad("index", "a list or an object", other)),
        };
    }
    Ok(value.clone())
}

fn slice(values: &[Cow<'_, Value>]) -> Result<Value, TemplateError> {
    let total = length(&values[0])?;
    let end = values.get(2).map_or(Ok(total), |end| whole("slice", end))?;
    let start = values.get(1).map_or(Ok(0), |start| whole("slice", start))?;
    let outside = || TemplateError::NoItem {
        index: i64::try_from(start.max(end)).unwrap_or(i64::MAX),
        length: total,
    };
    match &*values[0] {
        Value::String(text) => text.get(start..end).map(Value::from),
        Value::Array(items) => items.get(start..end).map(Value::from),
        other => return Err(bad("slice", "a text or a list", other)),
    }
    .ok_or_else(outside)
}

fn join(values: &[Cow<'_, Value>]) -> Result<Value, TemplateError> {
    let separator = text("join", &values[1])?;
    match &*values[0] {
        Value::Null => Ok(String::new().into()),
        Value::Array(items) => {
            let words: Vec<String> = items.iter().map(printer::text).collect();
            Ok(words.join(separator).into())
        }
        other => Err(bad("join", "a list", other)),
    }
}

fn split(values: &[Cow<'_, Value>]) -> Result<Value, TemplateError> {
    let (whole, separator) = (text("split", &values[0])?, text("split", &values[1])?);
    let words: Vec<Value> = if separator.is_empty() {
        whole.chars().map(|c| c.to_string().into()).collect()
    } else {
        whole.split(separator).map(Value::from).collect()
    };
    Ok(Value::Array(words))
}

fn title(text: &str) -> String {
    let mut starts = true;
    let mut titled = String::with_capacity(text.len());
    for c in text.chars() {
        if starts {
            titled.extend(c.to_uppercase());
        } else {
            titled.push(c);
        }
        starts = !(c.is_alphanumeric() || c == '_' || c == '\'');
    }
    titled
}

/// The widest padding a template can ask for: enough for any screen, too little to fill memory.
const WIDEST: usize = 4096;

fn pad(values: &[Cow<'_, Value>]) -> Result<Value, TemplateError> {
    let blank =
        |at: usize| Ok::<_, TemplateError>(" ".repeat(whole("pad", &values[at])?.min(WIDEST)));
    let text = text("pad", &values[0])?;
    if text.is_empty() {
        return Ok(text.into());
    }
    Ok(format!("{}{text}{}", blank(1)?, blank(2)?).into())
}

/// Go's `Sprint`: a blank between two operands when neither is a text.
fn print(values: &[Cow<'_, Value>]) -> String {
    let mut out = String::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 && !value.is_string() && !values[at - 1].is_string() {
            out.push(' ');
        }
        printer::print(value, &mut out);
    }
    out
}

/// A directive of `printf`: `%-10.3s`.
#[derive(Default)]
struct Directive {
    left: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

fn printf(values: &[Cow<'_, Value>]) -> Result<Value, TemplateError> {
    let mut out = String::new();
    let mut chars = text("printf", &values[0])?.chars().peekable();
    let mut arguments = values[1..].iter();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let directive = directive(&mut chars);
        let verb = chars.next().map(String::from).unwrap_or_default();
        let value = arguments.next().ok_or(TemplateError::WrongCount {
            function: "printf",
            wanted: "as many as it has `%`",
            found: values.len() - 1,
        })?;
        out.push_str(&directive.fill(&formatted(&verb, &directive, value)?));
    }
    match arguments.len() {
        0 => Ok(out.into()),
        _ => Err(TemplateError::WrongCount {
            function: "printf",
            wanted: "as many as it has `%`",
            found: values.len() - 1,
        }),
    }
}

fn directive(chars: &mut Peekable<Chars<'_>>) -> Directive {
    let mut directive = Directive::default();
    while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '0' | '+' | ' ')) {
        directive.left |= flag == '-';
        directive.zero |= flag == '0';
    }
    directive.width = number(chars);
    if chars.next_if_eq(&'.').is_some() {
        directive.precision = Some(number(chars));
    }
    directive
}

/// Reads digits; a number larger than [`WIDEST`] counts as that.
fn number(chars: &mut Peekable<Chars<'_>>) -> usize {
    let mut number = 0;
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        let digit = usize::from(u8::try_from(digit).unwrap_or(b'0') - b'0');
        number = (number * 10 + digit).min(WIDEST);
    }
    number
}

impl Directive {
    fn fill(&self, text: &str) -> String {
        let blank = self.width.saturating_sub(text.chars().count());
        match (self.left, self.zero) {
            (true, _) => format!("{text}{}", " ".repeat(blank)),
            (false, true) => match text.strip_prefix('-') {
                Some(digits) => format!("-{}{digits}", "0".repeat(blank)),
                None => format!("{}{text}", "0".repeat(blank)),
            },
            (false, false) => format!("{}{text}", " ".repeat(blank)),
        }
    }
}

fn formatted(verb: &str, directive: &Directive, value: &Value) -> Result<String, TemplateError> {
    let cut = |text: String| match directive.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text,
    };
    match (verb, value) {
        ("v", _) => Ok(printer::text(value)),
        ("s", _) => Ok(cut(printer::text(value))),
        ("q", _) => Ok(Value::String(cut(printer::text(value))).to_string()),
        ("d", Value::Number(number)) if !number.is_f64() => Ok(number.to_string()),
        ("x" | "X", Value::Number(number)) => {
            let digits = number
                .as_u64()
                .map(|number| format!("{number:x}"))
                .ok_or_else(|| bad("printf", "a whole number for `%x`", value))?;
            Ok(if verb == "X" {
                digits.to_uppercase()
            } else {
                digits
            })
        }
        ("f", Value::Number(number)) => {
            let places = directive.precision.unwrap_or(6).min(100);
            Ok(format!("{:.places$}", number.as_f64().unwrap_or(0.0)))
        }
        ("t", Value::Bool(truth)) => Ok(truth.to_string()),
        ("d" | "x" | "X", _) => Err(bad("printf", "a whole number for that format", value)),
        ("f", _) => Err(bad("printf", "a number for `%f`", value)),
        ("t", _) => Err(bad("printf", "a boolean for `%t`", value)),
        _ => Err(TemplateError::BadVerb(verb.to_owned())),
    }
}
