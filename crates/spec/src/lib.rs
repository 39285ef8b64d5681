//! The standards' documents as validated types: what other tools wrote, checked once, so that nothing below has to doubt it.
//!
//! * [`runtime`] is the OCI runtime bundle's `config.json`. Its types mirror the document field by field.
#![forbid(unsafe_code)]

mod json;
pub mod runtime;
