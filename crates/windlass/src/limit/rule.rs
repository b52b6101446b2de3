//! What a rule says, and whether it can be meant.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Target;
use crate::error::{Error, Result};

/// Longest window of a rate, or time of a breaker.
pub const PERIOD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Largest number in a rule: the scripts count exactly up to here.
const COUNT_MAX: u64 = 1 << 40;

/// Largest number of bytes, which they count exactly, too.
const BYTES_MAX: u64 = 1 << 52;

/// Least and greatest weight.
const WEIGHTS: std::ops::RangeInclusive<f64> = 0.001..=1000.0;

/// What holds for a queue, a kind or a key. Parts that are not given do not limit.
///
/// ```
/// use std::time::Duration;
/// use windlass::{Rate, Rule};
/// let rule = Rule::new().cap(10).rate(Rate::bucket(100, Duration::from_secs(60)).burst(20));
/// # let _ = rule;
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[must_use]
#[non_exhaustive]
pub struct Rule {
    /// How many may be active at once, over all workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<u64>,
    /// How many may begin in a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many turns a key has where others have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Whether nothing is taken.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Whether jobs of a key run one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// When failures of a kind stop it for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// How many jobs a queue may have, waiting and active, for a push to be let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_jobs: Option<u64>,
    /// How many bytes they may take in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// How many jobs may begin in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rate {
    /// How it counts.
    pub form: Form,
    /// How many.
    pub n: u64,
    /// In how many milliseconds.
    pub per_ms: u64,
    /// How many a bucket holds at most; `n` if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
}

/// How a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Form {
    /// `n` in each window; windows begin at multiples of their length since 1970.
    Window,
    /// As many in the current window that with the share of the last one that still counts there are no more than `n`:
    /// an estimate, which takes the jobs of the last window as spread evenly.
    Sliding,
    /// A bucket of tokens that fills evenly, one for each job.
    Bucket,
}

/// What happens to the order of a key's jobs when one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Order {
    /// The next one waits until this one has succeeded or ended for good.
    Wait,
    /// Others go on while it waits for its next attempt.
    Skip,
}

/// When failures of a kind stop it for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Breaker {
    /// So many failures
    pub failures: u64,
    /// within so many milliseconds stop the kind
    pub window_ms: u64,
    /// for so many milliseconds. Then one job tries: a success lets the kind go on, a failure stops it again.
    pub cooldown_ms: u64,
}

impl Rule {
    /// A rule that does not limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// No more than `cap` active at once, over all workers.
    pub fn cap(mut self, cap: u64) -> Self {
        self.cap = Some(cap);
        self
    }

    /// No more begun than `rate` says.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// So many turns where other keys have one: 2.0 is twice as much, 0.5 half. Only for keys.
    pub fn weight(mut self, weight: f64) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Nothing is taken. Not for queues, which [`Inspector::pause`](crate::Inspector::pause) pauses. A kind stays paused
    /// when a rule without this is set; [`Limits::resume_kind`](crate::Limits::resume_kind) has it go on.
    pub fn paused(mut self) -> Self {
        self.paused = true;
        self
    }

    /// One at a time, in the order of their pushes. Only for keys.
    pub fn order(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// After `failures` within `window` nothing for `cooldown`, then one job to try. Only for kinds.
    pub fn breaker(mut self, failures: u64, window: Duration, cooldown: Duration) -> Self {
        let (window_ms, cooldown_ms) = (whole_ms(window), whole_ms(cooldown));
        self.breaker = Some(Breaker { failures, window_ms, cooldown_ms });
        self
    }

    /// A push of a job to a queue that has so many, waiting and active, is refused with
    /// [`Error::QueueFull`](crate::Error::QueueFull). Only for queues. Other clients learn of it within
    /// [`QUEUE_RULES_AGE_MAX`](crate::QUEUE_RULES_AGE_MAX). What is due later or retried, follows from a job that ended, or
    /// comes from a cron entry, is let in.
    pub fn max_jobs(mut self, max: u64) -> Self {
        self.max_jobs = Some(max);
        self
    }

    /// The same by the bytes that the jobs take in the store, as its MEMORY USAGE reckons them: an estimate, by which a
    /// call more or less may be let in. Only for queues.
    pub fn max_bytes(mut self, max: u64) -> Self {
        self.max_bytes = Some(max);
        self
    }

    /// Every problem at once.
    pub(super) fn check(&self, target: &Target) -> Result<()> {
        let mut problems = Vec::new();
        let mut count = |field: &str, count: Option<u64>, max: u64| {
            if count.is_some_and(|count| count == 0 || count > max) {
                problems.push(format!("{field} is {}, not 1 to {max}", count.unwrap_or_default()));
            }
        };
        let period_max = whole_ms(PERIOD_MAX);
        count("cap", self.cap, COUNT_MAX);
        count("max_jobs", self.max_jobs, COUNT_MAX);
        count("max_bytes", self.max_bytes, BYTES_MAX);
        count("rate.n", self.rate.map(|rate| rate.n), COUNT_MAX);
        count("rate.per_ms", self.rate.map(|rate| rate.per_ms), period_max);
        count("rate.burst", self.rate.and_then(|rate| rate.burst), COUNT_MAX);
        count("breaker.failures", self.breaker.map(|breaker| breaker.failures), COUNT_MAX);
        count("breaker.window_ms", self.breaker.map(|breaker| breaker.window_ms), period_max);
        count("breaker.cooldown_ms", self.breaker.map(|breaker| breaker.cooldown_ms), period_max);
        if self.weight.is_some_and(|weight| !WEIGHTS.contains(&weight)) {
            problems.push(format!(
                "weight is {}, not {} to {}",
                self.weight.unwrap_or_default(),
                WEIGHTS.start(),
                WEIGHTS.end()
            ));
        }
        if self.rate.is_some_and(|rate| rate.burst.is_some() && rate.form != Form::Bucket) {
            problems.push("rate.burst is for rates of the form `bucket`".into());
        }
        let (is_queue, is_kind) = (matches!(target, Target::Queue(_)), matches!(target, Target::Kind(_)));
        let fits = [
            ("weight", self.weight.is_some() && (is_queue || is_kind), "keys"),
            ("order", self.order.is_some() && (is_queue || is_kind), "keys"),
            ("breaker", self.breaker.is_some() && !is_kind, "kinds"),
            ("max_jobs", self.max_jobs.is_some() && !is_queue, "queues"),
            ("max_bytes", self.max_bytes.is_some() && !is_queue, "queues"),
            ("paused", self.paused && is_queue, "kinds and keys; pause a queue by its own command"),
        ];
        for (field, _, whose) in fits.iter().filter(|(_, is_wrong, _)| *is_wrong) {
            problems.push(format!("{field} is for {whose}"));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::Config(
            problems.into_iter().map(|problem| format!("the rule of {target}: {problem}")).collect(),
        ))
    }
}

impl Rate {
    /// `n` in each window of this length.
    pub fn window(n: u64, per: Duration) -> Self {
        Self { form: Form::Window, n, per_ms: whole_ms(per), burst: None }
    }

    /// About `n` in any window of this length.
    pub fn sliding(n: u64, per: Duration) -> Self {
        Self { form: Form::Sliding, ..Self::window(n, per) }
    }

    /// `n` in this time, evenly; after a rest up to as many at once.
    pub fn bucket(n: u64, per: Duration) -> Self {
        Self { form: Form::Bucket, ..Self::window(n, per) }
    }

    /// How many a [`bucket`](Self::bucket) gives at once at most.
    #[must_use]
    pub fn burst(mut self, burst: u64) -> Self {
        self.burst = Some(burst);
        self
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_a_rule_is_named() {
        let rule =
            Rule::new().cap(0).weight(0.0).order(Order::Wait).rate(Rate::window(1, Duration::ZERO).burst(2));
        let Err(Error::Config(problems)) = rule.check(&Target::queue("mail")) else { panic!("it is wrong") };
        assert_eq!(
            problems,
            [
                "the rule of queue:mail: cap is 0, not 1 to 1099511627776",
                "the rule of queue:mail: rate.per_ms is 0, not 1 to 31622400000",
                "the rule of queue:mail: weight is 0, not 0.001 to 1000",
                "the rule of queue:mail: rate.burst is for rates of the form `bucket`",
                "the rule of queue:mail: weight is for keys",
                "the rule of queue:mail: order is for keys",
            ]
        );
    }

    #[test]
    fn a_rule_is_written_without_what_it_does_not_say() {
        let rule = Rule::new().rate(Rate::sliding(5, Duration::from_secs(1))).order(Order::Skip);
        let json = serde_json::to_string(&rule).unwrap();
        assert_eq!(json, r#"{"rate":{"form":"sliding","n":5,"per_ms":1000},"order":"skip"}"#);
        assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule);
    }
}
