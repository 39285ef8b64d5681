//! the standards' documents as validated types.
