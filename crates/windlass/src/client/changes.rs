//! Progress as it comes: a blocking read on the notes of one job.

use std::time::Duration;

use super::{Client, Handle, state_of};
use crate::broker::Broker;
use crate::error::Result;
use crate::id::JobId;
use crate::progress::Progress;

/// How long one read blocks; then it is asked whether the job has ended. One that keeps a result says so by that.
const READ_MAX: Duration = Duration::from_secs(1);

/// What a job tells, as it tells it. [`Handle::progress_changes`] makes one.
///
/// It has a connection of its own from the first [`next`](Self::next) on.
pub struct ProgressChanges {
    client: Client,
    id: JobId,
    session: Option<Broker>,
    /// The last note that was told.
    place: String,
    /// Whether the result is waited for as well.
    awaits_result: bool,
    is_over: bool,
}

impl std::fmt::Debug for ProgressChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ProgressChanges").field(&self.id).finish()
    }
}

impl ProgressChanges {
    pub(super) fn of(client: Client, id: JobId) -> Self {
        Self { client, id, session: None, place: "0".into(), awaits_result: true, is_over: false }
    }

    /// The next change, as soon as there is one: how far the job is by now, and the lines of its log that came since the last
    /// change; at first what it has told so far. `None` once it has ended, or there is no such job.
    ///
    /// # Errors
    /// When the store fails. It may be called again then.
    pub async fn next(&mut self) -> Result<Option<Progress>> {
        let outcome = self.look().await;
        if outcome.is_err() {
            self.session = None;
        }
        outcome
    }

    async fn look(&mut self) -> Result<Option<Progress>> {
        while !self.is_over {
            if let Some(progress) = self.read(Some(READ_MAX)).await? {
                return Ok(Some(progress));
            }
            let state = state_of(&self.client.broker().show(&self.id).await?);
            if state.is_none_or(|state| state.is_final()) {
                // What it told last may have come between the two.
                let last = self.read(None).await?;
                self.is_over = true;
                return Ok(last);
            }
        }
        Ok(None)
    }

    async fn read(&mut self, block: Option<Duration>) -> Result<Option<Progress>> {
        let session = match &self.session {
            Some(session) => session,
            None => self.session.insert(self.client.broker().session().await?),
        };
        let awaits_result = block.is_some() && self.awaits_result;
        let notes = session.read_notes(&self.id, &self.place, block, awaits_result).await?;
        // A result that is there stays there, and would be no wait.
        self.awaits_result &= !notes.has_result;
        if let Some(place) = notes.place {
            self.place = place;
        }
        Progress::read(notes.notes)
    }
}

impl<T: serde::de::DeserializeOwned> Handle<T> {
    /// What the job tells from its beginning to its end, as it tells it. Notes are not polled for; that a job which keeps
    /// no result has ended is known within about a second.
    ///
    /// ```no_run
    /// # async fn example(handle: windlass::Handle<()>) -> windlass::Result<()> {
    /// let mut changes = handle.progress_changes()?;
    /// while let Some(now) = changes.next().await? {
    ///     println!("{} % {}", now.percent, now.message);
    ///     now.log.iter().for_each(|line| println!("{}", line.text));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Buffered`](crate::Error::Buffered) while the job waits in this process for its store.
    pub fn progress_changes(&self) -> Result<ProgressChanges> {
        Ok(ProgressChanges::of(self.client.clone(), self.known_id()?.clone()))
    }
}
