//! Pulling as a user: with logins, over TLS, for platforms, by digest, and from registries that lie.

use std::path::PathBuf;

use hull_suites::{
    Change, DockerRegistry, Hull, Login, OciLayout, Registry, Serving, join_platforms, require,
    whole_life,
};

/// `alice:secret`, as `htpasswd -B` writes it.
const PASSWORDS: &str = "alice:$2b$05$Xr2oLbQKhh0sIuG.dKmQ9OB11Y/aWx9BzQPR8HPQrK56PlC.MJOoG\n";

/// An address that is this host's, and is not loopback.
const ADDRESS: &str = "192.0.2.7";

fn layout(hull: &Hull) -> PathBuf {
    let dir = hull.dir().join("oci");
    OciLayout::default()
        .busybox()
        .config(serde_json::json!({"Cmd": ["cat", "/etc/os-release"]}))
        .write(&dir, "1");
    dir
}

/// Serves the test's layout honestly.
fn serve(hull: &Hull, login: Login) -> Registry {
    let honest = |_: &str, _: &mut Vec<u8>| {};
    let serving = Serving {
        login,
        change: honest,
    };
    Registry::serve(&layout(hull), serving)
}

fn give_address(hull: &Hull) {
    hull.ok(&format!(
        "ip link add out type bridge && ip addr add {ADDRESS}/24 dev out && ip link set out up"
    ));
}

#[test]
fn passwords_come_from_the_files_that_docker_and_podman_share() {
    require!("docker-registry", "skopeo");
    let hull = Hull::new();
    layout(&hull);
    hull.write("htpasswd", PASSWORDS);
    let auth = format!(
        "auth: {{htpasswd: {{realm: test, path: {}/htpasswd}}}}\n",
        hull.dir().display()
    );
    let Some(registry) = DockerRegistry::start(hull.dir(), &auth) else {
        return;
    };
    let (host, image) = (registry.host(), registry.name("team/shop:1"));
    hull.ok(&format!("skopeo copy -q --dest-tls-verify=false --dest-creds alice:secret oci:oci:1 docker://{image}"));
    let login = |auth: &str| format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#);
    hull.write("wrong.json", login("YWxpY2U6d3Jvbmc="));
    for place in [
        "right.json",
        "home/.docker/config.json",
        "home2/.config/containers/auth.json",
        "docker/config.json",
    ] {
        hull.write(place, login("YWxpY2U6c2VjcmV0"));
    }
    let nobody = "env -u XDG_RUNTIME_DIR HOME=$T";
    let said = hull.fails(1, &format!("{nobody} hull pull {image}"));
    assert!(said.contains("login") && said.contains(&host), "{said}");
    let said = hull.fails(
        1,
        &format!("{nobody} REGISTRY_AUTH_FILE=$T/wrong.json hull pull {image}"),
    );
    assert!(
        said.contains("alice") && !said.contains("wrong\n"),
        "{said}"
    );
    assert_eq!(hull.ok("hull images -q | wc -l"), "0");
    for variables in [
        "REGISTRY_AUTH_FILE=$T/right.json",
        "HOME=$T/home",
        "HOME=$T/home2",
        "DOCKER_CONFIG=$T/docker",
    ] {
        assert_eq!(
            hull.ok(&format!("{nobody} {variables} hull pull -q {image}")),
            image
        );
        hull.ok(&format!("hull rmi {image}"));
    }
    hull.ok(&format!(
        "{nobody} REGISTRY_AUTH_FILE=$T/right.json hull pull {image}"
    ));
    whole_life(&hull, &image);
    hull.ok(&format!("hull rmi {image}"));
}

#[test]
fn tokens_are_fetched_with_and_without_a_password() {
    let hull = Hull::new();
    let open = serve(&hull, Login::Token);
    let image = format!("{}/team/shop:1", open.host);
    hull.ok(&format!("hull pull {image}"));
    whole_life(&hull, &image);
    hull.ok(&format!("hull rmi {image} && hull gc"));
    let closed = serve(&hull, Login::TokenForPassword);
    let image = format!("{}/team/shop:1", closed.host);
    let said = hull.fails(1, &format!("HOME=$T hull pull {image}"));
    assert!(said.contains(&closed.host), "{said}");
    hull.write(
        "auth.json",
        format!(
            r#"{{"auths":{{"{}":{{"auth":"YWxpY2U6c2VjcmV0"}}}}}}"#,
            closed.host
        ),
    );
    // By running it, too.
    assert!(
        hull.ok(&format!(
            "REGISTRY_AUTH_FILE=$T/auth.json hull run --rm --network none {image}"
        ))
        .contains("busybox")
    );
    whole_life(&hull, &image);
    hull.ok(&format!("hull rmi {image}"));
}

#[test]
fn plain_http_is_for_loopback_and_for_those_who_are_named() {
    require!("docker-registry", "skopeo");
    let hull = Hull::new();
    layout(&hull);
    give_address(&hull);
    let Some(registry) = DockerRegistry::start_at(ADDRESS, hull.dir(), "") else {
        return;
    };
    let (host, image) = (registry.host(), registry.name("team/shop:1"));
    hull.ok(&format!(
        "skopeo copy -q --dest-tls-verify=false oci:oci:1 docker://{image}"
    ));
    for verb in ["pull", "run --rm --network none"] {
        let ran = hull.sh(&format!("hull {verb} {image}"));
        assert!(
            ran.code != 0 && ran.err.contains(&format!("--insecure-registry {host}")),
            "{}",
            ran.text()
        );
    }
    hull.ok(&format!(
        "hull pull -q --insecure-registry {host} {image} && hull rmi {image}"
    ));
    hull.ok(&format!(
        "hull run --rm --network none --insecure-registry {host} {image} true && hull rmi {image}"
    ));
    hull.write(
        "root/config.json",
        format!(
            r#"{{"insecure-registries":["{host}"],"short-names":{{"registry":"{host}","namespace":"team"}}}}"#
        ),
    );
    hull.ok("hull pull -q shop:1");
    whole_life(&hull, "shop:1");
    hull.ok("hull rmi shop:1");
}

#[test]
fn certificates_are_judged_by_the_authority_that_is_named() {
    require!("docker-registry", "skopeo", "openssl");
    let hull = Hull::new();
    layout(&hull);
    give_address(&hull);
    hull.ok(&format!(
        "key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
         for name in ours theirs; do openssl req -x509 $key -days 2 -subj /CN=$name -keyout $name.key -out $name.pem; done
         openssl req $key -subj /CN=registry -keyout server.key -out server.csr
         printf 'subjectAltName=IP:{ADDRESS}\nbasicConstraints=CA:FALSE\n' > server.ext
         openssl x509 -req -in server.csr -CA ours.pem -CAkey ours.key -CAcreateserial -days 2 -extfile server.ext -out server.pem"
    ));
    let tls = format!(
        "  tls: {{certificate: {0}/server.pem, key: {0}/server.key}}\n",
        hull.dir().display()
    );
    let Some(registry) = DockerRegistry::start_at(ADDRESS, hull.dir(), &tls) else {
        return;
    };
    let image = registry.name("team/shop:1");
    hull.ok(&format!(
        "skopeo copy -q --dest-tls-verify=false oci:oci:1 docker://{image}"
    ));
    let trust = |authority: &str| {
        hull.write(
            "root/config.json",
            format!(
                r#"{{"certificates":"{}/{authority}.pem"}}"#,
                hull.dir().display()
            ),
        );
    };
    let said = hull.fails(1, &format!("hull pull {image}"));
    assert!(said.contains("certificate"), "{said}");
    trust("theirs");
    let said = hull.fails(1, &format!("hull pull {image}"));
    assert!(said.contains("certificate"), "{said}");
    trust("ours");
    hull.ok(&format!("hull pull {image}"));
    whole_life(&hull, &image);
    hull.ok(&format!("hull rmi {image}"));
}

#[test]
fn index_gives_this_machines_image_or_the_platform_that_is_asked_for() {
    let hull = Hull::new();
    let own = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    };
    let build = |architecture: &'static str, change: fn(&mut serde_json::Value)| {
        let dir = hull.dir().join(architecture);
        let mut image = OciLayout::default().busybox();
        image.change_config = change;
        image.write(&dir, "x");
        (architecture, dir)
    };
    let layouts = [
        build("s390x", |config| config["architecture"] = "s390x".into()),
        build(own, |_| {}),
    ];
    let index = join_platforms(&layouts, &hull.dir().join("both"), "1");
    let serving = Serving {
        login: Login::Nothing,
        change: |_, _| {},
    };
    let registry = Registry::serve(&hull.dir().join("both"), serving);
    let image = format!("{}/team/shop", registry.host);
    let architecture = |image: &str| {
        hull.ok(&format!(
            "hull inspect --type image -f '{{{{.Architecture}}}}' {image}"
        ))
    };
    let pulled = hull.ok(&format!("hull pull {image}:1"));
    assert!(pulled.contains(&format!("Digest: {index}")), "{pulled}");
    assert_eq!(architecture(&format!("{image}:1")), own);
    whole_life(&hull, &format!("{image}:1"));
    hull.ok(&format!(
        "hull rmi {image}:1 && hull pull -q --platform linux/s390x {image}:1"
    ));
    assert_eq!(architecture(&format!("{image}:1")), "s390x");
    let said = hull.fails(1, &format!("hull pull --platform linux/riscv64 {image}:1"));
    assert!(said.contains("riscv64"), "{said}");
    hull.ok(&format!("hull rmi {image}:1"));
    // The index's digest, and that of one of its manifests.
    hull.ok(&format!("hull pull -q {image}@{index}"));
    hull.ok(&format!(
        "hull run --rm --network none {image}@{index} true && hull rmi {image}@{index}"
    ));
}

#[test]
fn what_is_not_there_and_what_is_not_what_was_pinned_is_said() {
    let hull = Hull::new();
    let registry = serve(&hull, Login::Nothing);
    let host = &registry.host;
    hull.ok(&format!("hull pull -q {host}/team/shop:1"));
    for verb in ["pull", "run --rm --network none"] {
        let ran = hull.sh(&format!("hull {verb} {host}/team/shpo:1"));
        let near = format!("did you mean {host}/team/shop:1?");
        assert!(ran.code != 0 && ran.err.contains(&near), "{}", ran.text());
    }
    hull.fails(1, &format!("hull pull {host}/team/shop:2"));
    hull.fails(1, &format!("hull pull {host}/other/shop:1"));
    let wrong = "0".repeat(64);
    hull.fails(1, &format!("hull pull {host}/team/shop@sha256:{wrong}"));
    // A pin of the policy's.
    hull.write(
        "root/trust/policy.json",
        format!(r#"{{"version":1,"rules":[{{"prefix":"{host}/team/","pin":"sha256:{wrong}"}}]}}"#),
    );
    let said = hull.fails(1, &format!("hull pull {host}/team/shop:1"));
    assert!(said.contains(&wrong), "{said}");
    assert_eq!(hull.ok("hull images -q | wc -l"), "1");
    hull.ok(&format!("hull rmi {host}/team/shop:1"));
}

#[test]
fn registry_that_lies_is_caught_and_leaves_nothing() {
    let hull = Hull::new();
    let dir = layout(&hull);
    let files = "cd $HULL_ROOT && find images/blobs images/ingest layers -type f ! -name .lock 2>/dev/null | sort; hull images -q";
    let lies: [(&str, Change); 5] = [
        ("another layer", |path, body| {
            if path.contains("/blobs/") && body.len() > 100_000 {
                body[50_000] ^= 1;
            }
        }),
        ("a layer cut short", |path, body| {
            if path.contains("/blobs/") && body.len() > 100_000 {
                body.truncate(90_000);
            }
        }),
        ("another configuration", |path, body| {
            if path.contains("/blobs/") && body.len() < 100_000 {
                let text = String::from_utf8_lossy(body).replace("os-release", "os-changed");
                *body = text.into_bytes();
            }
        }),
        ("another manifest", |path, body| {
            if path.contains("/manifests/") {
                let text = String::from_utf8_lossy(body).replace("\"size\":", "\"Size\":");
                *body = text.into_bytes();
            }
        }),
        ("no manifest at all", |path, body| {
            if path.contains("/manifests/") {
                body.fill(b'x');
            }
        }),
    ];
    hull.sh("hull images");
    let before = hull.sh(files).out;
    for (lie, change) in lies {
        let serving = Serving {
            login: Login::Nothing,
            change,
        };
        let registry = Registry::serve(&dir, serving);
        let said = hull.fails(1, &format!("hull pull {}/team/shop:1", registry.host));
        assert!(said.contains("because:"), "{lie}: {said}");
        assert_eq!(hull.sh(files).out, before, "{lie}: {said}");
        assert_eq!(
            hull.sh(&format!(
                "hull run --rm --network none {}/team/shop:1",
                registry.host
            ))
            .code,
            125,
            "{lie}"
        );
    }
    let registry = serve(&hull, Login::Nothing);
    hull.ok(&format!("hull pull -q {0}/team/shop:1 && hull run --rm --network none {0}/team/shop:1 && hull rmi {0}/team/shop:1", registry.host));
}
