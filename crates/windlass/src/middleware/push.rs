//! Before every push.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::broker::Due;
use crate::client::{Push, epoch_ms};
use crate::envelope::{Envelope, check_depth};
use crate::error::{Error, Result};
use crate::flow::Flow;
use crate::name::check_name;

/// Sees every job before a client pushes it: it may change the job, or stop the push with an error.
///
/// It is called once for each job of `push`, `push_many`, `push_raw` and their kin, of batches and of groups. What the
/// store pushes later it sees when the store is told of it: every job of a chain and its error branch with the chain, in
/// order, the callbacks of a batch or a group as it is opened. Such a job cannot be delayed. A refusal stops all of
/// the call that it comes with; only what calls before it pushed of a bulk load or a batch stays.
///
/// The job of a cron entry it sees each time that the entry fires, in the worker that fires it. When two workers try at
/// once, both are asked and one pushes. One that is refused is left out, and told of as
/// [`Event::CronRefused`](crate::Event::CronRefused).
///
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
    /// Why it cannot be put off, for one that can not.
    fixed: Option<&'static str>,
}

impl Pushing {
    pub(crate) fn new(queue: &str, envelope: Envelope<'_, impl Serialize>, options: &Push) -> Result<Self> {
        let args = serde_json::value::to_raw_value(&envelope.args)?;
        let envelope = envelope.with_args(args);
        let (queue, options) = (queue.to_owned(), options.clone());
        Ok(Self { queue, envelope, options, is_rerouted: false, fixed: None })
    }

    /// A job of which there is the envelope alone.
    pub(crate) fn of_envelope(queue: &str, envelope: &[u8], options: &Push) -> Result<Self> {
        let envelope = Envelope::parse(envelope).map_err(|_| Error::Answer("a step is an envelope"))?;
        Self::new(queue, envelope, options)
    }

    /// The same for one that comes when others have ended, or when the calendar says.
    pub(crate) fn fixed(self, why: &'static str) -> Self {
        Self { fixed: Some(why), ..self }
    }

    /// The queue and the envelope of one that is not pushed by a call of its own.
    pub(crate) fn into_bytes(self) -> Result<(String, Vec<u8>)> {
        let Self { queue, envelope, options, fixed, .. } = self;
        if let Some(why) = fixed.filter(|_| options.due.is_some()) {
            return Err(Error::Refused(format!("it delayed {}, which {why}", envelope.kind)));
        }
        check_name("queue", &queue)?;
        crate::tag::check(&envelope)?;
        let bytes = envelope.to_bytes()?;
        check_depth(&bytes)?;
        Ok((queue, bytes))
    }

    /// The same with its own time, for one of a bulk load that is spread.
    pub(crate) fn spread(mut self, dealt: Option<Option<Due>>) -> Self {
        self.options.due = dealt.unwrap_or(self.options.due);
        self.options.spread = None;
        self
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

    /// The words by which it is found.
    pub fn tags(&self) -> &[String] {
        &self.envelope.tags
    }

    /// Adds such a word; one that is there already adds nothing.
    pub fn add_tag(&mut self, tag: impl Into<String>) {
        let tag = tag.into();
        if !self.envelope.tags.contains(&tag) {
            self.envelope.tags.push(tag);
        }
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

    /// The trace context.
    pub fn trace(&self) -> Option<&str> {
        self.envelope.trace.as_deref()
    }

    /// Sets the trace context, as in a `traceparent` header.
    pub fn set_trace(&mut self, traceparent: impl Into<String>) {
        self.envelope.trace = Some(traceparent.into());
    }

    /// Whether it waits for its time.
    pub fn is_delayed(&self) -> bool {
        self.options.due.is_some()
    }

    /// The enqueue key, as the envelope tells it.
    pub(crate) fn set_key(&mut self, key: Option<String>) {
        self.envelope.key = key;
    }

    /// What it has to do with others.
    pub(crate) fn set_flow(&mut self, flow: Option<Box<Flow>>) {
        self.envelope.flow = flow;
    }

    /// When it is due.
    pub(crate) fn due(&self) -> Option<Due> {
        self.options.due
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
