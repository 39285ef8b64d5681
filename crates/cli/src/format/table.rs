//! Columns.

use crate::failure::printable;

/// Docker's widths: a column has at least this many characters,
const NARROWEST: usize = 10;
/// and this many blanks after its widest cell.
const GAP: usize = 3;

/// Aligns lines whose cells are separated by tabs. The last cell of a line has no width of its own.
pub(super) fn aligned(lines: &[String]) -> String {
    let rows: Vec<Vec<&str>> = lines
        .iter()
        .flat_map(|line| line.split('\n'))
        .map(|line| line.split('\t').collect())
        .collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        for (column, cell) in row[..row.len() - 1].iter().enumerate() {
            let width = (cell.chars().count() + GAP).max(NARROWEST);
            match widths.get_mut(column) {
                Some(widest) => *widest = (*widest).max(width),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(&printable(cell));
            if column + 1 < row.len() {
                let blank = widths[column] - cell.chars().count();
                text.extend(std::iter::repeat_n(' ', blank));
            }
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}
