//! Pushes into lanes, and what rules say.

use redis::{Cmd, Value};

use super::control::pairs;
use super::script::{HELD, LANE_LIST, PUSH_LANE, PUSH_LIMITED, RULE_SET};
use super::{Broker, array, int, text};
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::limit::Lane;

/// How many lanes of a queue a listing looks at, of those that have a turn and of those that wait.
const LANES_LOOKED_MAX: usize = 10_000;

/// How many limits one look finds that lanes wait for.
const HELD_MAX: usize = 100;

impl Broker {
    /// Adds ready jobs to `queue`, each to its lane, and answers their ids. The caller keeps within the bounds of
    /// [`push`](Self::push).
    ///
    /// # Errors
    /// When the store fails; whether the jobs were added is unknown then.
    pub async fn push_lane(&self, queue: &str, jobs: &[(&Lane, &[u8])]) -> Result<Vec<JobId>> {
        let call = self.lane_call(queue, "ids", jobs);
        let ids = array(self.run(&PUSH_LANE, &call).await?)?;
        if ids.len() != jobs.len() {
            return Err(Error::Answer("push_lane gave another number of ids than jobs"));
        }
        ids.into_iter().map(|id| JobId::parse(&text(id)?)).collect()
    }

    /// Adds ready jobs to `queue`, each to its lane, without asking for their ids.
    ///
    /// # Errors
    /// When the store fails; whether the jobs were added is unknown then.
    pub async fn push_lane_bulk(&self, queue: &str, jobs: &[(&Lane, &[u8])]) -> Result<()> {
        let call = self.lane_call(queue, "count", jobs);
        self.run(&PUSH_LANE, &call).await.map(drop)
    }

    fn lane_call(&self, queue: &str, answer: &str, jobs: &[(&Lane, &[u8])]) -> Cmd {
        let mut call = PUSH_LANE.call(&[self.keys.seq(), self.keys.jobs(), self.keys.wake(queue)]);
        call.arg(queue).arg(answer);
        for (lane, envelope) in jobs {
            call.arg(lane.rank()).arg(lane.key.as_deref().unwrap_or_default()).arg(envelope);
        }
        call
    }

    /// Sets the rule of that name, or removes it if `rule` is empty; `pause` and `resume` change that of it alone.
    /// Answers whether there was one.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub(crate) async fn set_rule(&self, name: &str, rule: &str) -> Result<bool> {
        let mut call = RULE_SET.call(&[self.keys.rules()]);
        call.arg(name).arg(rule);
        Ok(int(&self.run(&RULE_SET, &call).await?)? == 1)
    }

    /// The rule of that name as JSON.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn rule(&self, name: &str) -> Result<Option<String>> {
        match self.send(redis::cmd("HGET").arg(self.keys.rules()).arg(name)).await? {
            Value::Nil => Ok(None),
            rule => text(rule).map(Some),
        }
    }

    /// The limits that hold jobs up, those of `queues` and those of kinds and keys: each with what of its rule does, and until
    /// when, in ms since 1970, where it ends by itself.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn held_up(&self, queues: &[&str]) -> Result<Vec<(String, String, Option<u64>)>> {
        let mut keys = vec![self.keys.rules()];
        keys.extend(queues.iter().map(|queue| self.keys.stream(queue)));
        let mut call = HELD.call(&keys);
        call.arg(HELD_MAX);
        let mut parts = array(self.run(&HELD, &call).await?)?.into_iter();
        let mut held = Vec::new();
        while let (Some(limit), Some(what), Some(until)) = (parts.next(), parts.next(), parts.next()) {
            held.push((text(limit)?, text(what)?, u64::try_from(int(&until)?).ok()));
        }
        Ok(held)
    }

    /// A page of the rules by their names, as JSON, and where the next page begins; "0" at the end.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn rules(&self, cursor: &str) -> Result<(Vec<(String, String)>, String)> {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(self.keys.rules()).arg(cursor).arg("COUNT").arg(super::BATCH_JOBS_MAX);
        let mut answer = array(self.send(&scan).await?)?.into_iter();
        let (Some(next), Some(page)) = (answer.next(), answer.next()) else {
            return Err(Error::Answer("HSCAN gave no page"));
        };
        let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let page = pairs(page)?.into_iter().map(|(name, rule)| (lossy(name), lossy(rule)));
        Ok((page.collect(), text(next)?))
    }

    /// How many jobs wait in the lanes of a queue.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn jobs_in_lanes(&self, queue: &str) -> Result<u64> {
        match self.send(redis::cmd("HGET").arg(self.keys.pace(queue)).arg("size")).await? {
            Value::Nil => Ok(0),
            size => Ok(int(&size)?.unsigned_abs()),
        }
    }

    /// Jobs that wait in the lanes of a queue: `count` of them behind the first `skip`, as far as
    /// [`LANES_LOOKED_MAX`] lanes have them. None stands for what is no id and so names no job.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn list_lanes(
        &self,
        queue: &str,
        skip: usize,
        count: usize,
    ) -> Result<Vec<Option<JobId>>> {
        let mut call = LANE_LIST.call(&[self.keys.turns(queue), self.keys.waits(queue)]);
        call.arg(skip).arg(count).arg(LANES_LOOKED_MAX);
        let ids = array(self.run(&LANE_LIST, &call).await?)?;
        Ok(ids.into_iter().map(|id| JobId::parse(&text(id).ok()?).ok()).collect())
    }

    /// Adds ready jobs to a queue that may have a limit, as many as fit; the first of them, in order. The caller keeps
    /// within the bounds of [`push`](Self::push).
    ///
    /// # Errors
    /// When the store fails; whether the jobs were added is unknown then.
    pub async fn push_limited(&self, queue: &str, jobs: &[(Option<&Lane>, &[u8])]) -> Result<Limited> {
        let mut call =
            PUSH_LIMITED.call(&[self.keys.stream(queue), self.keys.wake(queue), self.keys.rules()]);
        call.arg(queue);
        for (lane, envelope) in jobs {
            match lane {
                Some(lane) => call.arg(lane.rank()).arg(lane.key.as_deref().unwrap_or_default()),
                None => call.arg("").arg(""),
            };
            call.arg(envelope);
        }
        let mut answer = array(self.run(&PUSH_LIMITED, &call).await?)?.into_iter();
        let lack = array(answer.next().ok_or(Error::Answer("push_limited gave nothing"))?)?;
        let lack = (!lack.is_empty()).then(|| Lack::read(lack)).transpose()?;
        let ids = answer.map(|id| JobId::parse(&text(id)?)).collect::<Result<_>>()?;
        Ok(Limited { ids, lack })
    }
}

/// What became of a push to a queue with a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limited {
    /// The jobs that were added: the first of those that were to be.
    pub ids: Vec<JobId>,
    /// Why the next one was not added, if there is one.
    pub(crate) lack: Option<Lack>,
}

/// What a queue lacks for one more job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lack {
    rule: &'static str,
    limit: u64,
    actual: u64,
}

impl Lack {
    /// Reads what `room.lua` says.
    pub(super) fn read(said: Vec<Value>) -> Result<Self> {
        let said =
            <[_; 3]>::try_from(said).map_err(|_| Error::Answer("a limit and two numbers were expected"))?;
        let [rule, limit, actual] = said;
        let rule = match text(rule)?.as_str() {
            "max_jobs" => "max_jobs",
            "max_bytes" => "max_bytes",
            _ => return Err(Error::Answer("a queue lacks what is not known here")),
        };
        Ok(Self { rule, limit: int(&limit)?.unsigned_abs(), actual: int(&actual)?.unsigned_abs() })
    }

    pub(crate) fn error(self, queue: &str) -> Error {
        Error::QueueFull { queue: queue.to_owned(), rule: self.rule, limit: self.limit, actual: self.actual }
    }
}
