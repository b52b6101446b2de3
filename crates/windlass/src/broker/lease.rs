//! Leases: renewing, giving back, taking back.

use std::time::Duration;

use redis::{Cmd, Value};

use super::push::ms;
use super::script::{BEAT, LEAVE, RECOVER, RELEASE, RENEW};
use super::{BATCH_JOBS_MAX, Broker, Taken, array, bytes, int};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::id::{EntryId, JobId};
use crate::state::State;

/// A job that a worker holds: its entry and how often that was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Held {
    pub(crate) entry: EntryId,
    pub(crate) count: u32,
}

impl Held {
    /// What holds a job that was taken.
    pub fn of(taken: &Taken) -> Self {
        Self { entry: taken.entry, count: taken.count }
    }
}

/// What was taken back from ended workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Jobs that may have ended their process.
    pub suspects: usize,
    /// Jobs that had not begun.
    pub unstarted: usize,
    /// Jobs that ended too many processes.
    pub killed: usize,
}

impl Broker {
    /// Renews leases in one queue; `held` is sorted. Answers those that are lost.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn renew(&self, queue: &str, consumer: &str, held: &[Held]) -> Result<Vec<Held>> {
        let mut call = RENEW.call(&[self.keys.stream(queue)]);
        call.arg(consumer).arg(held.len());
        add_pairs(&mut call, held);
        read_entries(self.run(&RENEW, &call).await?, held)
    }

    /// Notes that a worker lives, with its description. Answers the store's time in milliseconds.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn beat(&self, worker: &str, ttl: Duration, fields: &[(&str, String)]) -> Result<u64> {
        let mut call = BEAT.call(&[self.keys.workers(), self.keys.worker(worker)]);
        call.arg(worker).arg(ms(ttl));
        for (name, value) in fields {
            call.arg(name).arg(value);
        }
        Ok(int(&self.run(&BEAT, &call).await?)?.unsigned_abs())
    }

    /// Takes back what workers held that are silent for longer than the lease, or known to be dead.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recover(&self, queue: &str, config: &Config, dead: &[String]) -> Result<Recovered> {
        self.recover_and_name(queue, config, dead).await.map(|(recovered, _)| recovered)
    }

    /// The same, with the ids of the jobs that are dead now.
    pub(crate) async fn recover_and_name(
        &self,
        queue: &str,
        config: &Config,
        dead: &[String],
    ) -> Result<(Recovered, Vec<JobId>)> {
        let keys = [
            self.keys.stream(queue),
            self.keys.gate(queue),
            self.keys.wake(queue),
            self.keys.suspect(queue),
            self.keys.workers(),
            self.keys.jobs(),
            self.stored(State::Dead),
            self.keys.moved(),
            self.keys.stats(),
        ];
        let keep = config.retention.keep(queue, State::Dead);
        let mut call = RECOVER.call(&keys);
        call.arg(ms(config.lease)).arg(config.crash_limit).arg(keep.count).arg(keep.bytes);
        call.arg(queue).arg(format!("its process ended {} times while it ran", config.crash_limit)).arg(dead);
        let answer = array(self.run_told(&RECOVER, &call).await?)?;
        let [suspects, unstarted, killed, ids] = answer.as_slice() else {
            return Err(Error::Answer("recover gave other than three numbers and a list"));
        };
        let number = |value| int(value).map(|number| number as usize);
        let recovered =
            Recovered { suspects: number(suspects)?, unstarted: number(unstarted)?, killed: number(killed)? };
        Ok((recovered, ids_of(ids.clone())?))
    }

    /// How long until the first worker that holds jobs of a queue has held them for a lease. It looks at a thousand jobs.
    ///
    /// # Errors
    /// When the store fails.
    #[cfg(feature = "embedded")]
    pub async fn lease_left(&self, queue: &str, lease: Duration) -> Result<Option<Duration>> {
        let mut command = redis::cmd("XPENDING");
        command.arg(self.keys.stream(queue)).arg("w").arg("-").arg("+").arg(1000);
        let pending: Vec<(String, String, u64, u64)> = match self.send(&command).await {
            // Nothing was ever taken from it.
            Err(Error::Store(error)) if error.code() == Some("NOGROUP") => return Ok(None),
            answer => redis::from_redis_value(answer?).map_err(redis::RedisError::from)?,
        };
        let mut left = std::collections::BTreeMap::new();
        for (_, consumer, idle, _) in pending.into_iter().filter(|(_, name, ..)| !name.starts_with('~')) {
            let own = lease.saturating_sub(Duration::from_millis(idle));
            left.entry(consumer).and_modify(|left: &mut Duration| *left = own.max(*left)).or_insert(own);
        }
        Ok(left.into_values().min())
    }

    /// Gives jobs of one queue back; `held` is sorted. Answers how many were still held.
    ///
    /// # Errors
    /// When the store fails; they then go back after the lease.
    pub async fn release(&self, queue: &str, consumer: &str, held: &[Held]) -> Result<usize> {
        let (keys, name) = (&self.keys, queue);
        let mut call =
            RELEASE.call(&[keys.stream(name), keys.gate(name), keys.wake(name), keys.suspect(name)]);
        call.arg(consumer).arg(held.len());
        add_pairs(&mut call, held);
        Ok(int(&self.run(&RELEASE, &call).await?)? as usize)
    }

    /// Takes a stopped worker off the lists, and gives back what was pending under it all the same. Answers
    /// how much still is; go on while it is not 0.
    ///
    /// # Errors
    /// When the store fails; the leases then end and the lists clear themselves in time.
    pub async fn leave(&self, worker: &str, queues: &[&str]) -> Result<usize> {
        let mut keys = vec![self.keys.workers(), self.keys.worker(worker)];
        for queue in queues {
            let (stream, suspect) = (self.keys.stream(queue), self.keys.suspect(queue));
            keys.extend([stream, self.keys.gate(queue), self.keys.wake(queue), suspect]);
        }
        let mut call = LEAVE.call(&keys);
        call.arg(worker).arg(BATCH_JOBS_MAX);
        Ok(int(&self.run(&LEAVE, &call).await?)? as usize)
    }

    /// Workers that have beaten lately.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn workers(&self, max: usize) -> Result<Vec<String>> {
        let mut command = redis::cmd("ZREVRANGE");
        command.arg(self.keys.workers()).arg(0).arg(max.saturating_sub(1));
        array(self.send(&command).await?)?.into_iter().map(super::text).collect()
    }
}

/// Reads a list of ids.
pub(super) fn ids_of(answer: Value) -> Result<Vec<JobId>> {
    array(answer)?.into_iter().map(|id| JobId::parse(&super::text(id)?)).collect()
}

/// Adds the entry and count of each job.
pub(super) fn add_pairs(call: &mut Cmd, held: &[Held]) {
    debug_assert!(held.is_sorted(), "the scripts read the range from the first to the last");
    for job in held {
        call.arg(job.entry.to_string()).arg(job.count);
    }
}

/// Reads a list of entries back into what was sent.
pub(super) fn read_entries(answer: Value, held: &[Held]) -> Result<Vec<Held>> {
    let wrong = || Error::Answer("an entry that was sent was expected");
    array(answer)?
        .into_iter()
        .map(|entry| {
            let entry = bytes(entry)?;
            let entry = std::str::from_utf8(&entry).ok().and_then(EntryId::parse).ok_or_else(wrong)?;
            held.iter().find(|job| job.entry == entry).copied().ok_or_else(wrong)
        })
        .collect()
}
