//! The use cases.

pub mod near;
pub mod template;
