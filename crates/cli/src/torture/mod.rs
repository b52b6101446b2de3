//! `windlass torture`: kills, tears, fills and cuts until something acknowledged is lost, or shows that nothing is.
//!
//! A stage is a file here and its row in [`STAGES`]. It is judged only by what clients saw acknowledged and what is there
//! afterwards. Everything left to chance follows from one seed, which is printed. A guard is what a stage relies on the
//! store to do; each can be taken out beneath the store, and a stage must then find a violation: see [`guard`].

mod clock;
mod cut;
mod fault;
mod flip;
mod full;
mod guard;
mod jobs;
mod jump;
mod kill;
mod power;
mod preload;
mod process;
mod report;
mod scratch;
mod simulate;
mod work;

use std::time::{Duration, Instant};

use anyhow::anyhow;

use crate::args::{StoreArgs, TortureArgs};
use crate::exit::{FAILURE, Failure, Result, USAGE};
use crate::{output, settings};
use guard::Guard;
use report::Report;
use scratch::Scratch;

/// What a stage is asked to do.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub is_full: bool,
    pub kills: Option<usize>,
    pub guard: Option<Guard>,
    pub scratch: Scratch,
}

impl Plan {
    /// The small figure, or the large one by flag.
    fn figure(&self, small: usize, full: usize) -> usize {
        if self.is_full { full } else { small }
    }

    /// The same where a build for tests, some ten times slower than a release, has a figure of its own.
    fn figure_of_build(&self, test: usize, small: usize, full: usize) -> usize {
        self.figure(if cfg!(debug_assertions) { test } else { small }, full)
    }

    /// True when what a guard that is out would do was noticed: the stage has then shown what it is to show.
    fn is_done(&self, report: &Report) -> bool {
        self.guard.is_some() && report.is_violation()
    }

    /// The figure of the stages that kill.
    fn kills(&self, small: usize, full: usize) -> usize {
        self.kills.unwrap_or_else(|| self.figure(small, full))
    }
}

/// One kind of fault.
struct Stage {
    name: &'static str,
    about: &'static str,
    /// How long the small figures may take on two cores: all stages together ten minutes.
    budget: Duration,
    run: fn(&Plan) -> anyhow::Result<Report>,
}

const fn stage(
    name: &'static str,
    about: &'static str,
    budget_s: u64,
    run: fn(&Plan) -> anyhow::Result<Report>,
) -> Stage {
    Stage { name, about, budget: Duration::from_secs(budget_s), run }
}

const STAGES: [Stage; 10] = [
    stage("kill", "SIGKILL of the server under push, lease and finish, each durability", 45, kill::run),
    stage("jobs", "SIGKILL of server, owner and worker in mid-job, through the library", 60, jobs::run),
    stage("cut", "the log cut at every byte of its last 64 KB", 30, cut::run),
    stage("flip", "bits flipped in log and base", 15, flip::run),
    stage("fault", "operations of the disk failing at the Nth call", 30, fault::run),
    stage("preload", "system calls of the real server failing at the Nth call", 40, preload::run),
    stage("power", "power cuts at each step of log, rewrite and opening", 40, power::run),
    stage("full", "a full disk, freed again, with rewrites and restarts", 30, full::run),
    stage("clock", "steps of the clock", 5, clock::run),
    stage("simulate", "store, workers and clients on a virtual clock", 300, simulate::run),
];

/// The stages for which `--kills` is a figure.
const KILLING: [&str; 2] = ["kill", "jobs"];

/// Runs the stages, and fails when one of them found a violation.
pub async fn run(args: TortureArgs, store: &StoreArgs) -> Result<()> {
    if let Some(notes) = args.work {
        return work::run(&settings::store(store)?, notes).await;
    }
    if args.list {
        return list();
    }
    let wrong = |problem: String| Failure::new(USAGE, anyhow!(problem));
    if store.namespace.is_some() {
        return Err(wrong("--namespace is not for this command: it makes the stores that it tries".into()));
    }
    let guard = args.without.as_deref().map(Guard::parse).transpose().map_err(wrong)?;
    let stages = chosen(&args.stages, guard)?;
    if let Some(other) = stages.iter().find(|stage| guard.is_some_and(|guard| guard.stage() != stage.name)) {
        let guard = guard.expect("it was looked at");
        return Err(wrong(format!(
            "the stage {} does not look for the guard {}; {} does",
            other.name,
            guard.name(),
            guard.stage()
        )));
    }
    if args.kills.is_some() && !stages.iter().any(|stage| KILLING.contains(&stage.name)) {
        return Err(wrong(format!("--kills is for the stages that kill: {}", KILLING.join(", "))));
    }
    let seed = args.seed.unwrap_or_else(report::draw_seed);
    let scratch = Scratch::new(args.dir.as_deref())?;
    let kills = args.kills.map(|kills| kills as usize);
    let plan = Plan { seed, is_full: args.full, kills, guard, scratch };
    let mut reports = Vec::new();
    for stage in stages {
        reports.push(run_stage(stage, &plan, store.json).await?);
    }
    let has_failed = reports.iter().any(Report::is_violation);
    if store.json {
        output::json(&reports)?;
    } else {
        report::print(&reports, seed)?;
    }
    if has_failed {
        // What a violation left behind is evidence.
        let kept = plan.scratch.keep();
        return Err(Failure::new(
            FAILURE,
            anyhow!("what was acknowledged did not hold; seed {seed}, files in {}", kept.display()),
        ));
    }
    plan.scratch.remove();
    let skipped = reports.iter().find_map(|report| Some((report.stage, report.skipped.as_ref()?)));
    match skipped {
        Some((stage, why)) if args.no_skips => {
            Err(Failure::new(FAILURE, anyhow!("the stage {stage} could not run here: {why}")))
        }
        _ => Ok(()),
    }
}

async fn run_stage(stage: &'static Stage, plan: &Plan, is_quiet: bool) -> Result<Report> {
    if !is_quiet {
        output::line(format_args!("{}: {} (budget {} s)", stage.name, stage.about, stage.budget.as_secs()))?;
    }
    let start = Instant::now();
    let plan = plan.clone();
    let ran = tokio::task::spawn_blocking(move || (stage.run)(&plan)).await?;
    let mut report =
        ran.map_err(|error| anyhow!(error.context(format!("the stage {} broke off", stage.name))))?;
    report.stage = stage.name;
    report.seconds = start.elapsed().as_secs_f64();
    report.budget_seconds = stage.budget.as_secs_f64();
    if !is_quiet {
        report.print_notes()?;
    }
    Ok(report)
}

/// The stages of these names; when none is named all, or the one that looks for the guard.
fn chosen(names: &[String], guard: Option<Guard>) -> Result<Vec<&'static Stage>> {
    if names.is_empty() {
        let is_meant = |stage: &&Stage| guard.is_none_or(|guard| guard.stage() == stage.name);
        return Ok(STAGES.iter().filter(is_meant).collect());
    }
    let find = |name: &String| {
        STAGES.iter().find(|stage| stage.name == name).ok_or_else(|| {
            let all: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
            Failure::new(USAGE, anyhow!("there is no stage `{name}`; choose from {}", all.join(", ")))
        })
    };
    names.iter().map(find).collect()
}

fn list() -> Result<()> {
    output::line("stages:")?;
    for stage in &STAGES {
        output::line(format_args!("  {:<9} {} ({} s)", stage.name, stage.about, stage.budget.as_secs()))?;
    }
    output::line("guards, each with the stage that notices its absence:")?;
    for guard in Guard::ALL {
        output::line(format_args!("  {:<16} {} ({})", guard.name(), guard.about(), guard.stage()))?;
    }
    Ok(())
}
