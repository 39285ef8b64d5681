//! The trust policy.

use hull_trust::Policy;

/// A policy is understood whole or refused: the reader never guesses.
pub fn policy(bytes: &[u8]) {
    if let Err(error) = Policy::parse(bytes) {
        super::explain(&error);
    }
}
