//! A pushed job, as the one who pushed it sees it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::Client;
use super::buffer::Later;
use super::send::Sent;
use crate::broker::{Ending, Place};
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::progress::Progress;
use crate::state::{History, State};
use crate::unique::Pushed;

/// A pushed job. `T` is what it answers.
pub struct Handle<T> {
    pub(super) client: Client,
    id: JobId,
    keeps_result: Option<bool>,
    pushed: Option<Pushed>,
    /// Its id to be, while it is buffered.
    later: Option<Later>,
    output: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.id).finish()
    }
}

impl<T: DeserializeOwned> Handle<T> {
    /// The handle of a job that this client pushed.
    pub(super) fn pushed_by(client: Client, sent: Sent, keeps_result: bool) -> Self {
        let Sent { id, pushed, later } = sent;
        // The result of a job that was there before is kept as that one's push said.
        let keeps_result = (pushed != Pushed::Kept).then_some(keeps_result);
        Self { client, id, keeps_result, pushed: Some(pushed), later, output: PhantomData }
    }

    /// The handle of a job of which nothing is known.
    pub(super) fn of(client: Client, id: JobId) -> Self {
        Self { client, id, keeps_result: None, pushed: None, later: None, output: PhantomData }
    }

    /// What the push did; `None` for a handle that was made from an id.
    pub fn pushed(&self) -> Option<Pushed> {
        self.pushed
    }

    /// The job's id. Of a job that is [buffered](Self::is_buffered) it is a stand-in that no store knows.
    pub fn id(&self) -> &JobId {
        self.later.as_ref().and_then(|later| later.get()).unwrap_or(&self.id)
    }

    /// Whether the job still waits in this process for the store to be back. Nothing can be asked of it then:
    /// [`Error::Buffered`].
    pub fn is_buffered(&self) -> bool {
        self.id().is_buffered()
    }

    /// The id, once the store has given one.
    pub(super) fn known_id(&self) -> Result<&JobId> {
        if self.is_buffered() { Err(Error::Buffered) } else { Ok(self.id()) }
    }

    /// Where the job is; `None` when it has ended and nothing is kept of it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn state(&self) -> Result<Option<State>> {
        Ok(state_of(&self.client.broker().show(self.known_id()?).await?))
    }

    /// How far the job is and the last lines of its log; `None` when it told nothing, or that is forgotten.
    /// [`progress_changes`](Self::progress_changes) waits for more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn progress(&self) -> Result<Option<Progress>> {
        self.client.broker().progress(self.known_id()?).await
    }

    /// Cancels the job: it ends at once if it does not run, otherwise it is asked to stop.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cancel(&self) -> Result<Ending> {
        self.client.inspector().cancel(self.known_id()?).await
    }

    /// Waits for the job's result, however long that takes; bound it with a timeout if you must. Nothing is
    /// polled, and any number of callers may wait for the same job. However it ends they are told, also when it is
    /// cancelled, removed or dies with its process; one that is put back after its end is waited for anew.
    ///
    /// # Errors
    /// [`Error::Ended`] when the job did not succeed, [`Error::NoResultKept`] when it was pushed without
    /// `result_ttl`, [`Error::Forgotten`] when it has ended and its result is not kept any more.
    pub async fn result(&self) -> Result<T> {
        if self.keeps_result == Some(false) {
            return Err(Error::NoResultKept(self.id().clone()));
        }
        let id = self.known_id()?;
        let place = self.client.broker().show(id).await?;
        let fields = match (state_of(&place), place) {
            (_, Place::Result(fields)) => fields,
            (None, _) => return Err(Error::Forgotten(id.clone())),
            (Some(state), Place::Record(record, ..)) if state.is_final() => {
                let (history, _) = split_record(&record);
                return Err(self.ended(state, history.reason.unwrap_or_default()));
            }
            // Nobody would ever hear of its end.
            (_, place) if !keeps_result(&place) => return Err(Error::NoResultKept(id.clone())),
            _ => self.client.inner.results.wait(id).await?,
        };
        self.read(fields)
    }

    fn read(&self, fields: Vec<(Vec<u8>, Vec<u8>)>) -> Result<T> {
        let field = |name: &[u8]| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
        let state = field(b"state").and_then(|state| State::parse(std::str::from_utf8(state).ok()?));
        match state {
            Some(State::Completed) => {
                Ok(serde_json::from_slice(field(b"v").map_or(&b"null"[..], Vec::as_slice))?)
            }
            Some(state) => {
                let error = field(b"e").map(|error| serde_json::from_slice::<serde_json::Value>(error));
                let error = error.transpose()?.unwrap_or_default();
                Err(self.ended(state, error["message"].as_str().unwrap_or_default().to_owned()))
            }
            None => Err(Error::Answer("a result without a state")),
        }
    }

    fn ended(&self, state: State, message: String) -> Error {
        Error::Ended { id: self.id().clone(), state, message }
    }
}

/// Whether the envelope of a job that is there asks for a result to be kept, as far as it can be read.
fn keeps_result(place: &Place) -> bool {
    let envelope = match place {
        Place::Record(record, ..) | Place::Lane(record, ..) => Some(split_record(record).1),
        Place::Entry(fields, _) => {
            fields.iter().find(|(name, _)| name == b"j").map(|(_, value)| value.as_slice())
        }
        Place::Result(_) | Place::Nowhere => None,
    };
    envelope
        .and_then(|envelope| Envelope::parse(envelope).ok())
        .is_none_or(|envelope| envelope.result.is_some())
}

/// The state that a place means.
pub(crate) fn state_of(place: &Place) -> Option<State> {
    match place {
        Place::Record(record, _, set) => Some(set.unwrap_or_else(|| split_record(record).0.state)),
        Place::Entry(_, Some((holder, _))) if !holder.starts_with('~') => Some(State::Active),
        Place::Entry(..) | Place::Lane(..) => Some(State::Enqueued),
        Place::Result(fields) => fields
            .iter()
            .find(|(name, _)| name == b"state")
            .and_then(|(_, state)| State::parse(std::str::from_utf8(state).ok()?)),
        Place::Nowhere => None,
    }
}

/// Takes a record apart into history and envelope. One without a line end is all envelope, as for the scripts.
pub(crate) fn split_record(record: &[u8]) -> (History, &[u8]) {
    match record.iter().position(|byte| *byte == b'\n') {
        Some(cut) => (History::read(&record[..cut]), &record[cut + 1..]),
        None => (History::default(), record),
    }
}
