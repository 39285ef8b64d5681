//! durable and confined files.

pub mod tar;
