//! The job that is pushed and drained.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use windlass::{Context, Job, Outcome};

/// How many have started.
pub static STARTED: AtomicU64 = AtomicU64::new(0);
/// From push to start, of those that say when they were pushed.
pub static WAITS_NS: Mutex<Vec<u64>> = Mutex::new(Vec::new());
/// How many slow jobs may end.
pub static RELEASED: Semaphore = Semaphore::const_new(0);
static EPOCH: OnceLock<Instant> = OnceLock::new();

/// The job that does nothing but say when it was pushed (0 when nobody asks) and, if it is slow, wait to be released.
#[derive(Default, Serialize, Deserialize)]
pub struct Nop {
    #[serde(skip_serializing_if = "is_zero", default)]
    pub pushed_ns: u64,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub payload: String,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_slow: bool,
}

impl Job for Nop {
    const KIND: &'static str = "nop";
    type Output = ();

    async fn run(self, _: Context) -> Outcome<()> {
        if self.pushed_ns > 0 {
            let wait = now_ns().saturating_sub(self.pushed_ns);
            WAITS_NS.lock().unwrap_or_else(PoisonError::into_inner).push(wait);
        }
        STARTED.fetch_add(1, Ordering::Relaxed);
        if self.is_slow {
            let released = RELEASED.acquire().await;
            released.expect("nobody closes it").forget();
        }
        Ok(())
    }
}

/// Nanoseconds since this was first called.
pub fn now_ns() -> u64 {
    EPOCH.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

fn is_zero(ns: &u64) -> bool {
    *ns == 0
}
