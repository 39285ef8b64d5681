//! Proving who is asking (distribution-spec, docker's token authentication): decided here, carried out by the client.
//!
//! ```text
//! 401 + challenge ──▶ Basic: the login itself, to the registry
//!                 └─▶ Bearer: ask the realm for a token (with the login, or as nobody), then the token to the registry
//! ```
//! The scope asked for is always our own: what a registry writes into its challenge does not widen it.

use std::time::Duration;

use serde::Deserialize;

use crate::RegistryError;
use crate::challenge::Challenge;
use crate::credentials::{Credential, Found};
use crate::url::{Host, Scheme, Url, percent_encoded};

/// A 401, and what can be brought against it.
#[derive(Clone, Copy)]
pub(crate) struct Locked<'a> {
    pub(crate) registry: &'a str,
    pub(crate) repository: &'a str,
    pub(crate) challenges: &'a [Challenge],
    pub(crate) login: &'a Found,
    /// Hosts that may be spoken to without encryption.
    pub(crate) may_be_plain: &'a dyn Fn(&Host) -> bool,
    pub(crate) message: &'a Option<String>,
}

/// The next step towards an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The value of `Authorization`.
    Header(String),
    Token(TokenRequest),
}

/// A question to a token server: a GET, or a POST if there is a form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TokenRequest {
    pub(crate) url: Url,
    pub(crate) authorization: Option<String>,
    pub(crate) form: Option<String>,
}

/// Chooses how to answer.
pub(crate) fn prove(locked: Locked<'_>) -> Result<Proof, RegistryError> {
    let bearer = locked
        .challenges
        .iter()
        .find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service } => Some((realm, service.as_deref())),
            Challenge::Basic | Challenge::Other(_) => None,
        });
    if let Some((realm, service)) = bearer {
        return token_request(locked, realm, service).map(Proof::Token);
    }
    if !locked.challenges.contains(&Challenge::Basic) {
        return Err(unknown(locked));
    }
    match &locked.login.credential {
        Some(Credential::Password { user, password }) => {
            Ok(Proof::Header(Credential::basic(user, password)))
        }
        Some(Credential::IdentityToken(_)) | None => Err(locked.login_needed()),
    }
}

impl Locked<'_> {
    pub(crate) fn login_needed(self) -> RegistryError {
        RegistryError::LoginNeeded {
            registry: self.registry.to_owned(),
            repository: self.repository.to_owned(),
            message: self.message.clone(),
            helper: self.login.helper.clone(),
        }
    }

    /// What it means when the proof did not help.
    pub(crate) fn still_locked(self) -> RegistryError {
        match &self.login.credential {
            Some(credential) => RegistryError::LoginRefused {
                registry: self.registry.to_owned(),
                user: credential.user().to_owned(),
                message: self.message.clone(),
            },
            None => self.login_needed(),
        }
    }
}

fn unknown(locked: Locked<'_>) -> RegistryError {
    let schemes: Vec<_> = locked
        .challenges
        .iter()
        .filter_map(|challenge| match challenge {
            Challenge::Other(scheme) => Some(crate::error::printable(scheme)),
            Challenge::Basic | Challenge::Bearer { .. } => None,
        })
        .collect();
    RegistryError::UnknownChallenge {
        registry: locked.registry.to_owned(),
        schemes: if schemes.is_empty() {
            "no scheme named".to_owned()
        } else {
            schemes.join(", ")
        },
    }
}

fn token_request(
    locked: Locked<'_>,
    realm: &str,
    service: Option<&str>,
) -> Result<TokenRequest, RegistryError> {
    let realm = Url::parse(realm).map_err(|source| RegistryError::BadRealm {
        registry: locked.registry.to_owned(),
        source,
    })?;
    if realm.scheme == Scheme::Http && !(locked.may_be_plain)(&realm.host) {
        return Err(RegistryError::InsecureRealm {
            registry: locked.registry.to_owned(),
            realm: realm.to_string(),
        });
    }
    let scope = match locked.repository {
        "" => None,
        repository => Some(format!("repository:{repository}:pull")),
    };
    let parameters = [("service", service), ("scope", scope.as_deref())];
    let parameters = parameters
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    Ok(match &locked.login.credential {
        Some(Credential::IdentityToken(token)) => {
            let fixed = [
                ("grant_type", "refresh_token"),
                ("client_id", "hull"),
                ("refresh_token", token),
            ];
            let fields = parameters.chain(fixed);
            let fields = fields.map(|(name, value)| format!("{name}={}", percent_encoded(value)));
            TokenRequest {
                url: realm,
                authorization: None,
                form: Some(fields.collect::<Vec<_>>().join("&")),
            }
        }
        password => TokenRequest {
            url: parameters.fold(realm, |url, (name, value)| url.with_query(name, value)),
            authorization: match password {
                Some(Credential::Password { user, password }) => {
                    Some(Credential::basic(user, password))
                }
                _ => None,
            },
            form: None,
        },
    })
}

/// What a token server gave.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The value of `Authorization`.
    pub(crate) header: String,
    pub(crate) lifetime: Duration,
}

/// Tokens live this long when the server does not say (docker's token specification).
const USUAL_LIFETIME: u64 = 60;

/// Reads a token server's answer; nothing if there is no token that fits into a header.
pub(crate) fn token(json: &[u8]) -> Option<Token> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<u64>,
    }
    let answer: Answer = serde_json::from_slice(json).ok()?;
    let some = |text: &String| !text.is_empty();
    let token = answer
        .token
        .filter(some)
        .or(answer.access_token.filter(some))?;
    let fits = token.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| Token {
        header: format!("Bearer {token}"),
        lifetime: Duration::from_secs(answer.expires_in.unwrap_or(USUAL_LIFETIME).min(24 * 3600)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::challenge;

    fn prove_with(header: &str, credential: Option<Credential>) -> Result<Proof, RegistryError> {
        let login = Found {
            credential,
            helper: None,
        };
        prove(Locked {
            registry: "r.example",
            repository: "team/app",
            challenges: &challenge::parse(header),
            login: &login,
            may_be_plain: &Host::is_loopback,
            message: &None,
        })
    }

    fn alice() -> Option<Credential> {
        Some(Credential::Password {
            user: "alice".to_owned(),
            password: "p:w".to_owned(),
        })
    }

    #[test]
    fn challenges_are_answered() {
        const SCOPED: &str =
            "https://auth.example/token?service=r&scope=repository%3Ateam%2Fapp%3Apull";
        let bearer = r#"Bearer realm="https://auth.example/token",service="r",scope="repository:other:delete""#;
        let Proof::Token(request) = prove_with(bearer, None).unwrap() else {
            panic!()
        };
        assert_eq!(
            (
                request.url.to_string().as_str(),
                request.authorization,
                request.form
            ),
            (SCOPED, None, None)
        );
        let Proof::Token(request) = prove_with(bearer, alice()).unwrap() else {
            panic!()
        };
        assert_eq!(request.authorization.as_deref(), Some("Basic YWxpY2U6cDp3"));
        assert_eq!(request.url.to_string(), SCOPED);
        let identity = Some(Credential::IdentityToken("a b".to_owned()));
        let Proof::Token(request) = prove_with(bearer, identity.clone()).unwrap() else {
            panic!()
        };
        assert_eq!(
            (request.url.to_string().as_str(), request.authorization),
            ("https://auth.example/token", None)
        );
        let form = "service=r&scope=repository%3Ateam%2Fapp%3Apull&grant_type=refresh_token&client_id=hull&refresh_token=a%20b";
        assert_eq!(request.form.as_deref(), Some(form));
        let basic = prove_with("Basic realm=x", alice()).unwrap();
        assert_eq!(basic, Proof::Header("Basic YWxpY2U6cDp3".to_owned()));
        let both = prove_with(
            r#"Basic realm="x", Bearer realm="https://auth.example/?a=b""#,
            None,
        )
        .unwrap();
        let Proof::Token(request) = both else {
            panic!()
        };
        assert_eq!(
            request.url.to_string(),
            "https://auth.example/?a=b&scope=repository%3Ateam%2Fapp%3Apull"
        );
    }

    #[test]
    fn challenges_that_cannot_be_answered_are_errors() {
        let rows = [
            ("Basic realm=x", "wants a login for `team/app`"),
            ("Negotiate", "in no way Hull knows (Negotiate)"),
            ("", "in no way Hull knows (no scheme named)"),
            (
                r#"Bearer realm="auth.example""#,
                "names a token server that cannot be used",
            ),
            (
                r#"Bearer realm="http://auth.example/token""#,
                "which is not encrypted",
            ),
            (
                r#"Bearer realm="https://alice@auth.example/""#,
                "names a token server that cannot be used",
            ),
        ];
        for (header, expected) in rows {
            let error = prove_with(header, None).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(prove_with(r#"Bearer realm="http://127.0.0.1:5001/token""#, None).is_ok());
    }

    #[test]
    fn tokens_are_read() {
        let read = |json: &str| {
            token(json.as_bytes()).map(|token| (token.header, token.lifetime.as_secs()))
        };
        let rows = [
            (
                r#"{"token":"t","expires_in":300,"issued_at":"2026-01-01T00:00:00Z"}"#,
                Some(("Bearer t", 300)),
            ),
            (r#"{"access_token":"a"}"#, Some(("Bearer a", 60))),
            (
                r#"{"token":"","access_token":"a","expires_in":9999999999}"#,
                Some(("Bearer a", 86400)),
            ),
            (r#"{"token":"a\r\nX: y"}"#, None),
            (r#"{"token":"a b"}"#, None),
            ("{}", None),
            ("", None),
        ];
        for (json, expected) in rows {
            let expected = expected.map(|(header, lifetime)| (header.to_owned(), lifetime));
            assert_eq!(read(json), expected, "{json}");
        }
    }
}
