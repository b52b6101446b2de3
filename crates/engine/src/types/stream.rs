//! The stream.

/// A stream.
#[derive(Clone, Debug)]
pub struct Stream {
    seed: u64,
}

impl Stream {
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    pub fn is_empty(&self) -> bool {
        true
    }

    /// Approximate bytes of memory.
    pub fn bytes(&self) -> usize {
        0
    }

    /// The name that OBJECT ENCODING gives.
    pub fn encoding(&self) -> &'static str {
        "raw"
    }
}
