//! The stream of events: written by workers that were asked to, read by whoever looks.

use super::script::EVENTS;
use super::{Broker, array, int, pairs, text};
use crate::error::{Error, Result};

impl Broker {
    /// Adds events, of which the stream keeps about `max`.
    ///
    /// # Errors
    /// When the store fails; whether they were added is unknown then.
    pub async fn add_events(&self, max: u64, worker: &str, events: &[String]) -> Result<()> {
        let mut call = EVENTS.call(&[self.keys.events()]);
        call.arg(max).arg(worker).arg(events);
        int(&self.run(&EVENTS, &call).await?).map(drop)
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
