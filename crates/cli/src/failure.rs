//! A command that failed, as people read it.
//!
//! ```text
//! error: cannot start container `web`
//!   because: cannot mount overlay on /var/lib/hull/…
//!   because: Operation not permitted (EPERM)
//! hint: overlay in a user namespace needs Linux 5.11; `hull doctor` lists what this kernel has
//! ```

use std::{borrow::Cow, error::Error, fmt::Write, io};

use hull_engine::template::TemplateError;
use hull_types::ErrorKind;
use rustix::io::Errno;

use crate::{
    exit::{self, Family},
    usage::UsageError,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Engine(#[from] hull_engine::EngineError),
    #[error("the template cannot be used")]
    Template(#[source] TemplateError),
    #[error("cannot read {what}")]
    Read {
        what: &'static str,
        source: io::Error,
    },
    #[error("cannot write {what}")]
    Write { what: String, source: io::Error },
    #[error("cannot {what}")]
    Streams { what: &'static str, source: Errno },
    #[error("the connection to container `{name}` is lost, though it may still run")]
    Lost { name: String },
    /// Whoever read the output went away (`hull ps | head -1`): nothing to say about it.
    #[error("nobody reads the output")]
    NobodyReads,
}

impl Failure {
    /// Says what sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Usage(_) | Self::Template(_) => ErrorKind::InvalidInput,
            Self::Engine(error) => error.kind(),
            Self::Read { .. } | Self::Write { .. } | Self::Streams { .. } | Self::Lost { .. } => {
                ErrorKind::Unavailable
            }
            Self::NobodyReads => ErrorKind::Interrupted,
        }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Usage(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Template(error) => error.hint(),
            Self::Lost { name } => Some(format!(
                "`hull ps -a` shows what it does, `hull attach {name}` connects again"
            )),
            Self::Streams { .. } | Self::Read { .. } | Self::Write { .. } | Self::NobodyReads => {
                None
            }
        }
    }

    /// Returns the exit code for a verb of this family.
    pub fn exit_code(&self, family: Family) -> u8 {
        match self {
            Self::Usage(error) => error.exit_code(),
            // What a shell shows for a program that SIGPIPE ended.
            Self::NobodyReads => 141,
            _ => exit::code(self.kind(), family),
        }
    }

    /// Writes the failure as people read it.
    pub fn report(&self) -> String {
        report(self, self.hint().as_deref())
    }
}

/// Writes an error, its causes, and what to do.
pub(crate) fn report(error: &(dyn Error + 'static), hint: Option<&str>) -> String {
    let mut said = message(error);
    let mut text = format!("error: {}\n", printable(&said));
    let mut next = error.source();
    while let Some(cause) = next {
        let words = message(cause);
        // A transparent wrapper says the same twice.
        if words != said {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  because: {}", printable(&words));
        }
        said = words;
        next = cause.source();
    }
    if let Some(hint) = hint {
        let _ = writeln!(text, "hint: {}", printable(hint));
    }
    text
}

/// Returns words as a terminal may have them: errors and lists quote what images and archives say, and an escape sequence in
/// it would be the terminal's to obey.
pub(crate) fn printable(words: &str) -> Cow<'_, str> {
    let dangerous = |c: char| c.is_control() && c != '\n';
    if !words.contains(dangerous) {
        return words.into();
    }
    let mut text = String::new();
    for c in words.chars() {
        match dangerous(c) {
            true => text.extend(c.escape_default()),
            false => text.push(c),
        }
    }
    text.into()
}

/// Returns an error's own words.
fn message(error: &(dyn Error + 'static)) -> String {
    with_names(error.to_string())
}

/// Puts the kernel's name for a number of the kernel into a message: `(os error 1)` tells nobody anything.
pub(crate) fn with_names(text: String) -> String {
    const NUMBER: &str = "(os error ";
    let Some((before, after)) = text.split_once(NUMBER) else {
        return text;
    };
    let named = after.split_once(')').and_then(|(number, after)| {
        let number: i32 = number.parse().ok()?;
        let (_, name) = NAMES
            .iter()
            .find(|(errno, _)| errno.raw_os_error() == number)?;
        Some(format!("{before}({name}){after}"))
    });
    named.unwrap_or(text)
}

/// Names of the kernel's errors (errno(3)) that Hull's work can meet.
const NAMES: [(Errno, &str); 52] = [
    (Errno::PERM, "EPERM"),
    (Errno::NOENT, "ENOENT"),
    (Errno::SRCH, "ESRCH"),
    (Errno::INTR, "EINTR"),
    (Errno::IO, "EIO"),
    (Errno::NXIO, "ENXIO"),
    (Errno::TOOBIG, "E2BIG"),
    (Errno::NOEXEC, "ENOEXEC"),
    (Errno::BADF, "EBADF"),
    (Errno::CHILD, "ECHILD"),
    (Errno::AGAIN, "EAGAIN"),
    (Errno::NOMEM, "ENOMEM"),
    (Errno::ACCESS, "EACCES"),
    (Errno::FAULT, "EFAULT"),
    (Errno::NOTBLK, "ENOTBLK"),
    (Errno::BUSY, "EBUSY"),
    (Errno::EXIST, "EEXIST"),
    (Errno::XDEV, "EXDEV"),
    (Errno::NODEV, "ENODEV"),
    (Errno::NOTDIR, "ENOTDIR"),
    (Errno::ISDIR, "EISDIR"),
    (Errno::INVAL, "EINVAL"),
    (Errno::NFILE, "ENFILE"),
    (Errno::MFILE, "EMFILE"),
    (Errno::NOTTY, "ENOTTY"),
    (Errno::TXTBSY, "ETXTBSY"),
    (Errno::FBIG, "EFBIG"),
    (Errno::NOSPC, "ENOSPC"),
    (Errno::SPIPE, "ESPIPE"),
    (Errno::ROFS, "EROFS"),
    (Errno::MLINK, "EMLINK"),
    (Errno::PIPE, "EPIPE"),
    (Errno::RANGE, "ERANGE"),
    (Errno::NAMETOOLONG, "ENAMETOOLONG"),
    (Errno::NOSYS, "ENOSYS"),
    (Errno::NOTEMPTY, "ENOTEMPTY"),
    (Errno::LOOP, "ELOOP"),
    (Errno::NODATA, "ENODATA"),
    (Errno::OVERFLOW, "EOVERFLOW"),
    (Errno::PROTO, "EPROTO"),
    (Errno::OPNOTSUPP, "EOPNOTSUPP"),
    (Errno::ADDRINUSE, "EADDRINUSE"),
    (Errno::ADDRNOTAVAIL, "EADDRNOTAVAIL"),
    (Errno::NETUNREACH, "ENETUNREACH"),
    (Errno::CONNRESET, "ECONNRESET"),
    (Errno::NOTCONN, "ENOTCONN"),
    (Errno::TIMEDOUT, "ETIMEDOUT"),
    (Errno::CONNREFUSED, "ECONNREFUSED"),
    (Errno::HOSTUNREACH, "EHOSTUNREACH"),
    (Errno::STALE, "ESTALE"),
    (Errno::DQUOT, "EDQUOT"),
    (Errno::LIBBAD, "ELIBBAD"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Example {
        #[error("cannot start container `web`")]
        Start(#[source] Box<Self>),
        #[error("cannot mount overlay on /x")]
        Mount(#[source] Errno),
        #[error(transparent)]
        Wrapped(#[from] io::Error),
    }

    #[test]
    fn escape_sequences_are_shown_not_sent() {
        assert_eq!(printable("\u{1b}]0;x\u{7}é"), "\\u{1b}]0;x\\u{7}é");
        assert_eq!(printable("two\nlines"), "two\nlines");
    }

    #[test]
    fn failures_read_from_the_outside_in() {
        let error = Example::Start(Box::new(Example::Mount(Errno::PERM)));
        assert_eq!(
            report(&error, Some("`hull doctor` lists what this kernel has")),
            "error: cannot start container `web`\n  because: cannot mount overlay on /x\n  because: Operation not permitted (EPERM)\nhint: `hull doctor` lists what this kernel has\n"
        );
        let error = Example::Wrapped(io::Error::from_raw_os_error(2));
        assert_eq!(
            report(&error, None),
            "error: No such file or directory (ENOENT)\n"
        );
        let error = Example::Start(Box::new(Example::Mount(Errno::from_raw_os_error(133))));
        assert!(
            report(&error, None)
                .ends_with("because: Memory page has hardware error (os error 133)\n")
        );
    }
}
