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

use anyhow::anyhow;
use windlass_conn::Connection;

use crate::command;
use crate::exit::{Failure, Result, USAGE};
use crate::settings::{self, Store};

/// A connection to the store that is reached at `reached`, with the durability that was asked for.
async fn connect(asked: Option<&str>, store: &Store, reached: &Store) -> Result<Connection> {
    let refuse = |why: &str| {
        Failure::new(USAGE, anyhow!("--durability is for a directory that this command opens: {why}"))
    };
    let durability = settings::durability(asked.unwrap_or("always"))?;
    if asked.is_some() && store.is_memory() {
        return Err(refuse(
            "nothing in memory outlives it. Name a directory with --store, or leave --durability out",
        ));
    }
    let connection = command::connect(reached, durability).await?;
    if asked.is_some() && !connection.is_embedded() {
        return Err(refuse(
            "a server, and a process that has a directory open, keep data as they were started (CONFIG GET append*). \
             Leave --durability out",
        ));
    }
    Ok(connection)
}

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
