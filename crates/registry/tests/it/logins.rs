//! Proving who is asking.

use std::sync::Mutex;

use hull_registry::{Credential, Credentials, RegistryError};

use crate::server::{Answer, Asked, Server};
use crate::{client, reference, told};

const BODY: &str = "{}";
const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";

fn alice() -> Credentials {
    Credentials::given(Credential::Password {
        user: "alice".to_owned(),
        password: "secret".to_owned(),
    })
}

fn challenge(text: String) -> Answer {
    let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
    Answer::new(401, body).header("WWW-Authenticate", text)
}

/// A token server that gives out `tokens` one after the other, to whom `accepts` says.
fn token_server(accepts: fn(&Asked) -> bool, tokens: &'static [&'static str]) -> Server {
    let next = Mutex::new(0);
    Server::new(move |asked| {
        if !accepts(asked) {
            return Answer::new(401, "");
        }
        let mut next = next.lock().unwrap();
        let token = tokens[(*next).min(tokens.len() - 1)];
        *next += 1;
        Answer::new(200, format!(r#"{{"token":"{token}","expires_in":300}}"#))
    })
}

/// A registry that wants one of `tokens` from `auth`.
fn locked(auth: &Server, tokens: &'static [&'static str]) -> Server {
    let realm = format!(
        r#"Bearer realm="http://{}/token",service="reg",scope="x:y:z""#,
        auth.host
    );
    Server::new(move |asked| {
        let brought = asked.authorization.as_deref().unwrap_or_default();
        if tokens
            .iter()
            .any(|token| brought == format!("Bearer {token}"))
        {
            Answer::new(200, BODY)
        } else {
            challenge(realm.clone())
        }
    })
}

#[test]
fn nobody_gets_a_token_and_uses_it_again() {
    let auth = token_server(|_| true, &["t1", "t2"]);
    let registry = locked(&auth, &["t1"]);
    let client = client(Credentials::none());
    for tag in ["1", "2"] {
        client
            .manifest(&reference(&format!("{}/a/b:{tag}", registry.host)))
            .unwrap();
    }
    let asked: Vec<_> = auth.log().into_iter().map(|asked| asked.path).collect();
    assert_eq!(
        asked,
        ["/token?service=reg&scope=repository%3Aa%2Fb%3Apull"]
    );
    let brought: Vec<_> = registry
        .log()
        .into_iter()
        .map(|asked| asked.authorization)
        .collect();
    let token = Some("Bearer t1".to_owned());
    assert_eq!(brought, [None, token.clone(), token]);
    // Another repository is another scope.
    client
        .manifest(&reference(&format!("{}/c:1", registry.host)))
        .unwrap_err();
    assert_eq!(auth.log().len(), 2);
}

#[test]
fn a_token_that_no_longer_works_is_renewed() {
    let auth = token_server(|_| true, &["t1", "t2"]);
    let realm = format!(r#"Bearer realm="http://{}/token""#, auth.host);
    let registry = Server::new(move |asked| {
        let good = if asked.path.ends_with("/1") {
            "Bearer t1"
        } else {
            "Bearer t2"
        };
        if asked.authorization.as_deref() == Some(good) {
            Answer::new(200, BODY)
        } else {
            challenge(realm.clone())
        }
    });
    let client = client(Credentials::none());
    for tag in ["1", "2"] {
        client
            .manifest(&reference(&format!("{}/a:{tag}", registry.host)))
            .unwrap();
    }
    assert_eq!(auth.log().len(), 2);
}

#[test]
fn logins_go_to_the_token_server_only() {
    let auth = token_server(
        |asked| asked.authorization.as_deref() == Some(ALICE),
        &["t"],
    );
    let registry = locked(&auth, &["t"]);
    client(alice())
        .manifest(&reference(&format!("{}/a", registry.host)))
        .unwrap();
    assert!(
        registry
            .log()
            .iter()
            .all(|asked| asked.authorization.as_deref() != Some(ALICE))
    );
    let token = Credentials::given(Credential::IdentityToken("refresh me".to_owned()));
    let auth = token_server(|asked| asked.method == "POST", &["t"]);
    let registry = locked(&auth, &["t"]);
    client(token)
        .manifest(&reference(&format!("{}/a", registry.host)))
        .unwrap();
    let form = "service=reg&scope=repository%3Aa%3Apull&grant_type=refresh_token&client_id=hull&refresh_token=refresh%20me";
    assert_eq!(auth.log()[0].body, form);
}

#[test]
fn basic_logins_go_to_the_registry_and_nowhere_else() {
    let elsewhere = Server::new(|_| Answer::new(200, BODY));
    let location = format!("http://{}/cdn", elsewhere.host);
    let registry = Server::new(move |asked| match asked.authorization.as_deref() {
        Some(ALICE) => Answer::new(307, "").header("Location", location.clone()),
        _ => challenge(r#"Basic realm="here""#.to_owned()),
    });
    client(alice())
        .manifest(&reference(&format!("{}/a", registry.host)))
        .unwrap();
    let log = elsewhere.log();
    assert_eq!((log.len(), log[0].authorization.as_deref()), (1, None));
}

#[test]
fn failed_logins_are_explained() {
    let refusing = token_server(|_| false, &["t"]);
    let useless = token_server(|_| true, &["wrong"]);
    let broken = Server::new(|_| Answer::new(200, r#"{"token":"a\nb"}"#));
    let limited = Server::new(|_| Answer::new(429, "").header("Retry-After", "9"));
    let basic = Server::new(|_| challenge("Basic".to_owned()));
    let strange = Server::new(|_| challenge("Negotiate".to_owned()));
    let plain = Server::new(|_| challenge(r#"Bearer realm="http://auth.example/""#.to_owned()));
    let asking = format!("http://{}/", basic.host);
    let elsewhere = Server::new(move |_| Answer::new(307, "").header("Location", asking.clone()));
    let with = |auth: &Server| locked(auth, &["t"]);
    let error = |server: &Server, credentials| -> RegistryError {
        let name = reference(&format!("{}/a/b:1", server.host));
        client(credentials).manifest(&name).unwrap_err()
    };
    let none = Credentials::none;
    let rows = [
        error(&with(&refusing), none()),
        error(&with(&refusing), alice()),
        error(&with(&useless), none()),
        error(&with(&useless), alice()),
        error(&with(&broken), none()),
        error(&with(&limited), none()),
        error(&basic, none()),
        error(&basic, alice()),
        error(&strange, alice()),
        error(&plain, alice()),
        error(&elsewhere, alice()),
    ];
    let rows = rows.map(|error| {
        // Ports differ from run to run.
        let words = told(&error);
        let words = words.split("127.0.0.1:");
        let words: Vec<_> = words
            .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()))
            .collect();
        words.join("HOST")
    });
    insta::assert_snapshot!(rows.join("\n"), @r"
        Denied: registry `HOST` wants a login for `a/b` | log in with `docker login HOST` or `skopeo login HOST`; if nobody can see it, check the name
        Denied: registry `HOST` does not accept the login of `alice` | log in again: `docker login HOST` or `skopeo login HOST`
        Denied: registry `HOST` wants a login for `a/b`: authentication required | log in with `docker login HOST` or `skopeo login HOST`; if nobody can see it, check the name
        Denied: registry `HOST` does not accept the login of `alice`: authentication required | log in again: `docker login HOST` or `skopeo login HOST`
        Unavailable: the token server `HOST` of registry `HOST` gives no usable token
        Unavailable: registry `HOST` limits the number of requests | try again in 9 seconds, or log in to `HOST`
        Denied: registry `HOST` wants a login for `a/b`: authentication required | log in with `docker login HOST` or `skopeo login HOST`; if nobody can see it, check the name
        Denied: registry `HOST` does not accept the login of `alice`: authentication required | log in again: `docker login HOST` or `skopeo login HOST`
        Unsupported: registry `HOST` asks for a login in no way Hull knows (Negotiate)
        Untrusted: registry `HOST` wants the login sent to `http://auth.example/`, which is not encrypted
        Unavailable: `HOST` answers with status 401: authentication required
        ");
    assert!(!rows.join("").contains("secret"));
}

#[test]
fn a_login_can_be_checked() {
    let registry = Server::new(|asked| match asked.authorization.as_deref() {
        Some(ALICE) => Answer::new(200, "{}"),
        _ => challenge("Basic".to_owned()),
    });
    client(alice()).check(&registry.host).unwrap();
    let error = client(Credentials::none())
        .check(&registry.host)
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::LoginNeeded { .. }),
        "{error:?}"
    );
}
