//! Typed jobs: what a kind of work is called, where it waits, and what it does.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::{context::Context, envelope::MAX_ATTEMPTS_DEFAULT, failure::Outcome, retry::Retry};

/// Work that waits without blocking, run on the user's runtime.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use windlass::{Context, Job, Outcome};
///
/// #[derive(Serialize, Deserialize)]
/// struct Greet {
///     name: String,
/// }
///
/// impl Job for Greet {
///     const KIND: &'static str = "greet";
///     type Output = ();
///
///     async fn run(self, context: Context) -> Outcome<()> {
///         println!("Hello, {} (attempt {})", self.name, context.attempt());
///         Ok(())
///     }
/// }
/// ```
pub trait Job: Serialize + DeserializeOwned + Send + 'static {
    /// Names the kind of job, in the store and to other languages. It must not change.
    const KIND: &'static str;
    /// Where jobs of this kind wait, unless the push says otherwise.
    const QUEUE: &'static str = "default";
    /// Version of the arguments. A worker runs jobs of this version and of those before, and parks later ones until a worker
    /// comes that knows them: raise it when code that is still running could not read what is pushed from now on.
    const VERSION: u32 = 1;
    /// How many attempts may fail before the job is dead.
    const MAX_ATTEMPTS: u32 = MAX_ATTEMPTS_DEFAULT;

    /// What the job answers.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Does the work. It may run more than once, so it should be safe to repeat.
    fn run(self, context: Context) -> impl Future<Output = Outcome<Self::Output>> + Send;

    /// When a failed job is tried again.
    fn retry() -> Retry {
        Retry::default()
    }

    /// How long one attempt may take; the future is dropped then and the attempt has failed.
    fn timeout() -> Option<Duration> {
        None
    }

    /// After which time of an attempt its token fires, so that it may clean up and end by itself; shorter than
    /// [`timeout`](Self::timeout). A job that then answers [`Failure::cancel`](crate::Failure::cancel) took too long.
    fn soft_timeout() -> Option<Duration> {
        None
    }

    /// How long the result is kept; `None` keeps none. A result of more than [`max_payload`](crate::Config::max_payload)
    /// bytes, or of which no JSON can be made, ends the job as dead: another attempt would answer the same.
    fn result_ttl() -> Option<Duration> {
        None
    }
}

/// Work that blocks its thread, run on the worker's own bounded threads.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use windlass::{BlockingJob, Context, Outcome};
///
/// #[derive(Serialize, Deserialize)]
/// struct Sum(Vec<u64>);
///
/// impl BlockingJob for Sum {
///     const KIND: &'static str = "sum";
///     type Output = u64;
///
///     fn run(self, _context: &Context) -> Outcome<u64> {
///         Ok(self.0.iter().sum())
///     }
/// }
/// ```
pub trait BlockingJob: Serialize + DeserializeOwned + Send + 'static {
    /// Names the kind of job, in the store and to other languages. It must not change.
    const KIND: &'static str;
    /// Where jobs of this kind wait, unless the push says otherwise.
    const QUEUE: &'static str = "default";
    /// Version of the arguments. A worker runs jobs of this version and of those before, and parks later ones until a worker
    /// comes that knows them: raise it when code that is still running could not read what is pushed from now on.
    const VERSION: u32 = 1;
    /// How many attempts may fail before the job is dead.
    const MAX_ATTEMPTS: u32 = MAX_ATTEMPTS_DEFAULT;

    /// What the job answers.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Does the work. A thread cannot be stopped from outside: long work looks at
    /// [`Context::is_cancelled`] now and then.
    fn run(self, context: &Context) -> Outcome<Self::Output>;

    /// When a failed job is tried again.
    fn retry() -> Retry {
        Retry::default()
    }

    /// How long one attempt may take; the context is cancelled then.
    fn timeout() -> Option<Duration> {
        None
    }

    /// After which time of an attempt its token fires, so that it may clean up and end by itself; shorter than
    /// [`timeout`](Self::timeout). A job that then answers [`Failure::cancel`](crate::Failure::cancel) took too long.
    fn soft_timeout() -> Option<Duration> {
        None
    }

    /// How long the result is kept; `None` keeps none. A result of more than [`max_payload`](crate::Config::max_payload)
    /// bytes, or of which no JSON can be made, ends the job as dead: another attempt would answer the same.
    fn result_ttl() -> Option<Duration> {
        None
    }
}

/// What a push needs to know of a kind. Every [`Job`] and every [`BlockingJob`] is pushable; `Style` keeps
/// the two apart for the compiler, which always finds it by itself.
pub trait Pushable<Style>: Serialize {
    /// What the job answers.
    type Output: DeserializeOwned;
    /// See [`Job::KIND`].
    const KIND: &'static str;
    /// See [`Job::QUEUE`].
    const QUEUE: &'static str;
    /// See [`Job::VERSION`].
    const VERSION: u32;
    /// See [`Job::MAX_ATTEMPTS`].
    const MAX_ATTEMPTS: u32;
    /// See [`Job::timeout`].
    fn timeout() -> Option<Duration>;
    /// See [`Job::soft_timeout`].
    fn soft_timeout() -> Option<Duration>;
    /// See [`Job::result_ttl`].
    fn result_ttl() -> Option<Duration>;
}

/// The style of [`Job`].
#[derive(Debug)]
pub enum Async {}

/// The style of [`BlockingJob`].
#[derive(Debug)]
pub enum Blocking {}

impl<J: Job> Pushable<Async> for J {
    type Output = J::Output;
    const KIND: &'static str = J::KIND;
    const QUEUE: &'static str = J::QUEUE;
    const VERSION: u32 = J::VERSION;
    const MAX_ATTEMPTS: u32 = J::MAX_ATTEMPTS;

    fn timeout() -> Option<Duration> {
        J::timeout()
    }

    fn soft_timeout() -> Option<Duration> {
        J::soft_timeout()
    }

    fn result_ttl() -> Option<Duration> {
        J::result_ttl()
    }
}

impl<J: BlockingJob> Pushable<Blocking> for J {
    type Output = J::Output;
    const KIND: &'static str = J::KIND;
    const QUEUE: &'static str = J::QUEUE;
    const VERSION: u32 = J::VERSION;
    const MAX_ATTEMPTS: u32 = J::MAX_ATTEMPTS;

    fn timeout() -> Option<Duration> {
        J::timeout()
    }

    fn soft_timeout() -> Option<Duration> {
        J::soft_timeout()
    }

    fn result_ttl() -> Option<Duration> {
        J::result_ttl()
    }
}
