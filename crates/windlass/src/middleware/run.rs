//! Around every attempt of a job.

use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::context::Context;
use crate::failure::Outcome;

/// Stands around every attempt that a worker makes.
///
/// It sees the job before it runs and the outcome after, may change both, and may leave the job out by not calling
/// [`Next::run`]: then what it answers is the attempt's outcome. A panic in it is a failed attempt, as in a job, and
/// the time limits of the job are its own as well.
///
/// ```
/// use std::time::Instant;
/// use windlass::{Attempt, Next, Outcome, Output, RunMiddleware};
///
/// struct Timing;
///
/// impl RunMiddleware for Timing {
///     async fn run(&self, attempt: Attempt, next: Next<'_>) -> Outcome<Output> {
///         let (kind, started) = (attempt.context().kind().to_owned(), Instant::now());
///         let outcome = next.run(attempt).await;
///         println!("{kind} took {:?}, ok: {}", started.elapsed(), outcome.is_ok());
///         outcome
///     }
/// }
/// ```
pub trait RunMiddleware: Send + Sync + 'static {
    /// Runs the attempt by `next`, with something done before and after it; or answers in its place.
    fn run(&self, attempt: Attempt, next: Next<'_>) -> impl Future<Output = Outcome<Output>> + Send;
}

/// One attempt on its way to the job's code.
pub struct Attempt {
    pub(crate) args: Box<RawValue>,
    pub(crate) context: Context,
}

impl Attempt {
    /// The context that the job gets: id, kind, queue, attempt, meta, client, state.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The arguments as JSON.
    pub fn args(&self) -> &RawValue {
        &self.args
    }

    /// Gives the job other arguments, in this attempt.
    ///
    /// # Errors
    /// When they cannot be JSON.
    pub fn set_args(&mut self, args: &impl Serialize) -> Outcome<()> {
        self.args = serde_json::value::to_raw_value(args)?;
        Ok(())
    }

    /// Gives the job a value beside its arguments, in this attempt.
    pub fn set_meta(&mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) {
        self.context.set_meta(name.into(), value.into());
    }
}

/// What an attempt answered, as JSON. Of a job whose result nobody keeps or follows on, nothing is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    json: Vec<u8>,
}

impl Output {
    /// An output of your own, for a middleware that answers in place of the job.
    ///
    /// # Errors
    /// When it cannot be JSON.
    pub fn new(output: &impl Serialize) -> Outcome<Self> {
        Ok(Self { json: serde_json::to_vec(output)? })
    }

    /// The output as JSON; `None` where it is not kept.
    pub fn json(&self) -> Option<&str> {
        std::str::from_utf8(&self.json).ok().filter(|json| !json.is_empty())
    }
}

type Running<'a> = Pin<Box<dyn Future<Output = Outcome<Output>> + Send + 'a>>;

/// What a [`RunMiddleware`] seems to be to those who call it.
trait Link: Send + Sync {
    fn run<'a>(&'a self, attempt: Attempt, next: Next<'a>) -> Running<'a>;
}

impl<M: RunMiddleware> Link for M {
    fn run<'a>(&'a self, attempt: Attempt, next: Next<'a>) -> Running<'a> {
        Box::pin(RunMiddleware::run(self, attempt, next))
    }
}

/// The job's own code, at the end of the chain.
type Job<'a> = dyn Fn(Attempt) -> Pin<Box<dyn Future<Output = Outcome<Vec<u8>>> + Send>> + Send + Sync + 'a;

/// The rest of the chain, and the job at its end.
#[must_use]
pub struct Next<'a> {
    links: &'a [Arc<dyn Link>],
    job: &'a Job<'a>,
}

impl Next<'_> {
    /// Runs the rest of the chain and the job.
    ///
    /// # Errors
    /// When the attempt does not succeed.
    pub async fn run(self, attempt: Attempt) -> Outcome<Output> {
        match self.links.split_first() {
            Some((first, links)) => first.run(attempt, Next { links, job: self.job }).await,
            None => Ok(Output { json: (self.job)(attempt).await? }),
        }
    }
}

/// The middleware of a worker.
#[derive(Clone, Default)]
pub(crate) struct RunChain {
    links: Vec<Arc<dyn Link>>,
}

impl RunChain {
    pub(crate) fn add(&mut self, middleware: impl RunMiddleware) {
        self.links.push(Arc::new(middleware));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Runs an attempt through all of them; `job` is the job's own code.
    pub(crate) async fn run(&self, attempt: Attempt, job: &Job<'_>) -> Outcome<Vec<u8>> {
        Ok(Next { links: &self.links, job }.run(attempt).await?.json)
    }
}
