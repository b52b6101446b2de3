//! Jobs that follow on others: chains, batches and groups.
//!
//! What a job has to do with others stands in its envelope as its [`Flow`], and is carried out by the script that ends
//! the job (`lua/hooks.lua`): so a process may die between any two steps. A job without a flow costs nothing for it.
//! `docs/flow.md` shows all of it on one screen.

mod batch;
mod builder;
mod chain;
mod group;
mod status;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::client::{Client, Push, envelope_of};
use crate::envelope::{Envelope, Raw, check_depth};
use crate::error::{Error, Result};
use crate::failure::{Failure, Fate};
use crate::job::Pushable;
use crate::middleware::Pushing;
use crate::name::check_name;
use crate::state::State;

pub use batch::{BATCH_DEPTH_MAX, Batch};
pub use builder::BatchBuilder;
pub(crate) use builder::Nested;
pub use chain::Chain;
pub use group::{GROUP_JOBS_MAX, Group, GroupBuilder};
pub(crate) use group::{item_of, read_list};
pub use status::BatchStatus;

/// What a job has to do with others: the field `flow` of its envelope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Flow {
    /// The batch that it is one of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// Its place in a group, from 0: its result is kept there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// The jobs of the chain that follow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<Step>,
    /// The job that is pushed when this one, or one that follows, ends without success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch: Option<Step>,
}

/// A job that is not pushed yet. Its envelope is a text, so that whatever passes it on keeps it byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// The queue that it goes to.
    pub queue: String,
    /// Its envelope.
    pub job: String,
}

/// How a job ended without success, as an error branch and the results of a group tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct JobError {
    /// The job; empty where the result and not the job is missing.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// How it ended: dead, discarded or cancelled.
    pub state: State,
    /// The type of the error.
    pub class: String,
    /// What it said.
    pub message: String,
}

impl Flow {
    /// Whether a success of the job brings something about.
    pub(crate) fn has_next(&self) -> bool {
        self.batch.is_some() || !self.next.is_empty()
    }

    /// Whether somebody gets what the job answers.
    pub(crate) fn wants_output(&self) -> bool {
        self.n.is_some() || !self.next.is_empty()
    }

    /// What an end without success needs of it; none when nothing follows from that. The error branch is left out
    /// when it was taken before.
    pub(crate) fn of_failure(&self, is_caught: bool) -> Option<Self> {
        let catch = self.catch.clone().filter(|_| !is_caught);
        let flow = Self { batch: self.batch.clone(), n: self.n, next: Vec::new(), catch };
        (flow.batch.is_some() || flow.catch.is_some()).then_some(flow)
    }

    /// The next job of the chain, ready to be pushed: with the rest of the chain, and with the output of the one
    /// before it.
    pub(crate) fn advance(&self, output: &[u8], size_max: usize) -> Result<Option<Step>, Failure> {
        let Some((next, rest)) = self.next.split_first() else { return Ok(None) };
        let unfit = |message: String| Failure::with(Fate::Kill, "Chain", message);
        let mut envelope = Envelope::parse(next.job.as_bytes())
            .map_err(|reason| unfit(format!("of the next job of its chain {reason}")))?;
        check_name("queue", &next.queue).map_err(|error| unfit(error.to_string()))?;
        let prev: &RawValue = serde_json::from_slice(output)?;
        envelope.prev = Some(Raw(prev));
        // The batch that the chain is in goes along; a batch of its own the step cannot have.
        let flow =
            Self { batch: self.batch.clone(), n: None, next: rest.to_vec(), catch: self.catch.clone() };
        envelope.flow = (flow != Self::default()).then(|| Box::new(flow));
        let bytes = envelope.to_bytes()?;
        if bytes.len() > size_max {
            let size = bytes.len();
            return Err(unfit(format!("the next job of its chain takes {size} bytes, more than {size_max}")));
        }
        let job = String::from_utf8(bytes)?;
        Ok(Some(Step { queue: next.queue.clone(), job }))
    }
}

impl Step {
    /// A job to be pushed later by the store. When that is, nobody knows now, so that it cannot have a time.
    pub(crate) fn new<Style, J: Pushable<Style>>(job: &J, options: &Push) -> Result<Self> {
        match options.only_at_its_time() {
            None => Self::first(job, options),
            Some(option) => Err(Error::Push {
                option,
                problem: "is reckoned from now, and a job that follows others comes when they have ended; give it to \
                          their first, or a timeout to this one"
                    .into(),
            }),
        }
    }

    /// The same for the first job of a chain, which nothing goes before.
    pub(crate) fn first<Style, J: Pushable<Style>>(job: &J, options: &Push) -> Result<Self> {
        let problem = |what: &str| Err(Error::Config(vec![format!("a job that follows others {what}")]));
        if options.due.is_some() {
            return problem("cannot be delayed, it comes when they have ended");
        }
        if options.key.is_some() {
            return problem("cannot have a key, it comes once with them");
        }
        if options.unique.is_some() {
            return problem("cannot be unique, it comes once with them");
        }
        options.check_not_spread()?;
        options.lane.check()?;
        let envelope = envelope_of(job, options);
        crate::tag::check(&envelope)?;
        check_name("kind", &envelope.kind)?;
        let queue = options.queue.as_deref().unwrap_or(J::QUEUE).to_owned();
        check_name("queue", &queue)?;
        let job = serde_json::to_string(&envelope)?;
        check_depth(job.as_bytes())?;
        Ok(Self { queue, job })
    }

    /// The same once every middleware of the client has seen it.
    async fn seen(self, client: &Client) -> Result<Self> {
        let Some(watchers) = client.watchers() else { return Ok(self) };
        let job = Pushing::of_envelope(&self.queue, self.job.as_bytes(), &Push::new())?;
        let mut job = job.fixed("comes when others have ended");
        watchers.apply(&mut job).await?;
        let (queue, job) = job.into_bytes()?;
        let job = String::from_utf8(job).map_err(|_| Error::Answer("an envelope is a text"))?;
        Ok(Self { queue, job })
    }

    /// The same as a job of a batch.
    fn within(&self, batch: &str) -> Result<Self> {
        let mut envelope =
            Envelope::parse(self.job.as_bytes()).map_err(|_| Error::Answer("a step is an envelope"))?;
        envelope.flow.get_or_insert_default().batch = Some(batch.to_owned());
        let job = serde_json::to_string(&envelope)?;
        Ok(Self { queue: self.queue.clone(), job })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str) -> Step {
        Step { queue: "q".into(), job: format!(r#"{{"v":1,"kind":"{name}","args":{{"x":1.10}}}}"#) }
    }

    #[test]
    fn a_chain_goes_on_with_the_output_and_the_rest() {
        let flow = Flow {
            batch: Some("b".into()),
            next: vec![step("two"), step("three")],
            catch: Some(step("catch")),
            ..Flow::default()
        };
        let next = flow.advance(b"null", 1000).unwrap().unwrap();
        let envelope = Envelope::parse(next.job.as_bytes()).unwrap();
        assert_eq!((envelope.kind.as_ref(), envelope.args.get()), ("two", r#"{"x":1.10}"#));
        assert_eq!(envelope.prev.unwrap().0.get(), "null", "no value is a value");
        let rest = *envelope.flow.clone().unwrap();
        assert_eq!(rest, Flow { next: vec![step("three")], ..flow.clone() });
        let last = rest.advance(b"[1]", 1000).unwrap().unwrap();
        let last = Envelope::parse(last.job.as_bytes()).unwrap().flow.unwrap();
        assert_eq!(*last, Flow { next: vec![], ..flow.clone() });
        assert_eq!(last.advance(b"[1]", 1000).unwrap(), None);
        assert!(flow.advance(b"[1]", 10).is_err(), "too large to be pushed");
    }

    #[test]
    fn a_step_that_cannot_be_read_is_a_failure() {
        let flow = Flow { next: vec![Step { queue: "q".into(), job: "{".into() }], ..Flow::default() };
        let failure = flow.advance(b"1", 1000).unwrap_err();
        assert!(failure.message().starts_with("of the next job of its chain the envelope cannot be read"));
    }

    #[test]
    fn the_error_branch_is_taken_once() {
        let flow = Flow { catch: Some(step("catch")), ..Flow::default() };
        assert_eq!(flow.of_failure(false), Some(flow.clone()));
        assert_eq!(flow.of_failure(true), None);
    }
}
