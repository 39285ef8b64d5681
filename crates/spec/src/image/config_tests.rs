use serde_json::json;

use super::*;

const DIFF: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn a_configuration_as_docker_writes_it_is_read() {
    let text = json!({
        "architecture": "amd64", "os": "linux", "created": "2024-05-22T23:18:11.123456789Z",
        "docker_version": "20.10.24", "container": "abc", "container_config": {"Cmd": ["x"]},
        "config": {
            "Hostname": "", "AttachStdin": false, "User": "www-data:33", "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
            "Env": ["PATH=/bin"], "Cmd": ["nginx", "-g"], "Entrypoint": null, "Image": "sha256:1",
            "Volumes": {"/data": {}}, "WorkingDir": "/srv", "OnBuild": null, "Labels": {"K": "v", "k": "w"},
            "StopSignal": "SIGQUIT", "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5}, "Shell": ["/bin/bash", "-c"]
        },
        "rootfs": {"type": "layers", "diff_ids": [DIFF]},
        "history": [{"created_by": "ADD"}, {"created_by": "CMD", "empty_layer": true}]
    });
    let image = ImageConfig::parse(text.to_string().as_bytes()).unwrap();
    let config = &image.config;
    assert_eq!(image.platform().to_string(), "linux/amd64");
    assert!(image.created_at().is_some());
    assert_eq!(
        config.exposed_ports.iter().collect::<Vec<_>>(),
        ["53/udp", "80/tcp"]
    );
    assert_eq!(config.volumes.iter().collect::<Vec<_>>(), ["/data"]);
    assert_eq!(config.cmd, ["nginx", "-g"]);
    assert!(config.entrypoint.is_empty() && config.on_build.is_empty());
    assert_eq!(config.labels.len(), 2);
    assert_eq!(config.healthcheck.as_ref().unwrap()["Interval"], 5);
    assert!(image.history[1].empty_layer && !image.history[0].empty_layer);
    assert_eq!(ImageConfig::parse(&image.to_json()).unwrap(), image);
}

#[test]
fn old_and_odd_spellings_are_read() {
    let text = json!({
        "config": {"Cmd": "top", "ExposedPorts": ["80"], "Env": null, "Labels": null, "Volumes": null},
        "rootfs": {"type": "layers", "diff_ids": null}
    });
    let image = ImageConfig::parse(text.to_string().as_bytes()).unwrap();
    assert_eq!(image.config.cmd, ["top"]);
    assert_eq!(image.platform().os, "linux");
    let bare = json!({"architecture": "arm64", "os": "linux", "config": null, "rootfs": {"type": "layers", "diff_ids": []}});
    assert_eq!(
        ImageConfig::parse(bare.to_string().as_bytes())
            .unwrap()
            .config,
        ConfigSection::default()
    );
    let ancient = json!({"created": "0001-01-01T00:00:00Z", "rootfs": {"type": "layers"}});
    let _either = ImageConfig::parse(ancient.to_string().as_bytes())
        .unwrap()
        .created_at();
}

#[test]
fn sets_are_written_as_go_writes_them() {
    let mut image = ImageConfig::default();
    image.config.volumes.insert("/data".to_owned());
    let text = String::from_utf8(image.to_json()).unwrap();
    assert!(text.contains(r#""Volumes":{"/data":{}}"#), "{text}");
}

#[test]
fn what_cannot_be_unpacked_is_refused() {
    let many = vec![DIFF; MAX_LAYERS + 1];
    for (rootfs, expected) in [
        (
            json!({"type": "layers+base", "diff_ids": []}),
            "type `layers+base`",
        ),
        (
            json!({"type": "layers", "diff_ids": ["sha256:xyz"]}),
            "rootfs.diff_ids[0]",
        ),
        (json!({"type": "layers", "diff_ids": many}), "501 entries"),
        (json!({"diff_ids": []}), "rootfs"),
    ] {
        let text = json!({ "rootfs": rootfs }).to_string();
        let error = ImageConfig::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(ImageConfig::parse(b"{}").is_err());
    let twice = format!(r#"{{"rootfs":{{"type":"layers","diff_ids":["{DIFF}"],"diff_ids":[]}}}}"#);
    assert!(ImageConfig::parse(twice.as_bytes()).is_err());
}

proptest::proptest! {
    #[test]
    fn whatever_is_written_is_read_back(
        (user, working_dir) in proptest::prelude::any::<(String, String)>(),
        (env, cmd) in proptest::prelude::any::<(Vec<String>, Vec<String>)>(),
        (volumes, labels) in proptest::prelude::any::<(BTreeSet<String>, BTreeMap<String, String>)>(),
    ) {
        let config = ConfigSection { user, working_dir, env, cmd, volumes, labels, ..ConfigSection::default() };
        let image = ImageConfig { config, ..ImageConfig::default() };
        proptest::prop_assert_eq!(ImageConfig::parse(&image.to_json()).unwrap(), image);
    }
}
