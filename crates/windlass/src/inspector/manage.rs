//! What changes jobs and queues by hand.

use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;

use super::{Edit, Inspector};
use crate::broker::{Due, Edited, Ending, Filter, Requeued, Rescheduled};
use crate::client::epoch_ms;
use crate::error::Result;
use crate::event::Event;
use crate::id::JobId;

impl Inspector {
    /// Has workers take only jobs from a queue of which they registered the kind, in this version of its arguments or a
    /// later one: one that another worker takes it hands over to a worker of the queue that knows it, without an attempt
    /// being counted, and is not offered it again. What no live worker of the queue knows is parked, as in any queue; so is
    /// what comes to the wrong worker from a queue with priorities, groups or limits, which does not ask.
    /// `false` has them take any job again. Running workers know of it within some seconds. Answers whether anything
    /// changed.
    ///
    /// ```no_run
    /// # async fn example(client: windlass::Client) -> windlass::Result<()> {
    /// client.inspector().ask_for_kinds("shared", true).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the name cannot be that of a queue, or the store fails; repeating the call is safe.
    pub async fn ask_for_kinds(&self, queue: &str, asks: bool) -> Result<bool> {
        crate::name::check_name("queue", queue)?;
        let broker = self.client.broker();
        broker.add_queue(queue).await?;
        broker.ask_for_kinds(queue, asks).await
    }

    /// Pauses a queue, also one that has no jobs yet: its jobs wait. Those that workers have go on, and so do the few that
    /// a worker took ahead of its free slots and has not begun.
    ///
    /// # Errors
    /// When the store fails, or the name is not a queue's.
    pub async fn pause(&self, queue: &str) -> Result<()> {
        crate::name::check_name("queue", queue)?;
        let broker = self.client.broker();
        broker.add_queue(queue).await?;
        broker.pause(queue).await?;
        self.client.bus().tell_worker(&Event::QueuePaused { queue: queue.to_owned() });
        Ok(())
    }

    /// Lets a paused queue go on. Answers whether it was paused.
    ///
    /// # Errors
    /// When the store fails, or the name is not a queue's.
    pub async fn resume(&self, queue: &str) -> Result<bool> {
        crate::name::check_name("queue", queue)?;
        let was_paused = self.client.broker().resume(queue).await?;
        if was_paused {
            self.client.bus().tell_worker(&Event::QueueResumed { queue: queue.to_owned() });
        }
        Ok(was_paused)
    }

    /// Puts a stored job (scheduled, retry, parked, dead, discarded, cancelled) into its queue now.
    /// Answers false when no such job is stored.
    ///
    /// A job that is [unique](crate::Unique) until it has started or is done keeps equal ones out again.
    ///
    /// # Errors
    /// When the store fails; [`Error::Duplicate`](crate::Error::Duplicate) when the job is unique and an equal one is there by now that has not
    /// ended.
    pub async fn retry(&self, id: &JobId) -> Result<bool> {
        self.client.broker().add_queue(id.queue()).await?;
        self.client.broker().requeue(id).await
    }

    /// Removes a job that does not run: `Some(true)` when it was removed, `Some(false)` when there is
    /// none, `None` when a worker has it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove(&self, id: &JobId) -> Result<Option<bool>> {
        self.client.broker().remove(id).await
    }

    /// Cancels a job in any state: one that does not run ends at once; one that runs is asked to stop.
    ///
    /// ```no_run
    /// # async fn example(inspector: windlass::Inspector, id: windlass::JobId) -> windlass::Result<()> {
    /// match inspector.cancel(&id).await? {
    ///     windlass::Ending::Asked => println!("{id} runs, and is asked to stop"),
    ///     ending => println!("{id}: {ending:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cancel(&self, id: &JobId) -> Result<Ending> {
        self.client.broker().cancel(id).await
    }

    /// Puts a job among the dead that does not run.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn kill(&self, id: &JobId) -> Result<Ending> {
        self.client.broker().kill(id).await
    }

    /// Puts every stored job that fits into its queue now, also what is scheduled or to be retried and not due yet, but
    /// unique ones of which an equal one is there.
    ///
    /// ```no_run
    /// # async fn example(inspector: windlass::Inspector) -> windlass::Result<()> {
    /// let dead_mails = windlass::Filter { kind: Some("mail".into()), ..Default::default() };
    /// println!("{} tried again", inspector.retry_all(&dead_mails).await?.moved);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the store fails, or jobs of the state are not stored.
    pub async fn retry_all(&self, filter: &Filter) -> Result<Requeued> {
        let queues = self.list_of(redis::cmd("SMEMBERS").arg(self.keys().queues())).await?;
        self.client.broker().requeue_all(filter, &queues).await
    }

    /// Makes a job that does not run due `delay` from now by the store's clock.
    ///
    /// # Errors
    /// As [`retry`](Self::retry).
    pub async fn reschedule_in(&self, id: &JobId, delay: Duration) -> Result<Rescheduled> {
        self.client.broker().reschedule(id, Due::In(delay)).await
    }

    /// Makes a job that does not run due at a time by the store's clock.
    ///
    /// # Errors
    /// As [`retry`](Self::retry).
    pub async fn reschedule_at(&self, id: &JobId, time: SystemTime) -> Result<Rescheduled> {
        self.client.broker().reschedule(id, Due::At(epoch_ms(time))).await
    }

    /// Gives a job that does not run other arguments; it waits where it was. Whether its kind can read them nobody knows
    /// here: [`Edit::job`] takes them with their type.
    ///
    /// # Errors
    /// As [`edit_with`](Self::edit_with).
    pub async fn edit(&self, id: &JobId, args: &RawValue) -> Result<Edited> {
        self.edit_with(id, Edit::new().args(args)).await
    }

    /// Gives a job that does not run other arguments, and puts it into its queue now.
    ///
    /// # Errors
    /// As [`edit`](Self::edit) and [`retry`](Self::retry).
    pub async fn edit_and_retry(&self, id: &JobId, args: &RawValue) -> Result<Edited> {
        self.edit_with(id, Edit::new().args(args).retry()).await
    }
}
