//! Mutation testing of the job scripts: `cargo run -p xtask -- mutate`.
//!
//! The scripts are part of the test programs as text. So a mutant is a copy of a test program in which a piece of a
//! script is replaced by another of the same length, which takes no build; the program reckons the script's digest from
//! its text. A mutant that no suite notices is printed.

mod change;

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use self::change::Change;

/// The suites that scripts run in, the quickest to find something first.
const SUITES: [&str; 4] = ["conformance", "time", "limits", "lapse"];

/// On which store conformance runs: one on which every script runs as Lua.
const STORE: &str = "memory without native scripts";

/// How much longer than without a change a suite may take before it counts as noticed, for what waits for ever.
const PATIENCE: u32 = 4;
const PATIENCE_LEAST: Duration = Duration::from_secs(20);

/// How often an ended suite is looked for.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// What to do.
pub struct Options {
    /// Only each so-many-th mutant, from the given one on.
    pub every: usize,
    pub from: usize,
    /// Suites that run at once.
    pub at_once: usize,
}

/// A test program, and how long it takes.
struct Suite {
    name: &'static str,
    program: Vec<u8>,
    time: Duration,
}

/// Tries the mutants, prints what survives, and answers how many do.
pub fn run(root: &Path, options: &Options) -> io::Result<usize> {
    let folder = env::temp_dir().join(format!("windlass-mutate-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let survivors = try_all(root, options, &folder);
    fs::remove_dir_all(&folder)?;
    survivors
}

fn try_all(root: &Path, options: &Options, folder: &Path) -> io::Result<usize> {
    let suites = build(root, folder)?;
    let changes: Vec<Change> =
        change::all(root)?.into_iter().skip(options.from).step_by(options.every.max(1)).collect();
    eprintln!("{} mutants", changes.len());
    let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..options.at_once.max(1) {
            scope.spawn(|| {
                while let Some((at, change)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, changes.get(at)?)))
                {
                    let noticed = notices(&suites, change, &folder.join(format!("mutant-{at}")));
                    let by = noticed.as_ref().map_or("not run", |by| by.unwrap_or("SURVIVED"));
                    println!("{by:<12} {change}");
                    found.lock().expect("nobody panics with the lock").insert(at, noticed);
                }
            });
        }
    });
    let found = found.into_inner().expect("nobody panics with the lock");
    let (mut caught, mut survived) = (0, 0);
    for noticed in found.into_values() {
        match noticed? {
            Some(_) => caught += 1,
            None => survived += 1,
        }
    }
    println!("{caught} of {} mutants were noticed", caught + survived);
    Ok(survived)
}

/// The first suite that notices a change.
fn notices(suites: &[Suite], change: &Change, path: &Path) -> io::Result<Option<&'static str>> {
    for suite in suites {
        let Some(mutant) = change.apply(&suite.program) else { continue };
        write_program(path, &mutant)?;
        let most = (suite.time * PATIENCE).max(PATIENCE_LEAST);
        let holds = passes(path, most)?;
        fs::remove_file(path)?;
        if !holds {
            return Ok(Some(suite.name));
        }
    }
    Ok(None)
}

/// Builds the suites, and sees that they hold without a change.
fn build(root: &Path, folder: &Path) -> io::Result<Vec<Suite>> {
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.current_dir(root).args(["test", "-p", "windlass-test", "--no-run", "--message-format=json"]);
    for suite in SUITES {
        build.args(["--test", suite]);
    }
    let built = build.stderr(Stdio::inherit()).output()?;
    let said = String::from_utf8_lossy(&built.stdout);
    let mut suites = Vec::new();
    for name in SUITES {
        let path = executable(&said, name)
            .ok_or_else(|| io::Error::other(format!("cargo built no test program `{name}`")))?;
        let program = fs::read(path)?;
        let copy = folder.join(name);
        write_program(&copy, &program)?;
        let start = Instant::now();
        if !passes(&copy, Duration::from_secs(600))? {
            return Err(io::Error::other(format!("the suite `{name}` does not hold without a change")));
        }
        let time = start.elapsed();
        eprintln!("{name} holds, in {:.1} s", time.as_secs_f64());
        suites.push(Suite { name, program, time });
    }
    Ok(suites)
}

/// The path of a test program in what cargo says as JSON.
fn executable(said: &str, name: &str) -> Option<PathBuf> {
    said.lines().find_map(|line| {
        let path = line.split("\"executable\":\"").nth(1)?.split('"').next()?;
        let file = Path::new(path).file_name()?.to_str()?;
        (file.rsplit_once('-')?.0 == name).then(|| path.into())
    })
}

fn write_program(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o700).open(path)?;
    io::Write::write_all(&mut file, bytes)
}

/// Whether a suite ends well within a time.
fn passes(path: &Path, most: Duration) -> io::Result<bool> {
    let mut run = Command::new(path);
    run.env("WINDLASS_TEST_STORES", STORE).env("RUST_BACKTRACE", "0");
    let mut running = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let start = Instant::now();
    loop {
        if let Some(status) = running.try_wait()? {
            return Ok(status.success());
        }
        if start.elapsed() > most {
            running.kill()?;
            running.wait()?;
            return Ok(false);
        }
        thread::sleep(LOOK_PAUSE);
    }
}
