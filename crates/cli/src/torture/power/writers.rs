//! Power cuts under several writers at once, with a rewrite among them. Which of them comes first is the machine's: of
//! this part of the stage only the cuts follow from the seed.

use std::sync::Mutex;
use std::thread;

use windlass_db::faults::{Crowd, PowerDisk};
use windlass_db::{Database, Durability, Position};

use super::{Run, open};
use crate::torture::Plan;
use crate::torture::guard::Guard;
use crate::torture::report::Report;

const WRITERS: usize = 4;
/// How many calls each of them makes.
const CALLS: usize = 15;

/// What the writers share.
struct Shared<'a> {
    plan: &'a Plan,
    run: &'a Run,
    crowd: Crowd,
    /// After so many steps a writer knew that so many of its calls are safe.
    marks: Mutex<Vec<(usize, usize, usize)>>,
    /// Where the log had to be for the last call of whomever.
    last: Mutex<Position>,
}

pub fn run(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let run = Run::new(plan, plan.seed.wrapping_add(3))?;
    let database = run.open(Durability::Always)?;
    let (crowd, marks, last) = (Crowd::new(WRITERS), Mutex::default(), Mutex::default());
    let shared = Shared { plan, run: &run, crowd, marks, last };
    thread::scope(|scope| {
        let (shared, database) = (&shared, &database);
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || shared.write(database, writer))).collect();
        writers.into_iter().try_for_each(|writer| writer.join().expect("a writer does not panic"))
    })?;
    let ran = shared.crowd.order(&database);
    drop(database);
    report.acknowledged += ran.len() as u64;
    shared.cut(&ran, report)?;
    drop(shared);
    run.remove()
}

impl Shared<'_> {
    fn write(&self, database: &Database, writer: usize) -> anyhow::Result<()> {
        let session = database.session("writer");
        for number in 1..=CALLS {
            let own = self.crowd.call(&session, writer, number);
            let last = std::mem::replace(&mut *self.last.lock().expect("no writer panics"), own);
            let is_early = self.plan.guard == Some(Guard::Position);
            database.wait_durable(if is_early { last } else { own })?;
            let mut marks = self.marks.lock().expect("no writer panics");
            marks.push((self.run.power.steps(), writer, number));
            drop(marks);
            if writer == 0 && number == CALLS / 2 {
                database.compact()?;
            }
        }
        Ok(())
    }

    /// Cuts the power after each step, in many ways, and holds that what each writer knew to be safe is there.
    fn cut(&self, ran: &[String], report: &mut Report) -> anyhow::Result<()> {
        let seeds = self.plan.figure_of_build(6, 20, 2_000) as u64;
        let marks = self.marks.lock().expect("no writer panics");
        for step in 0..self.run.power.steps() + 1 {
            let mut acknowledged = [0; WRITERS];
            for (_, writer, number) in marks.iter().take_while(|(at, ..)| *at <= step) {
                acknowledged[*writer] = *number;
            }
            let cut = self.run.power.cut_after(step);
            for seed in 0..seeds {
                cut.survive(seed, &self.run.left)?;
                report.cycles += 1;
                let when = format!("{WRITERS} writers, cut after step {step}, seed {seed}");
                match open(&self.run.left, Durability::Always, PowerDisk::new(&self.run.left)?) {
                    Ok(database) => {
                        if let Err(wrong) = self.crowd.judge(&database, ran, &acknowledged) {
                            report.lose(format!("{when}: {wrong}"));
                        }
                    }
                    Err(error) => {
                        report.refused += 1;
                        report.violate(format!("{when}: {error}"));
                    }
                }
            }
            if self.plan.is_done(report) {
                break;
            }
        }
        Ok(())
    }
}
