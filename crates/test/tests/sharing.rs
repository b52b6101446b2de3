//! Two processes on one directory: one owns it and works, the other pushes through it. The owner is killed and started
//! again twenty times, and every push that was acknowledged has its job run.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use windlass::{Client, Context, Job, Outcome, Worker};

const KILLS: u64 = 20;
const ACKNOWLEDGED_MIN: u64 = 20_000;
const CAP: u64 = 8;
const PUSHERS: u64 = 16;
/// The whole test is given up after this long.
const PATIENCE: Duration = Duration::from_secs(240);
/// Names the directory to the process that is to own it.
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

/// The owner, in a process of its own: this test binary, asked for this test alone. By itself it does nothing.
#[test]
fn own_a_directory_until_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let client = Client::open(&directory).await.expect("the directory opens");
        assert!(client.connection().is_embedded(), "another process owns the directory");
        println!("owning");
        let worker = Worker::new(&client).concurrency(CAP as usize).register::<Note>();
        worker.run_until(std::future::pending()).await.expect("the worker works");
    });
}

#[test]
fn an_owner_that_is_killed_loses_no_acknowledged_push() {
    let folder = tempfile::tempdir().expect("a folder");
    let (directory, file) = (folder.path().join("data"), folder.path().join("ran"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut owner = start_owner(&directory);
    let acknowledged: Arc<Mutex<Vec<u64>>> = Arc::default();
    let next = Arc::new(AtomicU64::new(0));
    let client = runtime.block_on(Client::open(directory.to_str().expect("a UTF-8 path"))).expect("the owner answers");
    assert!(!client.connection().is_embedded());
    let pushing: Vec<_> = (0..PUSHERS)
        .map(|_| {
            let (client, acknowledged, next) = (client.clone(), acknowledged.clone(), next.clone());
            let file = file.clone();
            runtime.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    // A push that fails may or may not have happened: it counts as neither.
                    if client.push(Note { number, file: file.clone() }).await.is_ok() {
                        acknowledged.lock().expect("nobody panics with the lock").push(number);
                    }
                }
            })
        })
        .collect();

    let count = || acknowledged.lock().expect("nobody panics with the lock").len() as u64;
    let start = Instant::now();
    for kill in 1..=KILLS {
        wait_until(start, || count() >= kill * ACKNOWLEDGED_MIN / KILLS);
        owner.kill().expect("the owner is ours to kill");
        owner.wait().expect("the owner ends");
        owner = start_owner(&directory);
    }
    let after_kills = count();
    wait_until(start, || count() > after_kills);
    for task in pushing {
        task.abort();
    }
    let acknowledged = acknowledged.lock().expect("nobody panics with the lock").clone();
    let ran = || runs(&file);
    wait_until(start, || {
        let ran = ran();
        acknowledged.iter().all(|number| ran.contains_key(number))
    });
    let ran = ran();
    let repeated: u64 = ran.values().map(|times| times - 1).sum();
    println!("{} acknowledged, {} ran, {repeated} more than once, {KILLS} kills", acknowledged.len(), ran.len());
    assert!(acknowledged.len() as u64 >= ACKNOWLEDGED_MIN);
    assert!(repeated <= KILLS * CAP, "{repeated} runs too many");
    owner.kill().expect("the owner is ours to kill");
    owner.wait().expect("the owner ends");
}

/// Starts an owner and returns once it owns the directory.
fn start_owner(directory: &Path) -> Child {
    let program = std::env::current_exe().expect("this binary has a path");
    let mut owner = Command::new(program)
        .args(["--exact", "own_a_directory_until_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this binary runs");
    let output = owner.stdout.take().expect("its output is piped");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(output));
    let is_up = lines.any(|line| line.is_ok_and(|line| line.ends_with("owning")));
    assert!(is_up, "the owner ended before it owned the directory");
    owner
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

/// Waits for another process's doing, of which nothing tells us.
fn wait_until(start: Instant, is_so: impl Fn() -> bool) {
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "nothing more happens");
        std::thread::sleep(Duration::from_millis(20));
    }
}
