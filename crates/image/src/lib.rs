//! names to manifests to unpacked layers.
