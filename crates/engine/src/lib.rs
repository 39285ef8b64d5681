//! the use cases.
