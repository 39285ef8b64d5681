//! is this manifest one the policy accepts?.
