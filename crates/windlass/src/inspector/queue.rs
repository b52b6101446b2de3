//! Forgets queues.

use super::{Inspector, PAGE_MAX};
use crate::broker::{QueueRemoval, array, pairs, text};
use crate::error::Result;
use crate::event::Event;
use crate::id::{EntryId, JobId};
use crate::name::check_name;
use crate::state::State;

/// States from which a job comes back to its queue.
const COMING_BACK: [State; 3] = [State::Scheduled, State::Retry, State::Parked];

/// About how many members of a set one call looks at.
const SCANNED: usize = 1000;

impl Inspector {
    /// Forgets a queue without jobs: it is listed no more, and nothing of it stays in the store but its
    /// [rules](crate::Limits), which are settings, and for a day its name: a client that has known the queue of late may push
    /// to it, which [`queues`](Self::queues) then lists again. Jobs of it that have ended and are kept do not count, nor do
    /// they go. A push to a queue that was forgotten makes it anew.
    ///
    /// ```no_run
    /// # async fn example(inspector: windlass::Inspector) -> windlass::Result<()> {
    /// match inspector.remove_queue("customer-17").await? {
    ///     windlass::QueueRemoval::HasJobs(count) => println!("it has {count} jobs"),
    ///     removal => println!("{removal:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the name cannot be that of a queue, or the store fails; repeating the call is safe.
    pub async fn remove_queue(&self, queue: &str) -> Result<QueueRemoval> {
        check_name("queue", queue)?;
        let mut coming = 0;
        for state in COMING_BACK {
            coming += self.stored_of(state, queue).await?.len() as u64;
        }
        if coming > 0 {
            let here = self.queue(queue).await?;
            return Ok(QueueRemoval::HasJobs(coming + here.enqueued + here.active));
        }
        let removal = self.client.broker().remove_queue(queue, self.client.config().lease).await?;
        if removal == QueueRemoval::Removed {
            self.client.bus().tell_worker(&Event::QueueForgotten { queue: queue.to_owned() });
        }
        Ok(removal)
    }

    /// Removes every job of a queue that does not run, in whatever state, as [`remove`](Self::remove) does one after the
    /// other. Answers how many.
    ///
    /// ```no_run
    /// # async fn example(inspector: windlass::Inspector) -> windlass::Result<()> {
    /// println!("{} jobs removed", inspector.clear_queue("customer-17").await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the name cannot be that of a queue, or the store fails; repeating the call removes the rest.
    pub async fn clear_queue(&self, queue: &str) -> Result<u64> {
        check_name("queue", queue)?;
        let mut removed = 0;
        for state in State::STORED {
            removed += self.remove_each(&self.stored_of(state, queue).await?).await?;
        }
        let mut from = "-".to_owned();
        while let Some((ids, last)) = self.queued_in(queue, &from).await? {
            removed += self.remove_each(&ids).await?;
            from = format!("({last}");
        }
        loop {
            // Those that were removed are not there to be passed over.
            let ids = self.client.broker().list_lanes(queue, 0, PAGE_MAX).await?;
            let count = self.remove_each(&ids.into_iter().flatten().collect::<Vec<_>>()).await?;
            removed += count;
            if count == 0 {
                return Ok(removed);
            }
        }
    }

    async fn remove_each(&self, ids: &[JobId]) -> Result<u64> {
        let mut removed = 0;
        for id in ids {
            removed += u64::from(self.remove(id).await? == Some(true));
        }
        Ok(removed)
    }

    /// The jobs of a queue that are stored in a state.
    async fn stored_of(&self, state: State, queue: &str) -> Result<Vec<JobId>> {
        let Some(set) = self.keys().set(state) else { return Ok(Vec::new()) };
        let (mut ids, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let mut scan = redis::cmd("ZSCAN");
            // No character of a name means something in a pattern.
            scan.arg(&set).arg(&cursor).arg("MATCH").arg(format!("{queue}/*")).arg("COUNT").arg(SCANNED);
            let mut answer = array(self.send(&scan).await?)?.into_iter();
            cursor = answer.next().map(text).transpose()?.unwrap_or_else(|| "0".into());
            let page = answer.next().map(pairs).transpose()?.unwrap_or_default();
            ids.extend(page.iter().filter_map(|(id, _)| JobId::parse(std::str::from_utf8(id).ok()?).ok()));
            if cursor == "0" {
                return Ok(ids);
            }
        }
    }

    /// A page of the jobs in the stream of a queue by their ids, and its last entry.
    async fn queued_in(&self, queue: &str, from: &str) -> Result<Option<(Vec<JobId>, EntryId)>> {
        let mut range = redis::cmd("XRANGE");
        range.arg(self.keys().stream(queue)).arg(from).arg("+").arg("COUNT").arg(PAGE_MAX);
        let (mut ids, mut last) = (Vec::new(), None);
        for entry in array(self.send(&range).await?)? {
            let mut entry = array(entry)?.into_iter();
            let (Some(id), Some(fields)) = (entry.next(), entry.next()) else { continue };
            let Some(entry) = EntryId::parse(&text(id)?) else { continue };
            let original = pairs(fields)?.into_iter().find(|(name, _)| name == b"i").map(|(_, id)| id);
            let original = original.and_then(|id| JobId::parse(std::str::from_utf8(&id).ok()?).ok());
            ids.push(original.unwrap_or_else(|| JobId::of_entry(queue, entry)));
            last = Some(entry);
        }
        Ok(last.map(|last| (ids, last)))
    }
}
