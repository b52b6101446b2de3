//! Store, workers and clients in one process, on a clock that the stage moves: calls that get lost, processes that end,
//! disks that fail and a power that is cut, all from one seed. `world` has what happens, `call` what clients and workers
//! do, `check` what must hold.

mod call;
mod check;
mod world;

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio::runtime::Handle;
use windlass_db::faults::Random;

use super::Plan;
use super::report::Report;
use world::World;

/// What must hold is looked at after so many steps, and at the end.
const CHECK_EVERY: usize = 1_000;

pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let seeds = plan.figure_of_build(8, 300, 1_000_000) as u64;
    let steps = plan.figure_of_build(2_000, 10_000, 10_000);
    let (next, report) = (AtomicU64::new(0), Mutex::new(Report::default()));
    let lock = || report.lock().expect("nobody panics with the lock");
    let runtime = Handle::current();
    let run_seeds = || -> anyhow::Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= seeds || plan.is_done(&lock()) {
                return Ok(());
            }
            let seed = plan.seed.saturating_add(number);
            let world = runtime.block_on(run_one(plan, seed, steps))?;
            let mut report = lock();
            report.cycles += steps as u64;
            report.acknowledged += world.acknowledged;
            report.lost += world.found.lost;
            report.undone += world.found.undone;
            report.held_twice += world.found.held_twice;
            world.found.problems.iter().for_each(|problem| report.violate(format!("seed {seed}: {problem}")));
            world.remove()?;
        }
    };
    thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(run_seeds)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("what goes wrong is an error"))
    })?;
    let mut report = report.into_inner().expect("nobody panics with the lock");
    report.note(format!("{seeds} seeds of {steps} steps; a seed of a violation is run first by --seed"));
    Ok(report)
}

async fn run_one(plan: &Plan, seed: u64, steps: usize) -> anyhow::Result<World> {
    let mut world = World::open(plan, seed)?;
    let mut random = Random::new(seed);
    for step in 1..steps + 1 {
        world.act(&mut random).await?;
        if step % CHECK_EVERY == 0 {
            world.calm().await?;
            world.check().await?;
        }
    }
    world.drain().await?;
    Ok(world)
}
