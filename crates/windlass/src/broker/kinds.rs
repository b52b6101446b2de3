//! Moves of queues whose workers are asked for the kinds that they know.

use std::time::Duration;

use super::exchange::read_taken;
use super::push::ms;
use super::script::{ADOPT, KNOW, PASS};
use super::{BATCH_JOBS_MAX, Broker, Held, Taken, array, int};
use crate::error::{Error, Result};

/// What became of a job that its worker does not know the kind of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Passed {
    /// It waits for a worker that knows its kind.
    HandedOver,
    /// No live worker is known to know it, or its queue does not ask; nothing was changed.
    Unknown,
    /// The worker did not hold it any more.
    Lost,
}

impl Broker {
    /// Has workers take only jobs of kinds that they know from a queue, or of any kind again. Answers whether that is
    /// new.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn ask_for_kinds(&self, queue: &str, asks: bool) -> Result<bool> {
        let mut command = redis::cmd(if asks { "SADD" } else { "SREM" });
        command.arg(self.keys.by_kind()).arg(queue);
        Ok(int(&self.send(&command).await?)? == 1)
    }

    /// Whether workers take only jobs of kinds that they know from a queue.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn asks_for_kinds(&self, queue: &str) -> Result<bool> {
        Ok(int(&self.send(redis::cmd("SISMEMBER").arg(self.keys.by_kind()).arg(queue)).await?)? == 1)
    }

    /// Hands a taken job over to workers that know its kind.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn pass(
        &self,
        queue: &str,
        consumer: &str,
        held: Held,
        kind: (&str, u32),
        lease: Duration,
    ) -> Result<Passed> {
        let keys = [
            self.keys.stream(queue),
            self.keys.by_kind(),
            self.keys.knows(queue),
            self.keys.wake(queue),
            self.keys.gate(queue),
        ];
        let mut call = PASS.call(&keys);
        call.arg(consumer).arg(queue).arg(kind.0).arg(kind.1).arg(ms(lease).max(1));
        call.arg(held.entry.to_string()).arg(held.count);
        Ok(match int(&self.run(&PASS, &call).await?)? {
            0 => Passed::Lost,
            1 => Passed::Unknown,
            _ => Passed::HandedOver,
        })
    }

    /// Takes jobs that were handed over to workers that know `kinds`, each a name, a colon and a version.
    ///
    /// # Errors
    /// When the store fails; what was taken then goes back after the lease.
    pub async fn adopt(
        &self,
        queues: &[&str],
        consumer: &str,
        count: usize,
        kinds: &[String],
    ) -> Result<Vec<Taken>> {
        let keys: Vec<_> = queues
            .iter()
            .flat_map(|queue| [self.keys.gate(queue), self.keys.stream(queue), self.keys.wake(queue)])
            .collect();
        let mut call = ADOPT.call(&keys);
        call.arg(consumer).arg(count).arg(kinds);
        read_taken(self.run(&ADOPT, &call).await?)
    }

    /// Says which kinds a worker of these queues knows, and takes back what was handed over to workers that are gone.
    /// Answers the numbers of the queues that ask for kinds.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn know(&self, queues: &[&str], kinds: &[String], lease: Duration) -> Result<Vec<usize>> {
        let mut keys = vec![self.keys.by_kind()];
        for queue in queues {
            let (knows, stream) = (self.keys.knows(queue), self.keys.stream(queue));
            keys.extend([knows, stream, self.keys.gate(queue), self.keys.wake(queue)]);
        }
        let mut call = KNOW.call(&keys);
        call.arg(ms(lease).max(1)).arg(BATCH_JOBS_MAX).arg(queues).arg(kinds);
        let wrong = || Error::Answer("know gave other than numbers of queues");
        let asking = array(self.run(&KNOW, &call).await?)?;
        asking
            .iter()
            .map(|number| {
                (int(number)? as usize).checked_sub(1).filter(|at| *at < queues.len()).ok_or_else(wrong)
            })
            .collect()
    }
}
