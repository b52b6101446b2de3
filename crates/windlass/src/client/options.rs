//! Options of one push.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::broker::Due;
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::limit::Lane;
use crate::unique::Unique;

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
    is_debounced: bool,
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
    /// job or to a batch, it is an [`Error::Push`]. [Unique](Self::unique) jobs are sent in one call
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

    /// How long the [`key`](Self::key) is remembered.
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
    /// wait begins anew. A job that has begun is let run, and the next push is another, so that the last change is never
    /// lost. [`unique`](Self::unique) says what is equal; it has to be [`Unique::until_started`], or the push is an
    /// [`Error::Push`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{Push, Unique};
    /// let per_user = Unique::until_started().by_fields(["user"]);
    /// let once_quiet = Push::new().unique(per_user).debounce(Duration::from_secs(30));
    /// # let _ = once_quiet;
    /// ```
    pub fn debounce(mut self, quiet: Duration) -> Self {
        self.unique.get_or_insert_with(Unique::until_started);
        self.is_debounced = true;
        self.due = Some(Due::In(quiet));
        self
    }

    /// Before jobs of a greater number and behind those of a smaller one; 0 comes first, and a job without has
    /// [`PRIORITY_DEFAULT`](crate::PRIORITY_DEFAULT). Jobs of one priority come in the order of their pushes.
    pub fn priority(mut self, priority: u8) -> Self {
        self.lane.p = Some(priority);
        self
    }

    /// Before every other job of its queue, behind those that were pushed to the front before. It has no
    /// [`priority`](Self::priority) besides.
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

    /// Checks what can be known before a job is there; every push does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::Push;
    /// let never = Push::new().delay(Duration::from_secs(3600)).expires_in(Duration::from_secs(60));
    /// assert!(never.check().is_err());
    /// ```
    ///
    /// # Errors
    /// [`Error::Push`] with the first option that cannot be meant.
    pub fn check(&self) -> Result<()> {
        self.lane.check()?;
        let refuse = |option, problem: &str| Err(Error::Push { option, problem: problem.to_owned() });
        match &self.key {
            Some(key) if key.is_empty() => return refuse("key", "is empty"),
            Some(key) if key.len() > KEY_LEN_MAX => {
                return refuse("key", &format!("has {} bytes, more than {KEY_LEN_MAX}", key.len()));
            }
            None if self.key_ttl.is_some() => return refuse("key_ttl", "is of no use without a key"),
            _ => {}
        }
        if self.key_ttl == Some(Duration::ZERO) {
            return refuse("key_ttl", "is no time at all");
        }
        if self.max_attempts == Some(0) {
            return refuse("max_attempts", "is 0, a job has one at least");
        }
        if let Some(unique) = &self.unique {
            unique.check()?;
            if self.is_debounced && !unique.is_until_started() {
                let problem = "needs a job that is unique until it has started (Unique::until_started): \
                               beside one that runs the last push would be lost";
                return refuse("debounce", problem);
            }
        }
        let never = "comes before the job is due, so that it could never run";
        let is_over = |end: Option<SystemTime>| match (self.due, end.map(epoch_ms)) {
            (Some(Due::At(due)), Some(end)) => end <= due,
            _ => false,
        };
        // A time from now and a moment may be by two clocks, so that they are not compared.
        let is_over_in = match (self.due, self.expires_in) {
            (Some(Due::In(delay)), Some(time)) => time <= delay,
            _ => false,
        };
        let expires = self.expires.filter(|_| self.expires_in.is_none());
        if is_over(expires) || is_over_in {
            return refuse("expires_at", never);
        }
        if is_over(self.deadline) {
            return refuse("deadline", never);
        }
        Ok(())
    }

    /// Refuses options by which jobs are not unique.
    pub(crate) fn check_unique(&self) -> Result<()> {
        match self.unique {
            Some(_) => Ok(()),
            None => {
                Err(Error::Push { option: "unique", problem: "is not given; say when jobs are equal".into() })
            }
        }
    }

    /// How the job is unique, if it is.
    pub(crate) fn uniqueness(&self) -> Option<Unique> {
        let unique = self.unique.clone()?;
        Some(if self.is_debounced { unique.replace() } else { unique })
    }

    /// Refuses a spread where one job is pushed.
    pub(crate) fn check_not_spread(&self) -> Result<()> {
        match self.spread {
            None => Ok(()),
            Some(_) => Err(Error::Push {
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

    fn refused(push: &Push) -> &'static str {
        match push.check() {
            Err(Error::Push { option, .. }) => option,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_its_name() {
        let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
        let now = SystemTime::now();
        let new = Push::new;
        for (option, push) in [
            ("key", new().key("")),
            ("key", new().key("x".repeat(KEY_LEN_MAX + 1))),
            ("key_ttl", new().key_ttl(hour)),
            ("key_ttl", new().key("k").key_ttl(Duration::ZERO)),
            ("max_attempts", new().max_attempts(0)),
            ("front", new().front().priority(3)),
            ("unique", new().unique(Unique::window(Duration::ZERO))),
            ("unique", new().unique(Unique::until_done().at_most(Duration::ZERO))),
            ("unique", new().unique(Unique::until_done().by_key(""))),
            ("expires_at", new().delay(hour).expires_in(minute)),
            ("expires_at", new().expires_in(hour).delay(hour)),
            ("expires_at", new().at(now + hour).expires_at(now + minute)),
            ("deadline", new().at(now + hour).deadline(now + minute)),
            ("debounce", new().unique(Unique::until_done()).debounce(minute)),
            ("debounce", new().debounce(minute).unique(Unique::window(hour))),
            ("debounce", new().debounce(minute).unique(Unique::forever())),
        ] {
            assert_eq!(refused(&push), option, "{push:?}");
        }
    }

    #[test]
    fn what_can_be_meant_is_let_through() {
        let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
        for push in [
            Push::new().delay(minute).expires_in(hour),
            Push::new().expires_in(minute),
            Push::new().debounce(minute).unique(Unique::until_started().by_fields(["user"])),
            Push::new().key("k").key_ttl(hour).max_attempts(1).priority(0),
        ] {
            assert!(push.check().is_ok(), "{push:?}");
        }
    }
}
