//! Store, workers and clients in one process, on a clock that the stage moves: calls that get lost, processes that end,
//! disks that fail and a power that is cut, all from one seed. `world` has what happens, `check` what must hold.

mod check;
mod world;

use windlass_db::faults::Random;

use super::Plan;
use super::report::Report;
use world::World;

/// What must hold is looked at after so many steps, and at the end.
const CHECK_EVERY: usize = 1_000;

pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let seeds = plan.figure_of_build(8, 300, 1_000_000) as u64;
    let steps = plan.figure_of_build(2_000, 10_000, 10_000);
    for seed in plan.seed..plan.seed.saturating_add(seeds) {
        tokio::runtime::Handle::current().block_on(run_one(plan, seed, steps, &mut report))?;
        if plan.is_done(&report) {
            break;
        }
    }
    report.note(format!("{seeds} seeds of {steps} steps; a seed of a violation is run first by --seed"));
    Ok(report)
}

async fn run_one(plan: &Plan, seed: u64, steps: usize, report: &mut Report) -> anyhow::Result<()> {
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
    report.cycles += steps as u64;
    report.acknowledged += world.acknowledged;
    report.lost += world.found.lost;
    report.undone += world.found.undone;
    report.held_twice += world.found.held_twice;
    world.found.problems.iter().for_each(|problem| report.violate(format!("seed {seed}: {problem}")));
    world.remove()
}
