//! Giving back the memory of a queue's stream.

use super::script::COMPACT;
use super::{Broker, array, int};
use crate::error::{Error, Result};

/// From when on a stream is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sparse {
    /// How many nodes it has at least.
    pub nodes_min: u32,
    /// How many times what its entries need these can hold.
    pub times: u32,
}

impl Default for Sparse {
    /// When it takes more than three times what it needs, and more than 64 KiB: what is copied is then a part of what was
    /// deleted.
    fn default() -> Self {
        Self { nodes_min: 16, times: 3 }
    }
}

/// A stream that was rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Its nodes before.
    pub nodes_before: u64,
    /// Its nodes now.
    pub nodes_after: u64,
}

impl Broker {
    /// Rebuilds the stream of a queue if it is sparse, and not too large for one step. What is in it stays as it is, and so do
    /// the tokens of its holders. None when it was left alone.
    ///
    /// # Errors
    /// When the store fails; nothing has changed then, and repeating the call is safe.
    pub async fn compact(&self, queue: &str, sparse: Sparse) -> Result<Option<Compacted>> {
        let mut call = COMPACT.call(&[self.keys.stream(queue), self.keys.compact(queue)]);
        call.arg(sparse.nodes_min).arg(sparse.times);
        let answer = array(self.run(&COMPACT, &call).await?)?;
        match answer.as_slice() {
            [_] => Ok(None),
            [before, after] => {
                let (nodes_before, nodes_after) = (int(before)?.unsigned_abs(), int(after)?.unsigned_abs());
                Ok(Some(Compacted { nodes_before, nodes_after }))
            }
            _ => Err(Error::Answer("compact gave other than one or two numbers")),
        }
    }
}
