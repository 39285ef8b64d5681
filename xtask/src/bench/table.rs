//! What was measured, in Markdown.

use std::fmt::Write as _;

/// A table; the first column is text, the others are numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Below the table: what is missing and why, what was odd.
    notes: Vec<String>,
}

impl Table {
    pub(crate) fn new(title: &str, header: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            header: header.iter().map(|cell| (*cell).to_owned()).collect(),
            ..Self::default()
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Writes it, with columns that line up.
    pub(crate) fn markdown(&self) -> String {
        let width = |column: usize| {
            let cells = self
                .rows
                .iter()
                .chain([&self.header])
                .filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let mut text = format!("## {}\n\n", self.title);
        line(&mut text, &self.header, &widths);
        for (column, width) in widths.iter().enumerate() {
            let end = if column == 0 { '-' } else { ':' };
            write!(text, "|{}{end}", "-".repeat(width + 1)).expect("a string takes any text");
        }
        text.push_str("|\n");
        for row in &self.rows {
            line(&mut text, row, &widths);
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            writeln!(text, "* {note}").expect("a string takes any text");
        }
        text
    }
}

fn line(text: &mut String, cells: &[String], widths: &[usize]) {
    for (column, width) in widths.iter().enumerate() {
        let cell = cells.get(column).map_or("", String::as_str);
        let space = " ".repeat(width - cell.chars().count());
        let written = match column {
            0 => write!(text, "| {cell}{space} "),
            _ => write!(text, "| {space}{cell} "),
        };
        written.expect("a string takes any text");
    }
    text.push_str("|\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new("Start", &["who", "CPU ms"]);
        table.row(["floor".into(), "3.9".into()]);
        table.row(["crun".into(), "12.25".into()]);
        table.note("podman is not installed");
        let expected = "## Start\n\n| who   | CPU ms |\n|-------|-------:|\n| floor |    3.9 |\n| crun  |  12.25 |\n\
            \n* podman is not installed\n";
        assert_eq!(table.markdown(), expected);
    }
}
