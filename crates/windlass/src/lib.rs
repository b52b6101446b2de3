//! Durable background jobs with no server to install.
//!
//! Windlass runs work outside the request: a job is pushed, a worker takes it under a lease, and it is
//! there until a run of it has ended. The store is a directory of your own process, or any Redis or Valkey
//! from version 6.2 on; the code is the same. Delivery is at least once: a job may run again after a crash,
//! so it should be safe to repeat.
//!
//! It is not a message broker, not a database for your data, and not a cluster.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use windlass::{Client, Context, Job, Outcome, Worker};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Greet {
//!     name: String,
//! }
//!
//! impl Job for Greet {
//!     const KIND: &'static str = "greet";
//!     type Output = ();
//!
//!     async fn run(self, context: Context) -> Outcome<()> {
//!         println!("Hello, {} (attempt {})", self.name, context.attempt());
//!         Ok(())
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> windlass::Result<()> {
//!     let client = Client::open("data").await?;
//!     client.push(Greet { name: "Ada".into() }).await?;
//!     let worker = Worker::new(&client).register::<Greet>().on_event(|event| println!("{event}"));
//!     worker.signals().run().await?;
//!     Ok(())
//! }
//! ```
//!
//! # Features
//!
//! | feature | brings | default |
//! |---|---|---|
//! | `embedded` | the store in a directory or in memory, and `testing` | yes |
//! | `cron` | jobs at times of the calendar: `Cron`, `Client::cron`, `Worker::cron` | |
//! | `macros` | the attribute `job` | |
//! | `process` | jobs that are programs of their own: `ProcessJob`, on Unix | |
//! | `tls` | `rediss://` | |
//!
//! What is not in the default is what makes an application compile noticeably longer and many do without.
//!
//! # Modules, in reading order
//!
//! `keys`, `id`, `envelope`, `state`: what is stored. `verb`: what becomes of a job. `broker` and its scripts: the moves,
//! each atomic. `job`, `failure`, `retry`, `unique`, `context`, `cron` (a feature): what a user writes. `client`,
//! `inspector`: what pushes and looks. `flow`: jobs that follow on others. `worker`, `service`: what runs jobs.
//! `docs/protocol.md` tells all that another language needs.

pub mod broker;
mod client;
mod config;
mod context;
#[cfg(feature = "cron")]
mod cron;
mod envelope;
mod error;
mod event;
mod failure;
mod flow;
mod id;
mod inspector;
mod job;
mod keys;
mod limit;
mod middleware;
mod name;
mod progress;
mod random;
mod retention;
mod retry;
mod service;
mod state;
mod tag;
mod task;
#[cfg(feature = "embedded")]
pub mod testing;
mod unique;
mod verb;
mod worker;

pub use windlass_conn::Connection;
#[cfg(feature = "macros")]
pub use windlass_macros::job;

/// What the code that [`job`] writes needs; not for others.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    pub use serde;
}

pub use broker::{Edited, Ending, Filter, QueueRemoval, Requeued, Rescheduled};
pub use client::{
    AHEAD_BYTES_MAX, AHEAD_JOBS_MAX, Buffered, Client, Handle, KEY_LEN_MAX, ProgressChanges, Push,
    QUEUE_RULES_AGE_MAX,
};
pub use config::{BUFFER_JOBS_MAX, Config, LEASE_MAX, LEASE_MIN, PAYLOAD_LIMIT_MAX};
pub use context::Context;
#[cfg(feature = "cron")]
pub use cron::{CATCH_UP_MAX, CatchUp, Cron, CronInfo, Crontab, JITTER_MAX, Overlap};
pub use envelope::{DEPTH_MAX, ENVELOPE_VERSION, Envelope, MAX_ATTEMPTS_DEFAULT, Raw};
pub use error::{Error, Result};
pub use event::{Event, JobEvent, JobStep, News, Subscription};
pub use failure::{Failure, Outcome};
pub use flow::{
    BATCH_DEPTH_MAX, Batch, BatchBuilder, BatchStatus, Chain, Flow, GROUP_JOBS_MAX, Group, GroupBuilder,
    JobError, Step,
};
pub use id::JobId;
pub use inspector::{Details, Edit, Inspector, Page, QueueInfo, Stats, StoredEvent, WorkerInfo};
pub use job::{Async, Blocking, BlockingJob, Job, Pushable};
pub use keys::{GROUP, Keys, SCHEMA_VERSION};
pub use limit::{
    Breaker, Form, GROUP_KEY_LEN_MAX, Lane, Limits, Order, PERIOD_MAX, PRIORITY_DEFAULT, Rate, Rule, Target,
};
pub use middleware::{Attempt, Next, Output, PushMiddleware, Pushing, RunMiddleware};
pub use name::{NAME_LEN_MAX, check_name};
pub use progress::{LOG_LINE_MAX, LogLine, PROGRESS_MESSAGE_MAX, PROGRESS_NOTES_MAX, PROGRESS_TTL, Progress};
pub use retention::{Keep, Retention};
pub use retry::{Function, Retry};
pub use state::{AttemptError, ERROR_TEXT_MAX, ERRORS_MAX, History, State};
pub use tag::{META_LEN_MAX, META_MAX, META_NAME_LEN_MAX, TAG_LEN_MAX, TAGS_MAX};
pub use unique::{Pushed, PushedJob, UNIQUE_LIFE_DEFAULT, Unique, Until};
pub use verb::{Actor, Becomes, Verb};
#[cfg(unix)]
pub use worker::Systemd;
pub use worker::{
    CONCURRENCY_MAX, Capsule, Control, EXIT_OUTGROWN, SHUTDOWN_TIMEOUT_DEFAULT, Summary, Worker,
};
#[cfg(all(unix, feature = "process"))]
pub use worker::{EXIT_DEAD, EXIT_SNOOZE, ProcessJob};
