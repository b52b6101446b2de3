//! The states of a job and the history that goes with it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a job is. A job is in exactly one state.
///
/// A push makes it enqueued, or scheduled with a delay. What can be done to it then, and what becomes of it, is one table:
/// [`State::after`] and [`Verb`](crate::Verb), drawn in `docs/states.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// Waits for its time.
    Scheduled,
    /// Ready, waits for a worker.
    #[default]
    Enqueued,
    /// A worker has it.
    Active,
    /// Failed, waits for its next attempt.
    Retry,
    /// Waits for a worker that knows its kind.
    Parked,
    /// Failed for good; kept to be looked at.
    Dead,
    /// Gave itself up, or expired.
    Discarded,
    /// Was cancelled.
    Cancelled,
    /// Succeeded.
    Completed,
}

impl State {
    /// Every state.
    pub const ALL: [State; 9] = [
        Self::Scheduled,
        Self::Enqueued,
        Self::Active,
        Self::Retry,
        Self::Parked,
        Self::Dead,
        Self::Discarded,
        Self::Cancelled,
        Self::Completed,
    ];

    /// The states whose jobs are stored outside the streams, each with a set ordered by time.
    pub const STORED: [State; 6] =
        [Self::Scheduled, Self::Retry, Self::Parked, Self::Dead, Self::Discarded, Self::Cancelled];

    /// The state's name, as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Enqueued => "enqueued",
            Self::Active => "active",
            Self::Retry => "retry",
            Self::Parked => "parked",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
            Self::Cancelled => "cancelled",
            Self::Completed => "completed",
        }
    }

    /// Reads a state's name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether the job has ended.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Dead | Self::Discarded | Self::Cancelled | Self::Completed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How many errors a job remembers.
pub const ERRORS_MAX: usize = 10;

/// Longest class, message or backtrace of a remembered error, in bytes.
pub const ERROR_TEXT_MAX: usize = 4096;

/// The history of a job: what is stored beside its envelope, as JSON.
///
/// Empty parts are absent, because scripts write it again with a JSON library that cannot tell an empty
/// list from an empty object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
#[non_exhaustive]
pub struct History {
    /// The state at the time of writing; in a stream it is the state that the job came from.
    pub state: State,
    /// The kind of a parked job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Attempts begun so far, those that a crash cut short included.
    #[serde(skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// Attempts that failed; only these count towards the limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u32,
    /// How often it asked to be put off; such attempts do not count as begun.
    #[serde(skip_serializing_if = "is_zero")]
    pub snoozes: u32,
    /// How often the process ended while the job ran alone under suspicion.
    #[serde(skip_serializing_if = "is_zero")]
    pub crashes: u32,
    /// Whether the error branch of its chain was pushed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub caught: bool,
    /// Why the job is dead, discarded, cancelled or parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last errors, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<AttemptError>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn printable(byte: u8) -> char {
    if matches!(byte, b' '..=b'~') { char::from(byte) } else { '?' }
}

impl History {
    /// Reads a history. One that cannot be read counts as empty, and an error says what stood there, as the scripts do.
    pub(crate) fn read(text: &[u8]) -> Self {
        serde_json::from_slice(text).unwrap_or_else(|_| {
            let message = "its history could not be read";
            let seen: String = text.iter().take(200).map(|byte| printable(*byte)).collect();
            let class = "History".to_owned();
            let problem =
                AttemptError { class, message: format!("{message}: {seen}"), ..AttemptError::default() };
            Self { reason: Some(message.to_owned()), errors: vec![problem], ..Self::default() }
        })
    }

    /// Adds an error and forgets the oldest beyond [`ERRORS_MAX`].
    pub(crate) fn remember(&mut self, error: AttemptError) {
        self.errors.push(error);
        let excess = self.errors.len().saturating_sub(ERRORS_MAX);
        self.errors.drain(..excess);
    }
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
#[non_exhaustive]
pub struct AttemptError {
    /// The type of the error.
    pub class: String,
    /// What it said.
    pub message: String,
    /// Where it happened, when known: of a panic the place, and of any error the backtrace if `RUST_BACKTRACE` asks for
    /// one. A panic hook that a program sets after its first worker began keeps panics from saying so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backtrace: Option<String>,
    /// When it ended, by the worker's clock, in milliseconds since 1970; a crash, when it was found, by the store's.
    pub at: u64,
    /// How long it took, in milliseconds; none for what did not begin, and for a crash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Which attempt; 0 when what went wrong was none.
    pub attempt: u32,
    /// Whose attempt.
    pub worker: String,
}

/// Cuts a text to [`ERROR_TEXT_MAX`] bytes at a character's boundary.
pub(crate) fn cut(mut text: String) -> String {
    let end = text.floor_char_boundary(ERROR_TEXT_MAX);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_history_has_no_empty_lists() {
        assert_eq!(serde_json::to_string(&History::default()).unwrap(), r#"{"state":"enqueued"}"#);
    }

    #[test]
    fn only_the_last_errors_are_remembered() {
        let mut history = History::default();
        for attempt in 1..=12 {
            history.remember(AttemptError { attempt, ..AttemptError::default() });
        }
        let kept: Vec<_> = history.errors.iter().map(|error| error.attempt).collect();
        assert_eq!(kept, (3..=12).collect::<Vec<_>>());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("é".repeat(3000)).len(), ERROR_TEXT_MAX);
        assert_eq!(cut(format!("a{}", "é".repeat(3000))).len(), ERROR_TEXT_MAX - 1);
    }

    #[test]
    fn names_of_states_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        assert_eq!(State::parse("lost"), None);
    }
}
