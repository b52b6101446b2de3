//! The service's own traffic: numbers through HTTP, and a receiver for the answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use num_prime::nt_funcs::is_prime64;
use serde_json::json;

use crate::http::IDEMPOTENCY_KEY;
use crate::receiver::{self, Journal, Seen};

/// The receiver's memory; it goes when a run is complete.
pub const JOURNAL: &str = "factors-run.log";
/// Every so many-th number is a product of two primes of 40 to 48 bits; the others are below 2^64.
const HARD_EVERY: u32 = 50;
/// Submissions that are under way at once.
const SUBMITTERS: u32 = 50;
/// How often a submission that cannot get through is tried again, a tenth of a second apart.
const SUBMIT_TRIES: u32 = 50;

/// What a run did: what was received, and how long it took.
pub struct Run {
    pub seen: Seen,
    pub elapsed: Duration,
    pub submitted: u32,
}

/// Submits `numbers` numbers and waits for all their answers.
pub async fn run(
    service: SocketAddr,
    receiver: SocketAddr,
    numbers: u32,
) -> Result<Run, Box<dyn std::error::Error>> {
    let journal = Arc::new(Journal::open(JOURNAL)?);
    let before = journal.count();
    if before > 0 {
        println!("an earlier run had {before} of {numbers} answers; this one brings the rest");
    }
    let receiving = tokio::spawn(receiver::serve(receiver, journal.clone()));
    let start = Instant::now();
    let submitting: Vec<_> = (0..SUBMITTERS)
        .map(|lane| {
            tokio::spawn(submit(
                service,
                receiver,
                journal.run.clone(),
                (lane..numbers).step_by(SUBMITTERS as usize),
            ))
        })
        .collect();

    let bar = ProgressBar::new(u64::from(numbers)).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} answers, {per_sec}, {eta} left")
            .expect("a sound template"),
    );
    while journal.count() < numbers as usize {
        if receiving.is_finished() {
            return Err(receiving.await?.err().unwrap_or_else(|| "the receiver ended".into()).into());
        }
        // The timeout is for the check above; answers themselves wake this loop.
        let _ = tokio::time::timeout(Duration::from_secs(1), journal.news.notified()).await;
        bar.set_position(journal.count() as u64);
    }
    bar.finish_and_clear();
    for lane in submitting {
        lane.await??;
    }
    let elapsed = start.elapsed();
    receiving.abort();
    std::fs::remove_file(JOURNAL)?;
    Ok(Run { seen: journal.take(), elapsed, submitted: numbers })
}

/// Submits some of the run's numbers. A number that an earlier run submitted is known by its key and pushed only once.
async fn submit(
    service: SocketAddr,
    receiver: SocketAddr,
    run: String,
    indexes: impl Iterator<Item = u32>,
) -> Result<(), String> {
    let http = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
    for index in indexes {
        let body = json!({ "number": number(index).to_string(), "post_back_url": format!("http://{receiver}/posts") });
        let mut tries = 0;
        loop {
            let request = http
                .post(format!("http://{service}/factors"))
                .header(IDEMPOTENCY_KEY, format!("{run}-{index}"));
            let answer =
                request.header("content-type", "application/json").body(body.to_string()).send().await;
            match answer.map(|answer| answer.status()) {
                Ok(status) if status.as_u16() == 202 => break,
                failed if tries == SUBMIT_TRIES => {
                    return Err(format!("number {index} was not taken: {failed:?}"));
                }
                _ => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// The number at `index`: the same in every run, so that a run can be continued.
fn number(index: u32) -> u128 {
    let first = mix(u64::from(index));
    if index % HARD_EVERY == HARD_EVERY - 1 {
        prime(first) * prime(mix(first))
    } else {
        u128::from(first | 1)
    }
}

/// A prime of 40 to 48 bits.
fn prime(seed: u64) -> u128 {
    let bits = 40 + seed % 9;
    let top = 1_u64 << (bits - 1);
    let mut candidate = top | (mix(seed) % top) | 1;
    while !is_prime64(candidate) {
        candidate += 2;
    }
    u128::from(candidate)
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
