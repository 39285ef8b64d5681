use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const FULL: &str = include_str!("../../testdata/full.json");

fn full() -> Value {
    serde_json::from_str(FULL).unwrap()
}

fn parse(value: &Value) -> Result<Spec, SpecError> {
    Spec::parse(value.to_string().as_bytes())
}

/// The document that a JSON pointer with a replaced value makes.
fn with(pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let mut document = full();
    document.pointer_mut(parent).unwrap()[key] = value;
    document
}

#[test]
fn every_field_is_read_and_written_back() {
    let spec = Spec::parse(FULL.as_bytes()).unwrap();
    let written: Value = serde_json::from_slice(&spec.to_json()).unwrap();
    assert_eq!(written, full());
    assert_eq!(Spec::parse(&spec.to_json()).unwrap(), spec);
}

#[test]
fn an_unknown_field_is_refused_by_its_path() {
    for (pointer, path) in [
        ("/vm", "vm"),
        ("/windows", "windows"),
        ("/process/commandLine", "process.commandLine"),
        ("/linux/memoryPolicy", "linux.memoryPolicy"),
        (
            "/linux/resources/memory/limitt",
            "linux.resources.memory.limitt",
        ),
        ("/mounts/1/recAttr", "mounts.1.recAttr"),
        (
            "/linux/seccomp/syscalls/0/comment",
            "linux.seccomp.syscalls.0.comment",
        ),
    ] {
        // An index into a list is not a key.
        let document = if pointer.starts_with("/mounts") {
            let mut document = full();
            document["mounts"][1]["recAttr"] = json!(1);
            document
        } else if pointer.contains("syscalls") {
            let mut document = full();
            document["linux"]["seccomp"]["syscalls"][0]["comment"] = json!("");
            document
        } else {
            with(pointer, json!({}))
        };
        match parse(&document) {
            Err(SpecError::UnknownField(field)) => {
                assert_eq!(field, path, "{pointer}");
            }
            other => panic!("{pointer}: {other:?}"),
        }
        let (spec, ignored) = Spec::parse_tolerant(document.to_string().as_bytes()).unwrap();
        assert_eq!(ignored.len(), 1);
        assert_eq!(spec, Spec::parse(FULL.as_bytes()).unwrap());
    }
}

#[test]
fn a_wrong_value_is_named_by_its_path() {
    for (pointer, value, path) in [
        ("/process/user/uid", json!(-1), "process.user.uid"),
        (
            "/process/user/uid",
            json!(4_294_967_296_u64),
            "process.user.uid",
        ),
        ("/process/args", json!("sh"), "process.args"),
        (
            "/process/consoleSize/width",
            json!(65536),
            "process.consoleSize.width",
        ),
        (
            "/linux/rootfsPropagation",
            json!("sometimes"),
            "linux.rootfsPropagation",
        ),
        (
            "/linux/seccomp/defaultAction",
            json!("SCMP_ACT_MAYBE"),
            "linux.seccomp.defaultAction",
        ),
        (
            "/linux/resources/devices",
            json!([{"allow": true, "access": "x"}]),
            "linux.resources.devices[0].access",
        ),
        (
            "/linux/resources/devices",
            json!([{"allow": true, "major": -2}]),
            "linux.resources.devices[0].major",
        ),
        (
            "/linux/timeOffsets",
            json!({"realtime": {}}),
            "linux.timeOffsets",
        ),
        (
            "/linux/namespaces",
            json!([{"type": "planet"}]),
            "linux.namespaces[0].type",
        ),
        ("/mounts", json!([{"type": "tmpfs"}]), "mounts[0]"),
        ("/root", json!({}), "root"),
    ] {
        match parse(&with(pointer, value)) {
            Err(SpecError::Malformed { path: found, .. }) => assert_eq!(found, path),
            other => panic!("{pointer}: {other:?}"),
        }
    }
}

#[test]
fn a_field_given_twice_is_refused() {
    let twice = br#"{"ociVersion":"1.0.2","root":{"path":"a"},"root":{"path":"b"}}"#;
    assert!(matches!(
        Spec::parse(twice),
        Err(SpecError::Malformed { .. })
    ));
}

#[test]
fn only_version_1_is_read() {
    for (version, good) in [
        ("1.0.0", true),
        ("1.3.0-dev", true),
        ("0.9.0", false),
        ("2.0.0", false),
        ("", false),
    ] {
        let text = json!({ "ociVersion": version }).to_string();
        assert_eq!(Spec::parse(text.as_bytes()).is_ok(), good, "{version}");
    }
    assert!(matches!(
        Spec::parse(b"{}"),
        Err(SpecError::Malformed { .. })
    ));
    assert!(Spec::parse(b"").is_err());
    assert!(
        Spec::parse(br#"{"ociVersion":"1.0.0"} {}"#).is_err(),
        "text after the document"
    );
}

#[test]
fn null_means_absent() {
    let nulls = json!({
        "ociVersion": "1.0.2", "mounts": null, "annotations": null, "hooks": null,
        "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "args": null, "rlimits": null},
        "linux": {"resources": {"devices": [{"allow": true, "type": null, "major": -1, "minor": null}]}, "seccomp": null},
    });
    let spec = parse(&nulls).unwrap();
    let rule = &spec.linux.unwrap().resources.unwrap().devices[0];
    assert_eq!(
        (rule.kind, rule.major, rule.minor),
        (DeviceRuleKind::All, None, None)
    );
}

#[test]
fn the_state_document_has_the_standard_words() {
    let state = State {
        oci_version: OCI_VERSION.to_owned(),
        id: "c".to_owned(),
        status: Status::Running,
        pid: Some(7),
        bundle: "/b".into(),
        annotations: BTreeMap::new(),
    };
    let written = serde_json::to_string(&state).unwrap();
    assert_eq!(
        written,
        r#"{"ociVersion":"1.2.1","id":"c","status":"running","pid":7,"bundle":"/b"}"#
    );
    assert_eq!(serde_json::from_str::<State>(&written).unwrap(), state);
}

fn mapping() -> impl Strategy<Value = IdMapping> {
    any::<(u32, u32, u32)>().prop_map(|(container_id, host_id, size)| IdMapping {
        container_id,
        host_id,
        size,
    })
}

prop_compose! {
    fn process()(
        (terminal, no_new_privileges, oom_score_adj) in any::<(bool, bool, Option<i32>)>(),
        (uid, gid, umask, additional_gids) in any::<(u32, u32, Option<u32>, Vec<u32>)>(),
        (args, env, cwd) in any::<(Vec<String>, Vec<String>, String)>(),
        size in proptest::option::of(any::<(u16, u16)>()),
        caps in proptest::option::of(any::<(Vec<String>, Vec<String>)>()),
        limit in proptest::option::of(any::<(u64, u64)>()),
    ) -> Process {
        Process {
            terminal,
            no_new_privileges,
            oom_score_adj,
            user: User { uid, gid, umask, additional_gids },
            args,
            env,
            cwd: cwd.into(),
            console_size: size.map(|(height, width)| ConsoleSize { height, width }),
            capabilities: caps.map(|(bounding, ambient)| Capabilities { bounding, ambient, ..Capabilities::default() }),
            rlimits: limit.map(|(soft, hard)| Rlimit { kind: RlimitKind::Nofile, soft, hard }).into_iter().collect(),
            ..Process::default()
        }
    }
}

prop_compose! {
    fn rule()(
        allow: bool,
        kind in prop_oneof![Just(DeviceRuleKind::All), Just(DeviceRuleKind::Char), Just(DeviceRuleKind::Block)],
        (major, minor) in any::<(Option<u32>, Option<u32>)>(),
        access in proptest::option::of((1u8..8).prop_map(|bits| DeviceAccess {
            read: bits & 1 != 0, write: bits & 2 != 0, mknod: bits & 4 != 0,
        })),
    ) -> DeviceRule {
        DeviceRule { allow, kind, major, minor, access }
    }
}

prop_compose! {
    fn linux()(
        uid_mappings in proptest::collection::vec(mapping(), 0..3),
        (sysctl, cgroups_path) in any::<(BTreeMap<String, String>, Option<String>)>(),
        devices in proptest::collection::vec(rule(), 0..4),
        (limit, swap, quota) in any::<(Option<i64>, Option<i64>, Option<i64>)>(),
        masked in any::<Vec<String>>(),
    ) -> Linux {
        Linux {
            uid_mappings,
            sysctl,
            cgroups_path,
            masked_paths: masked.into_iter().map(Into::into).collect(),
            resources: Some(Resources {
                devices,
                memory: Some(Memory { limit, swap, ..Memory::default() }),
                cpu: Some(Cpu { quota, ..Cpu::default() }),
                ..Resources::default()
            }),
            ..Linux::default()
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(
        process in proptest::option::of(process()),
        linux in proptest::option::of(linux()),
        (hostname, annotations) in any::<(Option<String>, BTreeMap<String, String>)>(),
    ) {
        let spec = Spec { oci_version: OCI_VERSION.to_owned(), process, linux, hostname, annotations, ..Spec::default() };
        prop_assert_eq!(Spec::parse(&spec.to_json()).unwrap(), spec);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ignored = Spec::parse(&bytes);
    }
}

/// What `runc spec` and `crun spec` write; `oci-spec` 0.10 was asked once as well and agreed (its build takes longer than all of ours).
#[test]
fn bundles_of_other_tools_are_read_without_loss() {
    for text in [
        include_str!("../../testdata/runc-1.1.json"),
        include_str!("../../testdata/crun-1.8.json"),
    ] {
        let spec = Spec::parse(text.as_bytes()).unwrap();
        let written: Value = serde_json::from_slice(&spec.to_json()).unwrap();
        assert_eq!(written, without_empty(serde_json::from_str(text).unwrap()));
    }
}

/// Absent, empty and false are the same, except in a rule, where `allow` is always written.
fn without_empty(value: Value) -> Value {
    let says_nothing = |key: &str, value: &Value| {
        value == &json!([]) || value == &json!({}) || (value == &json!(false) && key != "allow")
    };
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, without_empty(value)))
            .filter(|(key, value)| !says_nothing(key, value))
            .collect(),
        Value::Array(list) => list.into_iter().map(without_empty).collect(),
        other => other,
    }
}
