//! The conformance suite, on every store there is. Each store is a line in [`STORES`].

use std::any::Any;
use std::process::ExitCode;
use std::time::Duration;

use tokio::task::JoinSet;
use windlass_db::Database;
use windlass_test::conformance::{CASES, Case, Store};
use windlass_test::redis_server::RedisServer;

/// How long one case may take, whatever it waits for.
const CASE_MAX: Duration = Duration::from_secs(180);

/// How many cases run at once.
const CASES_AT_ONCE: usize = 8;

/// The stores: a name, and what starts it. `None` means that it is left out: a Redis where the environment asks for
/// that, a Valkey or a Redis 8 where there is none.
const STORES: &[(&str, Start)] = &[
    ("redis-server", redis_server),
    ("redis-server 8", redis_server_8),
    ("redis-server in cluster mode", redis_cluster),
    ("valkey-server", valkey_server),
    ("memory", memory),
    ("memory without native scripts", memory_without_native),
    ("a directory", directory),
    ("our server", our_server),
    ("our server without native scripts", our_server_without_native),
];

type Start = fn() -> Option<Running>;

/// A store that was started, and is ended when dropped.
struct Running {
    url: String,
    _held: Box<dyn Any>,
}

impl Running {
    /// A store that lives as long as `held`.
    fn new(url: impl Into<String>, held: impl Any) -> Option<Self> {
        Some(Self { url: url.into(), _held: Box::new(held) })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    windlass_test::conformance::be_a_worker_if_asked().await;
    // WINDLASS_TEST_STORES narrows the run to stores by their names, with commas between them.
    // Arguments narrow the run to the cases whose names contain one of them; those of the harness that
    // this is not are passed over.
    let filters: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let cases: Vec<Case> = CASES
        .iter()
        .filter(|case| filters.is_empty() || filters.iter().any(|filter| case.name.contains(filter.as_str())))
        .copied()
        .collect();
    let (mut failed, mut left_out) = (0, Vec::new());
    let only = std::env::var("WINDLASS_TEST_STORES").unwrap_or_default();
    for (name, start) in
        STORES.iter().filter(|(name, _)| only.is_empty() || only.split(',').any(|only| only == *name))
    {
        let Some(running) = start() else {
            left_out.push(*name);
            continue;
        };
        let failures = run_all(&cases, &running.url).await;
        eprintln!("{name}: {} of {} cases hold", cases.len() - failures.len(), cases.len());
        for failure in &failures {
            eprintln!("  {failure}");
        }
        failed += failures.len();
    }
    if !left_out.is_empty() {
        // At the end, where it is read.
        eprintln!("*** LEFT OUT, so that nothing is known of them: {}", left_out.join(", "));
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

/// A fresh redis-server.
fn redis_server() -> Option<Running> {
    let server = RedisServer::start_or_skip(&[])?;
    Running::new(server.url(), server)
}

/// A fresh valkey-server.
fn valkey_server() -> Option<Running> {
    let server = RedisServer::start_valkey_or_skip(None)?;
    Running::new(server.url(), server)
}

/// A fresh redis-server 8, where the machine has one.
fn redis_server_8() -> Option<Running> {
    let server = RedisServer::start_redis_8(None)?;
    Running::new(server.url(), server)
}

/// A fresh redis-server in cluster mode that owns every slot: a move whose keys lie in two slots is refused.
fn redis_cluster() -> Option<Running> {
    let server = RedisServer::start_cluster_or_skip(None)?;
    Running::new(server.url(), server)
}

/// The embedded database without a directory, one for all cases of the process.
fn memory() -> Option<Running> {
    Running::new("memory:conformance", ())
}

/// The same without the native bodies of scripts.
fn memory_without_native() -> Option<Running> {
    let url = "memory:conformance-without-native";
    let mut config = windlass_conn::Config::default();
    config.database.engine.native_scripts = false;
    let open = windlass_conn::Connection::open_with(url, config);
    let opened = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(open));
    // Who opens the name while this connection is there finds its database.
    Running::new(url, opened.expect("a database opens"))
}

/// The embedded database in a directory.
fn directory() -> Option<Running> {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let url = directory.path().to_str().expect("its path is text").to_owned();
    Running::new(url, directory)
}

/// Our server on a database in memory.
fn our_server() -> Option<Running> {
    our_server_on(windlass_db::Config::default())
}

/// The same without the native bodies of scripts.
fn our_server_without_native() -> Option<Running> {
    let mut config = windlass_db::Config::default();
    config.engine.native_scripts = false;
    our_server_on(config)
}

fn our_server_on(config: windlass_db::Config) -> Option<Running> {
    let database = Database::memory(config).expect("a database opens");
    let config = windlass_server::Config { tcp: vec!["127.0.0.1:0".into()], ..Default::default() };
    let server = windlass_server::Server::bind(config, database).expect("a port is free");
    let url = format!("redis://{}", server.addresses().first().expect("it listens"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    // It ends when the sender is dropped, which is with the store.
    let until_stopped = async { drop(stopped.await) };
    tokio::spawn(async move { server.run_until(until_stopped).await.expect("the server runs") });
    Running::new(url, stop)
}
