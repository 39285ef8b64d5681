use serde_json::{Value, json};

use super::*;
use crate::image::Family;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn descriptor(media_type: &str) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{HEX}"), "size": 7})
}

fn manifest() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip")],
        "annotations": {"a": "1", "A": "2"},
    })
}

fn with(key: &str, value: Value) -> Vec<u8> {
    let mut document = manifest();
    document[key] = value;
    document.to_string().into_bytes()
}

#[test]
fn oci_and_docker_manifests_are_one_model() {
    let oci = Manifest::parse(manifest().to_string().as_bytes()).unwrap();
    let docker = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": descriptor("application/vnd.docker.container.image.v1+json"),
        "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip")],
    });
    let docker = Manifest::parse(docker.to_string().as_bytes()).unwrap();
    assert_eq!(docker.media_type, Some(MediaType::Manifest(Family::Docker)));
    assert!(oci.is_image() && docker.is_image());
    assert_eq!(oci.layers[0].digest, docker.layers[0].digest);
    assert_eq!(Manifest::parse(&oci.to_json()).unwrap(), oci);
}

#[test]
fn an_artifact_is_read_but_is_no_image() {
    let artifact = Manifest::parse(&with(
        "config",
        descriptor("application/vnd.oci.empty.v1+json"),
    ))
    .unwrap();
    assert!(!artifact.is_image());
    let foreign =
        Manifest::parse(&with("layers", json!([descriptor("application/wasm")]))).unwrap();
    assert!(!foreign.is_image());
}

#[test]
fn what_could_be_read_as_an_index_is_refused() {
    for key in ["manifests", "Manifests"] {
        let both = with(
            key,
            json!([descriptor("application/vnd.oci.image.manifest.v1+json")]),
        );
        assert!(
            matches!(Manifest::parse(&both), Err(DocumentError::Ambiguous { .. })),
            "{key}"
        );
        assert!(
            matches!(
                Document::parse(&both, None),
                Err(DocumentError::Ambiguous { .. })
            ),
            "{key}"
        );
    }
    let index = with(
        "mediaType",
        json!("application/vnd.oci.image.index.v1+json"),
    );
    assert!(matches!(
        Manifest::parse(&index),
        Err(DocumentError::MediaType { .. })
    ));
}

#[test]
fn a_key_given_twice_is_refused_anywhere() {
    let text = manifest().to_string();
    for (once, twice) in [
        (
            r#""schemaVersion":2"#,
            r#""schemaVersion":2,"schemaVersion":2"#,
        ),
        (r#""schemaVersion":2"#, r#""schemaVersion":2,"Layers":[]"#),
        (r#""size":7"#, r#""size":7,"Size":8"#),
        (r#""a":"1""#, r#""a":"1","a":"3""#),
        (
            r#""schemaVersion":2"#,
            r#""schemaVersion":2,"x":{"y":1,"y":2}"#,
        ),
    ] {
        let text = text.replacen(once, twice, 1);
        assert_ne!(text, manifest().to_string());
        match Manifest::parse(text.as_bytes()) {
            Err(DocumentError::Malformed { source, .. }) => {
                assert!(source.to_string().contains("appears twice"), "{source}");
            }
            other => panic!("{twice}: {other:?}"),
        }
    }
}

#[test]
fn schema_1_is_refused_by_name() {
    for text in [
        r#"{"schemaVersion":1,"name":"x","fsLayers":[{"blobSum":"sha256:00"}],"history":[],"signatures":[]}"#,
        r#"{"schemaVersion":1,"layers":[],"config":{}}"#,
    ] {
        let error = Document::parse(text.as_bytes(), None).unwrap_err();
        if text.contains("fsLayers") {
            assert!(matches!(error, DocumentError::Schema1), "{error}");
        }
    }
    assert!(matches!(
        Manifest::parse(&with("schemaVersion", json!(1))),
        Err(DocumentError::Schema1)
    ));
    assert!(matches!(
        Manifest::parse(&with("schemaVersion", json!(3))),
        Err(DocumentError::SchemaVersion { version: 3, .. })
    ));
}

#[test]
fn sizes_and_counts_are_bounded() {
    let layers = vec![descriptor("application/vnd.oci.image.layer.v1.tar"); MAX_LAYERS + 1];
    assert!(matches!(
        Manifest::parse(&with("layers", json!(layers))),
        Err(DocumentError::TooMany { .. })
    ));
    let large = with("x", json!("y".repeat(MAX_DOCUMENT_BYTES)));
    assert!(matches!(
        Manifest::parse(&large),
        Err(DocumentError::TooLarge { .. })
    ));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = format!(r#"{{"schemaVersion":2,"x":{deep}}}"#);
    assert!(matches!(
        Manifest::parse(deep.as_bytes()),
        Err(DocumentError::Malformed { .. })
    ));
}

#[test]
fn bad_digests_and_sizes_never_get_in() {
    for (key, value) in [
        ("digest", json!("sha256:../../etc/passwd")),
        ("digest", json!(format!("sha256:{}", HEX.to_uppercase()))),
        ("digest", json!("md5:d41d8cd98f00b204e9800998ecf8427e")),
        ("size", json!(-1)),
        ("size", json!(9_223_372_036_854_775_808_u64)),
        ("size", json!(1.5)),
        ("mediaType", json!(null)),
    ] {
        let mut layer = descriptor("application/vnd.oci.image.layer.v1.tar");
        layer[key] = value.clone();
        match Manifest::parse(&with("layers", json!([layer]))) {
            Err(DocumentError::Malformed { path, .. }) => {
                assert_eq!(path, format!("layers[0].{key}"))
            }
            other => panic!("{key} {value}: {other:?}"),
        }
    }
}

#[test]
fn the_announced_type_must_be_the_documents() {
    let text = manifest().to_string().into_bytes();
    let oci = MediaType::Manifest(Family::Oci);
    let docker = MediaType::Manifest(Family::Docker);
    let index = MediaType::Index(Family::Oci);
    assert!(matches!(
        Document::parse(&text, Some(&oci)),
        Ok(Document::Manifest(_))
    ));
    assert!(matches!(
        Document::parse(&text, Some(&docker)),
        Err(DocumentError::Announced { .. })
    ));
    let mut silent = manifest();
    silent.as_object_mut().unwrap().remove("mediaType");
    let silent = silent.to_string().into_bytes();
    assert!(Document::parse(&silent, Some(&docker)).is_ok());
    assert!(matches!(
        Document::parse(&silent, Some(&index)),
        Err(DocumentError::MediaType { .. })
    ));
    assert!(matches!(
        Document::parse(br#"{"schemaVersion":2}"#, None),
        Err(DocumentError::Shapeless)
    ));
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ignored = Document::parse(&bytes, None);
    }
}
