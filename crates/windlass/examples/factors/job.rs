//! The job itself: factor one number.

use std::sync::atomic::{AtomicUsize, Ordering};

use num_prime::nt_funcs::factorize128;
use serde::{Deserialize, Serialize};
use windlass::{BlockingJob, Context, Outcome, Push};

use crate::post_back::PostBack;

pub const QUEUE: &str = "factor";
/// The bound of the numbers that are taken: the largest cost a minute of one core at most.
pub const NUMBER_MAX: u128 = 1 << 96;

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static RUNNING_MOST: AtomicUsize = AtomicUsize::new(0);

/// A number to factor. Numbers are text: JSON's go no further than 2^53 with some readers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Factor {
    pub number: String,
    /// Where the answer is posted to.
    pub post_back_url: Option<String>,
    /// When it was submitted, in milliseconds since the epoch.
    pub submitted_ms: u64,
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Factors {
    pub number: String,
    /// The prime factors in ascending order, each as often as it divides the number.
    pub factors: Vec<String>,
}

impl BlockingJob for Factor {
    const KIND: &'static str = "factor";
    const QUEUE: &'static str = QUEUE;
    type Output = Factors;

    fn run(self, context: &Context) -> Outcome<Factors> {
        let _running = Running::start();
        let number: u128 = self.number.parse()?;
        let powers = factorize128(number);
        let factors = powers.iter().flat_map(|(prime, power)| vec![prime.to_string(); *power]).collect();
        let answer = Factors { number: self.number, factors };
        if let Some(url) = self.post_back_url {
            let post_back = PostBack {
                url,
                job: context.id().to_string(),
                answer: serde_json::to_value(&answer)?,
                submitted_ms: self.submitted_ms,
                attempt: context.attempt(),
            };
            // The key makes the push idempotent: a second run of this job posts back nothing twice.
            let options = Push::new().key(format!("post-back-of-{}", context.id()));
            context.block_on(context.client().push_with(post_back, options))?;
        }
        Ok(answer)
    }

    fn result_ttl() -> Option<std::time::Duration> {
        Some(std::time::Duration::from_secs(3600))
    }
}

/// Counts how many run at once.
struct Running;

impl Running {
    fn start() -> Self {
        let now = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
        RUNNING_MOST.fetch_max(now, Ordering::SeqCst);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The most jobs that ran at once so far.
pub fn running_most() -> usize {
    RUNNING_MOST.load(Ordering::SeqCst)
}
