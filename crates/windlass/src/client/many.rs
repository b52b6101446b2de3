//! Pushes of any number of jobs, in few calls and little memory.

use serde_json::value::RawValue;

use super::spread::Spread;
use super::{Client, Push, envelope_of};
use crate::envelope::Envelope;
use crate::error::Result;
use crate::job::Pushable;
use crate::middleware::Pushing;
use crate::unique::{Pushed, PushedJob};

impl Client {
    /// Pushes any number of jobs of one type in few calls and little memory. Answers how many.
    ///
    /// # Errors
    /// When a job cannot be pushed, such as one that is too large, a queue is full, or the store fails. The first
    /// [`AHEAD_JOBS_MAX`](crate::AHEAD_JOBS_MAX) jobs, as long as they take no more than
    /// [`AHEAD_BYTES_MAX`](crate::AHEAD_BYTES_MAX), are looked at before anything is
    /// pushed; what stops the push later is an [`Error::Partial`](crate::Error::Partial), which says how many were pushed.
    pub async fn push_many<Style, J: Pushable<Style>>(
        &self,
        jobs: impl IntoIterator<Item = J>,
    ) -> Result<u64> {
        self.push_many_with(jobs, Push::new()).await
    }

    /// Pushes any number of jobs of one type with the same options; a key among them is an error. Of
    /// [unique](Push::unique) jobs those are not counted that were there already;
    /// [`push_many_unique`](Self::push_many_unique) says of each what became of it.
    ///
    /// # Errors
    /// As [`push_many`](Self::push_many).
    pub async fn push_many_with<Style, J: Pushable<Style>>(
        &self,
        jobs: impl IntoIterator<Item = J>,
        options: Push,
    ) -> Result<u64> {
        Ok(self.push_many_of(jobs, options, false).await?.count)
    }

    /// Pushes any number of [unique](Push::unique) jobs of one type, and answers what became of each, in their order: a new
    /// job, one that [replaced](crate::Unique::replace) another's arguments, or the one that was there already, with its
    /// id.
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use windlass::{Client, Context, Job, Outcome, Push, Pushed, Unique};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Report { user: u64 }
    /// # impl Job for Report {
    /// #     const KIND: &'static str = "report";
    /// #     type Output = ();
    /// #     async fn run(self, _: Context) -> Outcome<()> { Ok(()) }
    /// # }
    /// # async fn example(client: Client) -> windlass::Result<()> {
    /// let options = Push::new().unique(Unique::until_done());
    /// for job in client.push_many_unique((1..=100).map(|user| Report { user }), options).await? {
    ///     if job.pushed == Pushed::Kept {
    ///         println!("{} was there already", job.id);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`push_many`](Self::push_many), and when the options do not say how the jobs are unique. To repeat the push is
    /// safe as long as they are.
    pub async fn push_many_unique<Style, J: Pushable<Style>>(
        &self,
        jobs: impl IntoIterator<Item = J>,
        options: Push,
    ) -> Result<Vec<PushedJob>> {
        options.check_unique()?;
        Ok(self.push_many_of(jobs, options, true).await?.told)
    }

    async fn push_many_of<Style, J: Pushable<Style>>(
        &self,
        jobs: impl IntoIterator<Item = J>,
        options: Push,
        tells: bool,
    ) -> Result<Tally> {
        let mut tally = Tally::new(tells);
        let queue = options.queue.as_deref().unwrap_or(J::QUEUE);
        let jobs = jobs.into_iter();
        let mut spread = self.spread(&options, jobs.size_hint()).await?;
        let mut deal = || spread.as_mut().map(Spread::deal);
        if let Some(chain) = &self.chain {
            let jobs = jobs
                .map(|job| Ok(Pushing::new(queue, envelope_of(&job, &options), &options)?.spread(deal())));
            let sent = self.push_seen(chain, queue, J::KIND, jobs, &options, &mut tally).await;
            return tally.told_of(sent);
        }
        let jobs =
            jobs.map(|job| Ok(self.encode(queue, envelope_of(&job, &options), &options)?.spread(deal())));
        let sent = self.push_encoded(queue, J::KIND, jobs, &options, &mut tally).await;
        tally.told_of(sent)
    }

    /// Pushes any number of jobs whose type is not known here. Answers how many.
    ///
    /// # Errors
    /// As [`push_many`](Self::push_many).
    pub async fn push_many_raw<'a>(
        &self,
        kind: &str,
        args: impl IntoIterator<Item = &'a RawValue>,
        options: Push,
    ) -> Result<u64> {
        Ok(self.push_many_raw_of(kind, args, options, false).await?.count)
    }

    /// Pushes any number of [unique](Push::unique) jobs whose type is not known here, and answers what became of each.
    ///
    /// # Errors
    /// As [`push_many_unique`](Self::push_many_unique).
    pub async fn push_many_unique_raw<'a>(
        &self,
        kind: &str,
        args: impl IntoIterator<Item = &'a RawValue>,
        options: Push,
    ) -> Result<Vec<PushedJob>> {
        options.check_unique()?;
        Ok(self.push_many_raw_of(kind, args, options, true).await?.told)
    }

    async fn push_many_raw_of<'a>(
        &self,
        kind: &str,
        args: impl IntoIterator<Item = &'a RawValue>,
        options: Push,
        tells: bool,
    ) -> Result<Tally> {
        let mut tally = Tally::new(tells);
        let queue = options.queue.as_deref().unwrap_or("default");
        let args = args.into_iter();
        let mut spread = self.spread(&options, args.size_hint()).await?;
        let mut deal = || spread.as_mut().map(Spread::deal);
        let envelopes = args.map(|args| {
            let mut envelope = Envelope::new(kind, args);
            options.apply(&mut envelope);
            envelope
        });
        if let Some(chain) = &self.chain {
            let jobs = envelopes.map(|envelope| Ok(Pushing::new(queue, envelope, &options)?.spread(deal())));
            let sent = self.push_seen(chain, queue, kind, jobs, &options, &mut tally).await;
            return tally.told_of(sent);
        }
        let jobs = envelopes.map(|envelope| Ok(self.encode(queue, envelope, &options)?.spread(deal())));
        let sent = self.push_encoded(queue, kind, jobs, &options, &mut tally).await;
        tally.told_of(sent)
    }
}

/// What became of a push of many.
pub(super) struct Tally {
    /// How many jobs are new, or replaced others.
    pub(super) count: u64,
    /// What became of each, if that is asked for.
    pub(super) told: Vec<PushedJob>,
    pub(super) tells: bool,
}

impl Tally {
    pub(super) fn new(tells: bool) -> Self {
        Self { count: 0, told: Vec::new(), tells }
    }

    /// The answer to the push, or the error that stopped it with how far it came.
    pub(super) fn told_of(self, sent: Result<()>) -> Result<Self> {
        match sent {
            Ok(()) => Ok(self),
            Err(error) => Err(error.after(self.count)),
        }
    }

    pub(super) fn add(&mut self, pushed: Batched) {
        match pushed {
            Batched::Many(count) => self.count += count,
            Batched::Singles(jobs) => {
                self.count += there_now(&jobs);
                if self.tells {
                    self.told.extend(jobs);
                }
            }
        }
    }
}

/// What became of the jobs of one call.
pub(super) enum Batched {
    /// So many are there.
    Many(u64),
    /// Each has an answer of its own.
    Singles(Vec<PushedJob>),
}

/// How many jobs a push has brought, or changed.
pub(super) fn there_now(jobs: &[PushedJob]) -> u64 {
    jobs.iter().filter(|job| job.pushed != Pushed::Kept).count() as u64
}
