//! System calls of the real server that fail, by a library in front of it.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use windlass_conn::Connection;
use windlass_db::faults::Random;

use super::Plan;
use super::guard::Guard;
use super::process::{self, Process, connect};
use super::report::Report;

/// The library's source. It is compiled where the stage runs, by the C compiler that is there.
const SOURCE: &str = include_str!("../../preload/fault.c");
/// The fault by which no call fails: syncs take longer, and those under way are counted in the file of the notes.
pub const SLOW_SYNCS: &str = "sync 0 0 slow";
/// The last call that fails.
const NTH_MAX: usize = 1_000;
/// The same by the small figures in each second round, and for calls that are seldom: they would need as many rewrites.
const NTH_SOON: usize = 60;
/// How many pushes follow each other at most before the fault.
const PUSHES_MAX: usize = 4 * NTH_MAX;
/// Pushes after the fault.
const PUSHES_AFTER: usize = 5;
/// A rewrite after each of so many pushes: its calls are among those that fail.
const REWRITE_EVERY: usize = 20;
/// How long writes may take to come back after a fault that has passed.
const BACK_MAX: Duration = Duration::from_secs(10);

/// What fails, and the answer: an errno of Linux or a word of the library.
const FAULTS: [(&str, &str); 9] = [
    ("write", "5"),
    ("write", "28"),
    ("write", "4"),
    ("write", "short"),
    ("sync", "5"),
    ("sync", "28"),
    ("rename", "5"),
    ("open", "24"),
    ("open", "28"),
];

/// A library that makes system calls fail.
#[derive(Clone)]
pub struct Library {
    path: PathBuf,
}

impl Library {
    /// None where it cannot be compiled, with the reason.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub fn compile(folder: &Path) -> std::io::Result<Result<Self, String>> {
        let (source, path) = (folder.join("fault.c"), folder.join("fault.so"));
        fs::write(&source, SOURCE)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-shared", "-fPIC", "-w", "-o"]).arg(&path).arg(&source).arg("-ldl");
        Ok(match compiler.output() {
            Ok(output) if output.status.success() => Ok(Self { path }),
            Ok(output) => Err(format!("`cc` fails: {}", String::from_utf8_lossy(&output.stderr))),
            Err(error) => Err(format!("it needs the C compiler `cc`, which does not run: {error}")),
        })
    }

    /// Loads it into a process: calls fail as `fault` says on the files below `folder`.
    pub fn load(&self, command: &mut Command, fault: &str, folder: &Path, notes: &Path) {
        command.env("LD_PRELOAD", &self.path).env("WINDLASS_FAULT", fault);
        command.env("WINDLASS_FAULT_DIR", folder).env("WINDLASS_FAULT_NOTES", notes);
    }
}

pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let library = match Library::compile(&plan.scratch.in_memory()?)? {
        Ok(library) => library,
        Err(why) => return Ok(Report::skipped(why)),
    };
    let mut report = Report::default();
    let mut random = Random::new(plan.seed);
    let mut struck = 0;
    for round in 0..plan.figure_of_build(3, 10, 200) {
        for (operation, answer) in FAULTS {
            if plan.is_done(&report) {
                break;
            }
            let is_soon = round % 2 == 0 || !matches!(operation, "write" | "sync");
            let nth = random.below(if is_soon { plan.figure(NTH_SOON, NTH_MAX) } else { NTH_MAX });
            // A signal that came for ever would have every write tried for ever.
            let lasting = if answer == "4" { 100 } else { 1_000_000 };
            let count = [1, 3, lasting][random.below(3)];
            let fault = match plan.guard {
                Some(Guard::Errno) => format!("write {nth} 3 lie"),
                _ => format!("{operation} {nth} {count} {answer}"),
            };
            let case = Case::new(plan, fault)?;
            let ran = case.run(&library, count < lasting, &mut report);
            struck += u64::from(tokio::runtime::Handle::current().block_on(ran)?);
        }
    }
    report.note(format!("{struck} of {} faults were met", report.cycles));
    if struck == 0 {
        report.violate("no fault was met, so that nothing was tried");
    }
    Ok(report)
}

struct Case {
    fault: String,
    folder: PathBuf,
}

/// What a client saw.
#[derive(Default)]
struct Seen {
    next: usize,
    acknowledged: Vec<usize>,
}

impl Case {
    fn new(plan: &Plan, fault: String) -> anyhow::Result<Self> {
        Ok(Self { fault, folder: plan.scratch.in_memory()? })
    }

    /// Pushes to a server until a call of it has failed and a little longer, kills it and holds what is there against what
    /// was acknowledged. Answers whether a call failed.
    async fn run(&self, library: &Library, has_passed: bool, report: &mut Report) -> anyhow::Result<bool> {
        report.cycles += 1;
        let (directory, log) = (self.folder.join("data"), self.folder.join("log"));
        let notes = self.folder.join("notes");
        let mut command = process::serve_command(&directory, 0, "always")?;
        library.load(&mut command, &self.fault, &directory, &notes);
        let mut seen = Seen::default();
        // With a fault early enough it does not start, and nothing is acknowledged.
        if let Ok(mut server) = Process::start(command, &log) {
            let lasts = Duration::from_secs(if has_passed { BACK_MAX.as_secs() } else { 0 });
            if seen.push_to(&server, &notes, lasts).await.is_err() && has_passed {
                report.violate(format!("{}: writes did not come back within {BACK_MAX:?}", self.fault));
            }
            server.kill();
        }
        report.acknowledged += seen.acknowledged.len() as u64;
        let notes = fs::read_to_string(&notes).unwrap_or_default();
        if notes.contains("synced again") {
            report.violate(format!("{}: a file was synced after its sync had failed", self.fault));
        }
        match process::serve(&directory, 0, "always", &log) {
            Ok(server) => {
                report.recovered_in(server.started_in);
                self.judge(&seen, &server, report).await?;
            }
            Err(error) => {
                report.refused += 1;
                report.violate(format!("{}: {error}", self.fault));
            }
        }
        fs::remove_dir_all(&self.folder)?;
        Ok(!notes.is_empty())
    }

    async fn judge(&self, seen: &Seen, server: &Process, report: &mut Report) -> anyhow::Result<()> {
        let mut connection = connect(server).await?;
        let there: Vec<usize> =
            redis::cmd("LRANGE").arg("jobs").arg(0).arg(-1).query_async(&mut connection).await?;
        let there: HashSet<usize> = there.into_iter().collect();
        for number in seen.acknowledged.iter().filter(|number| !there.contains(number)) {
            report.lose(format!("{}: push {number} was acknowledged and is not there", self.fault));
        }
        if let Some(number) = there.iter().find(|number| **number >= seen.next) {
            report.violate(format!("{}: {number} is there and was never pushed", self.fault));
        }
        Ok(())
    }
}

impl Seen {
    /// Pushes until a call was noted as failed and some more pushes were acknowledged, for `patience` after the first
    /// refusal at most.
    async fn push_to(&mut self, server: &Process, notes: &Path, patience: Duration) -> anyhow::Result<()> {
        let mut connection = connect(server).await?;
        let (mut left, mut refused_at) = (PUSHES_AFTER, None::<Instant>);
        while left > 0 && self.next < PUSHES_MAX {
            if self.next % REWRITE_EVERY == REWRITE_EVERY - 1 {
                // While the log has failed it is refused.
                let _ = redis::cmd("BGREWRITEAOF").query_async::<redis::Value>(&mut connection).await;
            }
            match self.push(&mut connection).await {
                Ok(()) => left -= usize::from(notes.exists()),
                Err(error) => {
                    let refused_at = *refused_at.get_or_insert_with(Instant::now);
                    anyhow::ensure!(refused_at.elapsed() < patience, "writes are refused: {error}");
                    // It ran, and what became of it is unknown: the connection closes.
                    if error.code() != Some("MISCONF") {
                        connection = connect(server).await?;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
        Ok(())
    }

    async fn push(&mut self, connection: &mut Connection) -> redis::RedisResult<()> {
        let number = self.next;
        self.next += 1;
        redis::cmd("RPUSH").arg("jobs").arg(number).query_async::<()>(connection).await?;
        self.acknowledged.push(number);
        Ok(())
    }
}
