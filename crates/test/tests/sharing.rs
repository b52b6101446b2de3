//! Processes on one directory: one owns it and works, another pushes through it. The owner is killed twenty times, and
//! started again or followed by another worker; every push that was acknowledged has its job run.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use windlass::{Client, Connection, Context, Job, Outcome, Worker};

const KILLS: u64 = 20;
const CAP: u64 = 8;
const PUSHERS: u64 = 16;
/// The whole test is given up after this long.
const PATIENCE: Duration = Duration::from_secs(240);
/// How soon a guest has the directory after its owner was killed; a busy machine needs more than the second that it is
/// meant to be.
const TAKEOVER_MAX: Duration = Duration::from_secs(3);
/// Names the directory to the process that is to work on it.
const DIRECTORY: &str = "WINDLASS_TEST_OWNED_DIRECTORY";

/// Notes that it ran, in a file beside the directory.
#[derive(Serialize, Deserialize)]
struct Note {
    number: u64,
    file: PathBuf,
}

impl Job for Note {
    const KIND: &'static str = "note";
    type Output = ();

    async fn run(self, _: Context) -> Outcome<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(&self.file)?;
        // One short write to a file opened for appending is whole, whoever else appends.
        file.write_all(format!("{}\n", self.number).as_bytes())?;
        Ok(())
    }
}

/// A worker on the directory, in a process of its own: this test binary, asked for this test alone. By itself it does
/// nothing.
#[test]
fn work_on_a_directory_until_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let client = Client::open(&directory).await.expect("the directory opens");
        println!("{}", if client.connection().is_embedded() { "owning" } else { "visiting" });
        let worker = Worker::new(&client).concurrency(CAP as usize).register::<Note>();
        worker.run_until(std::future::pending()).await.expect("the worker works");
    });
}

#[test]
fn an_owner_that_is_killed_loses_no_acknowledged_push() {
    let world = World::new(20_000);
    let mut owner = world.start_worker("owning");
    let pushing = world.push();
    for kill in 1..=KILLS {
        world.wait_for_pushes(kill * world.pushes_min / KILLS);
        end(&mut owner);
        owner = world.start_worker("owning");
    }
    world.check(pushing);
    end(&mut owner);
}

#[test]
fn another_process_takes_over_from_an_owner_that_is_killed() {
    let world = World::new(10_000);
    let mut workers = vec![world.start_worker("owning"), world.start_worker("visiting")];
    let pushing = world.push();
    for kill in 1..=KILLS {
        world.wait_for_pushes(kill * world.pushes_min / KILLS);
        let owner = world.owner();
        let place =
            workers.iter().position(|worker| worker.id() == owner).expect("a worker owns the directory");
        end(&mut workers.swap_remove(place));
        // It is a guest of the one that takes over, or finds the directory free before that one does.
        workers.push(world.start_worker("ing"));
    }
    world.check(pushing);
    workers.iter_mut().for_each(end);
}

#[test]
fn a_worker_that_is_just_up_takes_over_from_an_owner_that_is_killed() {
    for _ in 0..8 {
        let world = World::new(0);
        let mut owner = world.start_worker("owning");
        let mut guest = world.start_worker("visiting");
        end(&mut owner);
        let killed = Instant::now();
        while !world.lock().starts_with(&format!("{} ", guest.id())) {
            assert!(guest.try_wait().expect("it is ours").is_none(), "it ended by itself");
            assert!(killed.elapsed() < TAKEOVER_MAX, "nobody has the directory");
            std::thread::yield_now();
        }
        end(&mut guest);
    }
}

fn end(worker: &mut Child) {
    worker.kill().expect("the process is ours to kill");
    worker.wait().expect("it ends");
}

/// A directory, and a client that pushes to it and never owns it.
struct World {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    acknowledged: Arc<Mutex<Vec<u64>>>,
    pushes_min: u64,
    start: Instant,
}

impl World {
    fn new(pushes_min: u64) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, runtime, acknowledged: Arc::default(), pushes_min, start: Instant::now() }
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where the jobs note that they ran.
    fn file(&self) -> PathBuf {
        self.folder.path().join("ran")
    }

    /// The process that has the directory, as it says itself.
    fn owner(&self) -> u32 {
        self.lock().split(' ').next().expect("a first word").parse().expect("a process's number")
    }

    /// What the lock's file says.
    fn lock(&self) -> String {
        fs::read_to_string(self.directory().join("windlass.lock")).expect("an owner has been there")
    }

    /// Starts a worker and returns once it has the directory or has reached who has.
    fn start_worker(&self, role: &str) -> Child {
        let program = std::env::current_exe().expect("this binary has a path");
        let mut worker = Command::new(program)
            .args(["--exact", "work_on_a_directory_until_killed", "--nocapture"])
            .env(DIRECTORY, self.directory())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary runs");
        let output = worker.stdout.take().expect("its output is piped");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(output));
        let is_up = lines.any(|line| line.is_ok_and(|line| line.ends_with(role)));
        assert!(is_up, "the worker ended before it was {role}");
        worker
    }

    /// Pushes until told to end.
    fn push(&self) -> Vec<tokio::task::JoinHandle<()>> {
        let directory = self.directory();
        let client = self.runtime.block_on(async {
            let config = windlass_conn::Config { takes_over: false, ..windlass_conn::Config::default() };
            let url = directory.to_str().expect("a UTF-8 path");
            let connection = Connection::open_with(url, config).await.expect("the owner answers");
            assert!(!connection.is_embedded());
            Client::new(connection).await.expect("the store is fit")
        });
        let next = Arc::new(AtomicU64::new(0));
        let push = || {
            let (client, acknowledged, next) = (client.clone(), self.acknowledged.clone(), next.clone());
            let file = self.file();
            self.runtime.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    // A push that fails may or may not have happened: it counts as neither.
                    if client.push(Note { number, file: file.clone() }).await.is_ok() {
                        acknowledged.lock().expect("nobody panics with the lock").push(number);
                    }
                }
            })
        };
        (0..PUSHERS).map(|_| push()).collect()
    }

    fn count(&self) -> u64 {
        self.acknowledged.lock().expect("nobody panics with the lock").len() as u64
    }

    fn wait_for_pushes(&self, count: u64) {
        self.wait_until(|| self.count() >= count);
    }

    /// Waits for another process's doing, of which nothing tells us.
    fn wait_until(&self, is_so: impl Fn() -> bool) {
        while !is_so() {
            assert!(self.start.elapsed() < PATIENCE, "nothing more happens");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the pushing, and holds that each acknowledged job ran, and few of them more than once.
    fn check(&self, pushing: Vec<tokio::task::JoinHandle<()>>) {
        let after_kills = self.count();
        self.wait_until(|| self.count() > after_kills);
        for task in pushing {
            task.abort();
        }
        let acknowledged = self.acknowledged.lock().expect("nobody panics with the lock").clone();
        let ran = || runs(&self.file());
        self.wait_until(|| {
            let ran = ran();
            acknowledged.iter().all(|number| ran.contains_key(number))
        });
        let ran = ran();
        let repeated: u64 = ran.values().map(|times| times - 1).sum();
        println!(
            "{} acknowledged, {} ran, {repeated} more than once, {KILLS} kills",
            acknowledged.len(),
            ran.len()
        );
        assert!(acknowledged.len() as u64 >= self.pushes_min);
        assert!(repeated <= KILLS * CAP, "{repeated} runs too many");
    }
}

/// How often each number ran.
fn runs(file: &Path) -> HashMap<u64, u64> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut runs = HashMap::new();
    for line in text.lines() {
        *runs.entry(line.parse().expect("a whole line")).or_default() += 1;
    }
    runs
}
