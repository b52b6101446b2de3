//! The id of a job: opaque text given by the store.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::name::check_name;

/// Names a job for its whole life. It says where the job began: `queue/ms-seq` is an entry of the queue's
/// stream, `queue/sN` the Nth job that began scheduled. A job never changes its queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// Reads an id.
    ///
    /// ```
    /// let id = windlass::JobId::parse("mail/1732240000000-0")?;
    /// assert_eq!(id.queue(), "mail");
    /// # Ok::<(), windlass::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Id`] when the text cannot be an id.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::Id(text.chars().take(200).collect());
        let (queue, rest) = text.split_once('/').ok_or_else(wrong)?;
        check_name("queue", queue).map_err(|_| wrong())?;
        let is_number = |text: &str| !text.is_empty() && text.parse::<u64>().is_ok();
        let is_fit = match rest.strip_prefix('s') {
            Some(number) => is_number(number),
            None => EntryId::parse(rest).is_some(),
        };
        if is_fit { Ok(Self(text.to_owned())) } else { Err(wrong()) }
    }

    /// The id of a job that began as an entry of `queue`.
    pub(crate) fn of_entry(queue: &str, entry: EntryId) -> Self {
        Self(format!("{queue}/{entry}"))
    }

    /// What stands for the id of a job that waits for the store.
    pub(crate) fn waiting(queue: &str, number: u64) -> Self {
        Self(format!("{queue}/b{number:016x}"))
    }

    /// Whether this is no id yet: the job waits in the process that pushed it for the store to be back (see
    /// [`Config::buffer_jobs`](crate::Config::buffer_jobs)), and no store knows it by this text.
    pub fn is_buffered(&self) -> bool {
        self.0.split_once('/').is_some_and(|(_, rest)| rest.starts_with('b'))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The queue of the job.
    pub fn queue(&self) -> &str {
        self.0.split_once('/').map_or("", |(queue, _)| queue)
    }

    /// The stream entry that the id names, or "" for a job that began scheduled.
    pub(crate) fn entry(&self) -> &str {
        match self.0.split_once('/') {
            Some((_, rest)) if !rest.starts_with('s') => rest,
            _ => "",
        }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An entry of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EntryId {
    ms: u64,
    seq: u64,
}

impl EntryId {
    /// Reads `ms-seq`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (ms, seq) = text.split_once('-')?;
        Some(Self { ms: ms.parse().ok()?, seq: seq.parse().ok()? })
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked() {
        assert_eq!(JobId::parse("mail/1-0").unwrap().entry(), "1-0");
        assert_eq!(JobId::parse("mail/s12").unwrap().entry(), "");
        for wrong in ["", "mail", "mail/", "mail/s", "mail/1", "ma il/1-0", "/1-0", "mail/1-0-0", "mail/s1x"]
        {
            assert!(JobId::parse(wrong).is_err(), "{wrong}");
        }
    }
}
