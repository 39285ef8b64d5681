//! Whom a registry is told we are: the files in which docker, podman and skopeo keep logins.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::RegistryError;

/// A name and what proves it. Neither is ever printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    Password {
        user: String,
        password: String,
    },
    /// Exchanged for tokens at the registry's token server.
    IdentityToken(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(…)",
            Self::IdentityToken(_) => "IdentityToken(…)",
        })
    }
}

impl Credential {
    /// The user's name, for messages.
    pub(crate) fn user(&self) -> &str {
        match self {
            Self::Password { user, .. } => user,
            Self::IdentityToken(_) => "<token>",
        }
    }

    /// The value of `Authorization` that proves a password.
    pub(crate) fn basic(user: &str, password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    }
}

/// Where logins are looked for.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// For every registry, before any file.
    given: Option<Credential>,
    /// In order; those that do not exist are passed over.
    files: Vec<PathBuf>,
}

/// What was found for one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) credential: Option<Credential>,
    /// A program that may know more; Hull does not run it yet.
    pub(crate) helper: Option<String>,
}

impl Credentials {
    /// No logins at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// This login for whatever registry is asked.
    pub fn given(credential: Credential) -> Self {
        Self {
            given: Some(credential),
            files: Vec::new(),
        }
    }

    /// Logins from these files.
    pub fn files(files: Vec<PathBuf>) -> Self {
        Self { given: None, files }
    }

    /// The files that docker, podman and skopeo use, by the environment's variables: `$REGISTRY_AUTH_FILE` alone if it is
    /// set, else podman's volatile and lasting one, then docker's.
    pub fn from_environment(variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let variable = |name| variable(name).filter(|path| !path.as_os_str().is_empty());
        if let Some(file) = variable("REGISTRY_AUTH_FILE") {
            return Self::files(vec![file]);
        }
        let home = |below: &str| variable("HOME").map(|home| home.join(below));
        let runtime = variable("XDG_RUNTIME_DIR");
        let config = variable("XDG_CONFIG_HOME").or_else(|| home(".config"));
        let docker = variable("DOCKER_CONFIG").or_else(|| home(".docker"));
        let files = [
            runtime.map(|directory| directory.join("containers/auth.json")),
            config.map(|directory| directory.join("containers/auth.json")),
            docker.map(|directory| directory.join("config.json")),
        ];
        Self::files(files.into_iter().flatten().collect())
    }

    /// Looks for a login for `repository` on `registry`; the first file that has one decides.
    pub(crate) fn find(&self, registry: &str, repository: &str) -> Result<Found, RegistryError> {
        if self.given.is_some() {
            return Ok(Found {
                credential: self.given.clone(),
                helper: None,
            });
        }
        let mut helper = None;
        for path in &self.files {
            let Some(bytes) = read(path)? else {
                continue;
            };
            let invalid = |source| RegistryError::AuthFile {
                path: path.clone(),
                source,
            };
            let found = find_in(&bytes, registry, repository).map_err(invalid)?;
            if found.credential.is_some() {
                return Ok(found);
            }
            helper = helper.or(found.helper);
        }
        Ok(Found {
            credential: None,
            helper,
        })
    }
}

/// Nobody has this many logins.
const MAX_FILE_BYTES: u64 = 1 << 20;

fn read(path: &Path) -> Result<Option<Vec<u8>>, RegistryError> {
    use std::io::Read as _;
    let unreadable = |source| RegistryError::UnreadableAuthFile {
        path: path.to_owned(),
        source,
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(Some(bytes))
}

/// Why a file of logins cannot be used. The file's text is not quoted: it is secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAuthFile {
    #[error("it is not JSON of the expected shape (line {line}, column {column})")]
    Json { line: usize, column: usize },
    #[error("`auth` of `{0}` is not base64 of `user:password`")]
    Encoding(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Option<Entry>>,
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    #[serde(flatten)]
    _rest: BTreeMap<String, IgnoredAny>,
}

/// Looks for a login in the text of one file.
fn find_in(json: &[u8], registry: &str, repository: &str) -> Result<Found, InvalidAuthFile> {
    let file: File = serde_json::from_slice(json).map_err(|error| InvalidAuthFile::Json {
        line: error.line(),
        column: error.column(),
    })?;
    let wanted = keys(registry, repository);
    let entry = wanted.iter().find_map(|wanted| {
        let mut entries = file.auths.iter();
        entries.find(|(key, entry)| normal(key) == *wanted && entry.is_some())
    });
    let credential = match entry {
        Some((key, Some(entry))) => credential(key, entry)?,
        _ => None,
    };
    let named = |(key, _): &(&String, &String)| wanted.contains(&normal(key).to_owned());
    let helper = file
        .cred_helpers
        .iter()
        .find(named)
        .map(|(_, name)| name.clone());
    Ok(Found {
        credential,
        helper: helper.or(file.creds_store),
    })
}

/// The keys that fit, narrowest first: podman's files can have logins for parts of a registry.
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let names = match registry {
        "docker.io" => &["docker.io", "index.docker.io", "registry-1.docker.io"][..],
        _ => &[registry],
    };
    let mut keys = Vec::new();
    for name in names {
        let mut path = repository;
        while !path.is_empty() {
            keys.push(format!("{name}/{path}"));
            path = path.rfind('/').map_or("", |at| &path[..at]);
        }
    }
    keys.extend(names.iter().map(|&name| name.to_owned()));
    keys
}

/// Docker writes hosts as URLs (`https://index.docker.io/v1/`); then the path means nothing.
fn normal(key: &str) -> &str {
    let rest = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"));
    match rest {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => key.trim_end_matches('/'),
    }
}

fn credential(key: &str, entry: &Entry) -> Result<Option<Credential>, InvalidAuthFile> {
    let present = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(token) = present(&entry.identitytoken) {
        return Ok(Some(Credential::IdentityToken(token)));
    }
    if let Some(auth) = present(&entry.auth) {
        let invalid = || InvalidAuthFile::Encoding(key.to_owned());
        let text = auth.trim().trim_end_matches('=');
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| invalid())?;
        let text = String::from_utf8(bytes).map_err(|_| invalid())?;
        let (user, password) = text.split_once(':').ok_or_else(invalid)?;
        return Ok(Some(Credential::Password {
            user: user.to_owned(),
            // Docker pads with zeros in some versions.
            password: password.trim_matches('\0').to_owned(),
        }));
    }
    let login = present(&entry.username).zip(present(&entry.password));
    Ok(login.map(|(user, password)| Credential::Password { user, password }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(user: &str, password: &str) -> Option<Credential> {
        Some(Credential::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// `auth` values: a:1, b:2, c:3 and d:4:5.
    const FILE: &str = r#"{"auths": {
        "https://index.docker.io/v1/": {"auth": "YTox"},
        "r.example/team": {"auth": "Yjoy"},
        "r.example": {"auth": "Yzoz"},
        "r.example:5000": {"auth": "ZDo0OjU="},
        "http://plain.example/v2/": {"username": "e", "password": "6"},
        "token.example": {"identitytoken": "secret", "auth": "PHRva2VuPjo="},
        "empty.example": {},
        "null.example": null
      }, "credsStore": "desktop", "credHelpers": {"helped.example": "pass"}, "psFormat": "x"}"#;

    #[test]
    fn the_narrowest_login_is_found() {
        let rows = [
            ("docker.io", "library/debian", password("a", "1")),
            ("r.example", "team/x/y", password("b", "2")),
            ("r.example", "team", password("b", "2")),
            ("r.example", "teams/x", password("c", "3")),
            ("r.example:5000", "team/x", password("d", "4:5")),
            ("plain.example", "x", password("e", "6")),
            (
                "token.example",
                "x",
                Some(Credential::IdentityToken("secret".to_owned())),
            ),
            ("empty.example", "x", None),
            ("null.example", "x", None),
            ("other.example", "x", None),
            ("example", "x", None),
        ];
        for (registry, repository, expected) in rows {
            let found = find_in(FILE.as_bytes(), registry, repository).unwrap();
            assert_eq!(found.credential, expected, "{registry}/{repository}");
        }
        let helper = |registry| find_in(FILE.as_bytes(), registry, "x").unwrap().helper;
        assert_eq!(helper("helped.example").as_deref(), Some("pass"));
        assert_eq!(helper("other.example").as_deref(), Some("desktop"));
    }

    #[test]
    fn broken_files_are_refused_without_being_quoted() {
        for json in [
            "",
            "[]",
            "{\"auths\": {\"r.example\": {\"auth\": \"hunter2!\"}}}",
            "{\"auths\": {\"r.example\": {\"auth\": \"aHVudGVyMg==\"}}}",
            "{\"auths\": {\"r.example\": \"hunter2\"}}",
        ] {
            let error = find_in(json.as_bytes(), "r.example", "x").unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_environment_says_which_files() {
        let from = |pairs: &[(&str, &str)]| {
            let find = |name: &str| pairs.iter().find(|pair| pair.0 == name);
            Credentials::from_environment(|name| find(name).map(|pair| pair.1.into())).files
        };
        assert_eq!(
            from(&[("REGISTRY_AUTH_FILE", "/a"), ("HOME", "/h")]),
            [Path::new("/a")]
        );
        let all = from(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/user/1")]);
        let expected = [
            "/run/user/1/containers/auth.json",
            "/h/.config/containers/auth.json",
            "/h/.docker/config.json",
        ];
        assert_eq!(all, expected.map(Path::new));
        let moved = from(&[
            ("XDG_CONFIG_HOME", "/c"),
            ("DOCKER_CONFIG", "/d"),
            ("HOME", ""),
        ]);
        assert_eq!(
            moved,
            ["/c/containers/auth.json", "/d/config.json"].map(Path::new)
        );
    }

    #[test]
    fn the_first_file_that_knows_decides() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| {
            use std::io::Write as _;
            std::fs::File::create(path(name))
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
        };
        write("one", r#"{"auths": {"a.example": {"auth": "YTox"}}}"#);
        write("two", FILE);
        let files = Credentials::files(vec![path("missing"), path("one"), path("two")]);
        assert_eq!(
            files.find("a.example", "x").unwrap().credential,
            password("a", "1")
        );
        assert_eq!(
            files.find("r.example", "x").unwrap().credential,
            password("c", "3")
        );
        assert_eq!(
            files.find("z.example", "x").unwrap().helper.as_deref(),
            Some("desktop")
        );
        write("one", "{");
        let error = files.find("r.example", "x").unwrap_err();
        assert!(matches!(error, RegistryError::AuthFile { path: at, .. } if at == path("one")));
    }

    #[test]
    fn secrets_are_not_printed() {
        let credential = password("alice", "hunter2");
        assert_eq!(format!("{credential:?}"), "Some(Password(…))");
    }
}
