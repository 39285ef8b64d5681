//! Words out.
#![expect(clippy::print_stderr, reason = "this is the program's voice")]

use std::io::{self, IsTerminal, Write};

use crate::{Failure, failure::printable};

/// Writes text to standard output, as one piece.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|source| match source.kind() {
        io::ErrorKind::BrokenPipe => Failure::NobodyReads,
        _ => Failure::Write {
            what: "to standard output".to_owned(),
            source,
        },
    })
}

/// Writes a failure, already complete lines, to standard error. Where nobody listens, nothing can be done.
pub(crate) fn complain(text: &str) {
    eprint!("{text}");
}

/// Tells the reader how words were understood.
pub(crate) fn notes(notes: &[String]) {
    for note in notes {
        eprintln!("note: {}", printable(note));
    }
}

/// Says whether standard output shows colours.
pub(crate) fn in_colour() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let able = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
    wanted && able && io::stdout().is_terminal()
}
