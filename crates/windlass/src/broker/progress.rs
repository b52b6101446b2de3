//! Progress and log of running jobs.

use super::lease::Held;
use super::push::ms;
use super::script::PROGRESS;
use super::{Broker, array, int};
use crate::error::Result;
use crate::id::JobId;
use crate::progress::{LOG_LINE_MAX, PROGRESS_MESSAGE_MAX, PROGRESS_NOTES_MAX, PROGRESS_TTL, Progress, cut};

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
}
