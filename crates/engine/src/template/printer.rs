//! How a value looks in text: Go's `%v`.

use std::fmt::Write;

use serde_json::{Number, Value};

/// Appends a value as Go prints it.
pub(super) fn print(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("<no value>"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => print_number(number, out),
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                print(item, out);
            }
            out.push(']');
        }
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push_str("map[");
            for (at, (key, item)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                print(item, out);
            }
            out.push(']');
        }
    }
}

/// Returns a value as text.
pub(super) fn text(value: &Value) -> String {
    let mut text = String::new();
    print(value, &mut text);
    text
}

fn print_number(number: &Number, out: &mut String) {
    // Writing to a String cannot fail. A float without fraction prints like a whole number, as in Go.
    let _ = match number.as_f64() {
        Some(float) if number.is_f64() => write!(out, "{float}"),
        _ => write!(out, "{number}"),
    };
}
