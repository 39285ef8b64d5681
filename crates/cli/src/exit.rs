//! Exit codes: the one table.

use hull_types::ErrorKind;

/// What a verb's own failures mean to a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The exit code is the container's own, so Hull's failures are 125 (run, create, start, exec).
    Container,
    /// Hull's failures are 1.
    Plain,
}

/// The words of a command could not be understood: docker's code for every verb.
pub(crate) const USAGE: u8 = 125;

/// Returns the exit code for a failure of this kind.
pub(crate) fn code(kind: ErrorKind, family: Family) -> u8 {
    match (kind, family) {
        (ErrorKind::CommandNotFound, _) => 127,
        (ErrorKind::CommandNotRunnable, _) => 126,
        (ErrorKind::Interrupted, _) => 130,
        (_, Family::Container) => 125,
        (_, Family::Plain) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_dockers() {
        for (kind, family, expected) in [
            (ErrorKind::NotFound, Family::Container, 125),
            (ErrorKind::NotFound, Family::Plain, 1),
            (ErrorKind::CommandNotFound, Family::Container, 127),
            (ErrorKind::CommandNotRunnable, Family::Container, 126),
            (ErrorKind::Bug, Family::Plain, 1),
            (ErrorKind::Interrupted, Family::Plain, 130),
        ] {
            assert_eq!(code(kind, family), expected);
        }
    }
}
