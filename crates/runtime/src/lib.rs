//! OCI verbs as a library.
