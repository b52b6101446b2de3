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

/// The middle one of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
