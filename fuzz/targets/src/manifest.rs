//! Manifests, indexes and the documents of layouts and docker archives.

use hull_spec::image::{Document, Index, Manifest, docker_archive, layout};
use hull_types::Platform;

/// A document is one thing only, and what was read can be written and read as the same.
pub fn manifest(bytes: &[u8]) {
    let manifest = Manifest::parse(bytes);
    let index = Index::parse(bytes);
    assert!(
        manifest.is_err() || index.is_err(),
        "a manifest for one reader and an index for another"
    );
    match Document::parse(bytes, None) {
        Ok(Document::Manifest(read)) => assert_eq!(manifest.as_ref().ok(), Some(&read)),
        Ok(Document::Index(read)) => assert_eq!(index.as_ref().ok(), Some(&read)),
        Err(error) => super::explain(&error),
    }
    if let Ok(manifest) = manifest {
        let again = Manifest::parse(&manifest.to_json()).expect("what is written is read");
        assert_eq!(again, manifest);
    }
    if let Ok(index) = index {
        let again = Index::parse(&index.to_json()).expect("what is written is read");
        assert_eq!(again, index);
        if let Ok(chosen) = index.select(&Platform::host()) {
            assert!(index.images().any(|entry| entry == chosen));
        }
    }
    if let Ok(images) = docker_archive::parse(bytes) {
        let again = docker_archive::parse(&docker_archive::to_json(&images));
        assert_eq!(again.expect("what is written is read"), images);
    }
    layout::check_marker(bytes).ok();
}
