//! Fetching manifests.

use hull_registry::{Client, Credentials, Options, RegistryError};
use hull_spec::image::{Family, MediaType};

use crate::server::{Answer, Server, address_of_this_machine, forward};
use crate::{client, reference, sha256, told};

const MANIFEST: &str = r#"{"schemaVersion":2,"config":{},"layers":[]}"#;
const OCI: &str = "application/vnd.oci.image.manifest.v1+json; charset=utf-8";

fn fetch(server: &Server, name: &str) -> Result<hull_registry::FetchedManifest, RegistryError> {
    let name = reference(&format!("{}/{name}", server.host));
    client(Credentials::none()).manifest(&name)
}

#[test]
fn manifests_come_with_type_and_digest() {
    let digest = sha256(MANIFEST.as_bytes()).to_string();
    let good = Answer::new(200, MANIFEST)
        .header("Content-Type", OCI)
        .header("Docker-Content-Digest", &digest);
    let by_digest = format!("/v2/a/b/manifests/{digest}");
    let vague = Answer::new(200, MANIFEST).header("Content-Type", "application/json");
    let server = Server::paths(vec![
        ("/v2/a/b/manifests/latest", good.clone()),
        ("/v2/a/b/manifests/1.0", vague),
        (&by_digest, good),
    ]);
    let latest = fetch(&server, "a/b").unwrap();
    assert_eq!(latest.bytes, MANIFEST.as_bytes());
    assert_eq!(latest.media_type, Some(MediaType::Manifest(Family::Oci)));
    assert_eq!(latest.digest.to_string(), digest);
    assert_eq!(fetch(&server, "a/b:1.0").unwrap().media_type, None);
    // A digest wins over a tag.
    assert_eq!(
        fetch(&server, &format!("a/b:1.0@{digest}")).unwrap(),
        latest
    );
    let log = server.log();
    assert_eq!(log[2].path, by_digest);
    for name in MediaType::acceptable() {
        assert!(log[0].accept.contains(name), "{}", log[0].accept);
    }
    let stated = client(Credentials::none()).digest(&reference(&format!("{}/a/b", server.host)));
    assert_eq!(stated.unwrap().unwrap().to_string(), digest);
    assert_eq!(server.log()[3].method, "HEAD");
}

#[test]
fn bytes_that_are_not_what_was_asked_for_are_refused() {
    let other = sha256(b"other").to_string();
    let by_digest = format!("/v2/a/manifests/{other}");
    let stated = |text: &str| Answer::new(200, MANIFEST).header("Docker-Content-Digest", text);
    let server = Server::paths(vec![
        (&by_digest, Answer::new(200, MANIFEST)),
        ("/v2/a/manifests/lies", stated(&other)),
        ("/v2/a/manifests/nonsense", stated("md5:00")),
        (
            "/v2/a/manifests/big",
            Answer::new(200, vec![b' '; (4 << 20) + 1]),
        ),
        (
            "/v2/a/manifests/endless",
            Answer {
                unstated: true,
                ..Answer::new(200, vec![b' '; 5 << 20])
            },
        ),
        (
            "/v2/a/manifests/limit",
            Answer::new(200, vec![b' '; 4 << 20]),
        ),
    ]);
    let error = |name: &str| told(&fetch(&server, name).unwrap_err()).replace(&server.host, "HOST");
    insta::assert_snapshot!([
        error(&format!("a@{other}")),
        error("a:lies"),
        error("a:nonsense"),
        error("a:big"),
        error("a:endless"),
    ].join("\n"), @r"
        Untrusted: registry `HOST` gave sha256:4108250765b19c4d5000be73d2bdd612bbb17a989972bcfd1adbf5085a9af46b where sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa was asked for
        Untrusted: registry `HOST` gave a manifest sha256:4108250765b19c4d5000be73d2bdd612bbb17a989972bcfd1adbf5085a9af46b and said it was sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
        Untrusted: registry `HOST` gave a manifest sha256:4108250765b19c4d5000be73d2bdd612bbb17a989972bcfd1adbf5085a9af46b and said it was md5:00
        InvalidInput: the manifest of `HOST/a:big` is larger than 4194304 bytes
        InvalidInput: the manifest of `HOST/a:endless` is larger than 4194304 bytes
        ");
    assert_eq!(fetch(&server, "a:limit").unwrap().bytes.len(), 4 << 20);
}

#[test]
fn refusals_are_named() {
    let said = |status, code, message| {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
        Answer::new(status, body)
    };
    let server = Server::paths(vec![
        (
            "/v2/a/manifests/tag",
            said(404, "MANIFEST_UNKNOWN", "manifest unknown"),
        ),
        (
            "/v2/b/manifests/tag",
            said(404, "NAME_UNKNOWN", "repository name not known to registry"),
        ),
        (
            "/v2/c/manifests/tag",
            said(429, "TOOMANYREQUESTS", "slow down").header("Retry-After", "7"),
        ),
        ("/v2/d/manifests/tag", said(403, "DENIED", "not yours")),
        ("/v2/e/manifests/tag", said(500, "UNKNOWN", "unknown error")),
        ("/v2/f/manifests/tag", Answer::new(204, "")),
        ("/v2/g/manifests/tag", Answer::new(401, "")),
    ]);
    let error = |name: &str| {
        told(&fetch(&server, &format!("{name}:tag")).unwrap_err()).replace(&server.host, "HOST")
    };
    insta::assert_snapshot!(["a", "b", "c", "d", "e", "f", "g"].map(error).join("\n"), @r"
        NotFound: `HOST/a:tag` is not in the registry | the name or the tag is unknown there; check both
        NotFound: `HOST` has no repository `b` | check the name; private repositories may look missing without a login
        Unavailable: registry `HOST` limits the number of requests: slow down | try again in 7 seconds, or log in to `HOST`
        Denied: registry `HOST` denies access to `d`: not yours
        Unavailable: `HOST` answers with status 500: unknown error
        Unavailable: `HOST` answers with status 204
        Unsupported: registry `HOST` asks for a login in no way Hull knows (no scheme named)
        ");
}

#[test]
fn redirects_are_followed_within_reason() {
    let target = Server::paths(vec![("/x", Answer::new(200, MANIFEST))]);
    let to = |location: String| Answer::new(307, "").header("Location", location);
    let server = Server::paths(vec![
        (
            "/v2/a/manifests/else",
            to(format!("http://{}/x", target.host)),
        ),
        (
            "/v2/a/manifests/near",
            to("/v2/a/manifests/else".to_owned()),
        ),
        (
            "/v2/a/manifests/loop",
            to("/v2/a/manifests/loop".to_owned()),
        ),
        (
            "/v2/a/manifests/plain",
            to("http://cdn.example/x".to_owned()),
        ),
        ("/v2/a/manifests/file", to("file:///etc/passwd".to_owned())),
        ("/v2/a/manifests/nowhere", Answer::new(307, "")),
    ]);
    for tag in ["else", "near"] {
        assert_eq!(
            fetch(&server, &format!("a:{tag}")).unwrap().bytes,
            MANIFEST.as_bytes()
        );
    }
    let error = |tag: &str| {
        told(&fetch(&server, &format!("a:{tag}")).unwrap_err()).replace(&server.host, "HOST")
    };
    insta::assert_snapshot!(["loop", "plain", "file", "nowhere"].map(error).join("\n"), @r"
        Unavailable: `HOST` redirects more than 5 times
        Untrusted: `HOST` redirects to `http://cdn.example/x`, which is not encrypted
        Unavailable: `HOST` redirects to a place that cannot be used <- `file:///etc/passwd` is not a http or https URL
        Unavailable: `HOST` answers with status 307
        ");
    let loops = server
        .log()
        .iter()
        .filter(|asked| asked.path.ends_with("loop"))
        .count();
    assert_eq!(loops, 6, "the first question and five redirects");
}

#[test]
fn servers_that_are_not_there_are_named() {
    let client = client(Credentials::none());
    let error = |name: &str| told(&client.manifest(&reference(name)).unwrap_err());
    // The kernel keeps port 1 closed.
    insta::assert_snapshot!(error("127.0.0.1:1/a"), @"Unavailable: cannot connect to `127.0.0.1:1` <- Connection refused (os error 111) | check the network, and $HTTPS_PROXY if there is a proxy");
    let unresolved = client
        .manifest(&reference("no-such-registry.invalid/a"))
        .unwrap_err();
    assert!(
        matches!(unresolved, RegistryError::Resolve { .. }),
        "{unresolved:?}"
    );
}

#[test]
fn hosts_must_be_named_to_be_spoken_to_without_encryption() {
    let server = Server::paths(vec![("/v2/a/manifests/latest", Answer::new(200, MANIFEST))]);
    let port = server.host.rsplit(':').next().unwrap();
    // The same server by an address that is not this machine by its very name.
    let Some(address) = address_of_this_machine() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let forward = forward(&address, port.parse().unwrap());
    let name = reference(&format!("{address}:{forward}/a"));
    let strict = client(Credentials::none()).manifest(&name).unwrap_err();
    assert!(matches!(strict, RegistryError::Tls { .. }), "{strict:?}");
    assert!(strict.hint().unwrap().contains("--insecure-registry"));
    let insecure = vec![format!("{address}:{forward}")];
    let named = Client::new(Options {
        insecure,
        ..Options::default()
    })
    .unwrap();
    assert_eq!(named.manifest(&name).unwrap().bytes, MANIFEST.as_bytes());
}
