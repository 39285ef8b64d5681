use std::fmt;

/// What sort of failure this is: all that a front door needs to choose an exit code, an HTTP status or a gRPC code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The thing named does not exist.
    NotFound,
    /// The name, address or port is taken.
    AlreadyExists,
    /// The words of the request are wrong.
    InvalidInput,
    /// The thing exists, but its state refuses this.
    WrongState,
    /// The caller may not do this.
    Denied,
    /// The policy does not vouch for this image.
    Untrusted,
    /// This kernel, host or version cannot do it.
    Unsupported,
    /// Something outside (disk, network, registry) failed; the same request may work later.
    Unavailable,
    /// A signal ended it.
    Interrupted,
    /// The command of the container does not exist: exit code 127.
    CommandNotFound,
    /// The command of the container exists and cannot be run: exit code 126.
    CommandNotRunnable,
    /// Hull is wrong.
    Bug,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::InvalidInput => "invalid input",
            Self::WrongState => "wrong state",
            Self::Denied => "denied",
            Self::Untrusted => "untrusted",
            Self::Unsupported => "unsupported",
            Self::Unavailable => "unavailable",
            Self::Interrupted => "interrupted",
            Self::CommandNotFound => "command not found",
            Self::CommandNotRunnable => "command not runnable",
            Self::Bug => "bug",
        })
    }
}
