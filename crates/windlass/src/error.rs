//! What can go wrong when talking to the store, in one enum.

use redis::RedisError;

use crate::{id::JobId, state::State};

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store refused the command or could not be reached; whether a write ran may be unknown.
    #[error("the store failed: {0}")]
    Store(#[from] RedisError),
    /// The store answered something that this library does not understand.
    #[error("the store's answer is not understood: {0}")]
    Answer(&'static str),
    /// The store cannot be used.
    #[error("{0}")]
    Unsupported(String),
    /// A queue, kind or namespace has characters that keys cannot have.
    #[error("the {what} `{name}` is not 1 to 64 characters of A-Z a-z 0-9 _ . -")]
    Name {
        /// What was to be named.
        what: &'static str,
        /// The name given.
        name: String,
    },
    /// The text is not the id of a job.
    #[error("`{0}` is not the id of a job")]
    Id(String),
    /// The job is larger than the configured limit.
    #[error("the job `{kind}` takes {size} bytes, more than the {limit} of max_payload")]
    Payload {
        /// The kind of the job.
        kind: String,
        /// The size of its envelope.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A value could not be written as JSON, or JSON could not be read as the value.
    #[error("the value is not what its type says: {0}")]
    Json(#[from] serde_json::Error),
    /// Settings that cannot be used, one sentence each.
    #[error("{}", .0.join("; "))]
    Config(Vec<String>),
    /// An option of a push cannot be used.
    #[error("the {option} of the push {problem}")]
    Push {
        /// Which one: `spread`, `tag`, `meta`, `trace`, `key`, `key_ttl`, `unique`, `debounce`, `front`, `expires_at`,
        /// `deadline`, `max_attempts`; `args` for its arguments.
        option: &'static str,
        /// What is wrong with it, as the end of a sentence.
        problem: String,
    },
    /// A change of a job does not fit it.
    #[error("the {field} of the edit {problem}")]
    Edit {
        /// Which change: `kind`, `max_attempts`.
        field: &'static str,
        /// What is wrong with it, as the end of a sentence.
        problem: String,
    },
    /// A part of a cron entry cannot be used.
    #[error("the {field} `{value}` of the cron entry `{name}` {problem}")]
    Cron {
        /// The entry.
        name: String,
        /// Which part: `spec` or a field of it (`second`, `minute`, `hour`, `day-of-month`, `month`,
        /// `day-of-week`), `zone`, `jitter`, `catch_up`, `job`, `meta`, `name`.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it, as the end of a sentence.
        problem: String,
    },
    /// There is no cron entry of this name.
    #[error("there is no cron entry `{0}`")]
    NoCron(String),
    /// The job keeps no result; set `result_ttl` when it is pushed.
    #[error("the job {0} keeps no result, set result_ttl when it is pushed")]
    NoResultKept(JobId),
    /// The job has ended and nothing is kept of it any more.
    #[error("the job {0} has ended and nothing is kept of it any more")]
    Forgotten(JobId),
    /// An equal job is there already, and the push was to be refused then.
    #[error("an equal job is there already: {0}")]
    Duplicate(JobId),
    /// The queue has no room for the job by its rule; the push may be tried again later.
    #[error("the queue `{queue}` is full: its {rule} is {limit}, and it has {actual}")]
    QueueFull {
        /// The queue.
        queue: String,
        /// Which part of its rule: `max_jobs` or `max_bytes`.
        rule: &'static str,
        /// How many jobs or bytes it may have, waiting and active.
        limit: u64,
        /// How many it has.
        actual: u64,
    },
    /// The store is away, and the client's buffer has no room for the push; nothing was pushed.
    #[error(
        "the store is away, and the buffer is full with {jobs} jobs of {bytes} bytes (buffer_jobs, buffer_bytes)"
    )]
    BufferFull {
        /// How many jobs wait.
        jobs: usize,
        /// The size of their envelopes.
        bytes: usize,
    },
    /// The job waits in this process for the store to be back, so that nothing can be asked of it yet.
    #[error("the job waits in this process for its store, ask again once it is sent")]
    Buffered,
    /// The job ended without success.
    #[error("the job {id} ended as {state}: {message}")]
    Ended {
        /// The job.
        id: JobId,
        /// How it ended.
        state: State,
        /// The message of its last error or the reason given.
        message: String,
    },
    /// A batch does not take what it is given.
    #[error("the batch {id} {problem}")]
    Batch {
        /// The batch.
        id: String,
        /// Why not.
        problem: &'static str,
    },
    /// A push of many jobs stopped after a part of them; nothing of it was undone.
    ///
    /// ```no_run
    /// # use windlass::{Client, Error, Push};
    /// # async fn example(client: Client, args: Vec<Box<serde_json::value::RawValue>>) -> windlass::Result<()> {
    /// match client.push_many_raw("import", args.iter().map(|args| &**args), Push::new()).await {
    ///     Err(Error::Partial { pushed, source, .. }) => println!("{pushed} of {} jobs: {source}", args.len()),
    ///     pushed => println!("{} jobs", pushed?),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[error("the push stopped after {pushed} jobs{}: {source}", of_batch(.batch))]
    Partial {
        /// How many jobs surely were pushed. Where the store failed, those of one call more may have been.
        pushed: u64,
        /// The batch that they went to, if it was opened by the same push: it is cancelled and closed, unless it has a key,
        /// so that the same push can go on, or the store was away.
        batch: Option<String>,
        /// What stopped it.
        source: Box<Error>,
    },
    /// A middleware did not let the push through, or panicked.
    #[error("a middleware refused the push: {0}")]
    Refused(String),
    /// A job asked for shared state that its worker was not given.
    #[error("the worker has no state of the type `{0}`, give it one with Worker::state")]
    NoState(&'static str),
    /// Something of the process that this library needs is gone, such as its runtime.
    #[error("{0} stopped")]
    Stopped(&'static str),
    /// A file of the worker, such as its pid file, could not be written.
    #[error("the worker's file failed: {0}")]
    File(#[from] std::io::Error),
}

impl Error {
    /// The same of a push that had pushed so many jobs before.
    pub(crate) fn after(self, before: u64) -> Self {
        match self {
            Self::Partial { pushed, batch, source } => {
                Self::Partial { pushed: pushed + before, batch, source }
            }
            error if before == 0 => error,
            error => Self::Partial { pushed: before, batch: None, source: Box::new(error) },
        }
    }

    /// The same of a push that had opened a batch.
    pub(crate) fn of_batch(self, id: &str) -> Self {
        let batch = Some(id.to_owned());
        match self {
            Self::Partial { pushed, source, .. } => Self::Partial { pushed, batch, source },
            error => Self::Partial { pushed: 0, batch, source: Box::new(error) },
        }
    }
}

fn of_batch(batch: &Option<String>) -> String {
    batch.as_ref().map(|id| format!(" of the batch {id}")).unwrap_or_default()
}
