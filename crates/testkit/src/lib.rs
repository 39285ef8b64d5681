//! what tests share.
