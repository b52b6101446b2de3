//! Batches: any number of jobs with callbacks for when they have ended.

use std::collections::VecDeque;
use std::iter::Peekable;

use super::{BatchBuilder, BatchStatus, Chain, Flow};
use crate::broker::{BATCH_BYTES_MAX, BATCH_JOBS_MAX, BatchPush, Due};
use crate::client::{AHEAD_BYTES_MAX, AHEAD_JOBS_MAX, Client, Encoded, Push, envelope_of};
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::job::Pushable;
use crate::middleware::Pushing;
use crate::name::check_name;

/// How deep batches may be nested.
pub const BATCH_DEPTH_MAX: usize = 8;

/// A batch that is opened, filled and closed by one push.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole<'a> {
    /// What it is opened with.
    pub(super) fields: &'a [(&'static str, Vec<u8>)],
    /// Whether its jobs are those of a group, in order.
    pub(super) is_group: bool,
    /// Whether the same push can be made again, and goes on where this one ended.
    pub(super) is_keyed: bool,
}

/// A job on its way to the batch.
enum Coming {
    /// There is nobody to see it.
    Ready(Ready),
    Unseen(Box<Pushing>),
}

/// A job as it is sent, with where and when it goes.
struct Ready {
    /// None is the queue of all of them.
    queue: Option<String>,
    due: Option<Due>,
    job: Encoded,
}

impl Ready {
    /// Whether one call can push both.
    fn goes_with(&self, other: &Self) -> bool {
        self.queue == other.queue && self.due == other.due
    }

    fn len(&self) -> usize {
        self.job.as_ref().len()
    }
}

/// The jobs of one push: those that are ready, and those behind them.
struct Line<I: Iterator> {
    ahead: VecDeque<Ready>,
    jobs: Peekable<I>,
}

impl<I: Iterator> Line<I> {
    fn is_empty(&mut self) -> bool {
        self.ahead.is_empty() && self.jobs.peek().is_none()
    }
}

/// A batch that was opened. Any number of processes may hold one by its [id](Self::id).
///
/// ```no_run
/// # use serde::{Deserialize, Serialize};
/// use windlass::{BatchStatus, Client, Context, Job, Outcome};
///
/// # #[derive(Serialize, Deserialize)]
/// # struct Send(Vec<String>);
/// # impl Job for Send {
/// #     const KIND: &'static str = "send";
/// #     type Output = ();
/// #     async fn run(self, _: Context) -> Outcome<()> { Ok(()) }
/// # }
/// #[derive(Serialize, Deserialize)]
/// struct AllSent;
///
/// impl Job for AllSent {
///     const KIND: &'static str = "all-sent";
///     type Output = ();
///
///     async fn run(self, context: Context) -> Outcome<()> {
///         let status: BatchStatus = context.previous()?.unwrap_or_default();
///         println!("{} of {} sent", status.succeeded, status.total);
///         Ok(())
///     }
/// }
///
/// # async fn example(client: Client, addresses: Vec<String>) -> windlass::Result<()> {
/// let batch = client.batch().on_success(AllSent).open().await?;
/// batch.push_chunks(addresses, 10, Send).await?;
/// batch.close().await?;
/// println!("{:?}", client.batch_status(batch.id()).await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Batch {
    client: Client,
    id: String,
}

impl Batch {
    pub(crate) fn new(client: Client, id: String) -> Self {
        Self { client, id }
    }

    /// Names the batch.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Pushes a job to the batch. That can be done while it is open, and after its closing as long as some job of it
    /// has not ended: so a running job can always add more to its own batch.
    ///
    /// # Errors
    /// [`Error::Batch`] when the batch is over or cancelled; otherwise as [`Client::push`].
    pub async fn push<Style, J: Pushable<Style>>(&self, job: J) -> Result<JobId> {
        self.push_with(job, Push::new()).await
    }

    /// Pushes a job with options; a key or uniqueness among them is an error.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub async fn push_with<Style, J: Pushable<Style>>(&self, job: J, options: Push) -> Result<JobId> {
        let ids = self.push_jobs(None, [job], &options, &mut false).await?;
        ids.1.ok_or(Error::Answer("batch_push gave no id"))
    }

    /// Pushes any number of jobs of one type in few calls. Answers how many.
    ///
    /// # Errors
    /// As [`push`](Self::push) and [`Client::push_many`]: an [`Error::Partial`] says how many were pushed.
    pub async fn push_many<Style, J: Pushable<Style>>(
        &self,
        jobs: impl IntoIterator<Item = J>,
    ) -> Result<u64> {
        self.push_many_with(jobs, Push::new()).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`push_many`](Self::push_many).
    pub async fn push_many_with<Style, J: Pushable<Style>>(
        &self,
        jobs: impl IntoIterator<Item = J>,
        options: Push,
    ) -> Result<u64> {
        Ok(self.push_jobs(None, jobs, &options, &mut false).await?.0)
    }

    /// Pushes one job for each `size` of the items. Answers how many jobs.
    ///
    /// # Errors
    /// As [`push_many`](Self::push_many), and when `size` is 0.
    pub async fn push_chunks<Style, T, J: Pushable<Style>>(
        &self,
        items: impl IntoIterator<Item = T>,
        size: usize,
        job: impl Fn(Vec<T>) -> J,
    ) -> Result<u64> {
        self.push_many(super::group::chunks(items, size, job)?).await
    }

    /// Pushes a chain to the batch, which waits for all of it: each of its jobs counts from when it is pushed.
    ///
    /// # Errors
    /// As [`push`](Self::push) and [`Client::push_chain`]; the first job cannot have a key nor be unique.
    pub async fn push_chain(&self, chain: Chain) -> Result<JobId> {
        check_fit(chain.first_options())?;
        let first = chain.into_first(Some(&self.id), &self.client).await?;
        let due = first.due();
        let (queue, job) = first.into_bytes()?;
        self.client.config().check_payload("a chain", job.len())?;
        let jobs = [job.as_slice()];
        let is_limited = due.is_none() && self.client.know(&queue).await?;
        let push = BatchPush { jobs: &jobs, due, is_limited, ..self.push_of(&queue) };
        self.call(push).await?.pop().ok_or(Error::Answer("batch_push gave no id"))
    }

    /// Says that no more jobs will be pushed from outside: from now on the batch completes when all of them have
    /// ended, at once if there are none. To close it again changes nothing.
    ///
    /// # Errors
    /// [`Error::Batch`] when there is no such batch, or the store fails.
    pub async fn close(&self) -> Result<()> {
        self.call(BatchPush { closes: true, ..self.push_of("default") }).await.map(drop)
    }

    /// Cancels the jobs that have not ended, in this batch and those nested in it. Those that wait for their time, their
    /// retry or a worker that knows them end at once; those in their queues when their turn comes. Those that run are asked
    /// to stop, as by [`Inspector::cancel`](crate::Inspector::cancel). Answers false when the batch is not there any more or
    /// has completed.
    ///
    /// It looks through all jobs that wait so in the namespace, two hundred in a call of the store.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn cancel(&self) -> Result<bool> {
        self.client.broker().cancel_batch(&self.id).await
    }

    /// How far the batch is; `None` when it is forgotten.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn status(&self) -> Result<Option<BatchStatus>> {
        self.client.batch_status(&self.id).await
    }

    /// What is kept of the jobs of a group; `None` while some have not ended.
    pub(super) async fn items(&self) -> Result<Option<Vec<Vec<u8>>>> {
        self.client.broker().batch_items(&self.id).await
    }

    /// Opens the batch, pushes its jobs and closes it. When that stops on the way, what is there already is cancelled and
    /// closed, unless the same push can go on.
    pub(super) async fn push_whole<Style, J: Pushable<Style>>(
        &self,
        whole: Whole<'_>,
        jobs: impl IntoIterator<Item = J>,
        options: &Push,
    ) -> Result<()> {
        let mut is_open = false;
        let error = match self.push_jobs(Some(whole), jobs, options, &mut is_open).await {
            Ok(_) => return Ok(()),
            Err(error) if !is_open => return Err(error),
            Err(error) => error,
        };
        if !whole.is_keyed {
            // Where the store is away this fails, too; the error says which batch is left.
            let _ = self.cancel().await;
            let _ = self.close().await;
        }
        Err(error.of_batch(&self.id))
    }

    /// Pushes jobs in calls of bounded size, within one that opens the batch and one that closes it if it is pushed as a
    /// whole. Answers how many, and the id of the last; `is_open` is set once the batch may be open in the store.
    async fn push_jobs<Style, J: Pushable<Style>>(
        &self,
        whole: Option<Whole<'_>>,
        jobs: impl IntoIterator<Item = J>,
        options: &Push,
        is_open: &mut bool,
    ) -> Result<(u64, Option<JobId>)> {
        check_fit(options)?;
        let queue = options.queue.as_deref().unwrap_or(J::QUEUE);
        check_name("queue", queue)?;
        let is_group = whole.is_some_and(|whole| whole.is_group);
        let jobs = jobs
            .into_iter()
            .enumerate()
            .map(|(n, job)| {
                if is_group && n >= super::GROUP_JOBS_MAX {
                    return Err(super::group::too_many());
                }
                let mut envelope = envelope_of(&job, options);
                let n = is_group.then_some(n as u64);
                envelope.flow = Some(Box::new(Flow { batch: Some(self.id.clone()), n, ..Flow::default() }));
                if self.client.watchers().is_some() {
                    let job = Pushing::new(queue, envelope, options)?;
                    return Ok(Coming::Unseen(Box::new(job)));
                }
                let job = self.client.encode(queue, envelope, options)?;
                Ok(Coming::Ready(Ready { queue: None, due: options.due, job }))
            })
            .peekable();
        let mut coming = Line { ahead: VecDeque::new(), jobs };
        self.look_ahead(&mut coming).await?;
        let (mut is_first, mut count, mut from, mut last) = (true, 0, 0, None);
        let mut call = Vec::<Ready>::new();
        let stopped = |count| move |error: Error| error.after(count);
        loop {
            let left = self.gather(&mut coming, &mut call).await.map_err(stopped(count))?;
            let is_last = left.is_none() && coming.is_empty();
            let create = whole.filter(|_| is_first).map_or(&[][..], |whole| whole.fields);
            let closes = is_last && whole.is_some();
            if !call.is_empty() || !create.is_empty() || closes {
                let first = call.first();
                let to = first.and_then(|first| first.queue.as_deref()).unwrap_or(queue);
                let due = first.map_or(options.due, |first| first.due);
                let jobs: Vec<&[u8]> = call.iter().map(|job| job.job.as_ref()).collect();
                let asks = whole.is_none() || !create.is_empty();
                let sent = async {
                    let is_limited =
                        asks && due.is_none() && !jobs.is_empty() && self.client.know(to).await?;
                    let from = whole.filter(|whole| whole.is_keyed).map(|_| from);
                    let push = BatchPush {
                        create,
                        jobs: &jobs,
                        due,
                        is_group,
                        from,
                        closes,
                        is_limited,
                        ..self.push_of(to)
                    };
                    self.call(push).await
                };
                let sent = sent.await;
                // Of a call that failed it is not known.
                *is_open |= !closes && matches!(sent, Ok(_) | Err(Error::Store(_)));
                let ids = sent.map_err(stopped(count))?;
                is_first = false;
                count += ids.len() as u64;
                from += call.len() as u64;
                last = ids.into_iter().next_back().or(last);
            }
            call.clear();
            call.extend(left);
            if is_last {
                return Ok((count, last));
            }
        }
    }

    /// Gets the first jobs ready, so that of a list of usual size none is pushed when one cannot be.
    async fn look_ahead(&self, coming: &mut Line<impl Iterator<Item = Result<Coming>>>) -> Result<()> {
        let mut bytes = 0;
        while coming.ahead.len() < AHEAD_JOBS_MAX && bytes < AHEAD_BYTES_MAX {
            let Some(job) = coming.jobs.next() else { break };
            let job = self.seen(job?).await?;
            bytes += job.len();
            coming.ahead.push_back(job);
        }
        Ok(())
    }

    /// Adds jobs to a call as long as they fit: they go into one queue and have one time, unless a middleware says
    /// otherwise. Answers one that did not.
    async fn gather(
        &self,
        coming: &mut Line<impl Iterator<Item = Result<Coming>>>,
        call: &mut Vec<Ready>,
    ) -> Result<Option<Ready>> {
        let mut bytes: usize = call.iter().map(Ready::len).sum();
        while call.len() < BATCH_JOBS_MAX {
            let job = match coming.ahead.pop_front() {
                Some(job) => job,
                None => match coming.jobs.next() {
                    Some(job) => self.seen(job?).await?,
                    None => break,
                },
            };
            bytes += job.len();
            if call.first().is_some_and(|first| !first.goes_with(&job) || bytes > BATCH_BYTES_MAX) {
                return Ok(Some(job));
            }
            call.push(job);
        }
        Ok(None)
    }

    /// A job as it is sent, once every middleware has seen it.
    async fn seen(&self, job: Coming) -> Result<Ready> {
        let mut job = match job {
            Coming::Ready(job) => return Ok(job),
            Coming::Unseen(job) => job,
        };
        if let Some(watchers) = self.client.watchers() {
            watchers.apply(&mut job).await?;
        }
        let (queue, envelope, options) = job.into_parts();
        check_name("queue", &queue)?;
        let job = self.client.encode(&queue, envelope, &options)?;
        Ok(Ready { queue: Some(queue), due: options.due, job })
    }

    pub(super) fn push_of<'a>(&'a self, queue: &'a str) -> BatchPush<'a> {
        BatchPush {
            id: &self.id,
            queue,
            create: &[],
            jobs: &[],
            due: None::<Due>,
            is_group: false,
            from: None,
            closes: false,
            is_limited: false,
        }
    }

    pub(super) async fn call(&self, push: BatchPush<'_>) -> Result<Vec<JobId>> {
        self.client.push_to_batch(&push).await
    }
}

impl Client {
    /// Begins a batch.
    pub fn batch(&self) -> BatchBuilder {
        BatchBuilder::new(self.clone(), None)
    }

    /// A batch by its id, opened elsewhere.
    ///
    /// # Errors
    /// When the text cannot be the id of a batch.
    pub fn batch_by_id(&self, id: &str) -> Result<Batch> {
        check_name("batch", id)?;
        Ok(Batch::new(self.clone(), id.to_owned()))
    }
}

/// A batch counts each job that is pushed to it, so that none may turn out to be there already.
fn check_fit(options: &Push) -> Result<()> {
    let problem =
        |what: &str| Err(Error::Config(vec![format!("a job of a batch {what}, it counts by itself")]));
    options.check_not_spread()?;
    match options {
        Push { key: Some(_), .. } => problem("cannot have a key"),
        Push { unique: Some(_), .. } => problem("cannot be unique"),
        _ => Ok(()),
    }
}
