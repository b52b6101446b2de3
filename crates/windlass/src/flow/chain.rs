//! Chains: jobs one after the other, each with what the one before it answered.

use crate::client::{Client, Push};
use crate::error::{Error, Result};
use crate::flow::{Flow, Step};
use crate::id::JobId;
use crate::job::Pushable;
use crate::middleware::Pushing;

/// Jobs that run one after the other. Each is pushed in the step that ends the one before it, with its output, which
/// [`Context::previous`](crate::Context::previous) reads. When one of them ends without success, the job given to
/// [`catch`](Self::catch) is pushed instead, once.
///
/// ```no_run
/// # use serde::{Deserialize, Serialize};
/// use windlass::{Chain, Client, Context, Job, JobError, Outcome};
///
/// # #[derive(Serialize, Deserialize)]
/// # struct Fetch { url: String }
/// # impl Job for Fetch {
/// #     const KIND: &'static str = "fetch";
/// #     type Output = String;
/// #     async fn run(self, _: Context) -> Outcome<String> { Ok(self.url) }
/// # }
/// #[derive(Serialize, Deserialize)]
/// struct Count;
///
/// impl Job for Count {
///     const KIND: &'static str = "count";
///     type Output = usize;
///
///     async fn run(self, context: Context) -> Outcome<usize> {
///         let page: String = context.previous()?.unwrap_or_default();
///         Ok(page.len())
///     }
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Complain;
///
/// impl Job for Complain {
///     const KIND: &'static str = "complain";
///     type Output = ();
///
///     async fn run(self, context: Context) -> Outcome<()> {
///         let error: JobError = context.previous()?.unwrap_or_default();
///         println!("{} failed: {}", error.kind, error.message);
///         Ok(())
///     }
/// }
///
/// # async fn example(client: Client) -> windlass::Result<()> {
/// let chain = Chain::new().then(Fetch { url: "https://example.com".into() }).then(Count).catch(Complain);
/// client.push_chain(chain).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct Chain {
    first: Push,
    steps: Vec<Step>,
    catch: Option<Step>,
    problem: Option<Error>,
}

impl Chain {
    /// A chain without jobs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a job, as its kind says.
    pub fn then<Style, J: Pushable<Style>>(self, job: J) -> Self {
        self.then_with(job, Push::new())
    }

    /// Adds a job with options. Only the first one can be delayed, unique or have a key, a time at which it expires or a
    /// deadline.
    pub fn then_with<Style, J: Pushable<Style>>(mut self, job: J, mut options: Push) -> Self {
        let is_first = self.steps.is_empty();
        if is_first {
            self.first.due = options.due.take();
            self.first.key = options.key.take();
            self.first.key_ttl = options.key_ttl.take();
            self.first.unique = options.unique.take();
        }
        let step = if is_first { Step::first(&job, &options) } else { Step::new(&job, &options) };
        match step {
            Ok(step) => self.steps.push(step),
            Err(error) => self.note(error),
        }
        self
    }

    /// The job that is pushed when one of the chain ends without success: dead, discarded or cancelled. It reads a
    /// [`JobError`](crate::JobError) with [`Context::previous`](crate::Context::previous).
    pub fn catch<Style, J: Pushable<Style>>(self, job: J) -> Self {
        self.catch_with(job, Push::new())
    }

    /// The same with options.
    pub fn catch_with<Style, J: Pushable<Style>>(mut self, job: J, options: Push) -> Self {
        match Step::new(&job, &options) {
            Ok(step) => self.catch = Some(step),
            Err(error) => self.note(error),
        }
        self
    }

    fn note(&mut self, error: Error) {
        self.problem.get_or_insert(error);
    }

    /// How the first job is pushed.
    pub(super) fn first_options(&self) -> &Push {
        &self.first
    }

    /// The first job with the rest in its flow, once every middleware has seen all of them.
    pub(super) async fn into_first(self, batch: Option<&str>, client: &Client) -> Result<Pushing> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let mut steps = self.steps.into_iter();
        let first = steps.next().ok_or_else(|| Error::Config(vec!["a chain needs a job".into()]))?;
        let mut first = Pushing::of_envelope(&first.queue, first.job.as_bytes(), &self.first)?;
        first.set_key(self.first.key);
        if let Some(watchers) = client.watchers() {
            watchers.apply(&mut first).await?;
        }
        let mut next = Vec::with_capacity(steps.len());
        for step in steps {
            next.push(step.seen(client).await?);
        }
        let catch = match self.catch {
            Some(catch) => Some(catch.seen(client).await?),
            None => None,
        };
        let catch = match (catch, batch) {
            (Some(catch), Some(batch)) => Some(catch.within(batch)?),
            (catch, _) => catch,
        };
        let flow = Flow { batch: batch.map(str::to_owned), n: None, next, catch };
        first.set_flow((flow != Flow::default()).then(|| Box::new(flow)));
        Ok(first)
    }
}

impl Client {
    /// Pushes a chain: its first job, which carries the rest. Answers the id of that job.
    ///
    /// # Errors
    /// As [`push_with`](Self::push_with), and when the chain has no job or one that cannot follow others.
    pub async fn push_chain(&self, chain: Chain) -> Result<JobId> {
        self.send_passed(chain.into_first(None, self).await?).await
    }
}
