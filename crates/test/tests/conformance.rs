//! The conformance suite, on every store there is. Each store is a line in [`STORES`].

use std::net::TcpListener;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use tokio::task::JoinSet;
use windlass_test::conformance::{CASES, Case, Store};

/// How long one case may take, whatever it waits for.
const CASE_MAX: Duration = Duration::from_secs(60);

/// How many cases run at once.
const CASES_AT_ONCE: usize = 8;

/// The stores: a name, and what starts it. `None` means that it is not installed here.
const STORES: &[(&str, fn() -> Option<Running>)] =
    &[("redis-server", || redis_server(false)), ("redis-server in cluster mode", || redis_server(true))];

/// A store that was started, and is ended when dropped.
struct Running {
    url: String,
    _server: Option<Server>,
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It is ours alone, so that ending it by its id cannot hit another.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    windlass_test::conformance::be_a_worker_if_asked().await;
    // Arguments narrow the run to the cases whose names contain one of them; those of the harness that
    // this is not are passed over.
    let filters: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let cases: Vec<Case> = CASES
        .iter()
        .filter(|case| filters.is_empty() || filters.iter().any(|filter| case.name.contains(filter.as_str())))
        .copied()
        .collect();
    let mut failed = 0;
    for (name, start) in STORES {
        let Some(running) = start() else {
            eprintln!("{name}: not installed, its cases did not run");
            continue;
        };
        let failures = run_all(&cases, &running.url).await;
        println!("{name}: {} of {} cases hold", cases.len() - failures.len(), cases.len());
        for failure in &failures {
            println!("  {failure}");
        }
        failed += failures.len();
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the cases, some at once, and answers which failed and how.
async fn run_all(cases: &[Case], url: &str) -> Vec<String> {
    let store = Store::new(url);
    let (mut running, mut failures, mut waiting) = (JoinSet::new(), Vec::new(), cases.iter());
    loop {
        while running.len() < CASES_AT_ONCE
            && let Some(case) = waiting.next()
        {
            let (store, case) = (store.clone(), *case);
            running.spawn_blocking(move || run_one(case, &store));
        }
        match running.join_next().await {
            None => return failures,
            Some(failure) => failures.extend(failure.expect("a case catches its panics")),
        }
    }
}

/// Runs one case on this thread, with a runtime of its own, and answers how it failed.
fn run_one(case: Case, store: &Store) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let within = async { tokio::time::timeout(CASE_MAX, (case.run)(store)).await };
    // An assertion that fails ends the case and not the suite; its message is on stderr already.
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(within)));
    runtime.shutdown_background();
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(_)) => Some(format!("{} did not end in {CASE_MAX:?}", case.name)),
        Err(_) => Some(format!("{} does not hold", case.name)),
    }
}

/// Starts a fresh redis-server on a free port.
fn redis_server(is_cluster: bool) -> Option<Running> {
    let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let directory = tempfile::tempdir().ok()?.keep();
    let mut command = Command::new("redis-server");
    command.args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
    ]);
    command.arg(&directory).stdout(Stdio::null()).stderr(Stdio::null());
    if is_cluster {
        // The bus takes the port 10,000 above, which may not exist for a high port.
        let bus = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        command.args(["--cluster-enabled", "yes", "--cluster-port", &bus.to_string()]);
    }
    let server = Server(command.spawn().ok()?);
    let url = format!("redis://127.0.0.1:{port}");
    let client = redis::Client::open(url.as_str()).ok()?;
    let started = std::time::Instant::now();
    let mut connection = loop {
        match client.get_connection() {
            Ok(connection) => break connection,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(20), "it does not answer: {error}"),
        }
        std::thread::yield_now();
    };
    if is_cluster {
        let mut own_all = redis::cmd("CLUSTER");
        own_all.arg("ADDSLOTSRANGE").arg(0).arg(16383).exec(&mut connection).expect("the slots are free");
        let is_up = |info: String| info.contains("cluster_state:ok");
        while !is_up(redis::cmd("CLUSTER").arg("INFO").query(&mut connection).expect("it answers")) {
            assert!(started.elapsed() < Duration::from_secs(20), "the cluster does not come up");
            std::thread::yield_now();
        }
    }
    Some(Running { url, _server: Some(server) })
}
