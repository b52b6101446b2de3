//! How a batch is made: its callbacks and settings, all given to the store with its opening.

use std::time::Duration;

use super::batch::Whole;
use super::{Batch, Step};
use crate::broker::{BatchPush, ms};
use crate::client::{Client, Push};
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::job::Pushable;
use crate::name::check_name;
use crate::random::random;

/// How long a batch that has succeeded is remembered, unless it says otherwise.
const KEEP_DEFAULT: Duration = Duration::from_secs(24 * 3600);

/// What a batch is opened with: fields of its hash.
type Fields = Vec<(&'static str, Vec<u8>)>;

/// How a batch is made. [`Client::batch`] begins one, and [`Context::nested_batch`](crate::Context::nested_batch) one
/// that holds the batch of the running job open.
#[derive(Debug)]
#[must_use]
pub struct BatchBuilder {
    pub(super) client: Client,
    id: String,
    is_keyed: bool,
    nested: Option<Nested>,
    pub(super) fields: Fields,
    callbacks: Vec<(&'static str, Step)>,
    keep: Duration,
    problem: Option<Error>,
}

/// Where a batch is nested.
#[derive(Debug)]
pub(crate) struct Nested {
    /// The batch around it.
    pub(crate) parent: String,
    /// The job that opens it.
    pub(crate) opener: JobId,
}

impl BatchBuilder {
    pub(crate) fn new(client: Client, nested: Option<Nested>) -> Self {
        let id = format!("{:016x}{:016x}", random(), random());
        Self {
            client,
            id,
            is_keyed: false,
            nested,
            fields: Vec::new(),
            callbacks: Vec::new(),
            keep: KEEP_DEFAULT,
            problem: None,
        }
    }

    /// Says what the batch is, for those who look at it.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.fields.push(("description", text.into().into_bytes()));
        self
    }

    /// Names the batch, so that making it again is safe, as [`Push::key`] does for one job: as long as the batch is
    /// remembered, opening it again changes nothing, and [`push_all`](Self::push_all) with the same jobs goes on where an
    /// earlier one ended, whatever became of that. It is the batch's [id](Batch::id), and no longer than other names.
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use windlass::{Client, Context, Job, Outcome};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Send(u32);
    /// # impl Job for Send {
    /// #     const KIND: &'static str = "send";
    /// #     type Output = ();
    /// #     async fn run(self, _: Context) -> Outcome<()> { Ok(()) }
    /// # }
    /// # async fn example(client: Client) -> windlass::Result<()> {
    /// // However often the program is started again:
    /// client.batch().key("letter-2024-05").push_all((0..100_000).map(Send)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn key(mut self, key: impl Into<String>) -> Self {
        (self.id, self.is_keyed) = (key.into(), true);
        self
    }

    /// The job that is pushed once every job of the closed batch has ended, well or not. Like the other callbacks it
    /// reads the [`BatchStatus`](crate::BatchStatus) of that moment with [`Context::previous`](crate::Context::previous).
    pub fn on_complete<Style, J: Pushable<Style>>(self, job: J) -> Self {
        self.on_complete_with(job, Push::new())
    }

    /// The same with options.
    pub fn on_complete_with<Style, J: Pushable<Style>>(self, job: J, options: Push) -> Self {
        self.callback("on_complete", &job, &options)
    }

    /// The job that is pushed once every job of the closed batch has succeeded, be it after dead ones were tried again.
    pub fn on_success<Style, J: Pushable<Style>>(self, job: J) -> Self {
        self.on_success_with(job, Push::new())
    }

    /// The same with options.
    pub fn on_success_with<Style, J: Pushable<Style>>(self, job: J, options: Push) -> Self {
        self.callback("on_success", &job, &options)
    }

    /// The job that is pushed at the first death in the batch or in one nested in it.
    pub fn on_dead<Style, J: Pushable<Style>>(self, job: J) -> Self {
        self.on_dead_with(job, Push::new())
    }

    /// The same with options.
    pub fn on_dead_with<Style, J: Pushable<Style>>(self, job: J, options: Push) -> Self {
        self.callback("on_dead", &job, &options)
    }

    /// How long the batch is remembered after it has succeeded: a day unless said otherwise. One with jobs that did not
    /// succeed is remembered as long as these are ([`Config::retention`](crate::Config::retention)), since they may
    /// be tried again.
    pub fn keep(mut self, time: Duration) -> Self {
        self.keep = time;
        self
    }

    /// Opens the batch: jobs can be pushed to it until it is [closed](Batch::close) and all of them have ended.
    ///
    /// # Errors
    /// When the store fails, a callback cannot be pushed, or the batch that this one is nested in is over.
    pub async fn open(self) -> Result<Batch> {
        let (batch, fields, _) = self.into_parts().await?;
        batch.call(BatchPush { create: &fields, ..batch.push_of("default") }).await?;
        Ok(batch)
    }

    /// Opens the batch, pushes jobs of one type and closes it. Up to [`BATCH_JOBS_MAX`](crate::broker::BATCH_JOBS_MAX)
    /// jobs, that are small, are one call: all of it happens or nothing. When the push of more stops, the batch is cancelled
    /// and closed, so that its callbacks come, unless it has a [`key`](Self::key).
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`Batch::push_many`]; an [`Error::Partial`](crate::Error::Partial) names the batch.
    pub async fn push_all<Style, J: Pushable<Style>>(
        self,
        jobs: impl IntoIterator<Item = J>,
    ) -> Result<Batch> {
        self.push_all_with(jobs, Push::new()).await
    }

    /// The same with options for the jobs.
    ///
    /// # Errors
    /// As [`push_all`](Self::push_all).
    pub async fn push_all_with<Style, J: Pushable<Style>>(
        self,
        jobs: impl IntoIterator<Item = J>,
        options: Push,
    ) -> Result<Batch> {
        let (batch, fields, is_keyed) = self.into_parts().await?;
        let whole = Whole { fields: &fields, is_group: false, is_keyed };
        batch.push_whole(whole, jobs, &options).await?;
        Ok(batch)
    }

    pub(super) fn callback<Style, J: Pushable<Style>>(
        mut self,
        name: &'static str,
        job: &J,
        options: &Push,
    ) -> Self {
        match Step::new(job, options) {
            Ok(step) => self.callbacks.push((name, step)),
            Err(error) => {
                self.problem.get_or_insert(error);
            }
        }
        self
    }

    /// The batch that it is going to be, the fields to open it with, once every middleware has seen its callbacks, and
    /// whether it has a key.
    pub(super) async fn into_parts(mut self) -> Result<(Batch, Fields, bool)> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        check_name("batch", &self.id)?;
        for (name, step) in self.callbacks {
            let step = step.seen(&self.client).await?;
            let Step { queue, job } = match &self.nested {
                // A nested batch's callbacks are jobs of the batch around it.
                Some(nested) => step.within(&nested.parent)?,
                None => step,
            };
            self.fields.push((name, format!("{queue}\n{job}").into_bytes()));
        }
        let size = self.fields.iter().map(|(_, value)| value.len()).sum();
        self.client.config().check_payload("a batch's callbacks", size)?;
        let wait = self.client.config().retention.age_max().max(self.keep);
        self.fields.push(("keep", ms(self.keep).max(1).to_string().into_bytes()));
        self.fields.push(("wait", ms(wait).max(1).to_string().into_bytes()));
        if let Some(Nested { parent, opener }) = self.nested {
            self.fields.push(("parent", parent.into_bytes()));
            self.fields.push(("opener", opener.as_str().as_bytes().to_vec()));
        }
        Ok((Batch::new(self.client, self.id), self.fields, self.is_keyed))
    }
}
