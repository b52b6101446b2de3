//! The move of a job that did not succeed.

use std::time::Duration;

use redis::Cmd;

use super::lease::Held;
use super::push::ms;
use super::script::{FAIL, FAIL_RULED, Script};
use super::{Broker, int};
use crate::error::Result;
use crate::flow::{Flow, JobError};
use crate::id::JobId;
use crate::retention::Retention;
use crate::state::State;

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
    /// Moves a job that did not succeed to where it goes. Answers false when it was not held any more.
    ///
    /// Of what has ended in its queue the oldest may go, by `retention`.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn fail(
        &self,
        queue: &str,
        consumer: &str,
        fail: &Fail,
        retention: &Retention,
    ) -> Result<bool> {
        let call = self.fail_call(&FAIL, queue, consumer, fail, retention);
        Ok(int(&self.run(&FAIL, &call).await?)? == 1)
    }

    /// The same for a job of a queue with lanes or rules, with what follows from its end: what it held of limits is
    /// free in the same step.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn fail_ruled(
        &self,
        queue: &str,
        consumer: &str,
        fail: &Fail,
        retention: &Retention,
        flow: Option<(&Flow, &JobError)>,
    ) -> Result<bool> {
        let mut call = self.fail_call(&FAIL_RULED, queue, consumer, fail, retention);
        match flow {
            Some((flow, error)) => call.arg(serde_json::to_vec(flow)?).arg(serde_json::to_vec(error)?),
            None => call.arg("").arg(""),
        };
        call.arg(queue);
        Ok(int(&self.run_told(&FAIL_RULED, &call).await?)? == 1)
    }

    /// The call, to which [`fail_flow`](Self::fail_flow) adds.
    pub(super) fn fail_call(
        &self,
        script: &Script,
        queue: &str,
        consumer: &str,
        fail: &Fail,
        retention: &Retention,
    ) -> Cmd {
        let keys = [
            self.keys.stream(queue),
            self.keys.jobs(),
            self.stored(fail.state),
            self.keys.moved(),
            self.keys.suspect(queue),
            self.keys.stats(),
            self.keys.result(&fail.id),
        ];
        let mut call = script.call(&keys);
        call.arg(consumer).arg(fail.held.entry.to_string()).arg(fail.held.count);
        call.arg(fail.id.as_str()).arg(&fail.history).arg(ms(fail.delay));
        let keep = retention.keep(queue, fail.state);
        call.arg(if fail.state.is_final() { keep.count } else { 0 }).arg(keep.bytes);
        call.arg(counter(fail.state));
        match &fail.result {
            Some((_, ttl)) => call.arg(ms(*ttl).max(1)),
            None => call.arg("0"),
        };
        call.arg(fail.state.as_str());
        call.arg(fail.result.as_ref().map_or(&b""[..], |(error, _)| error));
        call
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
