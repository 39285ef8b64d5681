//! Answers as text: tables, Go templates, JSON. A row is a JSON object with docker's field names.

pub mod human;
mod table;

use std::str::FromStr;

use hull_engine::template::{Template, TemplateError};
use serde_json::{Map, Value};

use crate::Failure;

/// What `--format` asks for.
#[derive(Clone, Debug)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// A line for each row.
    Lines(Template),
    /// Columns, where the template has tabs, under headings.
    Table(Template),
}

impl FromStr for Format {
    type Err = TemplateError;
    fn from_str(text: &str) -> Result<Self, TemplateError> {
        match text.strip_prefix("table") {
            _ if text == "json" => Ok(Self::Json),
            Some(template) if template.starts_with([' ', '\t']) || template.starts_with("\\t") => {
                template.trim_start().parse().map(Self::Table)
            }
            _ => text.parse().map(Self::Lines),
        }
    }
}

/// A list that a verb prints: its fields with their headings, and its usual columns.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// Field, heading.
    pub fields: &'static [(&'static str, &'static str)],
    /// The template of the usual table.
    pub usual: &'static str,
}

impl List {
    /// Returns the list as `--format` asks, or as usual.
    pub fn text(&self, format: Option<&str>, rows: &[Value]) -> Result<String, Failure> {
        let format = match format {
            // `--format table` alone is the usual table.
            None | Some("table") => self.usual.parse().map(Format::Table),
            Some(format) => format.parse(),
        };
        format
            .and_then(|format| self.formatted(&format, rows))
            .map_err(Failure::Template)
    }

    fn formatted(&self, format: &Format, rows: &[Value]) -> Result<String, TemplateError> {
        let mut text = String::new();
        match format {
            Format::Json => {
                for row in rows {
                    text.push_str(&row.to_string());
                    text.push('\n');
                }
            }
            Format::Lines(template) => {
                // A field that no row would have is an error even when there is no row.
                template.render(&self.headings())?;
                for row in rows {
                    text.push_str(&template.render(row)?);
                    text.push('\n');
                }
            }
            Format::Table(template) => {
                let mut lines = vec![template.render(&self.headings())?];
                for row in rows {
                    lines.push(template.render(row)?);
                }
                text = table::aligned(&lines);
            }
        }
        Ok(text)
    }

    /// Returns a row that holds the headings.
    fn headings(&self) -> Value {
        let headings = self.fields.iter();
        Value::Object(
            headings
                .map(|(field, heading)| ((*field).to_owned(), (*heading).into()))
                .collect::<Map<_, _>>(),
        )
    }
}

/// Returns one object as `--format` asks: `json`, or a template.
pub fn one(format: &str, value: &Value) -> Result<String, Failure> {
    if format == "json" {
        return Ok(format!("{value}\n"));
    }
    let template: Template = format.parse().map_err(Failure::Template)?;
    let text = template.render(value).map_err(Failure::Template)?;
    Ok(format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PS: List = List {
        fields: &[
            ("ID", "CONTAINER ID"),
            ("Names", "NAMES"),
            ("Status", "STATUS"),
            ("Labels", "LABELS"),
        ],
        usual: "{{.ID}}\\t{{.Status}}\\t{{.Names}}",
    };

    fn rows() -> Vec<Value> {
        vec![
            json!({"ID": "0123456789ab", "Names": "web", "Status": "Up 3 minutes", "Labels": "a=1"}),
            json!({"ID": "ba9876543210", "Names": "job-é", "Status": "Exited (0) 2 hours ago", "Labels": ""}),
        ]
    }

    #[test]
    fn lists_are_tables_lines_or_json() {
        for (format, expected) in [
            (
                None,
                "CONTAINER ID   STATUS                   NAMES\n0123456789ab   Up 3 minutes             web\nba9876543210   Exited (0) 2 hours ago   job-é\n",
            ),
            (
                Some("table {{.Names}}\\t{{upper .Status}}"),
                "NAMES     STATUS\nweb       UP 3 MINUTES\njob-é     EXITED (0) 2 HOURS AGO\n",
            ),
            (Some("{{.Names}}: {{.Labels}}"), "web: a=1\njob-é: \n"),
        ] {
            assert_eq!(PS.text(format, &rows()).unwrap(), expected);
        }
        let json = PS.text(Some("json"), &rows()).unwrap();
        assert_eq!(json.lines().count(), 2);
        assert_eq!(
            serde_json::from_str::<Value>(json.lines().next().unwrap()).unwrap(),
            rows()[0]
        );
    }

    #[test]
    fn unknown_fields_are_refused_even_without_rows() {
        let error = PS.text(Some("{{.Name}}"), &[]).unwrap_err();
        assert_eq!(
            error.report(),
            "error: the template cannot be used\n  because: there is no field `.Name`\nhint: did you mean `.Names`?\n"
        );
        assert_eq!(PS.text(Some("{{.Names}}"), &[]).unwrap(), "");
        assert_eq!(
            PS.text(None, &[]).unwrap(),
            "CONTAINER ID   STATUS    NAMES\n"
        );
    }

    #[test]
    fn objects_are_json_or_templates() {
        let value = json!({"Version": "1"});
        assert_eq!(one("json", &value).unwrap(), "{\"Version\":\"1\"}\n");
        assert_eq!(one("v{{.Version}}", &value).unwrap(), "v1\n");
    }
}
