//! What a run did, in figures.

use crate::job::running_most;
use crate::traffic::Run;

/// Prints the figures of a complete run.
pub fn print(run: &Run, cap: u32, store: &str) {
    let mut waits = run.seen.waits_ms.clone();
    waits.sort_unstable();
    let fresh = waits.len() - run.seen.from_before;
    let seconds = run.elapsed.as_secs_f64();
    println!("jobs          {} ({} of them received by an earlier run)", waits.len(), run.seen.from_before);
    println!("seconds       {seconds:.2}");
    println!("jobs/s        {:.0}", fresh as f64 / seconds);
    println!("submit to post-back  p50 {} ms, p99 {} ms", percentile(&waits, 50), percentile(&waits, 99));
    println!("running at once      {} at most, cap {cap}", running_most());
    println!("attempts      {} for {} numbers", run.seen.attempts, run.submitted);
    println!(
        "duplicates    {} post-backs came twice, {} were refused",
        run.seen.duplicates, run.seen.refused
    );
    println!("data          {store}");
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted.get(sorted.len() * percent / 100).or(sorted.last()).copied().unwrap_or_default()
}
