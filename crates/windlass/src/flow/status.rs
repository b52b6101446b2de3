//! How far a batch is.

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::Result;
use crate::name::check_name;

/// How far a batch is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct BatchStatus {
    /// The batch.
    pub id: String,
    /// What it says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Jobs that were pushed to it so far. It is always the sum of the next four.
    pub total: u64,
    /// Jobs that have not ended.
    pub pending: u64,
    /// Jobs that have succeeded.
    pub succeeded: u64,
    /// Jobs that are dead.
    pub dead: u64,
    /// Jobs that were cancelled, discarded or removed.
    pub cancelled: u64,
    /// Batches nested in it that have not completed.
    pub children: u64,
    /// Whether it was closed.
    pub is_closed: bool,
    /// Whether it was cancelled.
    pub is_cancelled: bool,
    /// When it completed, in milliseconds since 1970.
    pub completed_at: Option<u64>,
    /// When it succeeded, in milliseconds since 1970.
    pub succeeded_at: Option<u64>,
    /// When the first of its jobs died, in milliseconds since 1970.
    pub died_at: Option<u64>,
}

impl Client {
    /// How far a batch is; `None` when there is none of that id, or it is forgotten.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn batch_status(&self, id: &str) -> Result<Option<BatchStatus>> {
        check_name("batch", id)?;
        self.broker().batch_status(id).await
    }
}
