//! The use cases.

pub mod near;
pub mod request;
pub mod template;
