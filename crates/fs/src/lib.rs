//! durable and confined files.
