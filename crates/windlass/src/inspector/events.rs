//! The stored events of a namespace.

use super::{Inspector, PAGE_MAX, config};
use crate::broker::BATCH_JOBS_MAX;
use crate::error::Result;
use crate::event::{Event, JobEvent, Subscription};
use crate::id::EntryId;

/// One stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredEvent {
    /// Its place in the stream: ask for what comes after it.
    pub place: String,
    /// When it was written, in milliseconds since 1970, by the store's clock.
    pub at_ms: u64,
    /// The worker that wrote it: of its process, it tells everything. Or who [recorded](Inspector::record) it.
    pub worker: String,
    /// What happened to a job; `None` where it is of the worker, and for a gap.
    pub event: Option<JobEvent>,
    /// What happened to the worker itself.
    pub of_worker: Option<Event>,
    /// How many events were dropped here, because they came faster than they could be written.
    pub missed: u64,
}

#[derive(serde::Deserialize)]
struct Gap {
    missed: u64,
}

impl Inspector {
    /// Writes what a subscription has gathered into the stored stream, if workers of the namespace
    /// [record events](crate::Worker::record_events), under the name `who`: for a program that moves jobs and runs no such
    /// worker. Answers how many were written.
    ///
    /// ```no_run
    /// # async fn example(client: windlass::Client, id: windlass::JobId) -> windlass::Result<()> {
    /// let mut events = client.subscribe(1000);
    /// client.inspector().cancel(&id).await?;
    /// client.inspector().record("admin", &mut events).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the store fails; whether the last of them were written is unknown then.
    pub async fn record(&self, who: &str, events: &mut Subscription) -> Result<usize> {
        let mut count = 0;
        loop {
            let written = events.written(BATCH_JOBS_MAX);
            if written.is_empty() {
                return Ok(count);
            }
            count += self.client.broker().add_events(None, who, &written).await?;
        }
    }

    /// Events that [`Worker::record_events`](crate::Worker::record_events) has stored, the oldest first, after a place.
    /// No more than a page at once; ask again with the last one's place.
    ///
    /// ```no_run
    /// # async fn example(client: windlass::Client) -> windlass::Result<()> {
    /// for stored in client.inspector().events(None, 100).await? {
    ///     match (stored.event, stored.of_worker) {
    ///         (Some(event), _) => println!("{} {event}", stored.worker),
    ///         (_, Some(event)) => println!("{} {event}", stored.worker),
    ///         _ => println!("{} {} events are gone", stored.worker, stored.missed),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the store fails, or the place is none.
    pub async fn events(&self, after: Option<&str>, count: usize) -> Result<Vec<StoredEvent>> {
        if let Some(after) = after
            && EntryId::parse(after).is_none()
        {
            return Err(config("the place is not one that an event had"));
        }
        let stored = self.client.broker().events(after, count.clamp(1, PAGE_MAX)).await?;
        Ok(stored.into_iter().map(|(place, json, worker)| read(place, &json, worker)).collect())
    }
}

fn read(place: String, json: &str, worker: String) -> StoredEvent {
    let at_ms = place.split_once('-').and_then(|(ms, _)| ms.parse().ok()).unwrap_or_default();
    let missed = serde_json::from_str::<Gap>(json).map_or(0, |gap| gap.missed);
    // A later version may know steps that this one does not: those are gaps here.
    let event = serde_json::from_str(json).ok();
    let of_worker = serde_json::from_str(json).ok();
    StoredEvent { place, at_ms, worker, event, of_worker, missed }
}
