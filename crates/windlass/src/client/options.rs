//! Options of one push.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{broker::Due, envelope::Envelope, limit::Lane, unique::Unique};

/// Longest enqueue key, in bytes.
pub const KEY_LEN_MAX: usize = 256;

/// How a job is pushed, where that differs from what its kind says.
///
/// ```
/// use std::time::Duration;
/// use windlass::Push;
/// let push = Push::new().queue("mail").delay(Duration::from_secs(5)).key("welcome-17").max_attempts(3);
/// # let _ = push;
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Push {
    pub(crate) queue: Option<String>,
    pub(crate) due: Option<Due>,
    pub(crate) key: Option<String>,
    pub(crate) key_ttl: Option<Duration>,
    pub(crate) unique: Option<Unique>,
    pub(crate) lane: Lane,
    pub(crate) spread: Option<Duration>,
    max_attempts: Option<u32>,
    timeout: Option<Duration>,
    soft_timeout: Option<Duration>,
    expires: Option<SystemTime>,
    /// What of it was said from now on.
    expires_in: Option<Duration>,
    deadline: Option<SystemTime>,
    result_ttl: Option<Duration>,
    reply: Option<String>,
    trace: Option<String>,
    meta: Option<serde_json::Map<String, serde_json::Value>>,
    tags: Vec<String>,
}

impl Push {
    /// No options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Into this queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// Not before `delay` has passed, by the store's clock.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.due = Some(Due::In(delay));
        self
    }

    /// Not before this time, by the store's clock.
    pub fn at(mut self, time: SystemTime) -> Self {
        self.due = Some(Due::At(epoch_ms(time)));
        self
    }

    /// Spreads the jobs of a push of many evenly over a time, so that a bulk load does not come as one wave: job i of n
    /// is due i / n of `period` after the first, and the first at once, or when [`delay`](Self::delay) or
    /// [`at`](Self::at) says. The times are fixed by the store's clock as the push begins, however long the sending takes,
    /// and no more jobs are held in memory than by any push of many. A period of zero is as if it were not given.
    ///
    /// The jobs have to come as a list or as another iterator that knows its size; otherwise, and for a push of one
    /// job or to a batch, it is an [`Error::Push`](crate::Error::Push). [Unique](Self::unique) jobs are sent in one call
    /// for each time, so spread them over no more than you must.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use windlass::{Client, Context, Job, Outcome, Push};
    /// # use std::time::Duration;
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Remind { user: u64 }
    /// # impl Job for Remind {
    /// #     const KIND: &'static str = "remind";
    /// #     type Output = ();
    /// #     async fn run(self, _: Context) -> Outcome<()> { Ok(()) }
    /// # }
    /// # async fn example(client: Client) -> windlass::Result<()> {
    /// let over_an_hour = Push::new().spread(Duration::from_secs(3600));
    /// client.push_many_with((0..100_000).map(|user| Remind { user }), over_an_hour).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn spread(mut self, period: Duration) -> Self {
        self.spread = Some(period);
        self
    }

    /// One job per key (up to [`KEY_LEN_MAX`] bytes): pushing again with the same key answers the first job's id, for as long as
    /// [`Config::key_ttl`](crate::Config::key_ttl) says. So a push may be repeated when its answer was lost.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// How long this key is remembered.
    pub fn key_ttl(mut self, ttl: Duration) -> Self {
        self.key_ttl = Some(ttl);
        self
    }

    /// One of equal jobs is enough; [`Handle::pushed`](crate::Handle::pushed) says what became of this one. It
    /// cannot be combined with a [`key`](Self::key).
    pub fn unique(mut self, unique: Unique) -> Self {
        self.unique = Some(unique);
        self
    }

    /// Runs once things have been quiet for a while: each push of an equal job replaces the one that waits, and the
    /// wait begins anew. A job that has begun is let run, and the next push is another. Call
    /// [`unique`](Self::unique) before to say what is equal.
    pub fn debounce(mut self, quiet: Duration) -> Self {
        self.unique = Some(self.unique.unwrap_or_else(Unique::until_started).replace());
        self.due = Some(Due::In(quiet));
        self
    }

    /// Before jobs of a greater number and behind those of a smaller one; 0 comes first, and a job without has
    /// [`PRIORITY_DEFAULT`](crate::PRIORITY_DEFAULT). Jobs of one priority come in the order of their pushes.
    pub fn priority(mut self, priority: u8) -> Self {
        self.lane.p = Some(priority);
        self
    }

    /// Before every other job of its queue, behind those that were pushed to the front before.
    pub fn front(mut self) -> Self {
        self.lane.front = true;
        self
    }

    /// The group that the job is one of, such as a tenant (up to [`GROUP_KEY_LEN_MAX`](crate::GROUP_KEY_LEN_MAX) bytes).
    /// The groups of a queue take turns, however much one of them has; [`Limits`](crate::Limits) sets their weights,
    /// caps, rates and order.
    pub fn group_key(mut self, key: impl Into<String>) -> Self {
        self.lane.key = Some(key.into());
        self
    }

    /// How many attempts may fail.
    pub fn max_attempts(mut self, max: u32) -> Self {
        self.max_attempts = Some(max);
        self
    }

    /// How long one attempt may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// After which time of an attempt its token fires, so that it may clean up; see
    /// [`Job::soft_timeout`](crate::Job::soft_timeout).
    pub fn soft_timeout(mut self, timeout: Duration) -> Self {
        self.soft_timeout = Some(timeout);
        self
    }

    /// Discard the job if it has not begun by then. One that has begun goes on beyond that time: it is tried again, put
    /// off, and taken over from a worker that died. What a stopping worker gave back has not begun.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        (self.expires, self.expires_in) = (Some(time), None);
        self
    }

    /// Discard the job if it has not begun within this time from now; never, if that is too far away to be a moment. Not for
    /// jobs that follow others, as the next of a chain and callbacks do.
    pub fn expires_in(mut self, time: Duration) -> Self {
        (self.expires, self.expires_in) = (SystemTime::now().checked_add(time), Some(time));
        self
    }

    /// When the job expires by another clock than that of the machine, unless a middleware has said otherwise.
    #[cfg(feature = "embedded")]
    pub(crate) fn expiry_by<A>(&self, envelope: &Envelope<'_, A>, now: SystemTime) -> Option<u64> {
        let is_own = envelope.expires == self.expires.map(epoch_ms);
        self.expires_in.filter(|_| is_own).and_then(|time| now.checked_add(time)).map(epoch_ms)
    }

    /// When its last attempt must have ended. Not for jobs that follow others.
    pub fn deadline(mut self, time: SystemTime) -> Self {
        self.deadline = Some(time);
        self
    }

    /// Keep the result this long, so that [`Handle::result`](crate::Handle::result) can wait for it.
    pub fn result_ttl(mut self, ttl: Duration) -> Self {
        self.result_ttl = Some(ttl);
        self
    }

    /// Where a reply is awaited; the job reads it from its context.
    pub fn reply(mut self, address: impl Into<String>) -> Self {
        self.reply = Some(address.into());
        self
    }

    /// Trace context, as in a `traceparent` header of W3C Trace Context; the job reads it from its context.
    pub fn trace(mut self, traceparent: impl Into<String>) -> Self {
        self.trace = Some(traceparent.into());
        self
    }

    /// Adds a value beside the arguments; the job reads it from its context. Up to [`META_MAX`](crate::META_MAX) of them,
    /// which take no more than [`META_LEN_MAX`](crate::META_LEN_MAX) bytes.
    pub fn meta(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.meta.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// Adds a word by which the job is found (`windlass job ls --tag`) and told apart; the job reads its tags from its
    /// context. Up to [`TAGS_MAX`](crate::TAGS_MAX) of [`TAG_LEN_MAX`](crate::TAG_LEN_MAX) bytes; one that is there
    /// already adds nothing.
    ///
    /// ```
    /// let push = windlass::Push::new().tag("import").tag("customer-17").meta("file", "orders.csv");
    /// # let _ = push;
    /// ```
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
        self
    }

    /// Refuses a spread where one job is pushed.
    pub(crate) fn check_not_spread(&self) -> crate::Result<()> {
        match self.spread {
            None => Ok(()),
            Some(_) => Err(crate::Error::Push {
                option: "spread",
                problem: "is for many jobs, use it with push_many_with or push_many_raw".into(),
            }),
        }
    }

    /// The queue that was asked for, or else this one.
    #[cfg(feature = "cron")]
    pub(crate) fn queue_or<'a>(&'a self, queue: &'a str) -> &'a str {
        self.queue.as_deref().unwrap_or(queue)
    }

    /// The first option that has a meaning for one push and none for many at different times.
    #[cfg(feature = "cron")]
    pub(crate) fn only_of_one_push(&self) -> Option<&'static str> {
        let given = [
            ("delay, at or debounce", self.due.is_some()),
            ("spread", self.spread.is_some()),
            ("key", self.key.is_some()),
            ("key_ttl", self.key_ttl.is_some()),
            // The script that fires an entry heeds no locks; the entry's overlap policy is for that.
            ("unique", self.unique.is_some()),
            ("expires_at or expires_in", self.expires.is_some()),
            ("deadline", self.deadline.is_some()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }

    /// The first option that is a moment reckoned from the push.
    pub(crate) fn only_at_its_time(&self) -> Option<&'static str> {
        match (self.expires, self.deadline) {
            (Some(_), _) => Some("expires_at"),
            (None, Some(_)) => Some("deadline"),
            (None, None) => None,
        }
    }

    /// Writes the options into an envelope.
    pub(crate) fn apply<A>(&self, envelope: &mut Envelope<'_, A>) {
        if let Some(max) = self.max_attempts {
            envelope.max = max;
        }
        if let Some(timeout) = self.timeout {
            envelope.timeout = Some(ms(timeout));
        }
        if let Some(timeout) = self.soft_timeout {
            envelope.soft = Some(ms(timeout));
        }
        if let Some(ttl) = self.result_ttl {
            envelope.result = Some(ms(ttl));
        }
        envelope.expires = self.expires.map(epoch_ms);
        envelope.deadline = self.deadline.map(epoch_ms);
        envelope.reply.clone_from(&self.reply);
        envelope.trace.clone_from(&self.trace);
        envelope.meta.clone_from(&self.meta);
        envelope.tags.clone_from(&self.tags);
        envelope.key.clone_from(&self.key);
        envelope.lane = (!self.lane.is_plain()).then(|| Box::new(self.lane.clone()));
    }
}

/// Whole milliseconds, at least one.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

pub(crate) fn epoch_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_too_long() {
        let push = Push::new().expires_in(Duration::MAX).delay(Duration::MAX).timeout(Duration::MAX);
        let push = push.result_ttl(Duration::MAX).soft_timeout(Duration::MAX).debounce(Duration::MAX);
        let mut envelope = Envelope::new("k", ());
        push.apply(&mut envelope);
        assert_eq!((envelope.expires, envelope.timeout), (None, Some(u64::MAX)));
    }
}
