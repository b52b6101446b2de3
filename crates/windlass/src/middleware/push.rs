//! Before every push.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::broker::Due;
use crate::client::{Push, epoch_ms};
use crate::envelope::Envelope;
use crate::error::{Error, Result};

/// Sees every job before a client pushes it: it may change the job, or stop the push with an error.
///
/// It is called for `push`, `push_many`, `push_raw` and their kin, once for each job, and for the first job of a chain.
/// The jobs of a batch, and what the store pushes by itself (the next of a chain, callbacks, cron entries), pass it by.
/// A panic in it is an error of the push.
///
/// ```
/// use windlass::{Error, Pushing, PushMiddleware, Result};
///
/// struct Tenant(String);
///
/// impl PushMiddleware for Tenant {
///     async fn push(&self, job: &mut Pushing) -> Result<()> {
///         if job.kind() == "delete-everything" {
///             return Err(Error::Refused(format!("not for {}", self.0)));
///         }
///         job.set_meta("tenant", self.0.as_str());
///         Ok(())
///     }
/// }
/// ```
pub trait PushMiddleware: Send + Sync + 'static {
    /// Looks at a job that is about to be pushed.
    ///
    /// # Errors
    /// To stop the push, best with [`Error::Refused`]; whoever pushes gets the error as it is.
    fn push(&self, job: &mut Pushing) -> impl Future<Output = Result<()>> + Send;
}

/// A job that is about to be pushed.
#[derive(Debug)]
pub struct Pushing {
    queue: String,
    envelope: Envelope<'static, Box<RawValue>>,
    options: Push,
    is_rerouted: bool,
}

impl Pushing {
    pub(crate) fn new(queue: &str, envelope: Envelope<'_, impl Serialize>, options: &Push) -> Result<Self> {
        let args = serde_json::value::to_raw_value(&envelope.args)?;
        let envelope = envelope.with_args(args);
        Ok(Self { queue: queue.to_owned(), envelope, options: options.clone(), is_rerouted: false })
    }

    /// The job's kind.
    pub fn kind(&self) -> &str {
        &self.envelope.kind
    }

    /// The queue that it is pushed into.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// Pushes it into another queue.
    pub fn set_queue(&mut self, queue: impl Into<String>) {
        self.queue = queue.into();
        self.is_rerouted = true;
    }

    /// The arguments as JSON.
    pub fn args(&self) -> &RawValue {
        &self.envelope.args
    }

    /// Gives it other arguments.
    ///
    /// # Errors
    /// When they cannot be JSON.
    pub fn set_args(&mut self, args: &impl Serialize) -> Result<()> {
        self.envelope.args = serde_json::value::to_raw_value(args)?;
        Ok(())
    }

    /// A value beside its arguments.
    pub fn meta(&self, name: &str) -> Option<&serde_json::Value> {
        self.envelope.meta.as_ref()?.get(name)
    }

    /// Sets a value beside its arguments, which the job reads from its context.
    pub fn set_meta(&mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) {
        self.envelope.meta.get_or_insert_default().insert(name.into(), value.into());
    }

    /// How many of its attempts may fail.
    pub fn max_attempts(&self) -> u32 {
        self.envelope.max
    }

    /// Sets how many of its attempts may fail.
    pub fn set_max_attempts(&mut self, max: u32) {
        self.envelope.max = max;
    }

    /// Sets how long one attempt may take.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.envelope.timeout = Some(crate::client::whole_ms(timeout));
    }

    /// Discards the job if it has not begun by then.
    pub fn set_expires_at(&mut self, time: SystemTime) {
        self.envelope.expires = Some(epoch_ms(time));
    }

    /// Sets the trace context, as in a `traceparent` header.
    pub fn set_trace(&mut self, traceparent: impl Into<String>) {
        self.envelope.trace = Some(traceparent.into());
    }

    /// Whether it waits for its time.
    pub fn is_delayed(&self) -> bool {
        self.options.due.is_some()
    }

    /// Puts it off: not before `delay` has passed.
    pub fn set_delay(&mut self, delay: Duration) {
        self.options.due = Some(Due::In(delay));
        self.is_rerouted = true;
    }

    /// Whether it cannot be pushed together with others that it came with.
    pub(crate) fn is_rerouted(&self) -> bool {
        self.is_rerouted
    }

    pub(crate) fn into_parts(self) -> (String, Envelope<'static, Box<RawValue>>, Push) {
        (self.queue, self.envelope, self.options)
    }
}

/// What a [`PushMiddleware`] seems to be to those who call it.
trait Link: Send + Sync {
    fn push<'a>(&'a self, job: &'a mut Pushing) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;
}

impl<M: PushMiddleware> Link for M {
    fn push<'a>(&'a self, job: &'a mut Pushing) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
        // Begun by the first poll, so that a panic of the function itself is one of the future, too.
        Box::pin(async move { PushMiddleware::push(self, job).await })
    }
}

/// The middleware of a client.
#[derive(Clone, Default)]
pub(crate) struct PushChain {
    links: Vec<Arc<dyn Link>>,
}

impl PushChain {
    /// The same with one more at the end.
    pub(crate) fn with(&self, middleware: impl PushMiddleware) -> Self {
        let mut links = self.links.clone();
        links.push(Arc::new(middleware));
        Self { links }
    }

    /// Shows a job to all of them in turn.
    pub(crate) async fn apply(&self, job: &mut Pushing) -> Result<()> {
        for link in &self.links {
            let mut looking = link.push(job);
            std::future::poll_fn(|context| {
                catch_unwind(AssertUnwindSafe(|| looking.as_mut().poll(context)))
                    .unwrap_or_else(|panic| std::task::Poll::Ready(Err(panicked(panic))))
            })
            .await?;
        }
        Ok(())
    }
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Error {
    let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    Error::Refused(format!("it panicked: {}", message.as_deref().unwrap_or("without a message")))
}
