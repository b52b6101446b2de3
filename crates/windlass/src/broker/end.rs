//! Moves out of the active state: finish and fail.

use std::time::Duration;

use super::lease::{Held, add_pairs, read_entries};
use super::push::ms;
use super::script::{FAIL, FINISH};
use super::{Broker, Taken, int};
use crate::error::Result;
use crate::id::{EntryId, JobId};
use crate::state::State;

/// What a success has beside its entry, for the few jobs that have any of it.
#[derive(Debug, Clone)]
pub struct Extra {
    pub(crate) entry: EntryId,
    /// The job.
    pub id: JobId,
    /// Whether its id has a redirect.
    pub is_moved: bool,
    /// Its result as JSON, and how long it is kept.
    pub result: Option<(Vec<u8>, Duration)>,
}

impl Extra {
    /// What a success of `taken`, the job `id`, has beside its entry.
    pub fn of(taken: &Taken, id: JobId, result: Option<(Vec<u8>, Duration)>) -> Self {
        Self { entry: taken.entry, id, is_moved: taken.id.is_some(), result }
    }
}

/// A job that did not succeed.
#[derive(Debug, Clone)]
pub struct Fail {
    /// What the worker holds.
    pub held: Held,
    /// The job.
    pub id: JobId,
    /// Its new state.
    pub state: State,
    /// Its new history as JSON.
    pub history: Vec<u8>,
    /// When it is due, for scheduled and retry.
    pub delay: Duration,
    /// How long its end is told to those who wait for its result, with the error as JSON.
    pub result: Option<(Vec<u8>, Duration)>,
}

impl Broker {
    /// Ends jobs of one queue that succeeded. `held` is sorted; answers the entries that were refused.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn finish(
        &self,
        queue: &str,
        consumer: &str,
        held: &[Held],
        extras: &[Extra],
    ) -> Result<Vec<Held>> {
        let mut keys = Vec::with_capacity(4 + extras.len());
        keys.extend([
            self.keys.stream(queue),
            self.keys.moved(),
            self.keys.suspect(queue),
            self.keys.stats(),
        ]);
        keys.extend(extras.iter().map(|extra| self.keys.result(&extra.id)));
        let mut call = FINISH.call(&keys);
        call.arg(consumer);
        add_pairs(&mut call, held);
        for extra in extras {
            call.arg(extra.entry.to_string());
            call.arg(if extra.is_moved { extra.id.as_str() } else { "" });
            match &extra.result {
                Some((value, ttl)) => call.arg(ms(*ttl).max(1)).arg(value),
                None => call.arg("0").arg(""),
            };
        }
        read_entries(self.run(&FINISH, &call).await?, held)
    }

    /// Moves a job that did not succeed to where it goes. Answers false when it was not held any more.
    ///
    /// `ended_max` and `ended_age` bound the sets of ended jobs.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn fail(
        &self,
        queue: &str,
        consumer: &str,
        fail: &Fail,
        ended_max: u64,
        ended_age: Duration,
    ) -> Result<bool> {
        let keys = [
            self.keys.stream(queue),
            self.keys.jobs(),
            self.stored(fail.state),
            self.keys.moved(),
            self.keys.suspect(queue),
            self.keys.stats(),
            self.keys.result(&fail.id),
        ];
        let mut call = FAIL.call(&keys);
        call.arg(consumer).arg(fail.held.entry.to_string()).arg(fail.held.count);
        call.arg(fail.id.as_str()).arg(&fail.history).arg(ms(fail.delay));
        call.arg(if fail.state.is_final() { ended_max } else { 0 }).arg(ms(ended_age));
        call.arg(counter(fail.state));
        match &fail.result {
            Some((_, ttl)) => call.arg(ms(*ttl).max(1)),
            None => call.arg("0"),
        };
        call.arg(fail.state.as_str());
        call.arg(fail.result.as_ref().map_or(&b""[..], |(error, _)| error));
        Ok(int(&self.run(&FAIL, &call).await?)? == 1)
    }
}

/// The counter that a move to `state` raises.
fn counter(state: State) -> &'static str {
    match state {
        State::Retry => "failed",
        State::Scheduled => "snoozed",
        state => state.as_str(),
    }
}
