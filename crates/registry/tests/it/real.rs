//! Debian's docker-registry, filled by skopeo: plain, with a password, and with TLS.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::{address_of_this_machine, forward};
use crate::{reference, sha256};
use hull_registry::{Client, Credential, Credentials, Options, RegistryError};
use hull_spec::image::{Document, Manifest};
use hull_suites::DockerRegistry;

struct Registry {
    server: DockerRegistry,
    directory: tempfile::TempDir,
}

fn write(path: &Path, text: &str) {
    fs::File::create(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

/// Starts one with these lines added to its configuration, or says what is missing.
fn start(extra: impl Fn(&Path) -> String) -> Option<Registry> {
    let directory = tempfile::tempdir().unwrap();
    let server = DockerRegistry::start(directory.path(), &extra(directory.path()))?;
    Some(Registry { server, directory })
}

/// Makes an OCI layout with one layer of some size and copies it to the registry.
fn fill(registry: &Registry, more: &[&str]) -> Option<Vec<u8>> {
    let layout = registry.directory.path().join("layout");
    let layer: Vec<u8> = (0..3_000_000_u32)
        .flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes())
        .take(5_000_001)
        .collect();
    let blob = |bytes: &[u8]| {
        let digest = sha256(bytes);
        let directory = layout.join("blobs/sha256");
        fs::create_dir_all(&directory).unwrap();
        fs::File::create(directory.join(digest.hex()))
            .unwrap()
            .write_all(bytes)
            .unwrap();
        (digest, bytes.len())
    };
    let (diff_id, size) = blob(&layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}},"history":[]}}"#
    );
    let (config_digest, config_size) = blob(config.as_bytes());
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config_digest}","size":{config_size}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{diff_id}","size":{size}}}]}}"#
    );
    let (manifest_digest, manifest_size) = blob(manifest.as_bytes());
    write(
        &layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    );
    write(
        &layout.join("index.json"),
        &format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{manifest_digest}","size":{manifest_size},"annotations":{{"org.opencontainers.image.ref.name":"one"}}}}]}}"#
        ),
    );
    let target = format!("docker://127.0.0.1:{}/team/app:1", registry.server.port());
    let source = format!("oci:{}:one", layout.display());
    let skopeo = Command::new("skopeo")
        .args([
            "copy",
            "--quiet",
            "--insecure-policy",
            "--dest-tls-verify=false",
            "--dest-oci-accept-uncompressed-layers",
        ])
        .args(more)
        .args([&source, &target])
        .env("REGISTRY_AUTH_FILE", "/nowhere")
        .output();
    match skopeo {
        Ok(output) if output.status.success() => Some(layer),
        Ok(output) => panic!("skopeo: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("skipped: no skopeo: {error}");
            None
        }
    }
}

/// Pulls all there is and checks every byte.
fn pull(client: &Client, port: u16, expected: &[u8]) {
    let name = reference(&format!("127.0.0.1:{port}/team/app:1"));
    let fetched = client.manifest(&name).unwrap();
    let document = Document::parse(&fetched.bytes, fetched.media_type.as_ref()).unwrap();
    let Document::Manifest(Manifest { config, layers, .. }) = document else {
        panic!("an index came");
    };
    assert_eq!(client.digest(&name).unwrap(), Some(fetched.digest.clone()));
    assert_eq!(
        client.manifest(&name.at(fetched.digest.clone())).unwrap(),
        fetched
    );
    for descriptor in layers.iter().chain([&config]) {
        let mut bytes = Vec::new();
        client
            .blob(&name, descriptor)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        assert_eq!(sha256(&bytes), descriptor.digest);
        if layers.contains(descriptor) {
            // skopeo may have compressed it.
            assert!(bytes == expected || bytes.starts_with(&[0x1f, 0x8b]));
        }
    }
    let error = client
        .manifest(&reference(&format!("127.0.0.1:{port}/team/app:2")))
        .unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    let error = client
        .manifest(&reference(&format!("127.0.0.1:{port}/nobody/app:1")))
        .unwrap_err();
    assert!(
        matches!(
            error,
            RegistryError::NotFound { .. } | RegistryError::NoRepository { .. }
        ),
        "{error:?}"
    );
    let mut missing = config;
    missing.digest = sha256(b"missing");
    let error = client.blob(&name, &missing).unwrap_err();
    assert!(matches!(error, RegistryError::NoBlob { .. }), "{error:?}");
}

fn options(credentials: Credentials) -> Options {
    Options {
        credentials,
        ..Options::default()
    }
}

#[test]
fn a_plain_registry_gives_everything() {
    let Some(registry) = start(|_| String::new()) else {
        return;
    };
    let Some(layer) = fill(&registry, &[]) else {
        return;
    };
    let client = Client::new(options(Credentials::none())).unwrap();
    pull(&client, registry.server.port(), &layer);
    client
        .check(&format!("127.0.0.1:{}", registry.server.port()))
        .unwrap();
}

#[test]
fn a_password_opens_a_registry() {
    let Some(hash) = bcrypt() else {
        eprintln!("skipped: no python3 with crypt to make a bcrypt hash");
        return;
    };
    let with_password = |root: &Path| {
        let file = root.join("htpasswd");
        write(&file, &format!("alice:{hash}\n"));
        format!(
            "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
            file.display()
        )
    };
    let Some(registry) = start(with_password) else {
        return;
    };
    let Some(layer) = fill(&registry, &["--dest-creds", "alice:secret"]) else {
        return;
    };
    let file = registry.directory.path().join("auth.json");
    write(
        &file,
        &format!(
            r#"{{"auths":{{"127.0.0.1:{}":{{"auth":"YWxpY2U6c2VjcmV0"}}}}}}"#,
            registry.server.port()
        ),
    );
    let client = Client::new(options(Credentials::files(vec![file]))).unwrap();
    pull(&client, registry.server.port(), &layer);
    let name = reference(&format!("127.0.0.1:{}/team/app:1", registry.server.port()));
    let error = Client::new(options(Credentials::none()))
        .unwrap()
        .manifest(&name)
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::LoginNeeded { .. }),
        "{error:?}"
    );
    let wrong = Credential::Password {
        user: "alice".to_owned(),
        password: "wrong".to_owned(),
    };
    let error = Client::new(options(Credentials::given(wrong)))
        .unwrap()
        .manifest(&name)
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::LoginRefused { .. }),
        "{error:?}"
    );
}

fn bcrypt() -> Option<String> {
    let code = "import crypt; print(crypt.crypt('secret', crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=32)))";
    let output = Command::new("python3")
        .args(["-W", "ignore", "-c", code])
        .output()
        .ok()?;
    let hash = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    hash.starts_with("$2").then_some(hash)
}

#[test]
fn certificates_are_checked() {
    let Some(address) = address_of_this_machine() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let files = |root: &Path| (root.join("cert.pem"), root.join("key.pem"));
    let with_tls = |root: &Path| {
        let (cert, key) = files(root);
        if make_certificate(&format!("IP:{address}"), &cert, &key) {
            format!(
                "  tls:\n    certificate: {}\n    key: {}\n",
                cert.display(),
                key.display()
            )
        } else {
            String::new()
        }
    };
    let Some(registry) = start(with_tls) else {
        return;
    };
    let (cert, other) = files(registry.directory.path());
    if !cert.exists() {
        eprintln!("skipped: openssl cannot make a certificate");
        return;
    }
    let Some(layer) = fill(&registry, &[]) else {
        return;
    };
    // Loopback needs no certificate, and its TLS is noticed.
    pull(
        &Client::new(options(Credentials::none())).unwrap(),
        registry.server.port(),
        &layer,
    );
    let port = forward(&address, registry.server.port());
    let name = reference(&format!("{address}:{port}/team/app:1"));
    let with = |certificates: Option<PathBuf>| {
        Client::new(Options {
            certificates,
            ..options(Credentials::none())
        })?
        .manifest(&name)
    };
    let unknown = with(None).unwrap_err();
    assert!(
        matches!(unknown, RegistryError::Certificate { .. }),
        "{unknown:?}"
    );
    with(Some(cert)).unwrap();
    let none = with(Some(other)).unwrap_err();
    assert!(
        matches!(none, RegistryError::Certificates { .. }),
        "{none:?}"
    );
    let foreign = registry.directory.path().join("foreign.pem");
    assert!(make_certificate(
        "DNS:other.example",
        &foreign,
        &registry.directory.path().join("k")
    ));
    let wrong = with(Some(foreign)).unwrap_err();
    assert!(
        matches!(wrong, RegistryError::Certificate { .. }),
        "{wrong:?}"
    );
    let insecure = vec![format!("{address}:{port}")];
    let named = Client::new(Options {
        insecure,
        ..options(Credentials::none())
    })
    .unwrap();
    assert!(named.manifest(&name).is_ok(), "named insecure");
}

/// Makes a certificate that vouches for itself and for nobody else.
fn make_certificate(names: &str, certificate: &Path, key: &Path) -> bool {
    let config = certificate.with_extension("cnf");
    // Without one, openssl makes an authority, which is not a server.
    write(&config, "[req]\ndistinguished_name = name\n[name]\n");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=registry",
            "-addext",
            "basicConstraints=CA:FALSE",
        ])
        .args(["-addext", &format!("subjectAltName={names}"), "-config"])
        .arg(config)
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output();
    made.is_ok_and(|output| output.status.success())
}
