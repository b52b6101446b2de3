//! Randomness for names, jitter and weights; none of it guards a secret.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that differs from call to call and from process to process.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
