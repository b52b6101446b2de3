//! The steps in a job's life, one by one: for whoever watches every job.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::JobId;

/// One step in the life of one job, as the client that pushes or moves it or the worker that runs it sees it.
///
/// What is pushed by the end of a job, such as the next one of its chain, is told with that end, and before it. A due job that
/// moves into its queue is not told of: it is heard of when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobEvent {
    /// What happened.
    pub step: JobStep,
    /// To which job.
    pub id: JobId,
    /// Its kind; empty where it is not known.
    pub kind: String,
    /// Which attempt, from 1; 0 before the first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// What went wrong, or why the job ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// In how many milliseconds the job is due, for one that waits for its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// How many milliseconds the attempt took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobStep {
    /// It was pushed or put back, and is ready.
    Enqueued,
    /// It was pushed or put off by hand, and waits for its time.
    Scheduled,
    /// It had begun under a worker that ended, and is about to run again.
    Recovered,
    /// An attempt began.
    Started,
    /// It succeeded, and the store knows.
    Completed,
    /// An attempt failed; what becomes of the job is the next event.
    Failed,
    /// It waits for its next attempt.
    Retrying,
    /// It put itself off.
    Snoozed,
    /// It ended as cancelled.
    Cancelled,
    /// It ended as discarded.
    Discarded,
    /// It came too late to be run, and ended as discarded.
    Expired,
    /// It waits for a worker that knows its kind.
    Parked,
    /// It ended as dead.
    Dead,
    /// It was given another envelope by hand, and waits where it was.
    Edited,
    /// It was taken out of the store by hand.
    Removed,
    /// Its lease was lost: another worker may have it, the result here does not count.
    LeaseLost,
}

impl JobStep {
    /// The step's name, as in the stored stream.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enqueued => "enqueued",
            Self::Scheduled => "scheduled",
            Self::Recovered => "recovered",
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Retrying => "retrying",
            Self::Snoozed => "snoozed",
            Self::Cancelled => "cancelled",
            Self::Discarded => "discarded",
            Self::Expired => "expired",
            Self::Parked => "parked",
            Self::Dead => "dead",
            Self::Edited => "edited",
            Self::Removed => "removed",
            Self::LeaseLost => "lease_lost",
        }
    }
}

impl fmt::Display for JobStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl JobEvent {
    pub(crate) fn new(step: JobStep, id: JobId, kind: impl Into<String>) -> Self {
        Self { step, id, kind: kind.into(), attempt: 0, message: None, delay_ms: None, took_ms: None }
    }

    pub(crate) fn attempt(self, attempt: u32) -> Self {
        Self { attempt, ..self }
    }

    /// The queue of the job.
    pub fn queue(&self) -> &str {
        self.id.queue()
    }
}

impl fmt::Display for JobEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind, self.id, self.step)?;
        if self.attempt > 0 {
            write!(f, ", attempt {}", self.attempt)?;
        }
        if let Some(took) = self.took_ms {
            write!(f, ", {took} ms")?;
        }
        if let Some(delay) = self.delay_ms {
            write!(f, ", due in {delay} ms")?;
        }
        self.message.iter().try_for_each(|message| write!(f, ": {message}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_stored_without_what_it_has_not() {
        let id = JobId::parse("mail/1-0").unwrap();
        let event = JobEvent::new(JobStep::LeaseLost, id, "greet").attempt(2);
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(json, r#"{"step":"lease_lost","id":"mail/1-0","kind":"greet","attempt":2}"#);
        assert_eq!(serde_json::from_str::<JobEvent>(&json).unwrap(), event);
        assert_eq!(event.to_string(), "greet mail/1-0 lease_lost, attempt 2");
    }
}
