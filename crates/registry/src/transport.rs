//! One request and its answer: the thin layer over ureq, which follows no redirect, keeps no secret and judges no status.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::{HeaderMap, HeaderName, Method, Request, Uri, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Timeout};

use crate::RegistryError;
use crate::error::printable;
use crate::resolver::{ResolveError, SystemResolver};
use crate::url::{Scheme, Url};

/// How long to wait for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// Until an answer begins.
    pub answer: Duration,
    /// Without a byte in the middle of an answer.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(60),
            idle: Duration::from_secs(60),
        }
    }
}

/// Whether a server has to prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    Certificate,
    /// This machine, or a host that was named insecure.
    None,
}

/// A question to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) head_only: bool,
    pub(crate) url: &'a Url,
    pub(crate) proof: Proof,
    pub(crate) authorization: Option<&'a str>,
    pub(crate) accept: &'a str,
    /// Makes it a POST.
    pub(crate) form: Option<&'a str>,
}

/// What came back; the body is still on its way.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) host: String,
    pub(crate) body: Body,
    headers: HeaderMap,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({} from {})", self.status, self.host)
    }
}

impl Reply {
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn headers(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
    }
}

/// Connections to any number of hosts.
pub(crate) struct Transport {
    proving: Agent,
    trusting: Agent,
    pub(crate) timeouts: Timeouts,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transport({:?})", self.timeouts)
    }
}

impl Transport {
    pub(crate) fn new(
        timeouts: Timeouts,
        certificates: Option<&Path>,
        resolver: SystemResolver,
    ) -> Result<Self, RegistryError> {
        let roots = roots(certificates)?;
        let proving = TlsConfig::builder().root_certs(roots).build();
        let trusting = TlsConfig::builder().disable_verification(true).build();
        let agent = |tls, resolver| {
            Agent::with_parts(
                config(timeouts, tls),
                DefaultConnector::new(),
                Names(resolver),
            )
        };
        Ok(Self {
            proving: agent(proving, resolver.clone()),
            trusting: agent(trusting, resolver),
            timeouts,
        })
    }

    /// Asks, and returns when the answer's head is there.
    pub(crate) fn ask(&self, question: Question<'_>) -> Result<Reply, RegistryError> {
        let host = question.url.host.to_string();
        let (method, body) = match (question.form, question.head_only) {
            (Some(form), _) => (Method::POST, form),
            (None, true) => (Method::HEAD, ""),
            (None, false) => (Method::GET, ""),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(question.url.to_string())
            .header(header::ACCEPT, question.accept);
        if let Some(authorization) = question.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let agent = match question.proof {
            Proof::Certificate => &self.proving,
            Proof::None => &self.trusting,
        };
        let protocol = |error: ureq::http::Error| RegistryError::Protocol {
            host: host.clone(),
            reason: error.to_string(),
        };
        let answer = if question.form.is_some() {
            let form = "application/x-www-form-urlencoded";
            let request = request
                .header(header::CONTENT_TYPE, form)
                .body(body)
                .map_err(protocol)?;
            agent.run(request)
        } else {
            agent.run(request.body(()).map_err(protocol)?)
        };
        let answer = answer.map_err(|error| failure(error, host.clone(), self.timeouts))?;
        let (parts, body) = answer.into_parts();
        Ok(Reply {
            status: parts.status.as_u16(),
            host,
            body,
            headers: parts.headers,
        })
    }

    /// Reads a whole body, or nothing if it has more than `limit` bytes.
    pub(crate) fn read(
        &self,
        reply: &mut Reply,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let most = u64::try_from(limit).unwrap_or(u64::MAX);
        if reply
            .body
            .content_length()
            .is_some_and(|length| length > most)
        {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let mut reader = reply
            .body
            .with_config()
            .limit(u64::MAX)
            .reader()
            .take(most.saturating_add(1));
        let read = reader.read_to_end(&mut bytes);
        read.map_err(|error| broken(error, reply.host.clone(), self.timeouts))?;
        Ok(Some(bytes).filter(|bytes| bytes.len() <= limit))
    }

    /// Reads the start of a body that explains a failure; what cannot be read explains nothing.
    pub(crate) fn explanation(&self, reply: &mut Reply) -> Vec<u8> {
        let mut bytes = Vec::new();
        let reader = reply.body.with_config().limit(u64::MAX).reader();
        match reader.take(16 << 10).read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(_) => Vec::new(),
        }
    }
}

fn config(timeouts: Timeouts, tls: TlsConfig) -> Config {
    Config::builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("hull/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(timeouts.connect))
        .timeout_recv_response(Some(timeouts.answer))
        .timeout_per_read(Some(timeouts.idle))
        .timeout_per_write(Some(timeouts.idle))
        .build()
}

/// Where distributions keep the certificates of authorities.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The authorities of the file given, else the system's, else Mozilla's as they were when Hull was built.
fn roots(given: Option<&Path>) -> Result<RootCerts, RegistryError> {
    let variable = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty());
    let named = given.map(Path::to_owned).or(variable.map(PathBuf::from));
    if let Some(path) = named {
        let unusable = |reason: String| RegistryError::Certificates {
            path: path.clone(),
            reason,
        };
        let pem = std::fs::read(&path).map_err(|error| unusable(error.to_string()))?;
        return certificates(&pem).ok_or_else(|| unusable("it has none in PEM form".to_owned()));
    }
    let system = BUNDLES
        .iter()
        .find_map(|path| certificates(&std::fs::read(path).ok()?));
    Ok(system.unwrap_or(RootCerts::WebPki))
}

fn certificates(pem: &[u8]) -> Option<RootCerts> {
    let items = parse_pem(pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = items.collect();
    (!certificates.is_empty()).then(|| certificates.into())
}

/// Our resolver, in ureq's shape.
#[derive(Debug)]
struct Names(SystemResolver);

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let default = match uri.scheme_str() {
            Some("https") => 443,
            _ => 80,
        };
        let port = uri.port_u16().unwrap_or(default);
        let addresses = self
            .0
            .addresses(host)
            .map_err(|error| ureq::Error::Other(Box::new(error)))?;
        let mut found = self.empty();
        for address in addresses.into_iter().take(8) {
            found.push((address, port).into());
        }
        Ok(found)
    }
}

/// Names what ureq says.
fn failure(error: ureq::Error, host: String, timeouts: Timeouts) -> RegistryError {
    match error {
        ureq::Error::Io(error) => broken(error, host, timeouts),
        ureq::Error::Rustls(source) => tls(source, host),
        ureq::Error::Timeout(timeout) => RegistryError::Timeout {
            host,
            after: match timeout {
                Timeout::Connect | Timeout::Resolve => timeouts.connect,
                Timeout::PerRead | Timeout::PerWrite => timeouts.idle,
                _ => timeouts.answer,
            },
        },
        ureq::Error::HostNotFound => RegistryError::Resolve {
            host,
            source: ResolveError::NoSuchName,
        },
        ureq::Error::Other(error) => match error.downcast::<ResolveError>() {
            Ok(source) => RegistryError::Resolve {
                host,
                source: *source,
            },
            Err(error) => RegistryError::Protocol {
                host,
                reason: printable(&error.to_string()),
            },
        },
        ureq::Error::ConnectProxyFailed(reason) => RegistryError::Proxy {
            host,
            reason: printable(&reason),
        },
        ureq::Error::InvalidProxyUrl => RegistryError::Proxy {
            host,
            reason: "its URL is not valid".to_owned(),
        },
        ureq::Error::ConnectionFailed => RegistryError::Connect {
            host,
            source: io::ErrorKind::ConnectionRefused.into(),
        },
        other => RegistryError::Protocol {
            host,
            reason: printable(&other.to_string()),
        },
    }
}

/// Names an error of reading or writing: ureq and rustls wrap their own in these.
pub(crate) fn broken(error: io::Error, host: String, timeouts: Timeouts) -> RegistryError {
    use io::ErrorKind::{
        AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable, PermissionDenied,
        TimedOut, WouldBlock,
    };
    let kind = error.kind();
    if error
        .get_ref()
        .is_some_and(|inner| inner.is::<ureq::Error>())
    {
        return failure(ureq::Error::from(error), host, timeouts);
    }
    if let Some(source) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        return tls(source.clone(), host);
    }
    match kind {
        TimedOut | WouldBlock => RegistryError::Timeout {
            host,
            after: timeouts.idle,
        },
        ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable
        | PermissionDenied => RegistryError::Connect {
            host,
            source: error,
        },
        _ => RegistryError::Broken {
            host,
            source: error,
        },
    }
}

fn tls(source: rustls::Error, host: String) -> RegistryError {
    match source {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            RegistryError::Certificate { host, source }
        }
        source => RegistryError::Tls { host, source },
    }
}

impl RegistryError {
    /// Says whether this can be what a server that speaks plain HTTP does with a TLS greeting.
    pub(crate) fn may_mean_plain(&self, scheme: Scheme) -> bool {
        let greeting = matches!(
            self,
            Self::Tls { .. } | Self::Broken { .. } | Self::Protocol { .. } | Self::Timeout { .. }
        );
        scheme == Scheme::Https && greeting
    }
}
