//! The two small documents of an OCI image layout: `oci-layout` and `index.json`.

use serde::Deserialize;

use super::{Descriptor, DocumentError, Index, MAX_DOCUMENT_BYTES, read};
use crate::json::SameKey;

/// The file that says: this directory is an image layout.
pub const MARKER_NAME: &str = "oci-layout";
/// What that file says.
pub const MARKER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// The list of what the layout holds.
pub const INDEX_NAME: &str = "index.json";
/// The annotation that names an image in a layout: a full reference, or a bare tag.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation in which containerd, Docker and BuildKit keep the full reference, where `REF_NAME` is the bare tag.
pub const IMAGE_NAME: &str = "io.containerd.image.name";

/// Layouts may hold thousands of images.
pub const MAX_INDEX_BYTES: usize = 64 << 20;

/// Checks the text of the `oci-layout` file.
pub fn check_marker(bytes: &[u8]) -> Result<(), DocumentError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marker {
        image_layout_version: String,
    }
    let marker: Marker = read(
        "oci-layout file",
        bytes,
        MAX_DOCUMENT_BYTES,
        SameKey::IgnoringCase,
    )?;
    match marker.image_layout_version.split('.').next() {
        Some("1") => Ok(()),
        _ => Err(DocumentError::LayoutVersion(marker.image_layout_version)),
    }
}

/// Reads the layout's `index.json`.
pub fn parse_index(bytes: &[u8]) -> Result<Index, DocumentError> {
    Index::parse_within(bytes, MAX_INDEX_BYTES)
}

/// Returns the name a layout gives an image: the full one if there is one.
pub fn name(entry: &Descriptor) -> Option<&str> {
    entry
        .annotations
        .get(IMAGE_NAME)
        .or_else(|| entry.annotations.get(REF_NAME))
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_layouts_of_version_1_are_read() {
        assert!(check_marker(MARKER.as_bytes()).is_ok());
        assert!(check_marker(br#"{"imageLayoutVersion": "1.1.0"}"#).is_ok());
        for bad in [
            "{}",
            "[]",
            "",
            r#"{"imageLayoutVersion":"2.0.0"}"#,
            r#"{"imageLayoutVersion":1}"#,
        ] {
            assert!(check_marker(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
