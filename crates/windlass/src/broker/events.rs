//! What happens: the steps of jobs that scripts tell of, and the stream of events, written by workers that were asked to,
//! read by whoever looks.

use redis::{Cmd, Value};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as Unknown, StringDeserializer};

use super::script::{EVENTS, Script};
use super::{Broker, array, int, pairs, text};
use crate::error::{Error, Result};
use crate::event::{JobEvent, JobStep};
use crate::id::JobId;

impl Broker {
    /// Runs a call of a script with the hooks, and tells of the steps that its answer names.
    pub(super) async fn run_told(&self, script: &Script, call: &Cmd) -> Result<Value> {
        let parts = match self.run(script, call).await? {
            Value::Array(parts) if parts.first() == Some(&Value::BulkString(b"told".to_vec())) => parts,
            answer => return Ok(answer),
        };
        let Ok([_, answer, told]) = <[Value; 3]>::try_from(parts) else {
            return Err(Error::Answer("what is told is a list beside an answer"));
        };
        if self.bus.is_heard() {
            // The move is made: what cannot be read of it is left out.
            array(told)?.chunks(3).filter_map(told_of).for_each(|event| self.bus.tell_job(event));
        }
        Ok(answer)
    }

    /// Adds events, of which the stream keeps about `max`; without it as many as workers have asked for, and none is added
    /// where no worker has done so of late. Answers how many were added.
    ///
    /// # Errors
    /// When the store fails; whether they were added is unknown then.
    pub async fn add_events(&self, max: Option<u64>, who: &str, events: &[String]) -> Result<usize> {
        let mut call = EVENTS.call(&[self.keys.events(), self.keys.events_max()]);
        call.arg(max.map_or(String::new(), |max| max.to_string())).arg(who).arg(events);
        Ok(int(&self.run(&EVENTS, &call).await?)? as usize)
    }

    /// Reads events after the entry `after`, or from the oldest one: the entry, the event as JSON, and the worker.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn events(&self, after: Option<&str>, count: usize) -> Result<Vec<(String, String, String)>> {
        let start = after.map_or("-".to_owned(), |after| format!("({after}"));
        let mut range = redis::cmd("XRANGE");
        range.arg(self.keys.events()).arg(start).arg("+").arg("COUNT").arg(count);
        let read = |entry| -> Result<_> {
            let mut parts = array(entry)?.into_iter();
            let (Some(id), Some(fields)) = (parts.next(), parts.next()) else {
                return Err(Error::Answer("an entry of the stream of events was expected"));
            };
            let (mut event, mut worker) = (String::new(), String::new());
            for (name, value) in pairs(fields)? {
                let value = String::from_utf8_lossy(&value).into_owned();
                match name.as_slice() {
                    b"e" => event = value,
                    b"w" => worker = value,
                    _ => {}
                }
            }
            Ok((text(id)?, event, worker))
        };
        array(self.send(&range).await?)?.into_iter().map(read).collect()
    }
}

/// A step, as a script tells of it: its name, the id of the job, and its kind.
fn told_of(job: &[Value]) -> Option<JobEvent> {
    let [step, id, kind] = job else { return None };
    let step: StringDeserializer<Unknown> = text(step.clone()).ok()?.into_deserializer();
    let id = JobId::parse(&text(id.clone()).ok()?).ok()?;
    Some(JobEvent::new(JobStep::deserialize(step).ok()?, id, text(kind.clone()).ok()?))
}
