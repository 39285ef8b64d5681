//! The client: asks, proves who is asking when it must, follows redirects, and checks what comes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hull_spec::image::{Descriptor, MAX_DOCUMENT_BYTES, MediaType};
use hull_types::{Algorithm, Digest, Reference};
use sha2::{Digest as _, Sha256, Sha512};
use ureq::http::{HeaderName, header};

use crate::answer::{self, Asked, Refusal};
use crate::auth::{self, Locked, Proof, TokenRequest};
use crate::blob::Blob;
use crate::credentials::Found;
use crate::error::printable;
use crate::resolver::SystemResolver;
use crate::transport::{self, Question, Reply, Timeouts, Transport};
use crate::url::{Host, Scheme, Url};
use crate::{Credentials, RegistryError, challenge, redirect};

/// What a client is made with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Registries (`host` or `host:port`) that may be spoken to without encryption, and without proof of who they are.
    /// This machine always may.
    pub insecure: Vec<String>,
    pub credentials: Credentials,
    pub timeouts: Timeouts,
    /// A PEM file of certificate authorities to use instead of the system's.
    pub certificates: Option<PathBuf>,
}

/// A client for any number of registries. Threads may share it; they share its connections and tokens.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    insecure: Vec<Host>,
    credentials: Credentials,
    /// How the hosts that may be plain are spoken to.
    schemes: Mutex<BTreeMap<Host, Scheme>>,
    /// By registry and repository.
    proofs: Mutex<BTreeMap<(Host, String), KnownProof>>,
}

/// The value of `Authorization` that worked.
struct KnownProof {
    header: String,
    until: Instant,
}

impl std::fmt::Debug for KnownProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KnownProof(…)")
    }
}

/// A manifest or index as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedManifest {
    pub bytes: Vec<u8>,
    /// What the registry says it is, if it says something that means anything.
    pub media_type: Option<MediaType>,
    /// Of the bytes: computed, and compared with what was asked for and with what the registry says.
    pub digest: Digest,
}

/// `Docker-Content-Digest`
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A login does not run out while a program pulls.
const LOGIN_LIFETIME: Duration = Duration::from_secs(3600);

impl Client {
    /// Makes a client; nothing is asked yet.
    pub fn new(options: Options) -> Result<Self, RegistryError> {
        Self::with_resolver(options, SystemResolver::default())
    }

    fn with_resolver(options: Options, resolver: SystemResolver) -> Result<Self, RegistryError> {
        let insecure = options.insecure.iter().map(|text| host(text));
        let certificates = options.certificates.as_deref();
        Ok(Self {
            insecure: insecure.collect::<Result<_, _>>()?,
            transport: Transport::new(options.timeouts, certificates, resolver)?,
            credentials: options.credentials,
            schemes: Mutex::default(),
            proofs: Mutex::default(),
        })
    }

    /// Fetches the manifest or index that `reference` names: by its digest, else its tag, else `latest`.
    pub fn manifest(&self, reference: &Reference) -> Result<FetchedManifest, RegistryError> {
        let mut reply = self.manifest_reply(reference, false)?;
        let registry = reference.registry();
        let bytes = self.transport.read(&mut reply, MAX_DOCUMENT_BYTES)?;
        let bytes = bytes.ok_or_else(|| RegistryError::DocumentTooLarge {
            what: "the manifest",
            reference: reference.to_string(),
            limit: MAX_DOCUMENT_BYTES,
        })?;
        let stated = reply.header(CONTENT_DIGEST);
        let digest = checked(registry, &bytes, reference.digest(), stated)?;
        Ok(FetchedManifest {
            bytes,
            media_type: reply.header(header::CONTENT_TYPE).and_then(announced),
            digest,
        })
    }

    /// Asks which digest `reference` has now, without fetching it (registries do not count that against limits). Nothing if
    /// the registry does not say. It is a claim, not a proof.
    pub fn digest(&self, reference: &Reference) -> Result<Option<Digest>, RegistryError> {
        let reply = self.manifest_reply(reference, true)?;
        let stated = reply.header(CONTENT_DIGEST);
        Ok(stated.and_then(|text| text.parse().ok()))
    }

    /// Begins to fetch a blob of `reference`'s repository.
    pub fn blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
    ) -> Result<Blob, RegistryError> {
        let digest = descriptor.digest.clone();
        let path = format!("/v2/{}/blobs/{digest}", reference.repository());
        let asked = Asked::Blob {
            digest: digest.clone(),
        };
        let reply = self.get(
            reference,
            &path,
            &asked,
            "application/octet-stream, */*",
            false,
        )?;
        let declared = descriptor.size;
        match reply.body.content_length() {
            Some(stated) if stated != declared => Err(RegistryError::BlobSize {
                host: reply.host,
                digest,
                declared,
                stated,
            }),
            _ => Ok(Blob {
                reader: Box::new(reply.body.into_with_config().limit(u64::MAX).reader()),
                host: reply.host,
                digest,
                declared,
                received: 0,
                timeouts: self.transport.timeouts,
            }),
        }
    }

    /// Asks whether the registry is there and accepts the login it finds: what `login` checks.
    pub fn check(&self, registry: &str) -> Result<(), RegistryError> {
        let target = Target {
            name: registry,
            repository: "",
            host: host(registry)?,
        };
        self.get_from(&target, "/v2/", &Asked::Api, "*/*", false)
            .map(drop)
    }

    fn manifest_reply(&self, reference: &Reference, head: bool) -> Result<Reply, RegistryError> {
        let latest = reference.clone().or_latest();
        let which = match (latest.digest(), latest.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_string(),
            (None, None) => "latest".to_owned(),
        };
        let path = format!("/v2/{}/manifests/{which}", reference.repository());
        let asked = Asked::Manifest {
            reference: latest.to_string(),
        };
        let accept: Vec<_> = MediaType::acceptable().collect();
        self.get(reference, &path, &asked, &accept.join(", "), head)
    }

    fn get(
        &self,
        reference: &Reference,
        path: &str,
        asked: &Asked,
        accept: &str,
        head: bool,
    ) -> Result<Reply, RegistryError> {
        let target = Target {
            name: reference.registry(),
            repository: reference.repository(),
            host: host(reference.registry())?,
        };
        self.get_from(&target, path, asked, accept, head)
    }

    /// Asks as nobody, or with the proof that worked before; when that is not enough, proves and asks once more.
    fn get_from(
        &self,
        target: &Target<'_>,
        path: &str,
        asked: &Asked,
        accept: &str,
        head: bool,
    ) -> Result<Reply, RegistryError> {
        let scheme = self.scheme(&target.host)?;
        let url = Url::new(scheme, target.host.clone(), path.to_owned());
        let mut proof = self.known_proof(target);
        let mut proved_now = false;
        loop {
            let (mut reply, at_registry) = self.follow(&url, proof.as_deref(), accept, head)?;
            match reply.status {
                200 => return Ok(reply),
                401 if at_registry => {
                    proof = Some(self.prove(target, &mut reply, proved_now)?);
                    proved_now = true;
                }
                _ => return Err(self.refused(target, asked, &mut reply)),
            }
        }
    }

    fn refused(&self, target: &Target<'_>, asked: &Asked, reply: &mut Reply) -> RegistryError {
        let body = self.transport.explanation(reply);
        let refusal = Refusal {
            host: &reply.host,
            status: reply.status,
            retry_after: reply.header(header::RETRY_AFTER),
            body: &body,
        };
        answer::refused(target.name, target.repository, asked, refusal)
    }

    /// Asks, and goes where it is sent; says whether the answer came from where it began. The proof goes nowhere else.
    fn follow(
        &self,
        start: &Url,
        proof: Option<&str>,
        accept: &str,
        head: bool,
    ) -> Result<(Reply, bool), RegistryError> {
        let mut url = start.clone();
        for hop in 1.. {
            let home = url.same_origin(start);
            let reply = self.transport.ask(Question {
                head_only: head,
                url: &url,
                proof: self.proof_of(&url.host),
                authorization: proof.filter(|_| home),
                accept,
                form: None,
            })?;
            match reply.header(header::LOCATION) {
                Some(location) if redirect::is_redirect(reply.status) => {
                    url = redirect::next(&url, location, hop, |host| self.may_be_plain(host))?;
                }
                _ => return Ok((reply, home)),
            }
        }
        unreachable!("the redirect policy ends the loop")
    }

    /// Answers a 401: returns the value of `Authorization` to try next.
    fn prove(
        &self,
        target: &Target<'_>,
        reply: &mut Reply,
        proved_now: bool,
    ) -> Result<String, RegistryError> {
        let body = self.transport.explanation(reply);
        let headers = reply.headers(header::WWW_AUTHENTICATE);
        let challenges: Vec<_> = headers.flat_map(challenge::parse).collect();
        let login = self.credentials.find(target.name, target.repository)?;
        let locked = Locked {
            registry: target.name,
            repository: target.repository,
            challenges: &challenges,
            login: &login,
            may_be_plain: &|host| self.may_be_plain(host),
            message: &answer::message(&body),
        };
        if proved_now {
            return Err(locked.still_locked());
        }
        let (header, lifetime) = match auth::prove(locked)? {
            Proof::Header(header) => (header, LOGIN_LIFETIME),
            Proof::Token(request) => {
                let token = self.token(target, &login, &request)?;
                (token.header, token.lifetime)
            }
        };
        let known = KnownProof {
            header: header.clone(),
            until: Instant::now() + lifetime,
        };
        let key = (target.host.clone(), target.repository.to_owned());
        lock(&self.proofs).insert(key, known);
        Ok(header)
    }

    fn token(
        &self,
        target: &Target<'_>,
        login: &Found,
        request: &TokenRequest,
    ) -> Result<auth::Token, RegistryError> {
        let accept = "application/json";
        let mut reply = if request.form.is_some() {
            self.transport.ask(Question {
                head_only: false,
                url: &request.url,
                proof: self.proof_of(&request.url.host),
                authorization: None,
                accept,
                form: request.form.as_deref(),
            })?
        } else {
            let proof = request.authorization.as_deref();
            self.follow(&request.url, proof, accept, false)?.0
        };
        match reply.status {
            200 => {}
            400 | 401 | 403 => {
                let body = self.transport.explanation(&mut reply);
                let locked = Locked {
                    registry: target.name,
                    repository: target.repository,
                    challenges: &[],
                    login,
                    may_be_plain: &|_| false,
                    message: &answer::message(&body),
                };
                return Err(locked.still_locked());
            }
            _ => return Err(self.refused(target, &Asked::Api, &mut reply)),
        }
        let body = self.transport.read(&mut reply, 1 << 20)?;
        let token = body.and_then(|body| auth::token(&body));
        token.ok_or_else(|| RegistryError::BadToken {
            registry: target.name.to_owned(),
            host: reply.host,
        })
    }

    fn known_proof(&self, target: &Target<'_>) -> Option<String> {
        // Not one that runs out on the way.
        const MARGIN: Duration = Duration::from_secs(5);
        let key = (target.host.clone(), target.repository.to_owned());
        let proofs = lock(&self.proofs);
        let known = proofs.get(&key)?;
        (Instant::now() + MARGIN < known.until).then(|| known.header.clone())
    }

    fn may_be_plain(&self, host: &Host) -> bool {
        host.is_loopback() || self.insecure.contains(host)
    }

    fn proof_of(&self, host: &Host) -> transport::Proof {
        if self.may_be_plain(host) {
            transport::Proof::None
        } else {
            transport::Proof::Certificate
        }
    }

    /// Says how to speak to `host`: encrypted, unless it may be plain and does not understand TLS.
    fn scheme(&self, host: &Host) -> Result<Scheme, RegistryError> {
        if !self.may_be_plain(host) {
            return Ok(Scheme::Https);
        }
        if let Some(&scheme) = lock(&self.schemes).get(host) {
            return Ok(scheme);
        }
        let url = Url::new(Scheme::Https, host.clone(), "/v2/".to_owned());
        let greeting = self.transport.ask(Question {
            head_only: false,
            url: &url,
            proof: transport::Proof::None,
            authorization: None,
            accept: "*/*",
            form: None,
        });
        let scheme = match greeting {
            Ok(_) => Scheme::Https,
            Err(error) if error.may_mean_plain(url.scheme) => Scheme::Http,
            Err(error) => return Err(error),
        };
        lock(&self.schemes).insert(host.clone(), scheme);
        Ok(scheme)
    }
}

/// Whom a question goes to.
struct Target<'a> {
    /// As people write it: `docker.io`.
    name: &'a str,
    repository: &'a str,
    /// As the network knows it: `registry-1.docker.io`.
    host: Host,
}

fn host(registry: &str) -> Result<Host, RegistryError> {
    let name = match registry {
        // Docker's registry is not where its name says.
        "docker.io" => "registry-1.docker.io",
        name => name,
    };
    Host::parse(name).ok_or_else(|| RegistryError::BadRegistry(registry.to_owned()))
}

/// No caller of the client panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Types that say nothing are not taken for statements.
fn announced(content_type: &str) -> Option<MediaType> {
    let media_type = MediaType::parse(content_type);
    let vague = [
        "application/json",
        "application/octet-stream",
        "text/plain",
        "",
    ];
    (!vague.contains(&media_type.as_str())).then_some(media_type)
}

/// Computes the digest of a manifest and holds it against the one asked for and the one in the answer's head.
fn checked(
    registry: &str,
    bytes: &[u8],
    asked: Option<&Digest>,
    stated: Option<&str>,
) -> Result<Digest, RegistryError> {
    if let Some(text) = stated {
        let stated: Option<Digest> = text.trim().parse().ok();
        let algorithm = stated.as_ref().map_or(Algorithm::Sha256, Digest::algorithm);
        let actual = digest(algorithm, bytes);
        if stated.as_ref() != Some(&actual) {
            return Err(RegistryError::WrongHeader {
                registry: registry.to_owned(),
                stated: printable(text),
                actual,
            });
        }
    }
    let actual = digest(asked.map_or(Algorithm::Sha256, Digest::algorithm), bytes);
    match asked {
        Some(expected) if *expected != actual => Err(RegistryError::WrongDigest {
            registry: registry.to_owned(),
            expected: expected.clone(),
            actual,
        }),
        _ => Ok(actual),
    }
}

fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    match algorithm {
        Algorithm::Sha256 => Digest::sha256(&Sha256::digest(bytes).into()),
        Algorithm::Sha512 => Digest::sha512(&Sha512::digest(bytes).into()),
    }
}
