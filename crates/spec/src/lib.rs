//! The standards' documents as validated types: what other tools wrote, checked once, so that nothing below has to doubt it.
//!
//! * [`runtime`] is the OCI runtime bundle's `config.json`. Its types mirror the document field by field.
//! * [`image`] is one model for OCI images and Docker schema 2: manifests, indexes, image configurations, and the two
//!   containers they travel in (OCI layout, `docker save`).
//!
//! Documents that were fetched are never written back from these types: what is stored and digested is the bytes as they came.
#![forbid(unsafe_code)]

pub mod image;
mod json;
pub mod runtime;
