//! Progress and log of running jobs.

use std::time::Duration;

use redis::Value;

use super::lease::Held;
use super::push::ms;
use super::script::PROGRESS;
use super::{Broker, array, int, text};
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::progress::{LOG_LINE_MAX, PROGRESS_MESSAGE_MAX, PROGRESS_NOTES_MAX, PROGRESS_TTL, Progress, cut};

/// What a job has told since a place.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// The notes, the oldest first.
    pub(crate) notes: Vec<Value>,
    /// The place of the last of them.
    pub(crate) place: Option<String>,
    /// Whether its result is there.
    pub(crate) has_result: bool,
}

/// What a running job tells.
#[derive(Debug, Clone, Copy)]
pub enum Note<'a> {
    /// How far it is, in percent, and a word to it.
    Progress(u8, &'a str),
    /// A line of its log.
    Line(&'a str),
}

impl Broker {
    /// Notes what a running job tells. Answers false when the consumer does not hold it any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note(&self, id: &JobId, consumer: &str, held: Held, note: Note<'_>) -> Result<bool> {
        let mut call = PROGRESS.call(&[self.keys.stream(id.queue()), self.keys.progress(id)]);
        call.arg(consumer).arg(held.entry.to_string()).arg(held.count);
        match note {
            Note::Progress(percent, message) => {
                call.arg(percent.min(100)).arg(cut(message, PROGRESS_MESSAGE_MAX)).arg("")
            }
            Note::Line(line) => call.arg("").arg("").arg(cut(line, LOG_LINE_MAX)),
        };
        call.arg(PROGRESS_NOTES_MAX).arg(ms(PROGRESS_TTL));
        Ok(int(&self.run(&PROGRESS, &call).await?)? == 1)
    }

    /// What a job told; `None` when it told nothing, or that is forgotten.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn progress(&self, id: &JobId) -> Result<Option<Progress>> {
        let mut range = redis::cmd("XRANGE");
        range.arg(self.keys.progress(id)).arg("-").arg("+").arg("COUNT").arg(PROGRESS_NOTES_MAX);
        Progress::read(array(self.send(&range).await?)?)
    }

    /// What a job has told since a place; waits for it, and for its result if that is awaited, if it is to. It needs a
    /// session of its own.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn read_notes(
        &self,
        id: &JobId,
        place: &str,
        block: Option<Duration>,
        awaits_result: bool,
    ) -> Result<Notes> {
        let (own, result) = (self.keys.progress(id), self.keys.result(id));
        let result = awaits_result.then_some(result);
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(PROGRESS_NOTES_MAX);
        if let Some(block) = block {
            command.arg("BLOCK").arg(ms(block));
        }
        command.arg("STREAMS").arg(&own).arg(&result).arg(place).arg(result.as_ref().map(|_| "0"));
        let answer = self.send(&command).await?;
        // RESP2 lists pairs of stream and entries; RESP3 has a map of the same, which `array` makes flat.
        let is_map = matches!(answer, Value::Map(_));
        let mut parts = array(answer)?;
        if !is_map {
            parts = parts.into_iter().map(array).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        }
        let mut read = Notes::default();
        let mut parts = parts.into_iter();
        while let (Some(key), Some(entries)) = (parts.next(), parts.next()) {
            let entries = array(entries)?;
            if text(key)? != own {
                read.has_result = true;
                continue;
            }
            if let Some(last) = entries.last() {
                let id = array(last.clone())?.into_iter().next();
                read.place = Some(text(id.ok_or(Error::Answer("an entry without an id"))?)?);
            }
            read.notes = entries;
        }
        Ok(read)
    }
}
