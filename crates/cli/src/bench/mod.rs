//! `windlass bench`: measures a store on this machine, with the figures' circumstances beside them.

mod delay;
mod disk;
pub mod features;
pub mod jobs;
mod machine;
mod namespace;
mod process;
pub mod store;
mod watch;

/// Of sorted figures the one that so great a share of them does not exceed; none of none.
fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied()
}

/// The middle one of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    percentile(&figures, 0.5).unwrap_or(f64::NAN)
}
