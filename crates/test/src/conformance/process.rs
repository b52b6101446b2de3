//! A worker in a process of its own: it can be killed as only a process can, and it gets signals.
//!
//! The suite's binary starts itself again for it: its `main` calls [`be_a_worker_if_asked`] first. Every job of the
//! worker writes `begun` with its arguments, ends when a line comes on the standard input, and then writes `ended`;
//! the worker's events are lines as well.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use windlass::{Client, Config, Connection, ProcessJob, Push, Retry, Worker};

use super::program::lives;
use super::world::{Beside, Store, World, eventually};

/// Names the store to the process that is to be a worker.
const STORE: &str = "WINDLASS_TEST_STORE";

/// Names the namespace to it.
const NAMESPACE: &str = "WINDLASS_TEST_NAMESPACE";

/// Tells it how many milliseconds its jobs may take to end when it stops.
const SHUTDOWN_MS: &str = "WINDLASS_TEST_SHUTDOWN_MS";

/// Names the file for its process id.
const PID_FILE: &str = "WINDLASS_TEST_PID_FILE";

/// The program of its process jobs: in the folder that it is given it says which group it is, and has a child that would go
/// on for ever, as itself.
const PROGRAM: &str = r#"
read -r folder; folder=${folder#\"}; cd "${folder%\"}" || exit 1
sleep 1000 & echo $$ > group.new; mv group.new group; wait
"#;

/// More than any case takes: a job that goes on although the worker waits so long was not cut short by the deadline.
pub(super) const NEVER: Duration = Duration::from_secs(3600);

/// Is a worker, when the environment asks for that; the process ends with it.
pub async fn be_a_worker_if_asked() {
    let (Ok(url), Ok(namespace)) = (std::env::var(STORE), std::env::var(NAMESPACE)) else { return };
    let connection = Connection::open(&url).await.expect("the store answers");
    let config = Config { namespace, ..Config::default() };
    let client = Client::with_config(connection, config).await.expect("the store is fit");
    let may_end = listen_for_lines();
    let mut worker = Worker::new(&client).concurrency(1).signals().on_event(|event| say(&event.to_string()));
    if let Ok(limit) = std::env::var(SHUTDOWN_MS) {
        worker = worker.shutdown_timeout(Duration::from_millis(limit.parse().expect("a number")));
    }
    if let Some(path) = std::env::var_os(PID_FILE) {
        worker = worker.pid_file(path);
    }
    let worker = worker.register_raw("k", Retry::Never, move |args, _| {
        let may_end = may_end.clone();
        async move {
            say(&format!("begun {args}"));
            may_end.acquire().await?.forget();
            say(&format!("ended {args}"));
            Ok(args)
        }
    });
    let program = ProcessJob::new("program", "sh").arg("-c").arg(PROGRAM);
    let worker = worker.register_process(program);
    let summary = worker.run().await.expect("the worker runs");
    say(&summary.to_string());
    std::process::exit(0);
}

/// Writes a line that the case sees at once.
fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // Whoever reads it may be gone, as when the case has failed; then nobody misses the line.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Gives a permit for every line of the standard input.
fn listen_for_lines() -> Arc<Semaphore> {
    let permits = Arc::new(Semaphore::new(0));
    let given = permits.clone();
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            given.add_permits(1);
        }
    });
    permits
}

/// A worker's process, as the case that started it sees it; dropping it kills the process.
pub(super) struct Process {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts one.
    pub(super) fn start(store: &Store, world: &World, shutdown: Duration, pid_file: Option<&Path>) -> Self {
        let program = std::env::current_exe().expect("the suite is a program");
        let mut command = Command::new(program);
        command.env(STORE, store.url()).env(NAMESPACE, &world.config.namespace);
        command.env(SHUTDOWN_MS, shutdown.as_millis().to_string());
        command.envs(pid_file.map(|path| (PID_FILE, path)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the suite starts itself");
        let input = child.stdin.take().expect("its input is piped");
        let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        Self { child, input, lines }
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id().expect("it was not waited for")
    }

    /// Reads on until it says this; answers what it said before.
    pub(super) async fn says(&mut self, line: &str) -> Vec<String> {
        let mut before = Vec::new();
        while let Some(said) = self.lines.next_line().await.expect("it can be read") {
            if said == line {
                return before;
            }
            before.push(said);
        }
        panic!("it ended without `{line}`, after {before:?}");
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("an id of a process"), signal).expect("it is ours");
    }

    /// Lets one job end.
    pub(super) async fn let_one_end(&mut self) {
        self.input.write_all(b"\n").await.expect("it listens");
    }

    /// Waits until it has ended; answers how, and what it still said.
    pub(super) async fn ended(mut self) -> (ExitStatus, Vec<String>) {
        let mut said = Vec::new();
        while let Some(line) = self.lines.next_line().await.expect("it can be read") {
            said.push(line);
        }
        (self.child.wait().await.expect("it can be waited for"), said)
    }

    async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }
}

/// Whether the store outlives its process, without which there is nothing to show here.
pub(super) fn is_of_one_process(store: &Store) -> bool {
    store.url().starts_with("memory:")
}

pub(super) async fn a_killed_process_loses_nothing(store: &Store) {
    if is_of_one_process(store) {
        return;
    }
    let world = store.world().await;
    let id = world.push("k", "1", Push::new()).await;
    let waiting = world.push("k", "2", Push::new()).await;
    let mut process = Process::start(store, &world, NEVER, None);
    process.says("begun 1").await;
    process.kill().await;
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let started = Instant::now();
    let worker = Beside::start(worker);
    let mut seen = [runs.recv().await.unwrap(), runs.recv().await.unwrap()].map(|run| (run.id, run.attempt));
    seen.sort();
    assert_eq!(seen, [(id, 2), (waiting, 1)]);
    if cfg!(target_os = "linux") {
        assert!(started.elapsed() < Duration::from_secs(15), "its death was known; the lease need not end");
    }
    assert_eq!(worker.stop().await.completed, 2);
    assert!(world.is_empty().await);
}

pub(super) async fn a_program_ends_with_its_worker(store: &Store) {
    if is_of_one_process(store) {
        return;
    }
    let world = store.world().await;
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(store, &world, NEVER, None);
    world.push("program", &format!("{:?}", folder.path()), Push::new()).await;
    let group = eventually(async || std::fs::read_to_string(folder.path().join("group")).ok()).await;
    let group: i32 = group.trim().parse().unwrap();
    assert!(lives(group));
    process.kill().await;
    eventually(async || (!lives(group)).then_some(())).await;
}
