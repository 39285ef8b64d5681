//! What can go wrong between here and a registry.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hull_types::{Digest, ErrorKind};

use crate::credentials::InvalidAuthFile;
use crate::resolver::ResolveError;
use crate::url::InvalidUrl;

/// Why a registry could not be asked, or its answer not be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("registry `{registry}` wants a login for `{repository}`{}", said(.message))]
    LoginNeeded {
        registry: String,
        repository: String,
        message: Option<String>,
        /// The credential helper that the login file names.
        helper: Option<String>,
    },
    #[error("registry `{registry}` does not accept the login of `{user}`{}", said(.message))]
    LoginRefused {
        registry: String,
        user: String,
        message: Option<String>,
    },
    #[error("registry `{registry}` denies access to `{repository}`{}", said(.message))]
    Denied {
        registry: String,
        repository: String,
        message: Option<String>,
    },
    #[error("`{registry}` has no repository `{repository}`")]
    NoRepository {
        registry: String,
        repository: String,
    },
    #[error("`{reference}` is not in the registry")]
    NotFound { reference: String },
    #[error("registry `{registry}` has no blob {digest} in `{repository}`")]
    NoBlob {
        registry: String,
        repository: String,
        digest: Digest,
    },
    #[error("registry `{registry}` limits the number of requests{}", said(.message))]
    RateLimited {
        registry: String,
        message: Option<String>,
        retry_after: Option<Duration>,
    },
    #[error("`{host}` answers with status {status}{}", said(.message))]
    Status {
        host: String,
        status: u16,
        message: Option<String>,
    },
    #[error("`{0}` is not the name of a registry")]
    BadRegistry(String),
    #[error("cannot find the address of `{host}`")]
    Resolve { host: String, source: ResolveError },
    #[error("cannot connect to `{host}`")]
    Connect { host: String, source: io::Error },
    #[error("`{host}` did not answer within {} seconds", .after.as_secs_f32())]
    Timeout { host: String, after: Duration },
    #[error("`{host}` does not prove that it is who it says")]
    Certificate { host: String, source: rustls::Error },
    #[error("cannot speak TLS with `{host}`")]
    Tls { host: String, source: rustls::Error },
    #[error("the connection to `{host}` broke")]
    Broken { host: String, source: io::Error },
    #[error("`{host}` does not speak HTTP as it should: {reason}")]
    Protocol { host: String, reason: String },
    #[error("the proxy for `{host}` refuses: {reason}")]
    Proxy { host: String, reason: String },
    #[error("`{host}` redirects to a place that cannot be used")]
    BadRedirect { host: String, source: InvalidUrl },
    #[error("`{host}` redirects to `{to}`, which is not encrypted")]
    InsecureRedirect { host: String, to: String },
    #[error("`{host}` redirects more than {limit} times")]
    TooManyRedirects { host: String, limit: usize },
    #[error("registry `{registry}` asks for a login in no way Hull knows ({schemes})")]
    UnknownChallenge { registry: String, schemes: String },
    #[error("registry `{registry}` names a token server that cannot be used")]
    BadRealm {
        registry: String,
        source: InvalidUrl,
    },
    #[error("registry `{registry}` wants the login sent to `{realm}`, which is not encrypted")]
    InsecureRealm { registry: String, realm: String },
    #[error("the token server `{host}` of registry `{registry}` gives no usable token")]
    BadToken { registry: String, host: String },
    #[error("{what} of `{reference}` is larger than {limit} bytes")]
    DocumentTooLarge {
        what: &'static str,
        reference: String,
        limit: usize,
    },
    #[error("registry `{registry}` gave {actual} where {expected} was asked for")]
    WrongDigest {
        registry: String,
        expected: Digest,
        actual: Digest,
    },
    #[error("registry `{registry}` gave a manifest {actual} and said it was {stated}")]
    WrongHeader {
        registry: String,
        stated: String,
        actual: Digest,
    },
    #[error("blob {digest} has {declared} bytes, but `{host}` sends more")]
    BlobTooLong {
        host: String,
        digest: Digest,
        declared: u64,
    },
    #[error("blob {digest} has {declared} bytes, but `{host}` sends {stated}")]
    BlobSize {
        host: String,
        digest: Digest,
        declared: u64,
        stated: u64,
    },
    #[error("blob {digest} has {declared} bytes, but `{host}` stopped after {received}")]
    BlobTooShort {
        host: String,
        digest: Digest,
        declared: u64,
        received: u64,
    },
    #[error("the login file {path} cannot be used")]
    AuthFile {
        path: PathBuf,
        source: InvalidAuthFile,
    },
    #[error("cannot read the login file {path}")]
    UnreadableAuthFile { path: PathBuf, source: io::Error },
    #[error("the certificates in {path} cannot be used: {reason}")]
    Certificates { path: PathBuf, reason: String },
}

fn said(message: &Option<String>) -> String {
    message
        .as_ref()
        .map(|message| format!(": {message}"))
        .unwrap_or_default()
}

impl RegistryError {
    /// Returns the class of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::LoginNeeded { .. } | Self::LoginRefused { .. } | Self::Denied { .. } => {
                ErrorKind::Denied
            }
            Self::NoRepository { .. } | Self::NotFound { .. } | Self::NoBlob { .. } => {
                ErrorKind::NotFound
            }
            Self::BadRegistry(_)
            | Self::AuthFile { .. }
            | Self::UnreadableAuthFile { .. }
            | Self::Certificates { .. }
            | Self::DocumentTooLarge { .. } => ErrorKind::InvalidInput,
            Self::UnknownChallenge { .. } => ErrorKind::Unsupported,
            Self::WrongDigest { .. }
            | Self::WrongHeader { .. }
            | Self::Certificate { .. }
            | Self::InsecureRedirect { .. }
            | Self::InsecureRealm { .. } => ErrorKind::Untrusted,
            _ => ErrorKind::Unavailable,
        }
    }

    /// Returns what the person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::LoginNeeded {
                helper: Some(helper),
                ..
            } => format!(
                "the login is kept by docker-credential-{helper}, which Hull does not ask yet: `skopeo login` keeps it in a file"
            ),
            Self::LoginNeeded { registry, .. } => format!(
                "log in with `docker login {registry}` or `skopeo login {registry}`; if nobody can see it, check the name"
            ),
            Self::LoginRefused { registry, .. } => {
                format!("log in again: `docker login {registry}` or `skopeo login {registry}`")
            }
            Self::NoRepository { .. } => "check the name; private repositories may look missing without a login".to_owned(),
            Self::NotFound { .. } => "the name or the tag is unknown there; check both".to_owned(),
            Self::NoBlob { .. } => "the image was pushed incompletely or partly deleted; push it again".to_owned(),
            Self::RateLimited { retry_after, registry, .. } => match retry_after {
                Some(after) => format!("try again in {} seconds, or log in to `{registry}`", after.as_secs()),
                None => format!("try again later, or log in to `{registry}`"),
            },
            Self::Resolve { .. } => "check the name, and the name servers in /etc/resolv.conf".to_owned(),
            Self::Connect { .. } | Self::Timeout { .. } => {
                "check the network, and $HTTPS_PROXY if there is a proxy".to_owned()
            }
            // webpki takes no authority's certificate for a server's, though openssl makes one by default.
            Self::Certificate { source, .. } if format!("{source:?}").contains("CaUsedAsEndEntity") => {
                "its certificate is an authority's, not a server's: make one with `openssl req -x509 -addext basicConstraints=CA:FALSE …`".to_owned()
            }
            Self::Certificate { .. } => {
                "if its certificate authority is your own, add it to the system's (/etc/ssl/certs), or name its file in `certificates` of the settings or in $SSL_CERT_FILE".to_owned()
            }
            Self::Tls { host, .. } => format!("if it really speaks plain HTTP, say so: `--insecure-registry {host}`"),
            Self::Broken { .. } | Self::BlobTooShort { .. } => "try again".to_owned(),
            _ => return None,
        })
    }

    /// Returns the error that a blob's reader wrapped in `error`, if it is one of ours.
    pub fn in_io(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// Makes a stranger's words fit to print: one line, no control characters, not long.
pub(crate) fn printable(text: &str) -> String {
    let one_line: String = text
        .chars()
        .map(|c| {
            if c.is_control() || is_confusing(c) {
                ' '
            } else {
                c
            }
        })
        .take(200)
        .collect();
    one_line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Characters that change the direction of what follows.
fn is_confusing(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
