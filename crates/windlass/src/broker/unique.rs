//! The push of a job of which there is to be one.

use std::time::Duration;

use super::lane::Lack;
use super::push::{due_arg, ms, scheduled_history};
use super::script::{PUSH_UNIQUE, PUSH_UNIQUE_LIMITED, RELEASE_UNIQUE};
use super::{Broker, Due, array, int, text};
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::unique::{Pushed, Until};

/// A job of which there is to be one.
#[derive(Debug, Clone, Copy)]
pub struct Single<'a> {
    /// What names its lock: equal jobs of a namespace have equal ones.
    pub lock: &'a str,
    /// Its envelope.
    pub envelope: &'a [u8],
}

/// How jobs are unique.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// For how long.
    pub until: Until,
    /// How long a lock lives at most; `None` for ever.
    pub life: Option<Duration>,
    /// Whether the later job replaces one that waits.
    pub replaces: bool,
}

/// What became of a push of jobs of which there is to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Singles {
    /// The id and what was done of each in turn, but for those that a full queue refused.
    pub pushed: Vec<(JobId, Pushed)>,
    /// Why a full queue refused others, if it did.
    pub(crate) lack: Option<Lack>,
}

impl Broker {
    /// Adds jobs of one queue, ready or due later, each unless an equal one is there or, where the queue `is_limited`, it
    /// has no room. The caller keeps within the bounds of [`push`](Self::push).
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe for jobs that have not run meanwhile.
    pub async fn push_unique(
        &self,
        queue: &str,
        rule: Rule,
        due: Option<Due>,
        jobs: &[Single<'_>],
        is_limited: bool,
    ) -> Result<Singles> {
        let script = if is_limited { &PUSH_UNIQUE_LIMITED } else { &PUSH_UNIQUE };
        let mut keys = self.by_id_keys(queue);
        keys.extend([self.keys.wake(queue), self.keys.seq()]);
        keys.extend(jobs.iter().map(|job| self.keys.unique(job.lock)));
        let mut call = script.call(&keys);
        call.arg(queue).arg(rule.until.as_str()).arg(rule.life.map_or(0, |life| ms(life).max(1)));
        call.arg(if rule.replaces { "replace" } else { "keep" });
        call.arg(due.map_or(String::new(), due_arg)).arg(scheduled_history()?);
        for job in jobs {
            call.arg(job.envelope);
        }
        let answer = array(self.run(script, &call).await?)?;
        if answer.len() != jobs.len() {
            return Err(Error::Answer("push_unique gave another number of ids than jobs"));
        }
        let mut singles = Singles { pushed: Vec::with_capacity(jobs.len()), lack: None };
        for said in answer {
            let mut said = array(said)?;
            if said.len() == 4 {
                singles.lack = Some(Lack::read(said.split_off(1))?);
                continue;
            }
            let [what, id] = <[_; 2]>::try_from(said).map_err(|_| Error::Answer("one id was expected"))?;
            let pushed = match int(&what)? {
                1 => Pushed::New,
                2 => Pushed::Replaced,
                _ => Pushed::Kept,
            };
            singles.pushed.push((JobId::parse(&text(id)?)?, pushed));
        }
        Ok(singles)
    }

    /// Forgets the locks of jobs that have ended, before their time. Answers how many.
    ///
    /// # Errors
    /// When the store fails; a lock that stays does not keep other jobs out, and goes in time.
    pub async fn release_unique(&self, locks: &[(&str, &JobId)]) -> Result<usize> {
        let keys: Vec<_> = locks.iter().map(|(lock, _)| self.keys.unique(lock)).collect();
        let mut call = RELEASE_UNIQUE.call(&keys);
        for (_, id) in locks {
            call.arg(id.as_str());
        }
        Ok(int(&self.run(&RELEASE_UNIQUE, &call).await?)? as usize)
    }
}
