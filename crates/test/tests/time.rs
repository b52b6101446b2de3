//! The cases of the conformance suite that move the store's time, each on a store of its own: databases of ours by a
//! clock that stands still, with and without the native bodies of scripts, and a real redis-server, alone and in cluster
//! mode, a redis-server 8 and a valkey-server, whose time of day is shifted.

use std::sync::Mutex;
use std::time::Duration;

use windlass_db::{Config, Database, SystemDisk};
use windlass_test::clock::{Clock, ShiftedClock};
use windlass_test::conformance::{Case, Store, TIME_CASES};
use windlass_test::our_server::OurServer;
use windlass_test::redis_server::{RedisServer, leave_out};

/// How long one case may take, whatever it waits for.
const CASE_MAX: Duration = Duration::from_secs(30);

/// How many cases run at once: one of them waits for a worker's own timer, the others hardly at all.
const CASES_AT_ONCE: usize = 4;

/// Runs every case by a function that starts a store for it.
fn run_all(run_one: impl Fn(&Case) + Sync) {
    let waiting = Mutex::new(TIME_CASES.iter());
    std::thread::scope(|scope| {
        for _ in 0..CASES_AT_ONCE {
            scope.spawn(|| {
                let next = || waiting.lock().expect("nobody panics with the lock").next();
                while let Some(case) = next() {
                    run_one(case);
                }
            });
        }
    });
}

/// Runs a case to its end.
fn run(case: &Case, store: &Store) {
    println!("{}", case.name);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let ended = runtime.block_on(async { tokio::time::timeout(CASE_MAX, (case.run)(store)).await });
    ended.unwrap_or_else(|_| panic!("{} did not end in {CASE_MAX:?}", case.name));
}

/// The settings with and without the native bodies of scripts.
fn config(has_native: bool) -> Config {
    let mut config = Config::default();
    config.engine.native_scripts = has_native;
    config
}

fn run_in_memory(has_native: bool) {
    run_all(|case| {
        let (clock, manual) = Clock::manual();
        let database = Database::memory_with(config(has_native), manual).expect("a database opens");
        run(case, &Store::embedded_by_clock(database, clock));
    });
}

fn run_in_a_directory(has_native: bool) {
    run_all(|case| {
        let folder = tempfile::tempdir().expect("a folder");
        let (clock, manual) = Clock::manual();
        let opened = Database::open_with(folder.path(), config(has_native), manual, SystemDisk);
        run(case, &Store::embedded_by_clock(opened.expect("a database opens").0, clock));
    });
}

fn run_on_our_server(has_native: bool) {
    run_all(|case| {
        let (clock, manual) = Clock::manual();
        let database = Database::memory_with(config(has_native), manual).expect("a database opens");
        let server = OurServer::start_on(database);
        run(case, &Store::by_clock(format!("redis://{}", server.address()), clock));
    });
}

#[test]
fn time_cases_hold_in_memory() {
    run_in_memory(true);
}

#[test]
fn time_cases_hold_in_memory_without_native_scripts() {
    run_in_memory(false);
}

#[test]
fn time_cases_hold_in_a_directory() {
    run_in_a_directory(true);
}

#[test]
fn time_cases_hold_in_a_directory_without_native_scripts() {
    run_in_a_directory(false);
}

#[test]
fn time_cases_hold_on_our_server() {
    run_on_our_server(true);
}

#[test]
fn time_cases_hold_on_our_server_without_native_scripts() {
    run_on_our_server(false);
}

#[test]
fn time_cases_hold_on_redis() {
    run_on_redis(|clock| RedisServer::start_by_or_skip(clock, &[]));
}

#[test]
fn time_cases_hold_on_redis_in_cluster_mode() {
    run_on_redis(|clock| RedisServer::start_cluster_or_skip(Some(clock)));
}

#[test]
fn time_cases_hold_on_redis_8() {
    run_on_redis(|clock| RedisServer::start_redis_8(Some(clock)));
}

#[test]
fn time_cases_hold_on_valkey() {
    run_on_redis(|clock| RedisServer::start_valkey_or_skip(Some(clock)));
}

fn run_on_redis(start: impl Fn(&ShiftedClock) -> Option<RedisServer> + Sync) {
    let may_skip = std::env::var_os("WINDLASS_TEST_NO_REDIS").is_some();
    run_all(|case| {
        let clock = match ShiftedClock::new() {
            Ok(clock) => clock,
            Err(error) if may_skip => {
                let _ = leave_out("servers by a clock", &error.to_string());
                return;
            }
            Err(error) => panic!("{error}; or set WINDLASS_TEST_NO_REDIS=1 to test without"),
        };
        let Some(server) = start(&clock) else { return };
        run(case, &Store::by_clock(server.url(), Clock::Shifted(clock)));
    });
}
