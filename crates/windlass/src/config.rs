//! Settings of a client and of the workers made from it.

use std::time::Duration;

use crate::envelope::check_depth;
use crate::error::{Error, Result};
use crate::name::check_name;
use crate::retention::Retention;

/// Settings that clients and workers of a namespace share. Give all processes of a namespace the same.
///
/// ```
/// use windlass::Config;
/// let config = Config { namespace: "shop".into(), ..Config::default() };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// Part of every key, so that several systems share a store. Default: `default`.
    pub namespace: String,
    /// How long a worker may be silent before its jobs go to others, from [`LEASE_MIN`] to [`LEASE_MAX`]. Default: 30 s.
    pub lease: Duration,
    /// Largest envelope of a job in bytes, and largest result: a job that answers more is dead, with that reason. Default:
    /// 1 MiB.
    pub max_payload: usize,
    /// How long an enqueue key is remembered. Default: 24 h.
    pub key_ttl: Duration,
    /// How many dead, discarded and cancelled jobs are kept of each queue, for how long, and in how many bytes. Workers see to
    /// it. Default: 10,000 each, 180 days, 64 MiB.
    pub retention: Retention,
    /// How long a job of a kind that nobody knows waits before it is dead. Default: 24 h.
    pub parked_age: Duration,
    /// How often a process may end while a job runs under suspicion before that job is dead. Default: 3.
    pub crash_limit: u32,
    /// How many pushes a client keeps in memory while its store is away; 0 keeps none, so that they fail. They are sent in
    /// order when it is back, and until then a push answers with [`Pushed::Buffered`](crate::Pushed::Buffered). A process
    /// that ends loses them: call [`Client::flush`](crate::Client::flush) before. Default: 0.
    pub buffer_jobs: usize,
    /// How many bytes their envelopes may take together. Default: 16 MiB.
    pub buffer_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            namespace: "default".into(),
            lease: Duration::from_secs(30),
            max_payload: 1 << 20,
            key_ttl: DAY,
            retention: Retention::new(),
            parked_age: DAY,
            crash_limit: 3,
            buffer_jobs: 0,
            buffer_bytes: 16 << 20,
        }
    }
}

/// Shortest lease: a worker renews three times in it.
pub const LEASE_MIN: Duration = Duration::from_millis(30);

/// Longest lease.
pub const LEASE_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Most pushes that a client keeps while its store is away.
pub const BUFFER_JOBS_MAX: usize = 1_000_000;

/// Largest limit of an envelope: what Redis takes as one value.
pub const PAYLOAD_LIMIT_MAX: usize = 512 << 20;

impl Config {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Config`] with a sentence for each that cannot be used.
    pub fn validate(&self) -> Result<()> {
        let mut problems = Vec::new();
        if let Err(error) = check_name("namespace", &self.namespace) {
            problems.push(error.to_string());
        }
        if self.lease < LEASE_MIN {
            problems.push(format!("lease is {:?}, less than {LEASE_MIN:?}", self.lease));
        }
        if self.lease > LEASE_MAX {
            problems.push(format!("lease is {:?}, more than {LEASE_MAX:?}", self.lease));
        }
        if self.max_payload == 0 || self.max_payload > PAYLOAD_LIMIT_MAX {
            problems.push(format!("max_payload is {}, not 1 to {PAYLOAD_LIMIT_MAX}", self.max_payload));
        }
        problems.extend(self.retention.problems());
        if self.crash_limit == 0 {
            problems.push("crash_limit is 0, so that every suspect would die; use 1 or more".into());
        }
        if self.buffer_jobs > BUFFER_JOBS_MAX {
            problems.push(format!("buffer_jobs is {}, more than {BUFFER_JOBS_MAX}", self.buffer_jobs));
        }
        if self.buffer_jobs > 0 && self.buffer_bytes == 0 {
            problems.push("buffer_bytes is 0, so that nothing could be kept; name a size".into());
        }
        for (name, life) in [("key_ttl", self.key_ttl), ("parked_age", self.parked_age)] {
            if life < Duration::from_millis(1) {
                problems.push(format!("{name} is {life:?}, less than 1ms"));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Config(problems)) }
    }

    /// Checks that a job can be stored, and read by the scripts.
    pub(crate) fn check_envelope(&self, kind: &str, envelope: &[u8]) -> Result<()> {
        self.check_payload(kind, envelope.len())?;
        check_depth(envelope)
    }

    /// Checks that what is stored of `kind` is within [`max_payload`](Self::max_payload).
    pub(crate) fn check_payload(&self, kind: &str, size: usize) -> Result<()> {
        let limit = self.max_payload;
        if size > limit { Err(Error::Payload { kind: kind.to_owned(), size, limit }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_named_at_once() {
        let config =
            Config { namespace: "a b".into(), lease: Duration::ZERO, max_payload: 0, ..Config::default() };
        let Err(Error::Config(problems)) = config.validate() else { panic!("the settings are wrong") };
        assert_eq!(problems.len(), 3);
    }
}
