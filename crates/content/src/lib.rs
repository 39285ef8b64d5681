//! content-addressed blobs in an OCI image layout.
