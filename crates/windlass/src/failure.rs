//! How a job says that it did not succeed.

use std::any::type_name;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::time::Duration;

use crate::state::cut;

/// What a job's `run` answers: its output, or how it failed.
pub type Outcome<T> = Result<T, Failure>;

/// What is to become of a job that did not succeed. `?` on any standard error makes one that retries.
///
/// ```
/// use std::time::Duration;
/// use windlass::{Failure, Outcome};
///
/// fn parse(text: &str) -> Outcome<u32> {
///     if text.is_empty() {
///         return Err(Failure::discard("nothing to parse"));
///     }
///     Ok(text.parse()?)
/// }
/// assert!(parse("x").is_err());
/// let later = Failure::retry("the bank is closed").retry_in(Duration::from_secs(600));
/// assert_eq!(later.message(), "the bank is closed");
/// ```
#[derive(Debug)]
pub struct Failure {
    pub(crate) fate: Fate,
    pub(crate) class: String,
    pub(crate) message: String,
    pub(crate) backtrace: Option<String>,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Another attempt, after the policy's delay or this one.
    Retry(Option<Duration>),
    /// The same attempt later.
    Snooze(Duration),
    /// No further attempt, kept among the discarded.
    Discard,
    /// No further attempt, kept among the dead.
    Kill,
    /// No further attempt, kept among the cancelled.
    Cancel,
    /// Kept until a worker comes that knows the kind.
    Park,
}

impl Failure {
    /// A failed attempt; the retry policy says when the next one is.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::with(Fate::Retry(None), "Failure", message)
    }

    /// Not now: run the job again after `delay`. This does not count as an attempt.
    pub fn snooze(delay: Duration) -> Self {
        Self::with(Fate::Snooze(delay), "Snooze", "")
    }

    /// Give the job up: there is nothing to do any more.
    pub fn discard(reason: impl Into<String>) -> Self {
        Self::with(Fate::Discard, "Discard", reason)
    }

    /// Put the job among the dead at once: no attempt can succeed.
    pub fn kill(reason: impl Into<String>) -> Self {
        Self::with(Fate::Kill, "Kill", reason)
    }

    /// The job was told to stop.
    pub fn cancel() -> Self {
        Self::with(Fate::Cancel, "Cancel", "cancelled")
    }

    /// Sets the wait before the next attempt, in place of the retry policy's: what a `Retry-After` says.
    #[must_use]
    pub fn retry_in(mut self, delay: Duration) -> Self {
        self.fate = Fate::Retry(Some(delay));
        self
    }

    /// Names the kind of error, for the [retry policy](crate::Retry::by_error) and for whoever looks at the job.
    #[must_use]
    pub fn of_class(mut self, class: impl Into<String>) -> Self {
        self.class = cut(class.into());
        self
    }

    /// The kind of error: the type of the one that `?` made this failure of, as the compiler names it, or the
    /// [name given](Self::of_class).
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Whether `?` made this failure of an error of this type.
    pub fn is<E>(&self) -> bool {
        self.class == type_name::<E>()
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn park(kind: &str) -> Self {
        Self::with(Fate::Park, "Park", format!("no worker here knows the kind `{kind}`"))
    }

    pub(crate) fn park_version(kind: &str, version: u32, known: u32) -> Self {
        let message = format!("the worker here knows the kind `{kind}` up to version {known}, not {version}");
        Self::with(Fate::Park, "Park", message)
    }

    /// The same failure of a job that was cancelled while it ran: it is not tried again.
    pub(crate) fn into_cancelled(self) -> Self {
        if self.fate == Fate::Cancel {
            return self;
        }
        let message = cut(format!("cancelled: {}", self.message));
        Self { fate: Fate::Cancel, message, ..self }
    }

    pub(crate) fn with(fate: Fate, class: &str, message: impl Into<String>) -> Self {
        Self { fate, class: class.to_owned(), message: cut(message.into()), backtrace: None }
    }

    /// Adds where it happened, when `RUST_BACKTRACE` asks for that.
    fn traced(mut self) -> Self {
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            self.backtrace = Some(cut(backtrace.to_string()));
        }
        self
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::with(Fate::Retry(None), type_name::<E>(), message).traced()
    }
}
