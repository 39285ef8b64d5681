use hull_types::Digest;
use serde_json::json;

use super::*;
use crate::image::{Family, PlatformFields};

/// An index with one image for each platform; the number in the digest is its place.
fn index(platforms: &[&str]) -> Index {
    let entry = |(place, platform): (usize, &&str)| {
        let mut parts = platform.split('/').map(str::to_owned);
        let hash = [u8::try_from(place).unwrap(); 32];
        let mut descriptor =
            Descriptor::new(MediaType::Manifest(Family::Oci), Digest::sha256(&hash), 1);
        if !platform.is_empty() {
            descriptor.platform = Some(PlatformFields {
                os: parts.next().unwrap(),
                architecture: parts.next().unwrap(),
                variant: parts.next(),
                ..PlatformFields::default()
            });
        }
        descriptor
    };
    Index {
        manifests: platforms.iter().enumerate().map(entry).collect(),
        ..Index::default()
    }
}

fn platform(text: &str) -> Platform {
    let mut parts = text.split('/').map(str::to_owned);
    Platform {
        os: parts.next().unwrap(),
        architecture: parts.next().unwrap(),
        variant: parts.next(),
    }
}

#[test]
fn the_nearest_platform_is_taken() {
    for (wanted, offered, expected) in [
        ("linux/amd64", &["linux/arm64", "linux/amd64"][..], Some(1)),
        ("linux/amd64", &["linux/amd64/v1"], Some(0)),
        ("linux/amd64", &["linux/amd64/v3", "linux/amd64"], Some(1)),
        ("linux/amd64", &["linux/amd64/v3"], None),
        (
            "linux/amd64/v3",
            &["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"],
            Some(1),
        ),
        (
            "linux/amd64/v3",
            &["linux/amd64", "linux/amd64/v3"],
            Some(1),
        ),
        ("linux/x86_64", &["linux/amd64"], Some(0)),
        ("linux/amd64", &["linux/x86_64"], Some(0)),
        ("linux/arm64", &["linux/arm/v7", "linux/arm64/v8"], Some(1)),
        ("linux/arm64/v8", &["linux/arm64"], Some(0)),
        (
            "linux/arm64/v8.2",
            &["linux/arm64/v8", "linux/arm64/v9"],
            Some(0),
        ),
        ("linux/arm64", &["linux/arm64/v9"], None),
        (
            "linux/arm/v7",
            &["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"],
            Some(1),
        ),
        ("linux/arm", &["linux/arm/v7"], Some(0)),
        ("linux/arm/v6", &["linux/arm/v7"], None),
        ("linux/riscv64", &["linux/riscv64"], Some(0)),
        ("linux/riscv64", &["linux/riscv64/rva23u64"], None),
        ("linux/amd64", &["windows/amd64"], None),
        ("linux/amd64", &["linux/386"], None),
        ("linux/amd64", &["linux/amd64", "linux/amd64"], Some(0)),
        (
            "linux/amd64",
            &["unknown/unknown", "linux/amd64", "unknown/unknown"],
            Some(1),
        ),
        ("linux/amd64", &["unknown/unknown"], None),
        ("linux/amd64", &[""], Some(0)),
        ("linux/amd64", &["", ""], None),
        ("linux/amd64", &["", "linux/amd64"], Some(1)),
        ("linux/amd64", &["", "linux/arm64"], Some(0)),
        ("linux/amd64", &[], None),
    ] {
        let index = index(offered);
        let found = index.select(&platform(wanted)).ok();
        let place = found.map(|found| {
            index
                .manifests
                .iter()
                .position(|one| one.digest == found.digest)
                .unwrap()
        });
        assert_eq!(place, expected, "{wanted} from {offered:?}");
    }
}

#[test]
fn statements_about_images_are_not_images() {
    let mut index = index(&["linux/amd64", "linux/arm64"]);
    index.manifests[1].annotations.insert(
        "vnd.docker.reference.digest".to_owned(),
        "sha256:0".to_owned(),
    );
    assert_eq!(index.platforms(), ["linux/amd64"]);
    index.manifests[0].media_type = MediaType::parse("application/vnd.example+json");
    assert!(index.platforms().is_empty());
}

#[test]
fn a_missing_platform_names_the_others() {
    let error = index(&["linux/s390x", "linux/arm/v7"])
        .select(&platform("linux/amd64"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no image for linux/amd64 in the index; it has linux/s390x, linux/arm/v7"
    );
    assert_eq!(error.kind(), hull_types::ErrorKind::NotFound);
    assert_eq!(
        error.hint().unwrap(),
        "`--platform linux/s390x` takes another one"
    );
}

#[test]
fn what_could_be_read_as_a_manifest_is_refused() {
    let text = json!({"schemaVersion": 2, "manifests": []});
    assert!(Index::parse(text.to_string().as_bytes()).is_ok());
    for key in ["layers", "config", "Layers"] {
        let mut text = text.clone();
        text[key] = json!([]);
        let parsed = Index::parse(text.to_string().as_bytes());
        assert!(
            matches!(parsed, Err(DocumentError::Ambiguous { .. })),
            "{key}"
        );
    }
    let list = json!({
        "schemaVersion": 2, "manifests": null,
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
    });
    assert!(Index::parse(list.to_string().as_bytes()).is_ok());
}

#[test]
fn an_index_is_written_and_read_back() {
    let index = index(&["linux/amd64/v2", ""]);
    assert_eq!(Index::parse(&index.to_json()).unwrap(), index);
    assert_eq!(
        Index::parse(&Index::default().to_json()).unwrap(),
        Index::default()
    );
}
