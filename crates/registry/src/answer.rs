//! What a registry means when it does not give what was asked for.

use std::time::Duration;

use hull_types::Digest;
use serde::Deserialize;

use crate::RegistryError;
use crate::error::printable;

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Manifest {
        reference: String,
    },
    Blob {
        digest: Digest,
    },
    /// Whether the registry is there and lets us in.
    Api,
}

/// The parts of an answer that matter once its status is not a success.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal<'a> {
    /// Who answered: another than the registry after a redirect.
    pub(crate) host: &'a str,
    pub(crate) status: u16,
    pub(crate) retry_after: Option<&'a str>,
    /// The start of the body.
    pub(crate) body: &'a [u8],
}

/// The body of an error (distribution-spec §error codes).
#[derive(Default, Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: String,
    message: Option<String>,
}

/// Returns what the registry says in words, if it does.
pub(crate) fn message(body: &[u8]) -> Option<String> {
    let errors: Errors = serde_json::from_slice(body).unwrap_or_default();
    let said = errors.errors.into_iter().next()?.message?;
    Some(printable(&said)).filter(|said| !said.is_empty())
}

/// Names the error that a status means. 401 is not here: it is an invitation first.
pub(crate) fn refused(
    registry: &str,
    repository: &str,
    asked: &Asked,
    refusal: Refusal<'_>,
) -> RegistryError {
    let message = message(refusal.body);
    let (registry, repository) = (registry.to_owned(), repository.to_owned());
    match (refusal.status, asked) {
        (403, _) => RegistryError::Denied {
            registry,
            repository,
            message,
        },
        (404, Asked::Blob { digest }) => RegistryError::NoBlob {
            registry,
            repository,
            digest: digest.clone(),
        },
        (404, Asked::Manifest { .. }) if has_code(refusal.body, "NAME_UNKNOWN") => {
            RegistryError::NoRepository {
                registry,
                repository,
            }
        }
        (404, Asked::Manifest { reference }) => RegistryError::NotFound {
            reference: reference.clone(),
        },
        (429, _) => RegistryError::RateLimited {
            registry,
            message,
            retry_after: refusal.retry_after.and_then(seconds),
        },
        (status, _) => RegistryError::Status {
            host: refusal.host.to_owned(),
            status,
            message,
        },
    }
}

fn has_code(body: &[u8], code: &str) -> bool {
    let errors: Errors = serde_json::from_slice(body).unwrap_or_default();
    errors.errors.iter().any(|error| error.code == code)
}

/// `Retry-After` as a number of seconds; as a date it is not worth a calendar here.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: u64 = text.trim().parse().ok()?;
    (seconds <= 7 * 24 * 3600).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, asked: &Asked, retry_after: Option<&str>, body: &str) -> String {
        let refusal = Refusal {
            host: "cdn.example",
            status,
            retry_after,
            body: body.as_bytes(),
        };
        let error = refused("r.example", "team/app", asked, refusal);
        let hint = error.hint().unwrap_or_default();
        format!("{:?}: {error} | {hint}", error.kind())
    }

    #[test]
    fn statuses_are_named() {
        let manifest = Asked::Manifest {
            reference: "r.example/team/app:1".to_owned(),
        };
        let blob = Asked::Blob {
            digest: Digest::sha256(&[7; 32]),
        };
        let body = |code: &str, message: &str| {
            format!(r#"{{"errors":[{{"code":"{code}","message":"{message}","detail":{{}}}}]}}"#)
        };
        let rows = [
            error(
                404,
                &manifest,
                None,
                &body("MANIFEST_UNKNOWN", "manifest unknown"),
            ),
            error(
                404,
                &manifest,
                None,
                &body("NAME_UNKNOWN", "repository name not known to registry"),
            ),
            error(404, &blob, None, "<html>"),
            error(
                403,
                &manifest,
                None,
                &body("DENIED", "requested access\\u001b[31m\\nis denied"),
            ),
            error(
                429,
                &manifest,
                Some("30"),
                &body("TOOMANYREQUESTS", "You have reached your pull rate limit."),
            ),
            error(429, &blob, Some("Wed, 21 Oct 2026 07:28:00 GMT"), ""),
            error(502, &blob, None, "not json"),
            error(404, &Asked::Api, None, ""),
        ];
        insta::assert_snapshot!(rows.join("\n"), @r"
        NotFound: `r.example/team/app:1` is not in the registry | the name or the tag is unknown there; check both
        NotFound: `r.example` has no repository `team/app` | check the name; private repositories may look missing without a login
        NotFound: registry `r.example` has no blob sha256:0707070707070707070707070707070707070707070707070707070707070707 in `team/app` | the image was pushed incompletely or partly deleted; push it again
        Denied: registry `r.example` denies access to `team/app`: requested access [31m is denied | 
        Unavailable: registry `r.example` limits the number of requests: You have reached your pull rate limit. | try again in 30 seconds, or log in to `r.example`
        Unavailable: registry `r.example` limits the number of requests | try again later, or log in to `r.example`
        Unavailable: `cdn.example` answers with status 502 | 
        Unavailable: `cdn.example` answers with status 404 | 
        ");
    }
}
